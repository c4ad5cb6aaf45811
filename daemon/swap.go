package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A swapRequest asks for new sessions beside those that serve. They are opened
// and warmed on a goroutine of their own, take over between two frames, and are
// on trial for their first frames: the old ones wait, and take over again from
// one that fails. No frame is lost, none waits.
type swapRequest struct {
	predictor, denoiser bool                      // what to open anew
	stage               func() (*networks, error) // other models; nil: those in force. No networks: nothing changed
	why                 string                    // for people
	after               error                     // what failed: this request rolls back
	done                func(error)               // nil: nobody waits. Called once, on the swapper's goroutine
}

// success is the state that a request ends in if all goes well.
func (r *swapRequest) success() string {
	if r.after != nil {
		return swapRolledBack
	}
	return swapInForce
}

// trialFrames is how many good frames make a new session the only one.
const trialFrames = 30

// A trial is the beginning of a new set, with the old one behind it.
type trial struct {
	networks *networks // the old ones
	old      *frames   // nil when it is over; the predictor's goroutine alone uses it
	left     int       // frames; the same
	failed   bool      // the same
	over     atomic.Bool
	verdict  chan error
}

// errAnotherSize ends a trial whose camera comes back with another size.
var errAnotherSize = errors.New("the camera changed its size")

// end tells the swapper how the trial ended; only the first call counts.
func (t *trial) end(err error) (first bool) {
	if first = t.over.CompareAndSwap(false, true); first {
		t.verdict <- err
	}
	return first
}

// passed counts a good frame.
func (t *trial) passed() {
	if t.left--; t.left == 0 {
		t.old = nil
		t.end(nil)
	}
}

// swap asks for a swap, at any time, from any goroutine; it does not block.
// Requests are served one after another.
func (p *pipeline) swap(r swapRequest) {
	select {
	case p.swaps <- r:
	default:
		p.finish(r, errors.New("too many swaps wait already"))
	}
}

// swapAll serves requests until the context is done.
func (p *pipeline) swapAll(ctx context.Context) {
	for {
		select {
		case r := <-p.swaps:
			p.finish(r, p.swapOne(ctx, r))
		case <-ctx.Done():
			return
		}
	}
}

// swapOne returns when the new sessions have proven themselves, or with what
// keeps the old ones in force.
func (p *pipeline) swapOne(ctx context.Context, r swapRequest) error {
	var staged *networks
	if r.stage != nil {
		var err error
		if staged, err = r.stage(); err != nil || staged == nil {
			return err
		}
	}
	p.tellSwap(swapPreparing, r.why, nil)
	if staged == nil && !r.predictor {
		return p.reopenDenoiser(ctx, r)
	}
	for {
		old, set, next, err := p.install(ctx, r, staged)
		if err == nil {
			err = p.watchTrial(ctx, r, old, set, next)
		}
		if !errors.Is(err, errAnotherSize) {
			return err
		}
	}
}

// install prepares new sessions of the size in force, and puts them in force.
func (p *pipeline) install(ctx context.Context, r swapRequest, staged *networks) (old, set *frames, next *refinery, err error) {
	for ctx.Err() == nil {
		old = p.current.Load()
		if old.refit {
			select {
			case <-old.retired: // the reader has put a new set in force
			case <-ctx.Done():
			}
			continue
		}
		n := old.networks
		if staged != nil {
			n = staged
			n.goBackFrom(old.networks)
		}
		if set, next, err = p.prepare(ctx, r, old, n); err != nil {
			return nil, nil, nil, err
		}
		p.offer(next) // first: a keyframe of the new set must find it
		if p.current.CompareAndSwap(old, set) {
			return old, set, next, nil
		}
		p.withdraw(next) // the camera came back with another size meanwhile
		p.background(set.close)
	}
	return nil, nil, nil, ctx.Err()
}

// prepare opens what is to replace old. Before the first camera there is
// nothing to open.
func (p *pipeline) prepare(ctx context.Context, r swapRequest, old *frames, n *networks) (*frames, *refinery, error) {
	if old.predictor == nil {
		return noFrames(n), nil, nil
	}
	var next *refinery
	if n.denoiser != nil && (r.denoiser || n.denoiser != old.networks.denoiser) {
		var err error
		if next, err = p.prepareRefinery(ctx, n, old); err != nil {
			return nil, nil, err
		}
	}
	set, err := p.newSet(n, old.size, old.truth)
	if err != nil {
		if next != nil {
			next.close()
		}
		return nil, nil, err
	}
	set.trial = &trial{networks: old.networks, old: old, left: trialFrames, verdict: make(chan error, 1)}
	return set, next, nil
}

