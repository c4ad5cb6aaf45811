package config

import (
	"slices"
	"testing"
	"time"
)

func TestPositions(t *testing.T) {
	got := defaults()
	positions, err := Decode("c.yaml", []byte("name: a\ncamera:\n  fps: 3\n  controls:\n    gain: 1\nproviders:\n- a\n- b\n"), &got)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Position{
		"name": {1, 7}, "camera": {2, 1}, "camera.fps": {3, 8}, "camera.controls": {4, 3},
		"camera.controls.gain": {5, 11}, "providers": {6, 1}, "providers[1]": {8, 3},
	} {
		if at, ok := positions.At(key); !ok || at != want {
			t.Errorf("%s is at %v, want %v", key, at, want)
		}
	}
	if at, ok := positions.At("quality"); ok {
		t.Errorf("quality, which the file does not hold, is at %v", at)
	}
}

func TestSectionReportsWhereTheFileSaysSo(t *testing.T) {
	got := defaults()
	positions, err := Decode("c.yaml", []byte("camera:\n  width: wide\n  fps: -3\nquality: 0\n"), &got)
	faults := err.(Faults)
	fault := positions.Section("camera", &faults)
	fault("timeout", "must be positive, not %v", -time.Second)
	fault("fps", "must not be negative")
	fault("width", "the default is no good either")
	fault("", "is odd")
	positions.Section("", &faults)("quality", "must be from 1 to 100, not %d", 0)
	want := `c.yaml:1:1: camera: is odd
c.yaml:2:10: camera.width: must be a whole number, not the text "wide"
c.yaml:3:8: camera.fps: must not be negative
c.yaml:4:10: quality: must be from 1 to 100, not 0
c.yaml: camera.timeout: must be positive, not -1s (not in the file: the value is a flag's or the default)`
	if text := faults.Err().Error(); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestFaultsWithoutFile(t *testing.T) {
	var faults Faults
	if faults.Err() != nil {
		t.Error("no fault is an error")
	}
	Positions{}.Section("mqtt", &faults)("broker", "is missing")
	if got := faults.Err().Error(); got != "mqtt.broker: is missing" {
		t.Error(got)
	}
}

func TestKeys(t *testing.T) {
	keys, live := Keys(&sample{})
	want := []string{"name", "quality", "camera.device", "camera.width", "camera.fps", "camera.loop", "camera.timeout",
		"camera.controls", "camera.source", "refine.steps", "refine.seed", "refine.sampler", "refine.every", "refine.scale",
		"providers", "sizes", "options"}
	if !slices.Equal(keys, want) {
		t.Errorf("got  %v\nwant %v", keys, want)
	}
	if !live["quality"] || !live["refine.every"] || live["name"] || live["camera.fps"] {
		t.Errorf("live: %v", live)
	}
}

func TestEffective(t *testing.T) {
	v := defaults()
	v.Common.Name = "true"
	v.Camera.Timeout = 90 * time.Minute
	v.Options = map[string]map[string]string{"b": {"y": "2", "x": "1"}, "a": {}}
	text, err := Effective(&v)
	if err != nil {
		t.Fatal(err)
	}
	want := `name: "true"
quality: 85
camera:
  device: ""
  width: 640
  fps: 15
  loop: false
  timeout: 1h30m
  controls:
    gain: 4
  source: ""
refine:
  steps: 4
  seed: 0
  sampler: ""
  every: 2s
  scale: 0
providers: [cuda, cpu]
sizes: []
options:
  a: {}
  b:
    x: "1"
    y: "2"
`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	reads(t, v)
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 250 * time.Millisecond: "250ms", 20 * time.Second: "20s", time.Minute: "1m", 70 * time.Minute: "1h10m",
		time.Hour: "1h", time.Hour + 10*time.Second: "1h0m10s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v is printed as %s, want %s", d, got, want)
		}
	}
}

func TestChanged(t *testing.T) {
	tests := []struct {
		name          string
		change        func(*sample)
		live, restart []string
	}{
		{"nothing", func(*sample) {}, nil, nil},
		{"live by its own tag, inline", func(s *sample) { s.Common.Quality = 1 }, []string{"quality"}, nil},
		{"live by its parent's tag", func(s *sample) { s.Refine.Steps, s.Refine.Every = 1, interval{} }, []string{"refine.steps", "refine.every"}, nil},
		{"restart", func(s *sample) { s.Common.Name, s.Camera.Width = "x", 1 }, nil, []string{"name", "camera.width"}},
		{"both", func(s *sample) { s.Camera.Loop, s.Refine.Seed = true, 7 }, []string{"refine.seed"}, []string{"camera.loop"}},
		{"map entries", func(s *sample) { s.Camera.Controls = map[string]int{"gain": 4, "focus": 1} }, nil, []string{"camera.controls.focus"}},
		{"map entry gone", func(s *sample) { s.Camera.Controls = nil }, nil, []string{"camera.controls.gain"}},
		{"map in a map", func(s *sample) { s.Options = map[string]map[string]string{"cuda": {"a": "1"}} }, nil, []string{"options.cuda"}},
		{"list", func(s *sample) { s.Providers = []string{"cpu", "cuda"} }, nil, []string{"providers"}},
		{"an empty list is as good as none", func(s *sample) { s.Sizes = []int{} }, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old, new := defaults(), defaults()
			test.change(&new)
			live, restart := Changed(&old, &new)
			if !slices.Equal(live, test.live) || !slices.Equal(restart, test.restart) {
				t.Errorf("live %v, restart %v; want %v and %v", live, restart, test.live, test.restart)
			}
		})
	}
}

func TestCopyLive(t *testing.T) {
	running, fresh := defaults(), defaults()
	fresh.Common = common{Name: "other", Quality: 50}
	fresh.Refine.Steps = 9
	fresh.Providers = nil
	CopyLive(&running, &fresh)
	live, restart := Changed(&running, &fresh)
	if live != nil || !slices.Equal(restart, []string{"name", "providers"}) {
		t.Errorf("afterwards %v and %v still differ", live, restart)
	}
}
