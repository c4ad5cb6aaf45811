package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// interval is written as text: "never" or a duration.
type interval struct{ every time.Duration }

func (i *interval) UnmarshalText(text []byte) (err error) {
	if string(text) == "never" {
		*i = interval{}
		return nil
	}
	if i.every, err = time.ParseDuration(string(text)); err != nil {
		return fmt.Errorf("must be a duration or never, not %q", text)
	}
	return nil
}

func (i interval) MarshalText() ([]byte, error) {
	if i.every == 0 {
		return []byte("never"), nil
	}
	return []byte(i.every.String()), nil
}

type sampler string

type camera struct {
	Device   string         `yaml:"device"`
	Width    int            `yaml:"width"`
	FPS      float64        `yaml:"fps"`
	Loop     bool           `yaml:"loop"`
	Timeout  time.Duration  `yaml:"timeout"`
	Controls map[string]int `yaml:"controls"`
	Source   string         `yaml:"source"`
}

type refine struct {
	Steps   int8     `yaml:"steps"`
	Seed    uint64   `yaml:"seed"`
	Sampler sampler  `yaml:"sampler"`
	Every   interval `yaml:"every"`
	Scale   float32  `yaml:"scale"`
}

type common struct {
	Name    string `yaml:"name"`
	Quality uint8  `yaml:"quality" live:"true"`
}

type sample struct {
	common    `yaml:"-"`
	Common    common                       `yaml:",inline"`
	Camera    camera                       `yaml:"camera"`
	Refine    refine                       `yaml:"refine" live:"true"`
	Providers []string                     `yaml:"providers"`
	Sizes     []int                        `yaml:"sizes"`
	Options   map[string]map[string]string `yaml:"options"`
}

func defaults() sample {
	return sample{
		Common:    common{Name: "camera", Quality: 85},
		Camera:    camera{Width: 640, FPS: 15, Timeout: 2 * time.Second, Controls: map[string]int{"gain": 4}},
		Refine:    refine{Steps: 4, Every: interval{2 * time.Second}},
		Providers: []string{"cuda", "cpu"},
	}
}

