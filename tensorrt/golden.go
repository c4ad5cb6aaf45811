package tensorrt

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math"
	"strings"

	"sharpend/infer"
)

// Golden is a recorded run that a model file carries in its metadata, written
// by the framework that trained it: on this input, the network returns that
// output. All pictures have the size Width x Height.
type Golden struct {
	Width, Height int          // multiples of the model's multiple
	Blurred       *image.YCbCr // input
	Predicted     *image.YCbCr // a predictor's output, a denoiser's further input
	Sigma         float32      // a denoiser's noise level
	State         []float32    // a denoiser's input, I420 order
	Denoised      []float32    // a denoiser's output, I420 order
}

// GoldenLimit is the least agreement, in dB, between a network's output and the
// recorded one. Rounding differs by a grey level here and there (60 dB and more);
// another network is off by 30 dB or less.
const GoldenLimit = 45.0

// The metadata's keys.
const (
	goldenWidth  = "golden_width"
	goldenHeight = "golden_height"
	goldenInput  = "golden_input"  // base64; a predictor's: Blurred; a denoiser's: State, Blurred, Predicted
	goldenOutput = "golden_output" // base64; a predictor's: Predicted; a denoiser's: Denoised
	goldenSigma  = "golden_sigma"
)

// ErrNoGolden is a model without a recorded run.
var ErrNoGolden = errors.New("the file carries no golden picture (metadata golden_*): whether its arithmetic is right cannot be told")

// Golden is the model's recorded run: pictures are I420 bytes, numbers float32,
// little endian. ErrNoGolden if it has none; a *ContractError if it is faulty.
func (m *Model) Golden() (*Golden, error) {
	if _, ok := m.Meta[goldenOutput]; !ok {
		return nil, ErrNoGolden
	}
	meta := metadata{values: m.Meta}
	const most = 1024 // pixels: it is run in a moment, and kept in the file
	g := &Golden{
		Width:  meta.integer(goldenWidth, m.Multiple, most, m.Multiple, fmt.Sprintf("a multiple of %d up to %d", m.Multiple, most)),
		Height: meta.integer(goldenHeight, m.Multiple, most, m.Multiple, fmt.Sprintf("a multiple of %d up to %d", m.Multiple, most)),
	}
	if meta.faults == nil {
		g.read(m, &meta)
	}
	if meta.faults != nil {
		return nil, &ContractError{m.Path, m.Kind, meta.faults}
	}
	return g, nil
}

func (g *Golden) read(m *Model, meta *metadata) {
	samples := g.Width * g.Height * 3 / 2
	if m.Kind == PredictorKind {
		g.Blurred = g.picture(meta.bytes(goldenInput, samples))
		g.Predicted = g.picture(meta.bytes(goldenOutput, samples))
		return
	}
	g.Sigma = float32(meta.positive(goldenSigma))
	input := meta.bytes(goldenInput, 6*samples)
	g.State = numbers(input[:4*samples])
	g.Blurred, g.Predicted = g.picture(input[4*samples:5*samples]), g.picture(input[5*samples:])
	g.Denoised = numbers(meta.bytes(goldenOutput, 4*samples))
}

// bytes is a value of so many bytes in base64; zeros where it is faulty.
func (m *metadata) bytes(key string, n int) []byte {
	data, err := base64.StdEncoding.DecodeString(m.values[key])
	if err == nil && len(data) == n {
		return data
	}
	found := "none"
	if value, ok := m.values[key]; ok {
		found = fmt.Sprintf("%d characters", len(value))
	}
	m.faults = append(m.faults, fmt.Sprintf("metadata %s: expected %d bytes in base64, found %s", key, n, found))
	return make([]byte, n)
}

func (g *Golden) picture(i420 []byte) *image.YCbCr {
	p := infer.NewPlanes(g.Width, g.Height, 2)
	luma := g.Width * g.Height
	copy(p.Y, i420[:luma])
	copy(p.Cb, i420[luma:luma+luma/4])
	copy(p.Cr, i420[luma+luma/4:])
	return p
}

func numbers(data []byte) []float32 {
	f := make([]float32, len(data)/4)
	for i := range f {
		f[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return f
}

// GoldenError is a network that does not return what was recorded.
type GoldenError struct {
	Path string
	DB   float64 // what it reached
}

func (e *GoldenError) Error() string {
	return fmt.Sprintf("%s: expected the recorded golden picture within %.0f dB, found %.1f dB: the file is damaged, or its golden picture belongs to other weights",
		e.Path, GoldenLimit, e.DB)
}

// CheckGolden runs the model on its golden input, on the CPU, and says how well
// the output agrees with the recorded one: peak signal (a denoiser's: the
// recorded output's RMS) to RMS error, over all planes, in dB. ErrNoGolden,
// *ContractError and, below GoldenLimit, *GoldenError are its own errors.
func (m *Model) CheckGolden() (db float64, err error) {
	g, err := m.Golden()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", m.Path, err)
	}
	c := Default()
	c.Providers, c.Threads = []string{CPU}, 1
	if m.Kind == PredictorKind {
		db, err = g.predict(m, c)
	} else {
		db, err = g.denoise(m, c)
	}
	if err == nil && !(db >= GoldenLimit) { // not a number is none
		err = &GoldenError{m.Path, db}
	}
	return db, err
}

func (g *Golden) predict(m *Model, c Config) (float64, error) {
	p, err := OpenPredictor(m, c, g.Width, g.Height)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	out := infer.NewPlanes(g.Width, g.Height, 2)
	b, err := p.Bind(g.Blurred, out)
	if err != nil {
		return 0, err
	}
	if err := b.Run(); err != nil {
		return 0, err
	}
	var square float64
	for _, plane := range [][2][]byte{{out.Y, g.Predicted.Y}, {out.Cb, g.Predicted.Cb}, {out.Cr, g.Predicted.Cr}} {
		for i, v := range plane[0] {
			d := float64(v) - float64(plane[1][i])
			square += d * d
		}
	}
	return decibels(255*255*float64(g.Width*g.Height*3/2), square), nil
}

func (g *Golden) denoise(m *Model, c Config) (float64, error) {
	d, err := OpenDenoiser(m, c, g.Width, g.Height)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	copy(d.State, g.State)
	infer.Copy(d.Blurred, g.Blurred)
	infer.Copy(d.Predicted, g.Predicted)
	if err := d.Run(g.Sigma); err != nil {
		return 0, err
	}
	var signal, square float64
	for i, v := range d.Denoised {
		e := float64(v) - float64(g.Denoised[i])
		square += e * e
		signal += float64(g.Denoised[i]) * float64(g.Denoised[i])
	}
	return decibels(signal, square), nil
}

// decibels of two energies; 99 for an exact match.
func decibels(signal, noise float64) float64 {
	if noise == 0 {
		return 99
	}
	return 10 * math.Log10(signal/noise)
}

// LoadAny is LoadModel for a file of either kind: its metadata says which.
func LoadAny(path string) (*Model, error) {
	m, err := LoadModel(path, PredictorKind)
	var contract *ContractError
	if errors.As(err, &contract) && len(contract.Faults) == 1 && strings.HasSuffix(contract.Faults[0], `found "`+DenoiserKind+`"`) {
		return LoadModel(path, DenoiserKind)
	}
	return m, err
}
