package tensorrt

import (
	"fmt"
	"image"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// Predictor is an open session of a predictor model at one picture size.
// Its zero value is of no use: OpenPredictor makes it. It runs one picture at a
// time; a concurrent Run gets ErrBusy. What is not closed stays in memory.
type Predictor struct {
	choice
	model *Model
	size  image.Point // padded

	running  sync.Mutex // held by the one Run, and by what must not meet it
	session  *ort.DynamicAdvancedSession
	bindings map[*Binding]struct{}
	// ONNX Runtime copies a bound input to a GPU when it is bound, not when it
	// runs: without binding anew, each frame would show the first one.
	rebind bool
}

// OpenPredictor opens the model for pictures of w x h visible pixels on the
// first of the configured providers that passes a real run.
func OpenPredictor(m *Model, c Config, w, h int) (*Predictor, error) {
	if m.Kind != PredictorKind {
		return nil, fmt.Errorf("%s: expected a predictor, found a %s", m.Path, m.Kind)
	}
	size, err := m.Padded(w, h)
	if err != nil {
		return nil, err
	}
	p := newPredictor(m, size)
	p.choice, err = choose(c.ProvidersFor(PredictorKind), func(a *Attempt) error { return p.open(&c, a) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Path, err)
	}
	return p, nil
}

func newPredictor(m *Model, size image.Point) *Predictor {
	return &Predictor{model: m, size: size, bindings: map[*Binding]struct{}{}}
}

// open tries one provider: it creates the session, runs it, and compares it with the CPU.
func (p *Predictor) open(c *Config, a *Attempt) error {
	note, err := p.create(c, a.Provider)
	if err != nil {
		return err
	}
	took, err := a.trial(p.smoke, func() (string, error) { return p.accept(c, p.model) })
	if err != nil {
		p.Close()
		return err
	}
	a.Detail = describe(c, note, took)
	return nil
}

func (p *Predictor) create(c *Config, provider string) (note string, err error) {
	p.provider, p.rebind = provider, provider != CPU
	in, out := names(predictorInputs), names(predictorOutputs)
	return newSession(c, provider, PredictorKind, p.size, func(o *ort.SessionOptions) (err error) {
		if path := c.contextModel(); path != "" && provider == TensorRT {
			p.session, err = ort.NewDynamicAdvancedSession(path, in, out, o)
		} else {
			p.session, err = ort.NewDynamicAdvancedSessionWithONNXData(p.model.Data, in, out, o)
		}
		if err == nil {
			hold(p)
		}
		return err
	})
}

// smoke runs two plain pictures: a sharpened plain picture is about the same,
// and the second shows whether a run really reads its input and writes its output.
func (p *Predictor) smoke() error {
	in := infer.NewPlanes(p.size.X, p.size.Y, p.model.Multiple)
	out := infer.NewPlanes(p.size.X, p.size.Y, p.model.Multiple)
	b, err := p.Bind(in, out)
	if err != nil {
		return err
	}
	defer b.Close()
	for _, grey := range [][2]byte{{128, 128}, {48, 100}} {
		if err := b.tryGrey(in, out, grey[0], grey[1]); err != nil {
			return err
		}
	}
	return nil
}

// tryGrey runs the binding on a plain picture.
func (b *Binding) tryGrey(in, out *image.YCbCr, luma, chroma byte) error {
	paint(in, luma, chroma)
	paint(out, ^luma, ^chroma)
	if err := b.Run(); err != nil {
		return err
	}
	return plausible(out, luma, chroma)
}

func paint(img *image.YCbCr, luma, chroma byte) {
	for i := range img.Y {
		img.Y[i] = luma
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = chroma, chroma
	}
}

// plausible compares the mean of each plane with the grey that went in.
func plausible(out *image.YCbCr, luma, chroma byte) error {
	const most = 24 // grey levels
	for _, plane := range []struct {
		name string
		data []byte
		want byte
	}{{"luma", out.Y, luma}, {"cb", out.Cb, chroma}, {"cr", out.Cr, chroma}} {
		sum := 0
		for _, v := range plane.data {
			sum += int(v)
		}
		mean := float64(sum) / float64(len(plane.data))
		if diff := mean - float64(plane.want); diff > most || diff < -most {
			return fmt.Errorf("a plain picture came out wrong: expected %s of about %d, found a mean of %.1f", plane.name, plane.want, mean)
		}
	}
	return nil
}

// Binding ties a predictor to one pair of pictures, without copies: a Run reads
// in's memory and writes out's, padding included. While it is open, the
// pictures' memory is pinned.
type Binding struct {
	p       *Predictor
	io      *ort.IoBinding // nil when closed
	inputs  tensors
	outputs tensors
}

// Bind ties in and out, two pictures from infer.NewPlanes of the predictor's
// size, to the predictor. The Binding lives until its Close, or the predictor's.
func (p *Predictor) Bind(in, out *image.YCbCr) (*Binding, error) {
	for _, img := range []*image.YCbCr{in, out} {
		if err := checkLayout(img, p.size); err != nil {
			return nil, fmt.Errorf("%s: %w", p.model.Path, err)
		}
	}
	if &in.Y[0] == &out.Y[0] {
		return nil, fmt.Errorf("%s: a picture cannot be its own result", p.model.Path)
	}
	p.running.Lock()
	defer p.running.Unlock()
	if p.session == nil {
		return nil, ErrClosed
	}
	b := &Binding{p: p}
	p.bindings[b] = struct{}{}
	if err := b.bind(in, out); err != nil {
		b.close()
		return nil, fmt.Errorf("%s on %s: %w", p.model.Path, p.provider, err)
	}
	return b, nil
}

func (b *Binding) bind(in, out *image.YCbCr) (err error) {
	if b.io, err = b.p.session.CreateIoBinding(); err != nil {
		return err
	}
	if err = addPicture(&b.inputs, in, b.p.size); err != nil {
		return err
	}
	if err = addPicture(&b.outputs, out, b.p.size); err != nil {
		return err
	}
	for i, v := range b.outputs.values {
		if err = b.io.BindOutput(predictorOutputs[i].name, v); err != nil {
			return err
		}
	}
	return b.bindInputs()
}

func (b *Binding) bindInputs() error {
	for i, v := range b.inputs.values {
		if err := b.io.BindInput(predictorInputs[i].name, v); err != nil {
			return err
		}
	}
	return nil
}

// Run sharpens the binding's picture. It allocates nothing. After any error but
// ErrBusy and ErrClosed the provider is to be taken for dead.
func (b *Binding) Run() error {
	p := b.p
	if !p.running.TryLock() {
		return ErrBusy
	}
	defer p.running.Unlock()
	if b.io == nil {
		return ErrClosed
	}
	if err := b.run(); err != nil {
		return fmt.Errorf("%s on %s: %w", p.model.Path, p.provider, err)
	}
	return nil
}

func (b *Binding) run() error {
	if b.p.rebind {
		if err := b.bindInputs(); err != nil {
			return err
		}
	}
	return b.p.session.RunWithBinding(b.io)
}

// Close frees the pictures, after a Run in progress. A second Close does nothing.
func (b *Binding) Close() {
	b.p.running.Lock()
	defer b.p.running.Unlock()
	b.close()
}

func (b *Binding) close() {
	if b.io != nil {
		b.io.Destroy() // never fails
		b.io = nil
	}
	b.inputs.close()
	b.outputs.close()
	delete(b.p.bindings, b)
}

// Close closes the session and its bindings, after a Run in progress. A second Close does nothing.
func (p *Predictor) Close() {
	p.running.Lock()
	defer p.running.Unlock()
	for b := range p.bindings {
		b.close()
	}
	if p.session != nil {
		release(p, p.session.Destroy)
		p.session = nil
	}
}
