package main

import (
	"context"
	"image"
	"sync"
	"sync/atomic"
	"time"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/tensorrt"
)

// A stamp is the moment at which a frame left a stage. Age and latency are
// subtractions between stamps and the capture time.
type stamp int

const (
	stampRead stamp = iota
	stampPredicted
	stampRefined
	stampEncoded
	stampPublished
	stampCount
)

// A frame is one picture on its way through the pipeline. Exactly one
// goroutine owns it; giving it away means not touching it again.
type frame struct {
	capture.Frame                   // Image is the camera's picture, Truth its sharp original if known
	number        uint64            // counts the frames read since the start
	afterLoss     bool              // first frame of a newly opened camera
	sharp         *image.YCbCr      // predicted or, in a keyframe, refined
	unchanged     bool              // it was sharp as it came: the camera's picture is published, see gatekeeper
	binding       *tensorrt.Binding // predicts Image into sharp; nil in a keyframe's copy
	stamps        [stampCount]time.Time
	key           keyframe
	tag           []byte  // memory for the text inside the JPEG
	set           *frames // the size and the networks it belongs to
	home          chan *frame
}

// A keyframe says what the refiner was asked and did; zero for other frames.
type keyframe struct {
	reason    string
	asked     infer.Settings
	request   string          // transaction of the request, if one asked for it
	steps     int             // done, after the budget
	by        *tensorrt.Model // that refined it; nil: none did
	spent     time.Duration
	before    float64 // sharpness of the camera's picture
	predicted float64
	after     float64 // sharpness of the refined picture
}

// release hands the frame back to the free list that it came from.
func (f *frame) release() { f.home <- f }

// picture is what is published of the frame.
func (f *frame) picture() *image.YCbCr {
	if f.unchanged {
		return f.Image
	}
	return f.sharp
}

// copyTo fills the keyframe copy k with f's pictures and identity.
func (f *frame) copyTo(k *frame) {
	infer.Copy(k.Image, f.Image)
	infer.Copy(k.sharp, f.picture())
	if k.Truth != nil && f.Truth != nil {
		infer.Copy(k.Truth, f.Truth)
	}
	k.number, k.Sequence, k.Time, k.stamps, k.unchanged = f.number, f.Sequence, f.Time, f.stamps, f.unchanged
}

// moveTo copies f's camera picture and identity to g, a frame of another set of
// the same size.
func (f *frame) moveTo(g *frame) {
	picture, truth := g.Image, g.Truth
	infer.Copy(picture, f.Image)
	if truth != nil && f.Truth != nil {
		infer.Copy(truth, f.Truth)
	}
	g.Frame, g.Image, g.Truth = f.Frame, picture, truth
	g.number, g.afterLoss, g.stamps = f.number, f.afterLoss, f.stamps
}

// frames is every frame of one picture size, with the session that predicts
// them: allocated when a camera is opened or a session is swapped, closed when
// all have come home. One without a session (no camera yet) has no frames.
type frames struct {
	size      image.Point
	truth     bool
	networks  *networks
	predictor *tensorrt.Predictor
	free      chan *frame   // for the camera
	keys      chan *frame   // copies for the refiner
	retired   chan struct{} // closed: no frame is to be taken any more
	closing   sync.Once
	trial     *trial // nil: nothing stands behind this set
	refit     bool   // stands in while the reader opens a session of another size
}

// take is the next free frame, nil once the set is retired.
func (s *frames) take() *frame {
	select {
	case f := <-s.free:
		return f
	case <-s.retired:
		return nil
	}
}

// suits says whether the camera's frames fit into the set's.
func (s *frames) suits(c *capture.Camera) bool {
	return s.predictor != nil && s.size == sizeOf(c) && (s.truth || !c.HasTruth)
}

func sizeOf(c *capture.Camera) image.Point { return image.Pt(c.Granted.Width, c.Granted.Height) }

// One frame for each owner (reader, mailbox, predictor, mailbox, publisher)
// and one spare, so that a reader never waits for a frame.
const (
	frameCount = 6
	keyCount   = 5
)

// noFrames is what stands in until a camera's size is known.
func noFrames(n *networks) *frames {
	return &frames{networks: n, retired: make(chan struct{})}
}

func newFrames(n *networks, p *tensorrt.Predictor, size image.Point, truth bool) (*frames, error) {
	s := noFrames(n)
	s.size, s.truth, s.predictor = size, truth, p
	s.free, s.keys = make(chan *frame, frameCount), make(chan *frame, keyCount)
	multiple := n.predictor.Multiple
	for i := range frameCount + keyCount {
		f := &frame{sharp: infer.NewPlanes(size.X, size.Y, multiple), set: s, home: s.free}
		f.Image = infer.NewPlanes(size.X, size.Y, multiple)
		if truth {
			f.Truth = infer.NewPlanes(size.X, size.Y, multiple)
		}
		if i >= frameCount {
			f.home = s.keys
		} else {
			var err error
			if f.binding, err = p.Bind(f.Image, f.sharp); err != nil {
				return nil, err
			}
		}
		f.release()
	}
	return s, nil
}

// close retires the set, waits until every frame is home, then ends the
// session: nobody runs it any more, and no binding is left that points into it.
// A second close does nothing but wait for the first.
func (s *frames) close() { s.closing.Do(s.closeOnce) }

func (s *frames) closeOnce() {
	close(s.retired)
	if s.predictor == nil {
		return
	}
	var home [frameCount]*frame
	for i := range home {
		home[i] = <-s.free
	}
	for range keyCount {
		<-s.keys
	}
	for _, f := range home {
		f.binding.Close()
	}
	s.predictor.Close()
}

// latest is a mailbox for one frame with one sender and one receiver. The
// newest wins; what it displaces goes home and is counted.
type latest struct {
	slot     chan *frame
	drops    *atomic.Uint64
	lossless atomic.Bool // the sender waits instead
}

func newLatest(drops *atomic.Uint64) *latest {
	return &latest{slot: make(chan *frame, 1), drops: drops}
}

// give hands f over. A lossless mailbox waits for room or the context's end.
func (l *latest) give(ctx context.Context, f *frame) {
	if l.lossless.Load() {
		select {
		case l.slot <- f:
		case <-ctx.Done():
			l.drop(f)
		}
		return
	}
	for {
		select {
		case l.slot <- f:
			return
		default:
		}
		select {
		case old := <-l.slot:
			l.drop(old)
		default:
		}
	}
}

func (l *latest) drop(f *frame) {
	l.drops.Add(1)
	f.release()
}
