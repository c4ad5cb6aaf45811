package tensorrt

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// Denoiser is an open session of a denoiser model at one picture size, with
// fixed memory that each Run reads and writes. Its zero value is of no use:
// OpenDenoiser makes it. One goroutine uses it; only Terminate may be called
// from others. What is not closed stays in memory.
type Denoiser struct {
	choice
	State, Denoised    []float32    // of the padded size, I420 order: Y, then Cb, then Cr
	Blurred, Predicted *image.YCbCr // of the padded size; their visible part is w x h

	model   *Model
	size    image.Point
	sigma   []float32 // the one value of the input of that name
	inputs  tensors
	outputs tensors

	running sync.Mutex // held by the one Run, and by what must not meet it
	session *ort.AdvancedSession

	stop    sync.Mutex // guards the two below
	stopped bool
	options *ort.RunOptions
}

// OpenDenoiser opens the model for pictures of w x h visible pixels on the
// first of the configured providers that passes a real run. The session's
// threads (c.Threads, less the caller's) inherit the priority of the calling OS
// thread: lock and lower it first, and Run on the same one.
func OpenDenoiser(m *Model, c Config, w, h int) (*Denoiser, error) {
	if m.Kind != DenoiserKind {
		return nil, fmt.Errorf("%s: expected a denoiser, found a %s", m.Path, m.Kind)
	}
	size, err := m.Padded(w, h)
	if err != nil {
		return nil, err
	}
	d := newDenoiser(m, size, w, h)
	if err = d.prepare(); err == nil {
		d.choice, err = choose(c.ProvidersFor(DenoiserKind), func(a *Attempt) error { return d.open(&c, a) })
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	return d, nil
}

func newDenoiser(m *Model, size image.Point, w, h int) *Denoiser {
	flat := size.X * size.Y * 3 / 2
	return &Denoiser{
		model: m, size: size,
		State: make([]float32, flat), Denoised: make([]float32, flat), sigma: make([]float32, 1),
		Blurred: infer.NewPlanes(w, h, m.Multiple), Predicted: infer.NewPlanes(w, h, m.Multiple),
	}
}

// prepare makes what does not depend on the provider: the tensors, in the
// contract's order, and the run's options.
func (d *Denoiser) prepare() error {
	return exclusive(func() (err error) {
		if d.options, err = ort.NewRunOptions(); err != nil {
			return err
		}
		hold(d)
		if err = addFlat(&d.inputs, d.State, d.size); err != nil {
			return err
		}
		if err = add(&d.inputs, d.sigma, 1); err != nil {
			return err
		}
		if err = addPicture(&d.inputs, d.Blurred, d.size); err != nil {
			return err
		}
		if err = addPicture(&d.inputs, d.Predicted, d.size); err != nil {
			return err
		}
		return addFlat(&d.outputs, d.Denoised, d.size)
	})
}

// open tries one provider: it creates the session, runs it, and compares it with the CPU.
func (d *Denoiser) open(c *Config, a *Attempt) error {
	note, err := d.create(c, a.Provider)
	if err != nil {
		return err
	}
	took, err := a.trial(d.smoke, func() (string, error) { return d.accept(c, d.model) })
	if err != nil {
		d.closeSession()
		return err
	}
	a.Detail = describe(c, note, took)
	return nil
}

func (d *Denoiser) create(c *Config, provider string) (note string, err error) {
	d.provider = provider
	in, out := names(denoiserInputs), names(denoiserOutputs)
	return newSession(c, provider, DenoiserKind, d.size, func(o *ort.SessionOptions) (err error) {
		if path := c.contextModel(); path != "" && provider == TensorRT {
			d.session, err = ort.NewAdvancedSession(path, in, out, d.inputs.values, d.outputs.values, o)
		} else {
			d.session, err = ort.NewAdvancedSessionWithONNXData(d.model.Data, in, out, d.inputs.values, d.outputs.values, o)
		}
		return err
	})
}

// smoke denoises noise of a middling sigma on a plain picture: the result must
// be written everywhere, finite, and of a residual's size.
func (d *Denoiser) smoke() error {
	const most = 100 // a residual has standard deviation 1
	sigma := math.Sqrt(d.model.SigmaMin * d.model.SigmaMax)
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range d.State {
		d.State[i] = float32(noise.NormFloat64() * math.Hypot(1, sigma))
		d.Denoised[i] = float32(math.NaN())
	}
	paint(d.Blurred, 128, 128)
	paint(d.Predicted, 128, 128)
	if err := d.Run(float32(sigma)); err != nil {
		return err
	}
	for i, v := range d.Denoised {
		if !(v >= -most && v <= most) { // true for NaN too
			return fmt.Errorf("noise on a plain picture came out wrong: expected a number from -%d to %d, found %v at sample %d", most, most, v, i)
		}
	}
	clear(d.State)
	clear(d.Denoised)
	return nil
}

// Run denoises State at a noise level, in units of the state, into Denoised,
// given Blurred and Predicted. It allocates nothing. It returns ErrTerminated
// when Terminate ended it; after any other error but ErrBusy and ErrClosed the
// provider is to be taken for dead.
func (d *Denoiser) Run(sigma float32) error {
	if !d.running.TryLock() {
		return ErrBusy
	}
	defer d.running.Unlock()
	if d.session == nil {
		return ErrClosed
	}
	d.sigma[0] = sigma
	err := d.session.RunWithOptions(d.options)
	if d.endTermination() {
		return ErrTerminated
	}
	if err != nil {
		return fmt.Errorf("%s on %s: %w", d.model.Path, d.provider, err)
	}
	return nil
}

// Terminate ends the Run in progress after the graph's current node, or else
// the next Run at its start: that one Run returns ErrTerminated, and what
// Denoised then holds means nothing. Safe for concurrent use.
func (d *Denoiser) Terminate() {
	d.stop.Lock()
	defer d.stop.Unlock()
	if d.options != nil {
		d.stopped = true
		d.options.Terminate() // sets a flag
	}
}

// endTermination makes the next Run possible, and says whether this one was terminated.
func (d *Denoiser) endTermination() bool {
	d.stop.Lock()
	defer d.stop.Unlock()
	was := d.stopped
	if was {
		d.stopped = false
		d.options.UnsetTerminate() // clears a flag
	}
	return was
}

// Close closes the session, ending a Run in progress first. The pictures and
// slices stay readable. A second Close does nothing.
func (d *Denoiser) Close() {
	d.Terminate()
	d.running.Lock()
	defer d.running.Unlock()
	d.closeSession()
	d.stop.Lock()
	defer d.stop.Unlock()
	if d.options != nil {
		d.inputs.close()
		d.outputs.close()
		release(d, d.options.Destroy)
		d.options = nil
	}
}

func (d *Denoiser) closeSession() {
	if d.session != nil {
		exclusive(d.session.Destroy) // never fails: the library is held
		d.session = nil
	}
}
