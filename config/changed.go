package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Changed lists the key paths whose values differ between two configurations of one struct
// type: those that may change while the program runs (tagged `live:"true"`, or in a struct so
// tagged) and those that need a restart. A map's entries count one by one, a list as a whole.
func Changed(old, new any) (live, restart []string) {
	a, b := indirect(old), indirect(new)
	if a.Type() != b.Type() {
		panic(fmt.Sprintf("config: %s and %s cannot be compared", a.Type(), b.Type()))
	}
	compare(a, b, "", false, func(key string, isLive bool) {
		if isLive {
			live = append(live, key)
		} else {
			restart = append(restart, key)
		}
	})
	return live, restart
}

func compare(a, b reflect.Value, path string, live bool, differs func(key string, live bool)) {
	switch {
	case section(a.Type()):
		for _, f := range fields(a.Type()) {
			compare(a.FieldByIndex(f.index), b.FieldByIndex(f.index), join(path, f.key), live || f.live, differs)
		}
	case a.Kind() == reflect.Map:
		compareMaps(a, b, path, live, differs)
	case a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0: // nil is as empty as []
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		differs(path, live)
	}
}

func compareMaps(a, b reflect.Value, path string, live bool, differs func(key string, live bool)) {
	names := map[string]bool{}
	for _, key := range slices.Concat(sortedKeys(a), sortedKeys(b)) {
		names[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		was, is := entry(a, key), entry(b, key)
		if !was.IsValid() || !is.IsValid() {
			differs(join(path, key), live)
			continue
		}
		compare(was, is, join(path, key), live, differs)
	}
}

// CopyLive copies the values of all live keys from one configuration to that which dst points
// to, of the same struct type. Maps and lists are shared afterwards.
func CopyLive(dst, src any) {
	if to, from := indirect(dst), indirect(src); to.Type() == from.Type() {
		copyLive(to, from, false)
		return
	}
	panic(fmt.Sprintf("config: %T cannot be copied to %T", src, dst))
}

func copyLive(to, from reflect.Value, live bool) {
	if !section(to.Type()) {
		if live {
			to.Set(from)
		}
		return
	}
	for _, f := range fields(to.Type()) {
		copyLive(to.FieldByIndex(f.index), from.FieldByIndex(f.index), live || f.live)
	}
}
