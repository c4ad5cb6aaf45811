package engines

import (
	"maps"
	"reflect"
	"strings"
	"testing"
)

func example() Inputs {
	return Inputs{
		Kind: "predictor", Model: strings.Repeat("ab", 32), Options: map[string]string{"trt_fp16_enable": "1", "device_id": "0"},
		Width: 640, Height: 368, ONNX: "1.27.0",
		Machine: Machine{TensorRT: "10.3.0.26", CUDA: "12.6", Driver: "12.6 (540.4.0)", GPU: "Orin", Capability: "8.7", Multiprocessors: 14},
	}
}

func keyOf(t *testing.T, in Inputs) string {
	t.Helper()
	key, err := in.Key()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Every field of the inputs, found by reflection so that none can be forgotten, changes the key.
func TestEachInputChangesTheKey(t *testing.T) {
	base := keyOf(t, example())
	seen := map[string]string{base: "the base"}
	eachLeaf(reflect.TypeFor[Inputs](), nil, func(name string, index []int) {
		in := example()
		change(reflect.ValueOf(&in).Elem().FieldByIndex(index))
		key := keyOf(t, in)
		if other, ok := seen[key]; ok {
			t.Errorf("%s: the key is that of %s", name, other)
		}
		seen[key] = name
		if d := example().Differences(in); len(d) != 1 {
			t.Errorf("%s: expected one difference, found %q", name, d)
		}
	})
	if len(seen) != 13 {
		t.Errorf("expected the base and 12 fields, found %d", len(seen))
	}
}

func eachLeaf(typ reflect.Type, index []int, visit func(string, []int)) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		at := append(append([]int{}, index...), i)
		if f.Type.Kind() == reflect.Struct {
			eachLeaf(f.Type, at, visit)
			continue
		}
		visit(f.Name, at)
	}
}

func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.Int:
		v.SetInt(v.Int() + 16)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"trt_fp16_enable": "0", "device_id": "0"}))
	}
}

// Each empty field is refused by its name.
func TestNoKeyWithoutAField(t *testing.T) {
	eachLeaf(reflect.TypeFor[Inputs](), nil, func(name string, index []int) {
		in := example()
		v := reflect.ValueOf(&in).Elem().FieldByIndex(index)
		v.SetZero()
		if key, err := in.Key(); err == nil {
			t.Errorf("without %s: found the key %s", name, key)
		} else if !strings.Contains(err.Error(), "no engine can be named: ") {
			t.Errorf("without %s: found %v", name, err)
		}
	})
}

func TestOptionsChangeTheKey(t *testing.T) {
	keys := map[string]bool{}
	for _, options := range []map[string]string{
		{"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "b": ""}, {"a": `1","b":"2`}, {"ab": "1", "": "2"},
	} {
		in := example()
		in.Options = options
		keys[keyOf(t, in)] = true
	}
	if len(keys) != 6 {
		t.Errorf("6 sets of options, %d keys", len(keys))
	}
}

// The order in which a map was filled is not part of an engine.
func TestKeyIsCanonical(t *testing.T) {
	const options = "abcdefghijklmnopqrstuvwxyz"
	in := example()
	in.Options = map[string]string{}
	for _, c := range options {
		in.Options[string(c)] = "1"
	}
	want := keyOf(t, in)
	for range 20 {
		again := in
		again.Options = map[string]string{}
		for i := len(options) - 1; i >= 0; i-- {
			again.Options[options[i:i+1]] = "1"
		}
		if got := keyOf(t, again); got != want {
			t.Fatalf("the same options, another key")
		}
		in.Options = maps.Clone(in.Options)
		if keyOf(t, in) != want {
			t.Fatal("a clone has another key")
		}
	}
}

// A change of the key's making must be meant: every engine in the field would be built anew.
func TestKeyIsStable(t *testing.T) {
	const want = "399792a8df7be3c8f0f9ef68a181cc8f473ba1d6ccc5b28e5d5417026f620fd1"
	if got := keyOf(t, example()); got != want {
		t.Errorf("expected %s, found %s: raise layout", want, got)
	}
}