func TestDecodeFills(t *testing.T) {
	file := `
name: front door
quality: 70
camera:
  device: &dev /dev/v4l/by-id/usb-cam
  width: 0x500
  fps: 12.5
  loop: true
  timeout: 250ms
  controls: {exposure: -3}
  source: 17
refine: {steps: -5, seed: 18446744073709551615, sampler: "ode", every: 1m30s, scale: 1e-2}
providers:
  - cpu
sizes: [1_000, 2]
options: {tensorrt: {fp16: true, device: *dev}}
`
	want := sample{
		Common: common{Name: "front door", Quality: 70},
		Camera: camera{Device: "/dev/v4l/by-id/usb-cam", Width: 1280, FPS: 12.5, Loop: true, Timeout: 250 * time.Millisecond,
			Controls: map[string]int{"gain": 4, "exposure": -3}, Source: "17"},
		Refine:    refine{Steps: -5, Seed: 1<<64 - 1, Sampler: "ode", Every: interval{90 * time.Second}, Scale: 0.01},
		Providers: []string{"cpu"},
		Sizes:     []int{1000, 2},
		Options:   map[string]map[string]string{"tensorrt": {"fp16": "true", "device": "/dev/v4l/by-id/usb-cam"}},
	}
	got := defaults()
	if _, err := Decode("c.yaml", []byte(file), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	for _, file := range []string{"", "\n", "# only a comment\n", "---\n", "---\n...\n", "camera:\nrefine: ~\n", "camera:\n  controls:\n", "\xef\xbb\xbf# byte order mark", "{}"} {
		got := defaults()
		if _, err := Decode("c.yaml", []byte(file), &got); err != nil {
			t.Errorf("%q: %v", file, err)
		}
		if !reflect.DeepEqual(got, defaults()) {
			t.Errorf("%q changed the defaults to %+v", file, got)
		}
	}
}

func TestDecodeLeavesSharedMapsAlone(t *testing.T) {
	shared := map[string]int{"gain": 1}
	got := sample{Camera: camera{Controls: shared}}
	if _, err := Decode("c.yaml", []byte("camera: {controls: {gain: 2}}"), &got); err != nil {
		t.Fatal(err)
	}
	if shared["gain"] != 1 || got.Camera.Controls["gain"] != 2 {
		t.Errorf("the default map holds %v, the decoded %v", shared, got.Camera.Controls)
	}
}

func TestDecodeFaults(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"unknown key", "camera:\n  widht: 1", "c.yaml:2:3: camera.widht: unknown key; did you mean width?"},
		{"capitals", "PROVIDERS: [a]", "c.yaml:1:1: PROVIDERS: unknown key; did you mean providers?"},
		{"a key of another section", "steps: 3", "c.yaml:1:1: steps: unknown key; did you mean refine.steps?"},
		{"nothing like it", "refine: {zzz: 3}", "c.yaml:1:10: refine.zzz: unknown key; known here: every, sampler, scale, seed, steps"},
		{"duplicate", "name: a\ncamera:\n  fps: 1\n  fps: 2", "c.yaml:4:3: camera.fps: given twice, first in line 3"},
		{"duplicate in a map", "camera:\n  controls: {a: 1, a: 2}", "c.yaml:2:20: camera.controls.a: given twice, first in line 2"},
		{"duplicate section", "camera:\nname: x\ncamera:", "c.yaml:3:1: camera: given twice, first in line 1"},
		{"fraction", "camera: {width: 640.5}", "c.yaml:1:17: camera.width: must be a whole number, not 640.5"},
		{"fraction that is whole", "camera: {width: 640.0}", "c.yaml:1:17: camera.width: must be a whole number, not 640.0"},
		{"exponent", "camera: {width: 1e3}", "c.yaml:1:17: camera.width: must be a whole number, not 1e3"},
		{"text for a number", "camera: {width: wide}", `c.yaml:1:17: camera.width: must be a whole number, not the text "wide"`},
		{"quoted number", `camera: {width: "5"}`, `c.yaml:1:17: camera.width: must be a whole number, not the text "5"`},
		{"leading zero", "camera: {width: 010}", "c.yaml:1:17: camera.width: 010 could mean two numbers: write it without leading zeros"},
		{"too large", "refine: {steps: 128}", "c.yaml:1:17: refine.steps: 128 is out of range: must be from -128 to 127"},
		{"far too large", "refine: {steps: 123456789012345678901234567890}", "c.yaml:1:17: refine.steps: 123456789012345678901234567890 is out of range: must be from -128 to 127"},
		{"negative", "refine: {seed: -1}", "c.yaml:1:16: refine.seed: -1 is out of range: must be from 0 to 18446744073709551615"},
		{"unsigned too large", "quality: 256", "c.yaml:1:10: quality: 256 is out of range: must be from 0 to 255"},
		{"unsigned text", "quality: high", `c.yaml:1:10: quality: must be a whole number, not the text "high"`},
		{"duration without unit", "camera: {timeout: 2}", "c.yaml:1:19: camera.timeout: a duration needs a unit, such as 2s or 2ms"},
		{"no duration", "camera: {timeout: soon}", `c.yaml:1:19: camera.timeout: must be a duration such as 250ms or 2s, not the text "soon"`},
		{"yes for true", "camera: {loop: yes}", `c.yaml:1:16: camera.loop: must be true or false, not the text "yes"`},
		{"text for a float", "camera: {fps: fast}", `c.yaml:1:15: camera.fps: must be a number, not the text "fast"`},
		{"infinite", "camera: {fps: .inf}", "c.yaml:1:15: camera.fps: must be a finite decimal number, not .inf"},
		{"not a number", "camera: {fps: .nan}", "c.yaml:1:15: camera.fps: must be a finite decimal number, not .nan"},
		{"too large for float32", "refine: {scale: 1e40}", "c.yaml:1:17: refine.scale: must be a finite decimal number, not 1e40"},
		{"own type", "refine: {every: sometimes}", `c.yaml:1:17: refine.every: must be a duration or never, not "sometimes"`},
		{"nothing for a value", "name:", `c.yaml:1:6: name: must be a text ("" for none), not nothing`},
		{"list for a value", "camera:\n  width: [1]", "c.yaml:2:10: camera.width: must be a whole number, not a list"},
		{"mapping for a value", "refine:\n  every:\n    x: 1", "c.yaml:3:5: refine.every: must be a value, not keys and values"},
		{"value for a section", "camera: /dev/video0", `c.yaml:1:9: camera: must be keys and their values, not the text "/dev/video0"`},
		{"list for a section", "camera:\n- a", "c.yaml:2:1: camera: must be keys and their values, not a list"},
		{"value for a map", "camera: {controls: 5}", "c.yaml:1:20: camera.controls: must be keys and their values, not 5"},
		{"wrong type in a map", "camera: {controls: {gain: loud}}", `c.yaml:1:27: camera.controls.gain: must be a whole number, not the text "loud"`},
		{"value for a list", "providers: cpu", `c.yaml:1:12: providers: must be a list such as [a, b], not the text "cpu"`},
		{"nothing for a list", "providers:", "c.yaml:1:11: providers: must be a list such as [a, b], not nothing"},
		{"wrong type in a list", "sizes:\n- 1\n- x", `c.yaml:3:3: sizes[1]: must be a whole number, not the text "x"`},
		{"list at the top", "- name", "c.yaml:1:1: must be keys and their values, not a list"},
		{"text at the top", "name", `c.yaml:1:1: must be keys and their values, not the text "name"`},
		{"odd key", "[a]: 1", "c.yaml:1:1: a key must be a name, not a list"},
		{"merge key", "camera: &c {fps: 1}\nrefine:\n  <<: *c", "c.yaml:3:3: refine: merge keys (<<) are not taken: write the keys out"},
		{"tag", "name: !!str 5", "c.yaml:1:7: name: tags such as !!str are not used here"},
		{"alias of the wrong type", "name: &n door\ncamera:\n  width: *n", `c.yaml:3:10: camera.width: must be a whole number, not the text "door"`},
		{"alias in itself", "providers: &p [*p]", `c.yaml:1:16: providers[0]: must be a text ("" for none), not a list`},
		{"second document", "name: a\n---\nname: b", "c.yaml:2:1: a second document begins here: one file holds one configuration"},
		{"tab", "camera:\n\tfps: 1", "c.yaml:2:1: a value cannot begin so: indent with spaces, not tabs, and quote a text that begins with @, ` or %"},
		{"tab after a value", "name: a\n\tfps: 1", "c.yaml:2:1: a tab: indent with spaces"},
		{"indentation", "camera:\n  fps: 1\n   loop: true", "c.yaml:3:8: a key is not expected here: check the indentation, and quote a text that holds ': '"},
		{"between two sections", "camera:\n  fps: 1\n loop: true", "c.yaml:3:2: this does not belong to any section: check the indentation"},
		{"no colon", "name: a\nquality 5\ncamera:", "c.yaml:2:1: no ':' follows this key"},
		{"open list", "name: a\nproviders: [a, b\nquality: 5", "c.yaml:3:8: did not find expected ',' or ']'"},
		{"open quote", "name: a\nproviders: ['a, b]\nquality: 5", "c.yaml:2:13: this quote is never closed"},
		{"unknown anchor", "name: a\ncamera:\n  fps: *other\n", "c.yaml:3:8: unknown anchor 'other' referenced"},
		{"not UTF-8", "name: a\nquality: \xff", "c.yaml:2:10: not UTF-8 text"},
		{"control character", "name: é\x00", "c.yaml:1:8: a control character"},
		{"all at once, in the order of the file", "quality: 256\ncamera: {fps: x, width: y, foo: 1}\nname: [a]",
			"c.yaml:1:10: quality: 256 is out of range: must be from 0 to 255\n" +
				`c.yaml:2:15: camera.fps: must be a number, not the text "x"` + "\n" +
				`c.yaml:2:25: camera.width: must be a whole number, not the text "y"` + "\n" +
				"c.yaml:2:28: camera.foo: unknown key; known here: controls, device, fps, loop, source, timeout, width\n" +
				`c.yaml:3:7: name: must be a text ("" for none), not a list`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := defaults()
			_, err := Decode("c.yaml", []byte(test.file), &got)
			if err == nil || err.Error() != test.want {
				t.Errorf("%q\ngot  %v\nwant %v", test.file, err, test.want)
			}
			if faults := (Faults{}); err != nil && !errors.As(err, &faults) {
				t.Errorf("the error is a %T", err)
			}
		})
	}
}

