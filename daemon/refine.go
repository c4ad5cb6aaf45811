package main

import (
	"cmp"
	"context"
	"image"
	"time"

	"sharpend/infer"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

// settings is what a refinement that starts now is asked: the config, and the
// model's own defaults where the config leaves them open.
func (p *pipeline) settings() infer.Settings {
	return settingsFor(p.config.Load().Refine, p.networks().denoiser)
}

func settingsFor(c infer.Config, m *tensorrt.Model) infer.Settings {
	if m == nil {
		return infer.Settings{Seed: c.Seed}
	}
	return c.Settings(m.Settings())
}

// apply lets a request's own numbers override the config's.
func (k *keyframe) apply(r *mqtt.Request) {
	k.request = r.Transaction
	if k.asked.Samples == 0 {
		return // there is no denoiser
	}
	if r.Steps >= 0 {
		k.asked.Steps = r.Steps
	}
	k.asked.Samples = cmp.Or(r.Samples, k.asked.Samples)
}

// inherit takes over the request that a displaced keyframe was to answer.
func (k *keyframe) inherit(old keyframe) {
	if old.reason == infer.ReasonRequest && k.reason != infer.ReasonRequest {
		k.reason, k.asked, k.request = old.reason, old.asked, old.request
	}
}

// deliver hands a finished keyframe to the publisher. What somebody asked for
// is not displaced: another waits for its turn, or gives way if nobody asked.
func (p *pipeline) deliver(ctx context.Context, k *frame) {
	select {
	case old := <-p.toKeyframe.slot:
		if old.key.reason != infer.ReasonRequest {
			p.toKeyframe.drop(old)
			break
		}
		p.toKeyframe.slot <- old // only this goroutine sends
		if k.key.reason != infer.ReasonRequest {
			p.toKeyframe.drop(k)
			return
		}
	default:
	}
	select {
	case p.toKeyframe.slot <- k:
	case <-ctx.Done():
		p.toKeyframe.drop(k)
	}
}

// A chooser decides which frames are keyframes; zero value ready.
type chooser struct {
	last      infer.Last
	now, then [32 * 18]byte // thumbnails of this frame and of the last keyframe
}

func (c *chooser) choose(p *pipeline, f *frame) string {
	policy, difference := p.config.Load().Refine.Keyframes, 0.0
	if policy.Scene > 0 {
		infer.Thumbnail(&c.now, f.Image)
		difference = infer.Difference(&c.now, &c.then)
	}
	reason := policy.Reason(c.last, infer.Moment{
		Number: f.number, Time: f.Time, AfterLoss: f.afterLoss,
		Requested: p.request.Load() != nil, Difference: difference,
	})
	if reason != "" {
		c.last = infer.Last{Any: true, Number: f.number, Time: f.Time}
		c.then = c.now
	}
	return reason
}

// A refiner owns the denoiser's sessions, which live on the calling thread.
type refiner struct {
	*pipeline
	now    *refinery // nil: none is open
	before *refinery // of what a swap replaced, until a keyframe was refined without it
	broken *networks // their denoiser failed at once, and they are about to be replaced
}

func (r *refiner) close() {
	r.now.close()
	r.before.close()
	r.now, r.before = nil, nil
}

// leave closes a refinery without waiting for it.
func (r *refiner) leave(old *refinery) {
	if old != nil {
		r.background(old.close)
	}
}

// readyFor has now suit a keyframe: what a swap prepared, what there is, or a
// new session.
func (r *refiner) readyFor(ctx context.Context, n *networks, size image.Point) (err error) {
	next := r.prepared.Load()
	switch {
	case next.suits(n, size) && r.prepared.CompareAndSwap(next, nil):
		r.leave(r.before)
		r.before, r.now = r.now, next
	case r.now.suits(n, size):
		return nil
	case r.before.suits(n, size): // the predictor was rolled back
		r.leave(r.now)
		r.before, r.now = nil, r.before
	default:
		r.close()
		if r.now, err = r.newRefinery(ctx, n, size); err != nil {
			return err
		}
	}
	r.refinerOpened(r.now.session)
	return nil
}

// refine replaces k's predicted picture by the refined one.
func (r *refiner) refine(ctx context.Context, k *frame) error {
	start := time.Now()
	k.key.before = infer.Sharpness(k.Image)
	k.key.predicted = infer.Sharpness(k.sharp)
	if k.set.networks.denoiser == nil {
		r.leave(r.now)
		r.leave(r.before)
		r.now, r.before = nil, nil
	} else if k.key.asked.Steps > 0 && k.set.networks != r.broken && (!k.unchanged || k.key.reason == infer.ReasonRequest) {
		k.unchanged = false
		if err := r.sample(ctx, k); err != nil {
			return err
		}
	}
	k.key.after = infer.Sharpness(k.sharp)
	k.stamps[stampRefined] = time.Now()
	k.key.spent = k.stamps[stampRefined].Sub(start)
	r.stats.times[stageRefine].add(k.key.spent)
	if k.Truth != nil {
		r.stats.truth(psnrRefined, infer.PSNR(k.sharp, k.Truth))
	}
	return nil
}

// sample refines k on a session that suits it; where one that a swap brought
// fails at once, what was before it takes over again.
func (r *refiner) sample(ctx context.Context, k *frame) error {
	n := k.set.networks
	err := r.readyFor(ctx, n, k.Image.Rect.Size())
	if err == nil {
		err = r.evaluate(k)
	}
	if err != nil && ctx.Err() == nil {
		return r.fallBack(k, err)
	}
	if err == nil && r.now.swapped {
		r.leave(r.before)
		r.before, r.now.swapped = nil, false
	}
	if err == nil {
		n.instead.Store(nil)
	}
	return err
}

// fallBack refines k on the session before, if that is of the same denoiser.
// Else k shows the predicted picture, and both networks are swapped back, where
// there are some to go back to.
func (r *refiner) fallBack(k *frame, failed error) error {
	n := k.set.networks
	if r.now != nil && r.now.swapped && r.before.suits(n, r.now.size) {
		r.leave(r.now)
		r.before, r.now = nil, r.before
		r.refinerOpened(r.now.session)
		r.tellSwap(swapRolledBack, "denoiser opened anew", failed)
		return r.evaluate(k)
	}
	instead := n.instead.Load()
	if instead == nil {
		return failed
	}
	r.broken, k.key.steps, k.key.by = n, 0, nil
	r.swap(swapRequest{why: "rolling back", after: failed, stage: func() (*networks, error) { return instead, nil }})
	return nil
}

func (r *refiner) evaluate(k *frame) error {
	n := r.now
	infer.Copy(n.session.Blurred, k.Image)
	infer.Copy(n.session.Predicted, k.sharp)
	s := k.key.asked
	s.Steps = infer.StepsWithin(r.config.Load().Refine.Budget, n.perStep, s.Steps, s.Samples)
	if s.Steps < k.key.asked.Steps {
		r.stats.shortened.Add(1)
	}
	k.key.steps, k.key.by = s.Steps, n.model
	_, err := n.sampler.Refine(s, r.step, n.session.Predicted, k.sharp)
	return err
}

// step evaluates the denoiser once, and learns how long that takes here.
func (r *refiner) step(sigma float32) error {
	start := time.Now()
	err := r.now.session.Run(sigma)
	took := time.Since(start)
	r.stats.times[stageStep].add(took)
	if r.now.perStep == 0 {
		r.now.perStep = took
	}
	r.now.perStep += (took - r.now.perStep) / 4
	return err
}
