package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/board"
	"sharpend/capture"
	"sharpend/infer"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

// A pipeline moves frames from the camera to the broker. Every go statement
// of it stands in this file.
//
//	read -latest-> predict -latest-> publish                       every frame
//	                  +- copy, latest -> refine -latest-> publish  keyframes
//
// Each stage ends when its input is closed, so that a clip that ends, a
// signal and a failure all leave by the same door: the reader closes first.
type pipeline struct {
	config  atomic.Pointer[Config] // live keys are read anew for each frame
	open    func(context.Context, capture.Config) (*capture.Camera, error)
	out     output
	stats   *stats
	state   *state
	vitals  vitals                          // what systemd's watchdog goes by
	board   atomic.Pointer[board.Telemetry] // the newest reading
	log     *slog.Logger
	reload  func() // answers SIGHUP
	library string // ONNX Runtime's version: asking it would wait for a session that is being built

	current  atomic.Pointer[frames]   // what the reader fills; never nil
	prepared atomic.Pointer[refinery] // for the refiner's next keyframe
	swaps    chan swapRequest
	engines  *engineKeeper
	tasks    sync.WaitGroup // of background

	request                                    atomic.Pointer[mqtt.Request]
	toPredict, toRefine, toPublish, toKeyframe *latest
	fail                                       context.CancelCauseFunc
}

func newPipeline(c *Config, n *networks, out output, log *slog.Logger) *pipeline {
	s := newStats()
	p := &pipeline{
		open: capture.Open, library: tensorrt.Version(), swaps: make(chan swapRequest, 16),
		out: out, stats: s, state: newState(), log: log,
		toPredict:  newLatest(&s.drops[dropPredict]),
		toRefine:   newLatest(&s.drops[dropRefine]),
		toPublish:  newLatest(&s.drops[dropPublish]),
		toKeyframe: newLatest(&s.drops[dropPublish]),
	}
	p.config.Store(c)
	p.current.Store(noFrames(n))
	p.engines = newEngineKeeper(p)
	return p
}

// run works until the camera's clip ends (nil), the context is done (nil) or
// a stage fails.
func (p *pipeline) run(parent context.Context, signals <-chan os.Signal) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	p.fail = fail
	var stages sync.WaitGroup
	start := func(stage func(context.Context)) {
		stages.Add(1)
		go func() {
			defer stages.Done()
			stage(ctx)
		}()
	}
	start(p.read)
	start(p.predict)
	start(p.refine)
	start(p.publish)
	go p.control(ctx, signals)
	go p.notify(ctx)
	go p.watchBoard(ctx, "/")
	p.background(func() { p.engines.supervise(ctx) })
	swapper := make(chan struct{})
	go func() {
		defer close(swapper)
		p.swapAll(ctx)
	}()
	stages.Wait()
	err := context.Cause(ctx)
	fail(nil)
	<-swapper
	p.close()
	if parent.Err() != nil {
		return nil
	}
	return err
}

// close ends every session, once nothing serves or prepares one any more.
func (p *pipeline) close() {
	p.withdraw(p.prepared.Load())
	p.current.Load().close()
	p.tasks.Wait()
}

// background does what nobody waits for but the pipeline's end.
func (p *pipeline) background(do func()) {
	p.tasks.Add(1)
	go func() {
		defer p.tasks.Done()
		do()
	}()
}

// onLowThread runs do on a thread of the refiner's priority, and waits for it.
func (p *pipeline) onLowThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		p.lowerPriority()
		do()
	}()
	<-done
}

// control answers signals: reload, and a keyframe on request.
func (p *pipeline) control(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if s == unix.SIGHUP {
				p.reloadTold()
			} else {
				p.request.Store(&mqtt.Request{Steps: -1, Transaction: "SIGUSR1"})
			}
		}
	}
}

// predict sharpens every frame that needs it, and copies keyframes for the refiner.
func (p *pipeline) predict(ctx context.Context) {
	defer close(p.toRefine.slot)
	defer close(p.toPublish.slot)
	choice, gate, freeze := chooser{}, gatekeeper{pipeline: p}, freezer(p.log)
	for f := range p.toPredict.slot {
		p.vitals.predictor.begin()
		freeze()
		reason := choice.choose(p, f)
		f, err := gate.predict(f, reason == infer.ReasonRequest)
		if err != nil {
			p.fail(fmt.Errorf("predictor: %w", err))
			f.release()
			continue
		}
		if reason != "" {
			p.copyKeyframe(ctx, f, reason)
		}
		p.toPublish.give(ctx, f)
		p.vitals.predicted.Add(1)
		p.vitals.predictor.end()
	}
}

func (p *pipeline) predictFrame(f *frame) error {
	infer.Pad(f.Image)
	start := time.Now()
	if err := f.binding.Run(); err != nil {
		return err
	}
	f.stamps[stampPredicted] = time.Now()
	p.stats.times[stagePredict].add(f.stamps[stampPredicted].Sub(start))
	if f.Truth != nil {
		p.stats.truth(psnrCamera, infer.PSNR(f.Image, f.Truth))
		p.stats.truth(psnrPredicted, infer.PSNR(f.sharp, f.Truth))
	}
	return nil
}

func (p *pipeline) copyKeyframe(ctx context.Context, f *frame, reason string) {
	k := <-f.set.keys
	f.copyTo(k)
	k.key = keyframe{reason: reason, asked: settingsFor(p.config.Load().Refine, f.set.networks.denoiser)}
	if r := p.request.Load(); reason == infer.ReasonRequest && r != nil {
		p.request.CompareAndSwap(r, nil)
		k.key.apply(r)
	}
	p.stats.asked.Add(1)
	select {
	case old := <-p.toRefine.slot: // displaced, but what somebody asked for is still answered
		k.key.inherit(old.key)
		p.toRefine.drop(old)
	default:
	}
	p.toRefine.give(ctx, k)
}

// refine works on keyframes, one at a time, on a thread of low priority whose
// niceness the session's own threads inherit.
func (p *pipeline) refine(ctx context.Context) {
	defer close(p.toKeyframe.slot)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	p.lowerPriority()
	r := refiner{pipeline: p}
	defer r.close()
	for k := range p.toRefine.slot {
		if ctx.Err() != nil { // only one run is terminated, so this one must not begin
			k.release()
			continue
		}
		if err := r.refine(ctx, k); err != nil {
			if ctx.Err() == nil {
				p.fail(fmt.Errorf("refiner: %w", err))
			}
			k.release()
			continue
		}
		p.deliver(ctx, k)
	}
}

// publish sends frames, keyframes, statistics and news of the daemon itself.
func (p *pipeline) publish(context.Context) {
	w := newPublisher(p)
	defer w.close()
	frames, keyframes := p.toPublish.slot, p.toKeyframe.slot
	tick := time.NewTicker(p.config.Load().Stats.Every)
	defer tick.Stop()
	for frames != nil || keyframes != nil {
		p.vitals.publisher.end()
		select {
		case f, ok := <-frames:
			p.vitals.publisher.begin()
			if !ok {
				frames = nil
				continue
			}
			w.frame(f)
			f.release()
		case k, ok := <-keyframes:
			p.vitals.publisher.begin()
			if !ok {
				keyframes = nil
				continue
			}
			w.keyframe(k)
			k.release()
		case <-p.state.changed:
			p.vitals.publisher.begin()
			w.info()
		case now := <-tick.C:
			p.vitals.publisher.begin()
			tick.Reset(p.config.Load().Stats.Every)
			w.report(now)
		}
	}
}
