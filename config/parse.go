package config

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse turns the text into its one document's root node, nil when there is none.
func parse(data []byte) (*yaml.Node, *Fault) {
	if fault := notText(data); fault != nil {
		return nil, fault
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntax(decoder, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &Fault{Line: second.Line, Column: second.Column,
			Problem: "a second document begins here: one file holds one configuration"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntax(decoder, err)
	}
	return document.Content[0], nil
}

// notText finds what no text editor writes; the parser's own report has no position.
func notText(data []byte) *Fault {
	line, column := 1, 1
	for rest := data; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return &Fault{Line: line, Column: column, Problem: "not UTF-8 text"}
		case r == '\n':
			line, column = line+1, 0
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f:
			return &Fault{Line: line, Column: column, Problem: "a control character"}
		}
		column++
		rest = rest[size:]
	}
	return nil
}

// syntax makes a fault of the parser's error. Its message has no column and often the wrong
// line or none, so the place is read from the parser itself.
func syntax(decoder *yaml.Decoder, err error) *Fault {
	state := reflect.ValueOf(decoder).Elem().FieldByName("parser").Elem()
	mark := state.FieldByName("parser").FieldByName("problem_mark")
	fault := &Fault{Problem: err.Error()}
	switch {
	case strings.Contains(fault.Problem, "unknown anchor"):
		mark = state.FieldByName("event").FieldByName("start_mark")
	case begun(fault.Problem):
		mark = state.FieldByName("parser").FieldByName("context_mark")
	}
	fault.Line = int(mark.FieldByName("line").Int()) + 1
	fault.Column = int(mark.FieldByName("column").Int()) + 1
	fault.Problem = reword(fault.Problem)
	return fault
}

// begun tells errors that the parser notices long after the place that is to be mended.
func begun(problem string) bool {
	return strings.Contains(problem, "unexpected end of stream") || strings.Contains(problem, "could not find expected ':'")
}

var wordings = []struct{ part, words string }{
	{"tab character", "a tab: indent with spaces"},
	{"cannot start any", "a value cannot begin so: indent with spaces, not tabs, and quote a text that begins with @, ` or %"},
	{"mapping values", "a key is not expected here: check the indentation, and quote a text that holds ': '"},
	{"expected key", "this does not belong to any section: check the indentation"},
	{"could not find expected ':'", "no ':' follows this key"},
	{"unexpected end of stream", "this quote is never closed"},
}

// reword says it in other words where a newcomer would not understand the parser's.
func reword(problem string) string {
	for _, w := range wordings {
		if strings.Contains(problem, w.part) {
			return w.words
		}
	}
	text := strings.TrimPrefix(problem, "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	return text
}
