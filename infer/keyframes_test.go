package infer

import (
	"testing"
	"testing/quick"
	"time"
)

// The policy, line by line. Frames are numbered and come 100 ms apart; the last
// keyframe was number 100, unless the line says otherwise.
func TestKeyframePolicy(t *testing.T) {
	var (
		off     = Keyframes{}
		time2s  = Keyframes{Every: Interval{Duration: 2 * time.Second}}
		count30 = Keyframes{Every: Interval{Frames: 30}}
		scene   = Keyframes{Scene: 12}
		loss    = Keyframes{AfterLoss: true}
		all     = Keyframes{Every: Interval{Duration: 2 * time.Second}, Scene: 12, AfterLoss: true}
		none    = Last{}
		at100   = Last{Any: true, Number: 100, Time: clock(100)}
	)
	frame := func(n uint64) Moment { return Moment{Number: n, Time: clock(n)} }
	requested := Moment{Number: 101, Time: clock(101), Requested: true}
	afterLoss := Moment{Number: 101, Time: clock(101), AfterLoss: true}
	differs := func(by float64) Moment { return Moment{Number: 101, Time: clock(101), Difference: by} }
	everything := Moment{Number: 1000, Time: clock(1000), Requested: true, AfterLoss: true, Difference: 99}
	but := func(m Moment, change func(*Moment)) Moment { change(&m); return m }

	for _, c := range []struct {
		says   string
		policy Keyframes
		last   Last
		now    Moment
		want   string
	}{
		{"nothing is asked for: no keyframe", off, at100, frame(5000), ""},
		{"not even the first frame", off, none, frame(0), ""},
		{"a request is always granted", off, at100, requested, "request"},
		{"before any keyframe too", off, none, requested, "request"},

		{"every 2s: not after 1.9 s", time2s, at100, frame(119), ""},
		{"every 2s: after exactly 2 s", time2s, at100, frame(120), "every"},
		{"every 2s: after a long gap", time2s, at100, frame(5000), "every"},
		{"every 2s: the first frame", time2s, none, frame(7), "every"},
		{"every 2s: frame numbers do not matter", time2s, at100, Moment{Number: 5000, Time: clock(101)}, ""},
		{"every 2s: a clock set back is a new start", time2s, at100, frame(40), "every"},

		{"every 30 frames: not the 29th", count30, at100, frame(129), ""},
		{"every 30 frames: the 30th", count30, at100, frame(130), "every"},
		{"every 30 frames: a gap that swallowed the 30th", count30, at100, frame(200), "every"},
		{"every 30 frames: the first frame", count30, none, frame(7), "every"},
		{"every 30 frames: time does not matter", count30, at100, Moment{Number: 101, Time: clock(5000)}, ""},
		{"every 30 frames: numbers that begin again are a new start", count30, at100, frame(0), "every"},
		{"every 30 frames: not the keyframe itself", count30, at100, frame(100), ""},

		{"scene 12: a difference below it", scene, at100, differs(11.9), ""},
		{"scene 12: a difference that reaches it", scene, at100, differs(12), "scene"},
		{"scene 12: the first frame, to compare with", scene, none, frame(7), "scene"},
		{"scene 0 is off: the largest difference", count30, at100, differs(255), ""},

		{"after a loss", loss, at100, afterLoss, "loss"},
		{"after a loss, before any keyframe", loss, none, afterLoss, "loss"},
		{"after a loss, but that is off", count30, at100, afterLoss, ""},
		{"no loss", loss, at100, frame(5000), ""},

		{"a request goes first", all, at100, everything, "request"},
		{"then a loss", all, at100, but(everything, func(m *Moment) { m.Requested = false }), "loss"},
		{"then a scene", all, at100, but(everything, func(m *Moment) { m.Requested, m.AfterLoss = false, false }), "scene"},
		{"then the interval", all, at100, frame(1000), "every"},
		{"the very first frame is due, there is no scene before it", all, none, but(frame(0), func(m *Moment) { m.Difference = 99 }), "every"},
	} {
		if got := c.policy.Reason(c.last, c.now); got != c.want {
			t.Errorf("%s: %q, want %q", c.says, got, c.want)
		}
	}
}

// clock is the capture time of frame n.
func clock(n uint64) time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * 100 * time.Millisecond)
}

func TestReasonAllocatesNothing(t *testing.T) {
	k, now := Default().Keyframes, Moment{Number: 3, Time: clock(3)}
	if n := testing.AllocsPerRun(5, func() { k.Reason(Last{Any: true, Time: clock(0)}, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStepsWithin(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		says            string
		budget, perStep time.Duration
		asked, samples  int
		want            int
	}{
		{"no limit", 0, 100 * ms, 8, 4, 8},
		{"time per step unknown", 100 * ms, 0, 8, 4, 8},
		{"all fit", 800 * ms, 100 * ms, 8, 1, 8},
		{"one does not", 799 * ms, 100 * ms, 8, 1, 7},
		{"samples share the budget", 800 * ms, 100 * ms, 8, 2, 4},
		{"and round down", 800 * ms, 100 * ms, 8, 3, 2},
		{"at least one", 10 * ms, 100 * ms, 8, 3, 1},
		{"but none if none is asked", 800 * ms, 100 * ms, 0, 1, 0},
		{"more than asked would fit", time.Hour, 1, 8, 1, 8},
		{"samples below one count as one", 400 * ms, 100 * ms, 8, 0, 4},
	} {
		if got := StepsWithin(c.budget, c.perStep, c.asked, c.samples); got != c.want {
			t.Errorf("%s: %d, want %d", c.says, got, c.want)
		}
	}
}

// The steps keep the budget, one more would not, and they never exceed what is asked.
func TestStepsWithinKeepsTheBudget(t *testing.T) {
	keeps := func(budget, perStep uint32, asked, samples uint8) bool {
		b, p, k := time.Duration(budget)+1, time.Duration(perStep)+1, time.Duration(samples)+1
		got := StepsWithin(b, p, int(asked), int(k))
		cost := func(steps int) time.Duration { return time.Duration(steps) * p * k }
		switch {
		case asked == 0:
			return got == 0
		case got == int(asked):
			return got == 1 || cost(got) <= b
		}
		return got >= 1 && got < int(asked) && (got == 1 || cost(got) <= b) && cost(got+1) > b
	}
	if err := quick.Check(keeps, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}
