package main

import (
	"context"
	"fmt"
	"image"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/infer"
	"sharpend/tensorrt"
)

// networks are the models that belong together: never changed, only replaced.
type networks struct {
	predictor *tensorrt.Model
	denoiser  *tensorrt.Model // nil: keyframes show the predicted picture
	// What to go back to if the denoiser cannot refine its first keyframe; nil
	// once it could, and for the networks of the start.
	instead atomic.Pointer[networks]
}

// networks are those in force.
func (p *pipeline) networks() *networks { return p.current.Load().networks }

// openPredictor is the one place where a predictor's session is opened for
// serving. size is of the visible picture.
func (p *pipeline) openPredictor(n *networks, size image.Point) (*tensorrt.Predictor, error) {
	runtime := p.config.Load().Runtime
	o, err := p.engines.prepare(n.predictor, size, runtime.Demanded())
	if err != nil {
		return nil, demanded(&runtime, err)
	}
	session, err := tensorrt.OpenPredictor(n.predictor, o.runtime, size.X, size.Y)
	if err != nil {
		o.engine.Close()
		return nil, demanded(&runtime, err)
	}
	p.engines.opened(o, session.Provider())
	p.log.Info("predictor ready", "model", n.predictor.Name, "provider", session.Provider(), "size", sizeText(size))
	return session, nil
}

// openDenoiser is its like for the denoiser. The session's threads inherit the
// niceness of the calling thread: see lowerPriority.
func (p *pipeline) openDenoiser(n *networks, size image.Point) (*tensorrt.Denoiser, error) {
	c := p.config.Load()
	runtime := c.Runtime
	runtime.Threads = c.Refine.Threads
	o, err := p.engines.prepare(n.denoiser, size, runtime.Demanded())
	if err != nil {
		return nil, demanded(&runtime, err)
	}
	session, err := tensorrt.OpenDenoiser(n.denoiser, o.runtime, size.X, size.Y)
	if err != nil {
		o.engine.Close()
		return nil, demanded(&runtime, err)
	}
	p.engines.opened(o, session.Provider())
	p.log.Info("refiner ready", "model", n.denoiser.Name, "provider", session.Provider(), "size", sizeText(size),
		"threads", c.Refine.Threads, "nice", c.Refine.Nice)
	return session, nil
}

// demanded says that it was runtime.require that left nothing to serve with.
func demanded(c *tensorrt.Config, err error) error {
	if c.Require == "" || c.OnLess != tensorrt.OnLessExit {
		return err
	}
	return fmt.Errorf("runtime.require is %s, and with runtime.on_less: exit nothing less may serve: %w", c.Require, err)
}

// degraded says in what the sessions that serve fall short of runtime.require.
// The caller holds the state's lock.
func (p *pipeline) degraded() (shortfalls []string) {
	c := p.config.Load()
	for _, s := range []struct {
		kind string
		info *sessionInfo
	}{{tensorrt.PredictorKind, p.state.predictor}, {tensorrt.DenoiserKind, p.state.refiner}} {
		if i := p.engines.explain(s.kind, s.info); i != nil {
			if less := c.Runtime.Less(i.Provider, i.Skipped); less != "" {
				shortfalls = append(shortfalls, "the "+s.kind+" "+less)
			}
		}
	}
	return shortfalls
}

// lowerPriority lowers the calling thread's, which must be locked.
func (p *pipeline) lowerPriority() {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), p.config.Load().Refine.Nice); err != nil {
		p.log.Warn("refine.nice has no effect", "error", err)
	}
}

// A refinery is an open denoiser of one size, and the memory that sampling
// works in. One goroutine uses it.
type refinery struct {
	model    *tensorrt.Model
	size     image.Point
	session  *tensorrt.Denoiser
	sampler  *infer.Refiner
	perStep  time.Duration // smoothed time of one evaluation
	stopWait func() bool   // ends the watch that terminates a run when the context is done
	swapped  bool          // by a swap, and no keyframe refined yet
}

// newRefinery opens the denoiser on a thread of low priority; the calling one.
func (p *pipeline) newRefinery(ctx context.Context, n *networks, size image.Point) (*refinery, error) {
	session, err := p.openDenoiser(n, size)
	if err != nil {
		return nil, err
	}
	return &refinery{
		model: n.denoiser, size: size, session: session, stopWait: context.AfterFunc(ctx, session.Terminate),
		sampler: infer.NewRefiner(session.State, session.Denoised, len(session.Predicted.Y)),
	}, nil
}

// suits says whether it refines pictures of these networks and this size.
func (r *refinery) suits(n *networks, size image.Point) bool {
	return r != nil && r.model == n.denoiser && r.size == size
}

// close ends the session, and a run in progress before it. Closing nil does nothing.
func (r *refinery) close() {
	if r != nil {
		r.stopWait()
		r.session.Close()
	}
}

// loadNetworks reads the models' files and checks that they belong together.
func (c *Config) loadNetworks() (*networks, error) {
	predictor, err := tensorrt.LoadModel(c.Models.Predictor, tensorrt.PredictorKind)
	if err != nil {
		return nil, fmt.Errorf("models.predictor: %w", err)
	}
	if c.Models.Denoiser == "" {
		return &networks{predictor: predictor}, nil
	}
	denoiser, err := tensorrt.LoadModel(c.Models.Denoiser, tensorrt.DenoiserKind)
	if err == nil {
		err = tensorrt.Match(predictor, denoiser)
	}
	if err != nil {
		return nil, fmt.Errorf("models.denoiser: %w", err)
	}
	n := &networks{predictor: predictor, denoiser: denoiser}
	return n, c.suitsDenoiser(n)
}

// suitsDenoiser says whether the refine section and the denoiser go together.
func (c *Config) suitsDenoiser(n *networks) error {
	if n.denoiser == nil {
		return nil
	}
	if err := settingsFor(c.Refine, n.denoiser).Check(); err != nil {
		return fmt.Errorf("refine: %w", err)
	}
	return nil
}
