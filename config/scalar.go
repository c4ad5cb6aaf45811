package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// wanted says what a key of the type takes, in the words of the faults.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 250ms or 2s"
	case reflect.PointerTo(t).Implements(unmarshalerType):
		return "a value"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return `a text ("" for none)`
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// setScalar puts a scalar that is not null into v; on an error v keeps its value.
func setScalar(node *yaml.Node, v reflect.Value) error {
	if v.Type() == durationType {
		return setDuration(node, v)
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		fresh := reflect.New(v.Type())
		if err := fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(node.Value)); err != nil {
			return err
		}
		v.Set(fresh.Elem())
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(node.Value)
		return nil
	case reflect.Bool:
		return setBool(node, v)
	case reflect.Float32, reflect.Float64:
		return setFloat(node, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return setInt(node, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return setUint(node, v)
	}
	panic("config: no key can be a " + v.Type().String())
}

func setDuration(node *yaml.Node, v reflect.Value) error {
	d, err := time.ParseDuration(node.Value)
	if err == nil {
		v.SetInt(int64(d))
		return nil
	}
	if _, number := strconv.ParseFloat(node.Value, 64); number == nil {
		return fmt.Errorf("a duration needs a unit, such as %ss or %sms", node.Value, node.Value)
	}
	return fmt.Errorf("must be %s, not %s", wanted(v.Type()), describe(node))
}

func setBool(node *yaml.Node, v reflect.Value) error {
	if node.Tag != "!!bool" {
		return fmt.Errorf("must be true or false, not %s", describe(node))
	}
	v.SetBool(strings.EqualFold(node.Value, "true"))
	return nil
}

func setFloat(node *yaml.Node, v reflect.Value) error {
	if node.Tag != "!!float" && node.Tag != "!!int" {
		return fmt.Errorf("must be a number, not %s", describe(node))
	}
	f, err := strconv.ParseFloat(node.Value, v.Type().Bits()) // knows neither .inf nor .nan
	if err != nil {
		return fmt.Errorf("must be a finite decimal number, not %s", node.Value)
	}
	v.SetFloat(f)
	return nil
}

func setInt(node *yaml.Node, v reflect.Value) error {
	if err := wholeNumber(node); err != nil {
		return err
	}
	bits := v.Type().Bits()
	i, err := strconv.ParseInt(node.Value, 0, bits)
	if err != nil {
		return numberError(node, err, -1<<(bits-1), 1<<(bits-1)-1)
	}
	v.SetInt(i)
	return nil
}

func setUint(node *yaml.Node, v reflect.Value) error {
	if err := wholeNumber(node); err != nil {
		return err
	}
	bits := v.Type().Bits()
	u, err := strconv.ParseUint(node.Value, 0, bits)
	if strings.HasPrefix(node.Value, "-") {
		err = strconv.ErrRange
	}
	if err != nil {
		return numberError(node, err, 0, 1<<bits-1)
	}
	v.SetUint(u)
	return nil
}

// wholeNumber refuses what is no integer, and 010, which is 8 to some readers and 10 to others.
func wholeNumber(node *yaml.Node) error {
	digits := strings.TrimLeft(node.Value, "+-")
	if node.Tag == "!!float" && strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("must be a whole number, not %s", node.Value)
	}
	if node.Tag != "!!int" && node.Tag != "!!float" {
		return fmt.Errorf("must be a whole number, not %s", describe(node))
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return fmt.Errorf("%s could mean two numbers: write it without leading zeros", node.Value)
	}
	return nil
}

func numberError(node *yaml.Node, err error, least int64, most uint64) error {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is out of range: must be from %d to %d", node.Value, least, most)
	}
	return fmt.Errorf("must be a whole number, not %s", describe(node))
}
