package main

import (
	"context"
	"errors"
	"image"
	"io"
	"time"

	"sharpend/capture"
)

// read keeps a camera open and gives its frames to the predictor.
func (p *pipeline) read(ctx context.Context) {
	defer close(p.toPredict.slot)
	camera, wait := p.config.Load().Camera, backoff{}
	for ctx.Err() == nil {
		err := p.readCamera(ctx, &camera, &wait)
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return
		case camera.Source != capture.V4L2, errors.As(err, new(*fatal)):
			p.fail(err) // no file comes back by waiting for it
			return
		}
		p.stats.losses.Add(1)
		p.cameraLost(err)
		p.vitals.reader.end()
		wait.sleep(ctx)
	}
}

// fatal marks an error that opening the camera again cannot mend.
type fatal struct{ error }

// readCamera opens the camera and reads it until it fails. It learns the
// camera's stable name, so that the same one is opened again.
func (p *pipeline) readCamera(ctx context.Context, config *capture.Config, wait *backoff) error {
	p.vitals.reader.begin()
	p.vitals.opening.Store(true)
	camera, err := p.open(ctx, *config)
	p.vitals.opening.Store(false)
	if err != nil {
		return err
	}
	defer camera.Close()
	*config = camera.Config
	if err := p.fit(camera); err != nil {
		return &fatal{err}
	}
	p.toPredict.lossless.Store(camera.Lossless)
	p.toPublish.lossless.Store(camera.Lossless)
	if camera.Lossless {
		p.awaitBroker(ctx)
	}
	count, again := sequence{}, p.stats.in.Load() > 0
	for first := true; ; first = false {
		p.vitals.reader.begin()
		f := p.nextFree(ctx)
		if f == nil {
			return ctx.Err()
		}
		if err := p.readFrame(ctx, camera, f, &count); err != nil {
			f.release()
			return err
		}
		if first {
			p.cameraFound(camera) // not before: a stalled camera can be opened, too
		}
		f.afterLoss = first && again
		p.toPredict.give(ctx, f)
		*wait = backoff{}
	}
}

// awaitBroker gives the first connection a moment: a file that is played as
// fast as possible would be over before it.
func (p *pipeline) awaitBroker(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); !p.out.online() && time.Now().Before(end); {
		p.vitals.reader.begin()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// readFrame reads the camera's next undamaged frame into f.
func (p *pipeline) readFrame(ctx context.Context, camera *capture.Camera, f *frame, count *sequence) error {
	for {
		err := camera.Read(ctx, &f.Frame)
		if err == nil {
			break
		}
		var damage *capture.Damage
		if !errors.As(err, &damage) {
			return err
		}
		p.vitals.reader.begin() // a frame came, if a damaged one
		p.stats.damage(damage.Kind)
		count.damaged++
	}
	f.stamps = [stampCount]time.Time{stampRead: time.Now()}
	f.number = p.stats.in.Add(1)
	p.stats.times[stageDecode].add(f.Decode)
	p.stats.drops[dropCapture].Add(uint64(f.Skipped))
	p.stats.drops[dropCamera].Add(count.missing(f))
	return nil
}

// A sequence finds gaps in a camera's own count of its frames.
type sequence struct {
	last    uint64
	any     bool
	damaged uint64 // frames counted by the camera that were no picture
}

// missing is the number of frames lost between the last frame and f, without
// those that are accounted for elsewhere.
func (s *sequence) missing(f *frame) uint64 {
	known := s.last + uint64(f.Skipped) + s.damaged + 1
	gap := uint64(0)
	if s.any && f.Sequence > known {
		gap = f.Sequence - known
	}
	s.last, s.any, s.damaged = f.Sequence, true, 0
	return gap
}

// nextFree is a free frame of the set in force: this is where a swap takes
// effect. nil when the context is done: a trial that is cut short by it retires
// the set in force, too.
func (p *pipeline) nextFree(ctx context.Context) *frame {
	for ctx.Err() == nil {
		if f := p.current.Load().take(); f != nil {
			return f
		}
	}
	return nil
}

// fit puts frames of the camera's size in force.
func (p *pipeline) fit(camera *capture.Camera) error {
	for old := p.current.Load(); !old.suits(camera); old = p.current.Load() {
		if err := p.refit(old, camera); err != nil {
			return err
		}
	}
	return nil
}

// refit closes old first, when all its frames are home: two sessions need
// twice the memory.
func (p *pipeline) refit(old *frames, camera *capture.Camera) error {
	p.vitals.building.Store(true)
	defer p.vitals.building.Store(false)
	n := old.networks
	if t := old.trial; t != nil && t.end(errAnotherSize) {
		n = t.networks // the trial begins anew at this size
	}
	// From here on no swap can build on the old set: it waits for the new one.
	between := noFrames(n)
	between.refit = true
	defer between.close()
	if !p.current.CompareAndSwap(old, between) {
		return nil // other networks came into force meanwhile
	}
	old.close()
	set, err := p.newSet(n, sizeOf(camera), camera.HasTruth)
	if err != nil {
		return err
	}
	p.stats.ready.CompareAndSwap(0, residentBytes())
	p.predictorOpened(set.predictor)
	p.current.Store(set)
	return nil
}

// newSet opens a session and makes the frames that are bound to it.
func (p *pipeline) newSet(n *networks, size image.Point, truth bool) (*frames, error) {
	session, err := p.openPredictor(n, size)
	if err != nil {
		return nil, err
	}
	set, err := newFrames(n, session, size, truth)
	if err != nil {
		session.Close()
	}
	return set, err
}
