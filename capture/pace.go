package capture

import (
	"context"
	"math"
	"time"
)

// pace is a camera's clock: place n in time is n/fps after the first wait.
type pace struct {
	fps   float64
	free  bool // no clock: the reader sets the pace
	start time.Time
	timer *time.Timer
}

// newPace takes the first rate that is not zero.
func newPace(free bool, rates ...float64) pace {
	p := pace{free: free}
	for _, rate := range rates {
		if p.fps == 0 {
			p.fps = rate
		}
	}
	p.timer = time.NewTimer(0)
	p.timer.Stop()
	return p
}

// due is when place n comes; now without a clock.
func (p *pace) due(n uint64) time.Time {
	if p.free {
		return time.Now()
	}
	return p.start.Add(time.Duration(float64(n) / p.fps * float64(time.Second)))
}

// newest is the last place that has come, at least n.
func (p *pace) newest(n uint64) uint64 {
	if p.free {
		return n
	}
	return max(n, uint64(math.Floor(time.Since(p.start).Seconds()*p.fps)))
}

// asleep is how late a reader must be for the clock to have been stopped with it, not for frames to have been lost.
const asleep = 10 * time.Second

// wait returns when place n has come, or with ctx's error.
func (p *pace) wait(ctx context.Context, n uint64) error {
	if err := ctx.Err(); err != nil || p.free {
		return err
	}
	if p.start.IsZero() {
		p.start = time.Now()
	}
	ahead := time.Until(p.due(n))
	if ahead < -asleep {
		p.start = p.start.Add(-ahead)
	}
	if ahead <= 0 {
		return nil
	}
	p.timer.Reset(ahead)
	select {
	case <-p.timer.C:
		return nil
	case <-ctx.Done():
		p.timer.Stop()
		return ctx.Err()
	}
}
