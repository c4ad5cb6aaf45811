package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing wrong with a configuration.
type Fault struct {
	File         string // "" when no file was read
	Line, Column int    // from 1; 0 when the file does not hold the key
	Key          string // key path, "camera.width"; "" for faults of the whole file
	Problem      string
}

// Error says where, which key and what, as in
// "sharpend.yaml:7:10: camera.width: must not be negative".
func (f Fault) Error() string {
	text := f.Problem
	if f.Key != "" {
		text = f.Key + ": " + text
	}
	switch {
	case f.Line > 0:
		return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, text)
	case f.File == "":
		return text
	}
	return fmt.Sprintf("%s: %s (not in the file: the value is a flag's or the default)", f.File, text)
}

// Faults lists everything wrong with a configuration. It is an error: make one of it with Err.
type Faults []Fault

// Error holds one fault a line, in the order of the file.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f.sorted() {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Err is nil without faults, else the faults in the order of the file.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f.sorted()
}

// sorted puts faults without a position last and otherwise keeps the order of ties.
func (f Faults) sorted() Faults {
	line := func(f Fault) uint { return uint(f.Line) - 1 }
	sorted := slices.Clone(f)
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(line(a), line(b)), cmp.Compare(a.Column, b.Column))
	})
	return sorted
}

func (f Faults) has(key string) bool {
	return slices.ContainsFunc(f, func(fault Fault) bool { return fault.Key == key })
}

// A Position is a place in the file: line and column in characters, both from 1.
type Position struct{ Line, Column int }

// Positions says where in the file each key path stands. The zero value knows no file.
type Positions struct {
	file string
	keys map[string]Position
}

// At returns where the value of a key stands; of a section, a map or a list, where its key stands.
func (p Positions) At(key string) (at Position, ok bool) {
	at, ok = p.keys[key]
	return at, ok
}

// Fault is a problem with the value of a key, at the place where the file sets it.
func (p Positions) Fault(key, format string, args ...any) Fault {
	at := p.keys[key]
	return Fault{p.file, at.Line, at.Column, key, fmt.Sprintf(format, args...)}
}

// Section returns what a section's Validate reports to: keys are relative to the section
// ("" is the file's top level), and faults are added to into. A key that could not be read has
// its fault already, so what is found about the default standing in for it is not reported.
func (p Positions) Section(section string, into *Faults) func(key, format string, args ...any) {
	unread := slices.Clone(*into)
	return func(key, format string, args ...any) {
		if path := join(section, key); !unread.has(path) {
			*into = append(*into, p.Fault(path, format, args...))
		}
	}
}

// join makes a key path of a section and a key in it, either of which may be "".
func join(section, key string) string {
	if section == "" || key == "" {
		return section + key
	}
	return section + "." + key
}