func (p *pipeline) prepareRefinery(ctx context.Context, n *networks, old *frames) (next *refinery, err error) {
	p.onLowThread(func() { next, err = p.newRefinery(ctx, n, old.size) })
	if err == nil {
		next.swapped = true
	}
	return next, err
}

// goBackFrom notes the last networks that have proven themselves before n.
func (n *networks) goBackFrom(old *networks) {
	last := old.instead.Load()
	if last == nil {
		last = old
	}
	if last == n {
		last = nil
	}
	n.instead.Store(last)
}

// reopenDenoiser leaves the predictor alone. The new session takes over with
// the next keyframe; the refiner itself goes back if it fails.
func (p *pipeline) reopenDenoiser(ctx context.Context, r swapRequest) error {
	old := p.current.Load()
	if old.predictor == nil || old.networks.denoiser == nil {
		return nil // none is open
	}
	next, err := p.prepareRefinery(ctx, old.networks, old)
	if err != nil {
		return err
	}
	p.offer(next)
	p.tellSwap(r.success(), r.why, r.after)
	return nil
}

// offer lays a refinery ready for the refiner's next keyframe.
func (p *pipeline) offer(next *refinery) {
	if next != nil {
		if unused := p.prepared.Swap(next); unused != nil {
			p.background(unused.close)
		}
	}
}

// withdraw takes it away again, unless the refiner has it already.
func (p *pipeline) withdraw(next *refinery) {
	if next != nil && p.prepared.CompareAndSwap(next, nil) {
		p.background(next.close)
	}
}

// watchTrial waits for the new set's first frames and closes the set that lost.
func (p *pipeline) watchTrial(ctx context.Context, r swapRequest, old, set *frames, next *refinery) error {
	if set.predictor == nil {
		p.background(old.close)
		p.tellSwap(r.success(), r.why, r.after)
		return nil
	}
	p.predictorOpened(set.predictor)
	p.tellSwap(swapOnTrial, r.why, r.after)
	select {
	case err := <-set.trial.verdict:
		if err == nil {
			p.background(old.close)
			p.tellSwap(r.success(), r.why, r.after)
			return nil
		}
		p.withdraw(next)
		if err == errAnotherSize {
			p.background(func() { set.close(); old.close() }) // a frame of set may still need old
			return err
		}
		p.background(set.close)
		p.predictorOpened(old.predictor)
		return &rolledBack{err}
	case <-ctx.Done(): // both go
		p.background(old.close)
		p.background(set.close)
		return ctx.Err()
	}
}

// rolledBack is the error of a session that failed when it served already.
type rolledBack struct{ error }

func (r *rolledBack) Unwrap() error { return r.error }

// finish reports the outcome of a request.
func (p *pipeline) finish(r swapRequest, err error) {
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, new(*rolledBack)):
		p.tellSwap(swapRolledBack, r.why, err)
	default:
		p.tellSwap(swapRefused, r.why, err)
	}
	if r.done != nil {
		r.done(err)
	}
}

// predictOrFallBack predicts f. If that fails on a session on trial, the set
// before it takes over again, and f's picture with it: the frame that comes
// back is then another one.
func (p *pipeline) predictOrFallBack(f *frame) (*frame, error) {
	t := f.set.trial
	if t == nil || t.old == nil {
		return f, p.predictFrame(f)
	}
	if !t.failed {
		err := p.predictFrame(f)
		if err == nil {
			t.passed()
			return f, nil
		}
		t.failed = true
		p.current.CompareAndSwap(f.set, t.old)
		t.end(err)
	}
	g := t.old.take()
	if g == nil {
		return f, errors.New("a new session failed, and the old one is gone with the camera's old size")
	}
	f.moveTo(g)
	f.release()
	return g, p.predictFrame(g)
}

// The states of a swap.
const (
	swapPreparing  = "preparing"
	swapOnTrial    = "on trial"
	swapInForce    = "in force"
	swapRefused    = "refused"
	swapRolledBack = "rolled back"
)

// A swapInfo is what became of the last swap.
type swapInfo struct {
	Time  time.Time `json:"time"`
	Why   string    `json:"why"`
	State string    `json:"state"`
	Error string    `json:"error,omitempty"`
}

// tellSwap logs and publishes the state of a swap.
func (p *pipeline) tellSwap(now, why string, err error) {
	i := &swapInfo{Time: time.Now(), Why: why, State: now}
	log := p.log.Info
	if err != nil {
		i.Error = err.Error()
		log = p.log.Error
	}
	n := p.networks()
	log("swap of sessions", "state", now, "why", why, "error", i.Error, "predictor", n.predictor.SHA256)
	p.state.set(func(s *state) { s.swap = i })
}
