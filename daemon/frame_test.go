package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func testFrames(n int) (chan *frame, []*frame) {
	home := make(chan *frame, n)
	all := make([]*frame, n)
	for i := range all {
		all[i] = &frame{home: home, number: uint64(i)}
	}
	return home, all
}

func TestLatestKeepsTheNewestAndCountsTheRest(t *testing.T) {
	var drops atomic.Uint64
	home, f := testFrames(3)
	l := newLatest(&drops)
	for _, f := range f {
		l.give(context.Background(), f)
	}
	if got := <-l.slot; got != f[2] {
		t.Errorf("the mailbox holds frame %d, want the newest, 2", got.number)
	}
	if drops.Load() != 2 || len(home) != 2 {
		t.Errorf("%d drops and %d frames home, want 2 and 2", drops.Load(), len(home))
	}
}

func TestLosslessMailboxWaits(t *testing.T) {
	var drops atomic.Uint64
	_, f := testFrames(2)
	l := newLatest(&drops)
	l.lossless.Store(true)
	l.give(context.Background(), f[0])
	given := make(chan bool)
	go func() { l.give(context.Background(), f[1]); given <- true }()
	select {
	case <-given:
		t.Fatal("a full lossless mailbox took a second frame")
	case <-time.After(20 * time.Millisecond):
	}
	if a, b := <-l.slot, <-l.slot; a != f[0] || b != f[1] {
		t.Errorf("frames %d, %d came out, want 0, 1", a.number, b.number)
	}
	<-given
	if drops.Load() != 0 {
		t.Errorf("%d drops, want none", drops.Load())
	}
}

func TestLosslessMailboxGivesUpWithItsContext(t *testing.T) {
	var drops atomic.Uint64
	home, f := testFrames(2)
	l := newLatest(&drops)
	l.lossless.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	l.give(ctx, f[0])
	cancel()
	l.give(ctx, f[1])
	if drops.Load() != 1 || len(home) != 1 {
		t.Errorf("%d drops and %d frames home, want 1 and 1", drops.Load(), len(home))
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * 100 * time.Microsecond) // 0.1 to 100 ms
	}
	q := h.take()
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"p50", q.P50, 50}, {"p99", q.P99, 99}, {"max", q.Max, 100}} {
		if c.got < c.want*0.96 || c.got > c.want*1.04 {
			t.Errorf("%s is %.2f ms, want %.0f within 4 %%", c.name, c.got, c.want)
		}
	}
	if q := h.take(); q.N != 0 || q.P99 != 0 {
		t.Errorf("after take the histogram holds %+v", q)
	}
}

func TestHistogramBuckets(t *testing.T) {
	last := -1
	for _, us := range []uint64{0, 1, 31, 32, 63, 64, 127, 128, 1000, 1e6, 3600e6, 1 << 50} {
		i := bucket(us)
		if i <= last && us < 1<<33 {
			t.Errorf("bucket(%d) = %d, not above %d", us, i, last)
		}
		if i >= buckets {
			t.Fatalf("bucket(%d) = %d of %d", us, i, buckets)
		}
		if got := float64(middle(i).Microseconds()); us < 1<<33 && (got < float64(us)*0.96-1 || got > float64(us)*1.04+1) {
			t.Errorf("bucket %d of %d us stands for %.0f us", i, us, got)
		}
		last = i
	}
}

func TestSequenceCountsOnlyWhatNobodyElseCounts(t *testing.T) {
	for _, c := range []struct {
		name             string
		sequences        []uint64
		skipped          int // of the last frame
		damaged, missing uint64
	}{
		{"first frame", []uint64{7}, 0, 0, 0},
		{"no gap", []uint64{7, 8}, 0, 0, 0},
		{"two lost", []uint64{7, 10}, 0, 0, 2},
		{"two drained", []uint64{7, 10}, 2, 0, 0},
		{"one damaged, one lost", []uint64{7, 10}, 0, 1, 1},
		{"count starts anew", []uint64{7, 0}, 0, 0, 0},
	} {
		var s sequence
		var got uint64
		for i, n := range c.sequences {
			f := &frame{}
			f.Sequence = n
			if i == len(c.sequences)-1 {
				f.Skipped, s.damaged = c.skipped, c.damaged
			}
			got = s.missing(f)
		}
		if got != c.missing {
			t.Errorf("%s: %d missing, want %d", c.name, got, c.missing)
		}
	}
}
