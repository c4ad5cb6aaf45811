package capture

import (
	"context"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"time"
)

// Scene is the synthetic scene seen by a shaking camera: text, codes, edges and a zone plate, of which the sharp
// view is known. A cycle of blurred frames is drawn once and repeated with fresh noise, so that a frame costs little
// more than a copy. It is not safe for concurrent use.
type Scene struct {
	width, height int
	seed          uint64
	sharp         *image.YCbCr // more than the view: the camera pans over it
	views         []view       // one cycle
	luma, chroma  []int16      // noise in grey levels; rows begin at random places of the first noisePeriod
	rng           *rand.PCG    // of those places
}

// view is one frame of the cycle.
type view struct {
	origin  image.Point // of the sharp view; even, so that chroma needs no interpolation
	blurred *image.YCbCr
}

const (
	longestCycle = 30       // frames
	cycleMemory  = 24 << 20 // bytes for the blurred views
	panReach     = 16       // pixels to each side
	noisePeriod  = 1 << 16
)

// NewScene draws the scene for views of w x h pixels. The cycle has 30 frames, fewer (at least 4) where those take
// more than 24 MB: 18 at 1280x720, 8 at 1920x1080. Its blurred views are drawn here, which takes about 10 ms each
// at 640x360; ctx ends that early.
func NewScene(ctx context.Context, c SceneConfig, w, h int) (*Scene, error) {
	s := &Scene{width: w, height: h, seed: c.Seed, rng: rand.NewPCG(0, 0)}
	paths := drawPaths(c, cycleLength(w, h))
	margin := panReach + paths.reach + 2
	margin += margin & 1
	canvas := image.NewRGBA(image.Rect(0, 0, 2*half(w)+2*margin, 2*half(h)+2*margin))
	dx, dy := min(panReach, w/8), min(panReach/2, h/8)
	paint(canvas, image.Rect(margin+dx, margin+dy, margin+w-dx, margin+h-dy), c.Seed) // what stays in view
	s.sharp = image.NewYCbCr(canvas.Rect, image.YCbCrSubsampleRatio420)
	FromImage(s.sharp, canvas)
	shutter := newShutter(canvas, 2*half(w), 2*half(h)) // even, so that chroma at odd edges is the canvas's
	for n, path := range paths.kernels {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		origin := image.Pt(margin, margin)
		if !c.Rest {
			origin = origin.Add(pan(n, len(paths.kernels)))
		}
		s.views = append(s.views, view{origin, shutter.expose(origin, path)})
	}
	s.luma, s.chroma = drawNoise(c.Seed, c.Noise, w), drawNoise(^c.Seed, c.Noise/2, w)
	return s, nil
}

func cycleLength(w, h int) int {
	return min(max(cycleMemory/(w*h*3/2), 4), longestCycle)
}

// pan is the camera's position at frame n of a cycle: an ellipse, in even pixels.
func pan(n, cycle int) image.Point {
	sin, cos := math.Sincos(2 * math.Pi * float64(n) / float64(cycle))
	even := func(v float64) int { return 2 * int(math.Round(v/2)) }
	return image.Pt(even(panReach*cos), even(panReach/2*sin))
}

// drawNoise is nil for no noise.
func drawNoise(seed uint64, deviation float64, width int) []int16 {
	if deviation == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(seed, 0x6e6f697365))
	noise := make([]int16, noisePeriod+width)
	for i := range noise {
		noise[i] = int16(math.Round(rng.NormFloat64() * deviation))
	}
	return noise
}

// Draw fills blurred with frame number of the motion, noise added (half of it to chroma), and sharp with what a camera at rest at the
// motion path's centroid would have seen. Either may be nil. The same seed, size and number give the same frame.
func (s *Scene) Draw(number uint64, blurred, sharp *image.YCbCr) {
	v := &s.views[number%uint64(len(s.views))]
	if sharp != nil {
		x, y, cw, ch := v.origin.X, v.origin.Y, half(s.width), half(s.height)
		copyRows(sharp.Y, sharp.YStride, s.sharp.Y[y*s.sharp.YStride+x:], s.sharp.YStride, s.width, s.height)
		at := y/2*s.sharp.CStride + x/2
		copyRows(sharp.Cb, sharp.CStride, s.sharp.Cb[at:], s.sharp.CStride, cw, ch)
		copyRows(sharp.Cr, sharp.CStride, s.sharp.Cr[at:], s.sharp.CStride, cw, ch)
	}
	if blurred != nil {
		s.rng.Seed(s.seed, number)
		s.grain(blurred.Y, blurred.YStride, v.blurred.Y, v.blurred.YStride, s.width, s.height, s.luma)
		s.grain(blurred.Cb, blurred.CStride, v.blurred.Cb, v.blurred.CStride, half(s.width), half(s.height), s.chroma)
		s.grain(blurred.Cr, blurred.CStride, v.blurred.Cr, v.blurred.CStride, half(s.width), half(s.height), s.chroma)
	}
}

// fits refuses pictures of another size.
func (s *Scene) fits(pictures ...*image.YCbCr) error {
	for _, p := range pictures {
		if p != nil && (p.Rect.Dx() != s.width || p.Rect.Dy() != s.height) {
			return fmt.Errorf("a picture of %v for a scene of %dx%d", p.Rect.Size(), s.width, s.height)
		}
	}
	return nil
}

func copyRows(dst []byte, dstride int, src []byte, sstride, w, h int) {
	for y := range h {
		copy(dst[y*dstride:][:w], src[y*sstride:])
	}
}

// grain copies a plane and adds noise to it.
func (s *Scene) grain(dst []byte, dstride int, src []byte, sstride, w, h int, noise []int16) {
	if noise == nil {
		copyRows(dst, dstride, src, sstride, w, h)
		return
	}
	for y := range h {
		to, from := dst[y*dstride:][:w], src[y*sstride:][:w]
		for i, n := range noise[s.rng.Uint64()%noisePeriod:][:w] {
			to[i] = byte(min(max(int32(from[i])+int32(n), 0), 255))
		}
	}
}

// Defaults for what the configuration leaves open.
const sceneWidth, sceneHeight, sceneRate = 640, 360, 15

func openScene(ctx context.Context, c Config) (*Camera, error) {
	w, h := c.Width, c.Height
	if w == 0 {
		w, h = sceneWidth, sceneHeight
	}
	scene, err := NewScene(ctx, c.Synthetic, w, h)
	if err != nil {
		return nil, err
	}
	p := newPace(c.AsFastAsPossible, c.FPS, sceneRate)
	var place uint64
	read := func(ctx context.Context, f *Frame) error {
		if err := scene.fits(f.Image, f.Truth); err != nil {
			return err
		}
		if err := p.wait(ctx, place); err != nil {
			return err
		}
		f.Sequence = p.newest(place)
		f.Skipped = int(f.Sequence - place)
		place = f.Sequence + 1
		f.Time = p.due(f.Sequence)
		start := time.Now()
		scene.Draw(f.Sequence, f.Image, f.Truth)
		f.Decode = time.Since(start)
		return nil
	}
	return &Camera{
		Name: fmt.Sprintf("synthetic-%d", c.Synthetic.Seed), Config: c,
		Asked: Format{c.Format, c.Width, c.Height, c.FPS}, Granted: Format{"YU12", w, h, p.fps},
		HasTruth: true, Lossless: c.AsFastAsPossible, read: read, close: func() error { return nil },
	}, nil
}