func TestDecodeFaultyKeysKeepTheirValues(t *testing.T) {
	got := defaults()
	_, err := Decode("c.yaml", []byte("quality: 300\nname: back\nproviders: [a, [b]]\nrefine: {every: x}"), &got)
	want := defaults()
	want.Common.Name = "back"
	if err == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestDecodeBoundsAliases(t *testing.T) {
	var file strings.Builder
	file.WriteString("options:\n  a: &a {")
	for i := range 1000 {
		fmt.Fprintf(&file, "k%d: v, ", i)
	}
	file.WriteString("}\n")
	for i := range 1000 {
		fmt.Fprintf(&file, "  b%d: *a\n", i)
	}
	got := defaults()
	_, err := Decode("c.yaml", []byte(file.String()), &got)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a thousandfold alias of a thousand values: %.200v", err)
	}
	if len(got.Options["b0"]) != 1000 || len(got.Options["b999"]) != 0 {
		t.Error("the values after too many were read all the same")
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "name: a\n", "camera: {fps: 1, controls: {a: 1}}", "a: &a [*a]", "<<: {}", "- x", "refine:\n  every: 2s\n",
		"providers: [a, 'b', \"c\"]\n---\n", "options: {x: {y: z}}", "? a\n: b", "name: |\n  x\n y", "quality: 0x_1", "\t", "name: !!binary x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := defaults()
		positions, err := Decode("c.yaml", data, &got)
		var faults Faults
		if errors.As(err, &faults) {
			for _, fault := range faults {
				if fault.Line < 1 || fault.Line > len(data)+1 || fault.Column < 1 {
					t.Errorf("%q: no such place: %v", data, fault)
				}
			}
			return
		}
		for key, at := range positions.keys {
			if at.Line < 1 || at.Column < 1 {
				t.Errorf("%q: %s is at %v", data, key, at)
			}
		}
		reads(t, got)
	})
}

// reads checks that what Effective prints is read back as the same.
func reads(t *testing.T, v sample) {
	t.Helper()
	text, err := Effective(v)
	if err != nil {
		t.Fatal(err)
	}
	var again sample
	if _, err := Decode("effective", text, &again); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if live, restart := Changed(v, again); len(live)+len(restart) > 0 {
		t.Errorf("%v %v are read back otherwise than they were from\n%s", live, restart, text)
	}
}
