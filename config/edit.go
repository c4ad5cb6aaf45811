package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// SetText returns the YAML text with the text value of section.key set, and
// every other byte as it was: comments, order, spacing. What cannot be changed
// so (an alias, a block of several lines) is an error that says so.
func SetText(data []byte, section, key, value string) ([]byte, error) {
	root, fault := parse(data)
	if fault != nil {
		return nil, fault
	}
	edited, err := setText(data, root, section, key, quoted(value))
	if unusualBreak.Match(data) {
		err = fmt.Errorf("it has line ends that few editors write")
	}
	if err == nil {
		err = sameBut(data, edited, section, key, value)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.%s cannot be set to %s here, please do so by hand: %w", section, key, quoted(value), err)
	}
	return edited, nil
}

func setText(data []byte, root *yaml.Node, section, key, value string) ([]byte, error) {
	if root == nil {
		return appended(data, section, key, value), nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the file holds no keys")
	}
	name, body := lookUp(root, section)
	switch {
	case name == nil && root.Style&yaml.FlowStyle != 0:
		return nil, fmt.Errorf("the whole file is one {...}")
	case name == nil:
		return appended(data, section, key, value), nil
	case body.Kind == yaml.ScalarNode && body.Tag == "!!null" && body.Value == "":
		return insertedLine(data, name.Line+1, "  "+key+": "+value), nil
	case body.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s holds no keys of its own", section)
	}
	if _, old := lookUp(body, key); old != nil {
		return replaced(data, old, value)
	}
	if body.Style&yaml.FlowStyle != 0 {
		return insertedFlow(data, body, key+": "+value)
	}
	return insertedLine(data, body.Line, strings.Repeat(" ", body.Column-1)+key+": "+value), nil
}

// lookUp is a mapping's key and its value, nil where it has none of that name.
func lookUp(m *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// unusualBreak finds what YAML takes for the end of a line, and offset does not.
var unusualBreak = regexp.MustCompile("\r(?:[^\n]|$)|\u0085|\u2028|\u2029")

var plainText = regexp.MustCompile(`^[A-Za-z/.][A-Za-z0-9_./-]*\.[a-z]+$`)

// quoted writes a text as YAML does, in quotes unless it is plainly a file's name.
func quoted(value string) string {
	if plainText.MatchString(value) {
		return value
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // a string has its text
	return strings.TrimSuffix(b.String(), "\n")
}

func appended(data []byte, section, key, value string) []byte {
	text := string(data)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return []byte(text + section + ":\n  " + key + ": " + value + "\n")
}

// insertedLine puts a line before the line of that number, counted from 1.
func insertedLine(data []byte, line int, text string) []byte {
	at := offset(data, line, 1)
	if at == len(data) && at > 0 && data[at-1] != '\n' {
		text = "\n" + text
	}
	return splice(data, at, at, text+"\n")
}

func insertedFlow(data []byte, body *yaml.Node, text string) ([]byte, error) {
	at := offset(data, body.Line, body.Column)
	if at >= len(data) || data[at] != '{' {
		return nil, fmt.Errorf("it stands where it cannot be found")
	}
	if len(body.Content) > 0 {
		text += ", "
	}
	return splice(data, at+1, at+1, text), nil
}

// replaced puts value in the place of a scalar on one line.
func replaced(data []byte, old *yaml.Node, value string) ([]byte, error) {
	at := offset(data, old.Line, old.Column)
	end := at + len(old.Value)
	switch {
	case old.Kind != yaml.ScalarNode || old.Anchor != "" || old.Style&(yaml.TaggedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return nil, fmt.Errorf("its present value is no simple text")
	case old.Style&yaml.SingleQuotedStyle != 0:
		end = at + len(old.Value) + strings.Count(old.Value, "'") + 2
	case old.Style&yaml.DoubleQuotedStyle != 0:
		end = closingQuote(data, at)
	case old.Value == "": // nothing after the colon
		value = " " + value
	}
	if end > len(data) || bytes.ContainsRune(data[at:end], '\n') {
		return nil, fmt.Errorf("its present value takes more than one line")
	}
	return splice(data, at, end, value), nil
}

// closingQuote is the offset after the quote that ends the text beginning at from.
func closingQuote(data []byte, from int) int {
	for i := from + 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// offset is where a line and a column, in characters, both from 1, are in the text.
func offset(data []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			return len(data)
		}
		at += next + 1
	}
	for ; column > 1 && at < len(data); column-- {
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	return at
}

func splice(data []byte, from, to int, text string) []byte {
	return bytes.Join([][]byte{data[:from], data[to:]}, []byte(text))
}

// sameBut makes sure that the edited text says what the old one does, but for one value.
func sameBut(old, edited []byte, section, key, value string) error {
	var want, got map[string]any
	if err := yaml.Unmarshal(old, &want); err != nil {
		return err
	}
	if err := yaml.Unmarshal(edited, &got); err != nil {
		return err
	}
	if want == nil {
		want = map[string]any{}
	}
	inner, _ := want[section].(map[string]any)
	if inner == nil {
		inner = map[string]any{}
	}
	inner[key], want[section] = value, inner
	if !reflect.DeepEqual(want, got) {
		return fmt.Errorf("the file would no longer say the same")
	}
	return nil
}
