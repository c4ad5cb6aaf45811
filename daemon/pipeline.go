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
	config    atomic.Pointer[Config] // live keys are read anew for each frame
	open      func(context.Context, capture.Config) (*capture.Camera, error)
	predictor *tensorrt.Model
	denoiser  *tensorrt.Model // nil: keyframes show the predicted picture
	out       output
	stats     *stats
	state     *state
	vitals    vitals                          // what systemd's watchdog goes by
	board     atomic.Pointer[board.Telemetry] // the newest reading
	log       *slog.Logger
	reload    func() // answers SIGHUP

	request                                    atomic.Pointer[mqtt.Request]
	toPredict, toRefine, toPublish, toKeyframe *latest
	fail                                       context.CancelCauseFunc
}

func newPipeline(c *Config, predictor, denoiser *tensorrt.Model, out output, log *slog.Logger) *pipeline {
	s := newStats()
	p := &pipeline{
		open: capture.Open, predictor: predictor, denoiser: denoiser,
		out: out, stats: s, state: newState(), log: log,
		toPredict:  newLatest(&s.drops[dropPredict]),
		toRefine:   newLatest(&s.drops[dropRefine]),
		toPublish:  newLatest(&s.drops[dropPublish]),
		toKeyframe: newLatest(&s.drops[dropPublish]),
	}
	p.config.Store(c)
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
	stages.Wait()
	if err := context.Cause(ctx); parent.Err() == nil && err != nil {
		return err
	}
	return nil
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

// predict sharpens every frame and copies keyframes for the refiner.
func (p *pipeline) predict(ctx context.Context) {
	defer close(p.toRefine.slot)
	defer close(p.toPublish.slot)
	choice, freeze := chooser{}, freezer(p.log)
	for f := range p.toPredict.slot {
		p.vitals.predictor.begin()
		freeze()
		if err := p.predictFrame(f); err != nil {
			p.fail(fmt.Errorf("predictor: %w", err))
			f.release()
			continue
		}
		if reason := choice.choose(p, f); reason != "" {
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
	k.key = keyframe{reason: reason, asked: p.settings()}
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
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), p.config.Load().Refine.Nice); err != nil {
		p.log.Warn("refine.nice has no effect", "error", err)
	}
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
		p.toKeyframe.give(ctx, k)
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
