package main

import (
	"image"
	"strings"
	"testing"
	"time"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)

func testJob(kind, key string) engineJob {
	return engineJob{key: key, model: &tensorrt.Model{Kind: kind, Name: kind + "-s"}, size: image.Pt(640, 360)}
}

func TestRetryAfter(t *testing.T) {
	for tries, want := range map[int]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 4 * time.Minute, 3: 16 * time.Minute, 4: 64 * time.Minute, 5: 2 * time.Hour, 6: 2 * time.Hour, 1 << 40: 2 * time.Hour,
	} {
		if got := retryAfter(tries); got != want {
			t.Errorf("after %d tries: expected %v, found %v", tries, want, got)
		}
	}
}

func TestNextJob(t *testing.T) {
	in := func(kind, state string, next time.Duration) engineJob {
		j := testJob(kind, kind)
		j.state, j.next = state, noon.Add(next)
		return j
	}
	const p, d = tensorrt.PredictorKind, tensorrt.DenoiserKind
	for _, c := range []struct {
		name string
		jobs []engineJob
		want int
		wait time.Duration
	}{
		{"none", nil, -1, 0},
		{"one", []engineJob{in(p, jobQueued, 0)}, 0, 0},
		{"the predictor first", []engineJob{in(d, jobQueued, 0), in(p, jobQueued, 0)}, 1, 0},
		{"not yet", []engineJob{in(p, jobFailed, time.Minute)}, -1, time.Minute},
		{"the sooner", []engineJob{in(d, jobFailed, time.Second), in(p, jobFailed, time.Minute)}, -1, time.Second},
		{"the other meanwhile", []engineJob{in(p, jobFailed, time.Minute), in(d, jobQueued, 0)}, 1, 0},
		{"due", []engineJob{in(p, jobFailed, 0)}, 0, 0},
		{"overdue", []engineJob{in(p, jobFailed, -time.Hour)}, 0, 0},
		{"done", []engineJob{in(p, jobBuilt, 0), in(d, jobRefused, 0)}, -1, 0},
		{"at work", []engineJob{in(p, jobBuilding, 0)}, -1, 0},
	} {
		if i, wait := nextJob(c.jobs, noon); i != c.want || wait != c.wait {
			t.Errorf("%s: expected %d, %v, found %d, %v", c.name, c.want, c.wait, i, wait)
		}
	}
}

func TestJobsWith(t *testing.T) {
	old := testJob(tensorrt.PredictorKind, "a").begun(noon, engines.Estimate{})
	jobs := []engineJob{old}
	if got := jobsWith(jobs, testJob(tensorrt.PredictorKind, "a"), noon); len(got) != 1 || got[0].state != jobBuilding {
		t.Errorf("the same again: %+v", got)
	}
	got := jobsWith(jobs, testJob(tensorrt.PredictorKind, "b"), noon)
	if len(got) != 1 || got[0].key != "b" || got[0].state != jobQueued || !got[0].since.Equal(noon) {
		t.Errorf("another: %+v", got)
	}
	if jobs[0].key != "a" {
		t.Error("the caller's list changed")
	}
	if got := jobsWith(jobs, testJob(tensorrt.DenoiserKind, "c"), noon); len(got) != 2 {
		t.Errorf("another model: %+v", got)
	}
	waiting := testJob(tensorrt.PredictorKind, "a")
	waiting.answer = make(chan error, 1)
	if got := jobsWith([]engineJob{old.ended("no", noon)}, waiting, noon); got[0].state != jobQueued || got[0].answer == nil {
		t.Errorf("one who waits does not wait for the next try: %+v", got)
	}
}

// A job's life, as values, and what a person reads at each station.
func TestJobsLife(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	j := jobsWith(nil, testJob(tensorrt.PredictorKind, "a"), noon)[0]
	says := func(now time.Time, want string) {
		t.Helper()
		if got := j.text(now); !strings.Contains(got, want) {
			t.Errorf("expected %q, found %q", want, got)
		}
	}
	says(at(0), "TensorRT's engine of the predictor at 640x360 is queued")
	j = j.begun(at(1), engines.Estimate{})
	says(at(31), "building TensorRT's engine of the predictor at 640x360 for 30s (minutes, the first time)")
	if j.progress(at(31)) != 0 || j.tries != 1 {
		t.Errorf("progress %g, %d tries", j.progress(at(31)), j.tries)
	}
	j = j.ended("out of memory", at(60))
	says(at(61), "was not built, next try at 12:02:00: out of memory")
	if i := j.info(at(61)); i.State != jobFailed || !i.Next.Equal(at(120)) || i.Error != "out of memory" || i.Elapsed != 0 {
		t.Errorf("failed: %+v", i)
	}
	j = j.begun(at(120), engines.Estimate{Time: 100 * time.Second, Basis: "it took so long"})
	says(at(140), "for 20s of about 1m40s")
	if i := j.info(at(140)); i.Progress != 0.2 || i.Elapsed != 20 || i.Estimate != 100 || i.Tries != 2 || i.Error != "" || i.Next != nil || i.Basis == "" {
		t.Errorf("building: %+v", i)
	}
	if p := j.progress(at(1000)); p != 0.99 {
		t.Errorf("longer than expected: %g", p)
	}
	if again := j.ended("no", at(130)); !again.next.Equal(at(130 + 240)) {
		t.Errorf("the second failure waits until %v", again.next)
	}
	j = j.ended("", at(200))
	says(at(200), "is built")
	j = j.refused("it sharpens wrongly", at(201))
	says(at(201), "is built, but does not serve: it sharpens wrongly")
}

func TestExitText(t *testing.T) {
	for _, c := range []struct {
		how  string
		oom  bool
		said []string
		want string
	}{
		{"", false, nil, "it failed without a word"},
		{"", false, []string{"no space"}, "no space"},
		{"ended by SIGKILL", true, []string{"building"}, "ended by SIGKILL: the machine ran out of memory: building"},
		{"ended by SIGSEGV", false, nil, "ended by SIGSEGV"},
	} {
		if got := exitText(c.how, c.oom, c.said); got != c.want {
			t.Errorf("expected %q, found %q", c.want, got)
		}
	}
}
