package main

import (
	"context"
	"errors"
	"image"
	"io"
	"time"

	"sharpend/capture"
	"sharpend/tensorrt"
)

// read keeps a camera open and gives its frames to the predictor.
func (p *pipeline) read(ctx context.Context) {
	var set *frames
	defer func() {
		close(p.toPredict.slot)
		if set != nil {
			set.close()
		}
	}()
	camera, wait := p.config.Load().Camera, backoff{}
	for ctx.Err() == nil {
		err := p.readCamera(ctx, &camera, &set, &wait)
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
func (p *pipeline) readCamera(ctx context.Context, config *capture.Config, set **frames, wait *backoff) error {
	p.vitals.reader.begin()
	p.vitals.opening.Store(true)
	camera, err := p.open(ctx, *config)
	p.vitals.opening.Store(false)
	if err != nil {
		return err
	}
	defer camera.Close()
	*config = camera.Config
	if *set, err = p.framesFor(camera, *set); err != nil {
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
		f := <-(*set).free
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

// framesFor returns frames of the camera's size: old, or new ones with a new
// session after old's are all home.
func (p *pipeline) framesFor(camera *capture.Camera, old *frames) (*frames, error) {
	size := image.Pt(camera.Granted.Width, camera.Granted.Height)
	if old != nil && old.size == size {
		return old, nil
	}
	p.vitals.building.Store(true)
	defer p.vitals.building.Store(false)
	if old != nil {
		old.close()
	}
	session, err := tensorrt.OpenPredictor(p.predictor, p.config.Load().Runtime, size.X, size.Y)
	if err != nil {
		return nil, err
	}
	p.stats.ready.Store(residentBytes())
	p.state.predictorOpened(session)
	p.log.Info("predictor ready", "provider", session.Provider(), "size", sizeText(size))
	return newFrames(session, size, p.predictor.Multiple, camera.HasTruth)
}
