package infer

import (
	"encoding"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	_ encoding.TextMarshaler   = Interval{}
	_ encoding.TextUnmarshaler = (*Interval)(nil)
)

func TestIntervalTexts(t *testing.T) {
	for _, c := range []struct {
		text string
		want Interval
		back string
	}{
		{"2s", Interval{Duration: 2 * time.Second}, "2s"},
		{"500ms", Interval{Duration: 500 * time.Millisecond}, "500ms"},
		{"1m30s", Interval{Duration: 90 * time.Second}, "1m30s"},
		{"1.5s", Interval{Duration: 1500 * time.Millisecond}, "1.5s"},
		{"30", Interval{Frames: 30}, "30 frames"},
		{"30 frames", Interval{Frames: 30}, "30 frames"},
		{" 30   frames ", Interval{Frames: 30}, "30 frames"},
		{"1 frame", Interval{Frames: 1}, "1 frame"},
		{"0", Interval{}, "off"},
		{"0s", Interval{}, "off"},
		{"0 frames", Interval{}, "off"},
		{"off", Interval{}, "off"},
	} {
		var got Interval
		if err := got.UnmarshalText([]byte(c.text)); err != nil || got != c.want {
			t.Errorf("%q: %+v, error %v, want %+v", c.text, got, err, c.want)
		}
		if back, err := got.MarshalText(); string(back) != c.back || err != nil {
			t.Errorf("%q becomes %q, error %v, want %q", c.text, back, err, c.back)
		}
	}
}

func TestIntervalFaults(t *testing.T) {
	for text, says := range map[string]string{
		"":                     "not an interval",
		"often":                "not an interval",
		"frames":               "not an interval",
		"2 s":                  `unknown unit "s"`,
		"30 seconds":           `unknown unit "seconds"`,
		"two frames":           "not an interval",
		"1.5":                  "not a whole number of frames",
		"1.5 frames":           "not a whole number of frames",
		"-1":                   "must not be negative",
		"-2s":                  "must not be negative",
		"-3 frames":            "must not be negative",
		"99999999999999999999": "too many frames",
		"30 frames 2s":         "not a whole number of frames",
	} {
		kept := Interval{Frames: 7}
		err := kept.UnmarshalText([]byte(text))
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		for _, part := range []string{says, `"` + text + `"`, "2s", `"30 frames"`, "off"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: error %q lacks %q", text, err, part)
			}
		}
		if kept != (Interval{Frames: 7}) {
			t.Errorf("%q: changed to %+v", text, kept)
		}
	}
}

func TestIntervalThatNoTextGives(t *testing.T) {
	for _, i := range []Interval{{Frames: -1}, {Duration: -1}, {Frames: 1, Duration: 1}} {
		if text, err := i.MarshalText(); err == nil {
			t.Errorf("%+v becomes %q", i, text)
		}
	}
}

func TestIntervalInYAMLAndJSON(t *testing.T) {
	for _, text := range []string{"every: 2s", "every: 30 frames", "every: 30", "every: 0", "every: off"} {
		var k, again Keyframes
		if err := yaml.Unmarshal([]byte(text), &k); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		out, err := yaml.Marshal(k)
		if err := yaml.Unmarshal(out, &again); err != nil || again != k {
			t.Errorf("%s: back from %q: %+v, error %v", text, out, again, err)
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		asJSON, err := json.Marshal(k.Every)
		if want := `"` + k.Every.String() + `"`; string(asJSON) != want || err != nil {
			t.Errorf("%s: JSON %s, error %v, want %s", text, asJSON, err, want)
		}
	}
}

func FuzzInterval(f *testing.F) {
	for _, s := range []string{"2s", "30 frames", "30", "0", "off", "1 frame", "-1", "1.5", "9223372036854775807", "2562047h47m16s", "1e3", "0x10", "٣", "1µs", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var i, again Interval
		if err := i.UnmarshalText([]byte(s)); err != nil {
			return
		}
		text, err := i.MarshalText()
		if err != nil {
			t.Fatalf("%q reads as %+v, which is no text: %v", s, i, err)
		}
		if err := again.UnmarshalText(text); err != nil || again != i {
			t.Fatalf("%q reads as %+v, writes %q, reads as %+v, error %v", s, i, text, again, err)
		}
	})
}
