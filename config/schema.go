package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A field is one key that a struct takes, those of inline structs included.
type field struct {
	key   string
	index []int // for reflect.Value.FieldByIndex
	typ   reflect.Type
	live  bool
}

var (
	durationType    = reflect.TypeFor[time.Duration]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fields lists a struct's keys in the order of their declaration.
func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "-" || !f.IsExported() {
			continue
		}
		live := f.Tag.Get("live") == "true"
		if option == "inline" {
			list = append(list, inlined(i, f.Type, live)...)
			continue
		}
		if key == "" {
			panic(fmt.Sprintf("config: field %s of %s has no yaml key", f.Name, t))
		}
		list = append(list, field{key, []int{i}, f.Type, live})
	}
	return list
}

func inlined(at int, t reflect.Type, live bool) []field {
	list := fields(t)
	for i := range list {
		list[i].index = slices.Insert(list[i].index, 0, at)
		list[i].live = list[i].live || live
	}
	return list
}

// section tells a struct with keys of its own from one that is written as text.
func section(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshalerType)
}

// Keys lists the key paths that a configuration struct takes, sections left out, in the order
// of their declaration; live tells which of them may change without a restart.
func Keys(v any) (keys []string, live map[string]bool) {
	live = map[string]bool{}
	walk(indirect(v).Type(), "", false, func(key string, isLive bool) {
		keys = append(keys, key)
		live[key] = isLive
	})
	return keys, live
}

func walk(t reflect.Type, path string, live bool, visit func(key string, live bool)) {
	for _, f := range fields(t) {
		key, live := join(path, f.key), live || f.live
		if section(f.typ) {
			walk(f.typ, key, live, visit)
		} else {
			visit(key, live)
		}
	}
}

// indirect returns the struct that v is or points to.
func indirect(v any) reflect.Value {
	value := reflect.Indirect(reflect.ValueOf(v))
	if value.Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: %T is not a struct", v))
	}
	return value
}

// suggest names the key that was probably meant by an unknown one: one of similar spelling
// among the section's own, or the place where a key of that name does belong, else all it could be.
func suggest(unknown string, here []field, root reflect.Type) string {
	written := strings.ReplaceAll(strings.ToLower(unknown), "-", "_")
	best, least := "", max(1, len(written)/3)+1
	names := make([]string, len(here))
	for i, f := range here {
		names[i] = f.key
		if d := distance(written, f.key); d < least {
			best, least = f.key, d
		}
	}
	if best == "" {
		best = elsewhere(written, root)
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	slices.Sort(names)
	return "known here: " + strings.Join(names, ", ")
}

// elsewhere finds a key or a section of that name anywhere in the struct.
func elsewhere(key string, root reflect.Type) (path string) {
	walk(root, "", false, func(known string, _ bool) {
		if i := strings.Index("."+known+".", "."+key+"."); path == "" && i >= 0 {
			path = known[:i+len(key)]
		}
	})
	return path
}

// distance counts the letters to insert, remove, replace or swap with their neighbour
// that make a of b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
