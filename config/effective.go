package config

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Effective prints a configuration struct as YAML, every key included, in the order of their
// declaration. Decode reads it back to an equal struct. The error is a value's MarshalText's.
func Effective(v any) ([]byte, error) {
	node, err := toNode(indirect(v))
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, err
	}
	return []byte(text.String()), nil
}

func toNode(v reflect.Value) (*yaml.Node, error) {
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		data, err := text.MarshalText()
		return scalarNode("!!str", string(data)), err
	}
	if v.Type() == durationType {
		return scalarNode("", durationText(time.Duration(v.Int()))), nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return structNode(v)
	case reflect.Map:
		return mapNode(v)
	case reflect.Slice:
		return listNode(v)
	}
	return plainNode(v), nil
}

func scalarNode(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func plainNode(v reflect.Value) *yaml.Node {
	switch v.Kind() {
	case reflect.String:
		return scalarNode("!!str", v.String())
	case reflect.Bool:
		return scalarNode("", strconv.FormatBool(v.Bool()))
	case reflect.Float32, reflect.Float64:
		return scalarNode("", strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return scalarNode("", strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return scalarNode("", strconv.FormatUint(v.Uint(), 10))
	}
	panic("config: no key can be a " + v.Type().String())
}

func structNode(v reflect.Value) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields(v.Type()) {
		if err := addEntry(node, f.key, v.FieldByIndex(f.index)); err != nil {
			return nil, err
		}
	}
	return node, nil
}

func mapNode(v reflect.Value) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range sortedKeys(v) {
		if err := addEntry(node, key, entry(v, key)); err != nil {
			return nil, err
		}
	}
	return node, nil
}

// entry returns a string map's value, not valid where it has none.
func entry(v reflect.Value, key string) reflect.Value {
	return v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key()))
}

func addEntry(mapping *yaml.Node, key string, v reflect.Value) error {
	value, err := toNode(v)
	mapping.Content = append(mapping.Content, scalarNode("!!str", key), value)
	return err
}

func listNode(v reflect.Value) (*yaml.Node, error) {
	node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for i := range v.Len() {
		item, err := toNode(v.Index(i))
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, item)
	}
	return node, nil
}

// durationText is Duration.String without its needless zeros: 1m, not 1m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
