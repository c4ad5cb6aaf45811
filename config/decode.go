// Package config reads a YAML file into a Go struct, strictly: whatever the struct does not
// take is a fault with its line, column and key, and all faults are reported at once.
//
// A struct holds the defaults before Decode and names its keys by tags:
//
//	type Config struct {
//		Name   string        `yaml:"name"`
//		Every  time.Duration `yaml:"every" live:"true"` // a change needs no restart
//		Camera camera.Config `yaml:"camera"`            // a section
//	}
//
// It may hold numbers, bools, strings, durations ("250ms"), anything that is an
// encoding.TextUnmarshaler (with MarshalText on the value), structs (sections; `yaml:",inline"` puts their keys into the parent),
// lists and map[string]T of these. Other types and fields without a tag panic.
package config

import (
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// enough bounds the values of one file, which aliases could multiply without end.
const enough = 100_000

// Decode fills the struct that into points to with the file's values; what the file does not
// name keeps the value that it has. A map's entries are added to those there are, a list replaces
// the old one. The error is nil or Faults; then what could be read is in place, and keys with
// faults keep their old values. File is only a name for the faults.
func Decode(file string, data []byte, into any) (Positions, error) {
	d := decoder{Positions: Positions{file, map[string]Position{}}, root: indirect(into).Type()}
	root, fault := parse(data)
	if fault != nil {
		fault.File = file
		return d.Positions, Faults{*fault}
	}
	if root != nil {
		d.value(root, "", indirect(into))
	}
	return d.Positions, d.faults.Err()
}

type decoder struct {
	Positions
	root   reflect.Type
	faults Faults
	count  int
}

// fault reports a problem where the node stands.
func (d *decoder) fault(node *yaml.Node, key, format string, args ...any) {
	d.faults = append(d.faults, Fault{d.file, node.Line, node.Column, key, fmt.Sprintf(format, args...)})
}

// value puts a node into v, the value of the key path.
func (d *decoder) value(node *yaml.Node, key string, v reflect.Value) {
	at := node
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if d.count++; d.count == enough {
		d.fault(at, key, "more than %d values", enough)
	}
	switch {
	case d.count >= enough:
	case node.Style&yaml.TaggedStyle != 0:
		d.fault(at, key, "tags such as %s are not used here", node.Tag)
	case section(v.Type()):
		d.section(node, at, key, v)
	case reflect.PointerTo(v.Type()).Implements(unmarshalerType):
		d.scalar(node, at, key, v)
	case v.Kind() == reflect.Map:
		d.entries(node, at, key, v)
	case v.Kind() == reflect.Slice:
		d.list(node, at, key, v)
	default:
		d.scalar(node, at, key, v)
	}
}

// scalar puts a single value into v.
func (d *decoder) scalar(node, at *yaml.Node, key string, v reflect.Value) {
	d.keys[key] = Position{at.Line, at.Column}
	if node.Kind != yaml.ScalarNode || absent(node) {
		d.fault(at, key, "must be %s, not %s", wanted(v.Type()), describe(node))
		return
	}
	if err := setScalar(node, v); err != nil {
		d.fault(at, key, "%v", err)
	}
}

// section fills a struct from a mapping; one left empty keeps its defaults.
func (d *decoder) section(node, at *yaml.Node, path string, v reflect.Value) {
	known := fields(v.Type())
	d.mapping(node, at, path, func(key, value *yaml.Node) {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.fault(key, join(path, key.Value), "unknown key; %s", suggest(key.Value, known, d.root))
			return
		}
		d.value(value, join(path, key.Value), v.FieldByIndex(known[i].index))
	})
}

// entries adds a mapping to a fresh copy of the map in v, which may be a shared default.
func (d *decoder) entries(node, at *yaml.Node, path string, v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String {
		panic("config: the keys of " + v.Type().String() + " are not strings")
	}
	fresh := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		fresh.SetMapIndex(key, v.MapIndex(key))
	}
	d.mapping(node, at, path, func(key, value *yaml.Node) {
		name := reflect.ValueOf(key.Value).Convert(v.Type().Key())
		entry := reflect.New(v.Type().Elem()).Elem()
		if old := fresh.MapIndex(name); old.IsValid() {
			entry.Set(old)
		}
		d.value(value, join(path, key.Value), entry)
		fresh.SetMapIndex(name, entry)
	})
	if fresh.Len() > 0 {
		v.Set(fresh)
	}
}

// mapping calls each for every key of a mapping that is a plain name given for the first time.
func (d *decoder) mapping(node, at *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if _, known := d.keys[path]; !known {
		d.keys[path] = Position{at.Line, at.Column}
	}
	if absent(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		d.fault(at, path, "must be keys and their values, not %s", describe(node))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		full := join(path, key.Value)
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 || key.Value == "":
			d.fault(key, path, "a key must be a name, not %s", describe(key))
		case key.Tag == "!!merge":
			d.fault(key, path, "merge keys (<<) are not taken: write the keys out")
		case twice:
			d.fault(key, full, "given twice, first in line %d", line)
		default:
			first[key.Value] = key.Line
			d.keys[full] = Position{key.Line, key.Column}
			each(key, value)
		}
	}
}

// list replaces the slice in v.
func (d *decoder) list(node, at *yaml.Node, key string, v reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		d.fault(at, key, "must be a list such as [a, b], not %s", describe(node))
		return
	}
	faults := len(d.faults)
	fresh := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		d.value(item, fmt.Sprintf("%s[%d]", key, i), fresh.Index(i))
	}
	if len(d.faults) == faults {
		v.Set(fresh)
	}
}

// absent tells a value that is not written at all, or as null or ~.
func absent(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!null"
}

// describe says what a node is, in the words of the faults.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "keys and values"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.AliasNode:
		return "an alias"
	case absent(node):
		return "nothing"
	case node.Tag == "!!str":
		return fmt.Sprintf("the text %q", node.Value)
	}
	return node.Value
}

// sortedKeys lists a string map's keys in order.
func sortedKeys(v reflect.Value) []string {
	var names []string
	for _, key := range v.MapKeys() {
		names = append(names, key.String())
	}
	slices.Sort(names)
	return names
}
