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
	return settingsFor(p.config.Load().Refine, p.denoiser)
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

// A refiner owns the denoiser's session, which lives on the calling thread.
type refiner struct {
	*pipeline
	size     image.Point
	session  *tensorrt.Denoiser
	sampler  *infer.Refiner
	perStep  time.Duration // smoothed time of one evaluation
	stopWait func() bool   // ends the watch that terminates a run at shutdown
}

func (r *refiner) close() {
	if r.session != nil {
		r.stopWait()
		r.session.Close()
		r.session = nil
	}
}

// openFor readies a session of the keyframe's size.
func (r *refiner) openFor(ctx context.Context, size image.Point) error {
	if r.session != nil && r.size == size {
		return nil
	}
	r.close()
	c := r.config.Load()
	runtime := c.Runtime
	runtime.Threads = c.Refine.Threads
	session, err := tensorrt.OpenDenoiser(r.denoiser, runtime, size.X, size.Y)
	if err != nil {
		return err
	}
	r.session, r.size, r.perStep = session, size, 0
	r.sampler = infer.NewRefiner(session.State, session.Denoised, len(session.Predicted.Y))
	r.stopWait = context.AfterFunc(ctx, session.Terminate)
	r.state.refinerOpened(session)
	r.log.Info("refiner ready", "provider", session.Provider(), "size", sizeText(size), "threads", c.Refine.Threads, "nice", c.Refine.Nice)
	return nil
}

// refine replaces k's predicted picture by the refined one.
func (r *refiner) refine(ctx context.Context, k *frame) error {
	start := time.Now()
	k.key.before = infer.Sharpness(k.Image)
	k.key.predicted = infer.Sharpness(k.sharp)
	if k.key.asked.Steps > 0 {
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

func (r *refiner) sample(ctx context.Context, k *frame) error {
	if err := r.openFor(ctx, k.Image.Rect.Size()); err != nil {
		return err
	}
	infer.Copy(r.session.Blurred, k.Image)
	infer.Copy(r.session.Predicted, k.sharp)
	s := k.key.asked
	s.Steps = infer.StepsWithin(r.config.Load().Refine.Budget, r.perStep, s.Steps, s.Samples)
	if s.Steps < k.key.asked.Steps {
		r.stats.shortened.Add(1)
	}
	k.key.steps = s.Steps
	_, err := r.sampler.Refine(s, r.step, r.session.Predicted, k.sharp)
	return err
}

// step evaluates the denoiser once, and learns how long that takes here.
func (r *refiner) step(sigma float32) error {
	start := time.Now()
	err := r.session.Run(sigma)
	took := time.Since(start)
	r.stats.times[stageStep].add(took)
	if r.perStep == 0 {
		r.perStep = took
	}
	r.perStep += (took - r.perStep) / 4
	return err
}
