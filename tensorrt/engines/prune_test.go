package engines

import (
	"strings"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	entry := func(key, state string, age time.Duration) Entry {
		return Entry{Key: key, State: state, Problem: "problem of " + key, Changed: now.Add(-age), Manifest: &Manifest{Inputs: Inputs{Model: key}}}
	}
	entries := []Entry{
		entry("old", Good, 40*day), entry("new", Good, day), entry("stale", Good, 2*day), entry("middle", Good, 10*day),
		entry("corrupt", Corrupt, day), entry("left", Left, day), entry("set", Set, day), entry("building", Building, day),
	}
	want := func(in Inputs) string {
		if in.Model == "stale" {
			return "TensorRT was 1, is 2"
		}
		return ""
	}
	for _, c := range []struct {
		name   string
		policy Policy
		want   string
	}{
		{"plain", Policy{}, "stale corrupt left set"},
		{"older", Policy{Older: 30 * day}, "old stale corrupt left set"},
		{"keep 1", Policy{Keep: 1}, "old stale middle corrupt left set"},
		{"keep 2", Policy{Keep: 2}, "old stale corrupt left set"},
		{"both", Policy{Keep: 2, Older: 5 * day}, "old stale middle corrupt left set"},
		{"all", Policy{All: true}, "old new stale middle corrupt left set"},
	} {
		var removed []string
		for i, d := range Decide(entries, want, c.policy, now) {
			if d.Entry.Key != entries[i].Key || d.Why == "" {
				t.Errorf("%s: decision %d is %+v", c.name, i, d)
			}
			if d.Remove {
				removed = append(removed, d.Entry.Key)
			}
		}
		if got := strings.Join(removed, " "); got != c.want {
			t.Errorf("%s: expected %s, found %s", c.name, c.want, got)
		}
	}
	d := Decide(entries, want, Policy{Keep: 1, Older: 30 * day}, now)
	for i, why := range []string{"built 40 days ago", "can be used", "TensorRT was 1, is 2", "1 newer ones stay", "problem of corrupt"} {
		if !strings.Contains(d[i].Why, why) {
			t.Errorf("%s: expected %q, found %q", d[i].Entry.Key, why, d[i].Why)
		}
	}
}

func TestEstimate(t *testing.T) {
	past := func(seconds float64, change func(*Manifest)) Entry {
		m := &Manifest{Inputs: example(), About: About{Name: "m", ModelBytes: 1000}, Seconds: seconds}
		change(m)
		return Entry{Manifest: m}
	}
	same := past(100, func(*Manifest) {})
	larger := past(400, func(m *Manifest) { m.Inputs.Width *= 2 })
	other := past(50, func(m *Manifest) { m.Inputs.Model, m.About.ModelBytes = "other", 500 })
	upgraded := past(90, func(m *Manifest) { m.Inputs.TensorRT = "9.0.0" })
	desktop := past(10, func(m *Manifest) { m.Inputs.GPU = "RTX" })
	for _, c := range []struct {
		name  string
		past  []Entry
		want  time.Duration
		basis string
	}{
		{"nothing", nil, 0, ""},
		{"unreadable", []Entry{{}}, 0, ""},
		{"same", []Entry{larger, same, other, desktop}, 100 * time.Second, "m at 640x368 took 100 s"},
		{"an older TensorRT", []Entry{desktop, upgraded}, 90 * time.Second, "m at 640x368 took 90 s"},
		{"larger", []Entry{larger, desktop}, 200 * time.Second, "m at 1280x368 took 400 s (scaled by pixels)"},
		{"other model", []Entry{other, desktop}, 100 * time.Second, "m at 640x368 took 50 s (scaled by size of the model)"},
		{"other GPU", []Entry{desktop}, 10 * time.Second, "m at 640x368 took 10 s on another GPU"},
	} {
		if got := EstimateOf(example(), 1000, c.past); got.Time != c.want || got.Basis != c.basis {
			t.Errorf("%s: expected %v, %q, found %v, %q", c.name, c.want, c.basis, got.Time, got.Basis)
		}
	}
}
