package infer

import (
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
)

// ErrNotFinite is Refine's answer to a denoiser that returned NaN or an infinite
// value (a half-precision provider that overflowed, as a rule).
var ErrNotFinite = errors.New("infer: the denoiser returned values that are not finite")

// noiseBlock is how many samples of fresh noise are held at a time.
const noiseBlock = 4096

// Refiner draws samples of the residual (sharp - predicted) for pictures of one
// padded size and adds their mean to the prediction. It is not safe for
// concurrent use, and its zero value is of no use: call NewRefiner.
type Refiner struct {
	state, denoised []float32 // the denoiser's own buffers
	luma            int       // how many of them are luma
	sum             []float32 // of the samples so far
	noise           []float32
	sigmas          []float32
	pcg             *rand.PCG
	rng             *rand.Rand
}

// NewRefiner prepares a refiner around a denoiser's buffers: state is what it
// reads, denoised what it writes, both I420 order, flat, of which the first
// lumaLen values are luma. Panics unless the rest is two planes of a quarter.
func NewRefiner(state, denoised []float32, lumaLen int) *Refiner {
	if lumaLen <= 0 || len(state) != len(denoised) || 2*len(state) != 3*lumaLen {
		panic(fmt.Sprintf("infer: NewRefiner: state %d, denoised %d, luma %d values", len(state), len(denoised), lumaLen))
	}
	pcg := rand.NewPCG(0, 0)
	return &Refiner{
		state:    state,
		denoised: denoised,
		luma:     lumaLen,
		sum:      make([]float32, len(state)),
		noise:    make([]float32, noiseBlock),
		sigmas:   make([]float32, 0, 64),
		pcg:      pcg,
		rng:      rand.New(pcg),
	}
}

// Refine draws s.Samples samples of the residual of predicted, with s.Steps
// evaluations each, and writes
//
//	out = clamp(round(predicted + scale * mean))
//
// to all of out, padding included; out may be predicted. denoise reads the state
// at noise level sigma and writes the denoised residual. evaluations counts its
// successful calls. No steps copy predicted. The result follows from the
// arguments alone: noise starts from s.Seed at each call, and sample k is the same
// however many there are.
//
// On any error out is untouched: denoise's own error is wrapped, ErrNotFinite
// says that the sum left the finite numbers, others are faulty arguments.
// Nothing is allocated otherwise, except on the first call with more than 63 steps.
func (r *Refiner) Refine(s Settings, denoise func(sigma float32) error, predicted, out *image.YCbCr) (evaluations int, err error) {
	if err := s.Check(); err != nil {
		return 0, fmt.Errorf("infer: %w", err)
	}
	if err := r.fits(predicted, out); err != nil {
		return 0, err
	}
	if s.Steps == 0 {
		Copy(out, predicted)
		return 0, nil
	}
	r.sigmas = s.Schedule.Sigmas(r.sigmas, s.Steps)
	for k := range s.Samples {
		r.start(s.Seed, k)
		for i := range s.Steps {
			if err := denoise(r.sigmas[i]); err != nil {
				return evaluations, fmt.Errorf("infer: evaluation %d of %d: %w", evaluations+1, s.Evaluations(), err)
			}
			evaluations++
			r.step(s.Sampler, r.sigmas[i], r.sigmas[i+1])
		}
		r.add(k, s.Samples)
	}
	mean := r.mean(s.Samples)
	if !finite(mean) {
		return evaluations, ErrNotFinite
	}
	r.compose(mean, s, predicted, out)
	return evaluations, nil
}

// fits checks that both pictures have the padded size that r was made for.
func (r *Refiner) fits(predicted, out *image.YCbCr) error {
	if len(predicted.Y) != r.luma || len(predicted.Cb) != r.luma/4 || len(predicted.Cr) != r.luma/4 {
		w, h := PaddedSize(predicted)
		return fmt.Errorf("infer: a picture padded to %dx%d for a refiner of %d pixels", w, h, r.luma)
	}
	if !sameLayout(predicted, out) || predicted.Rect != out.Rect {
		return fmt.Errorf("infer: prediction %v and result %v differ in size or padding", predicted.Rect, out.Rect)
	}
	return nil
}

// start fills the state with the noise of sample k: sigma_max * N(0, 1).
func (r *Refiner) start(seed uint64, k int) {
	r.pcg.Seed(seed, uint64(k+1)*0x9e3779b97f4a7c15) // spread, as neighbouring PCG seeds begin alike
	sigma := r.sigmas[0]
	for i := range r.state {
		r.state[i] = sigma * float32(r.rng.NormFloat64())
	}
}

// step moves the state from sigma to next by the denoiser's last answer.
func (r *Refiner) step(sampler Sampler, sigma, next float32) {
	if sampler == ODE || next == 0 {
		StepODE(r.state, r.denoised, sigma, next) // without fresh noise both are the same step
		return
	}
	for i := 0; i < len(r.state); i += noiseBlock {
		end := min(i+noiseBlock, len(r.state))
		noise := r.noise[:end-i]
		for j := range noise {
			noise[j] = float32(r.rng.NormFloat64())
		}
		StepAncestral(r.state[i:end], r.denoised[i:end], noise, sigma, next)
	}
}

// add takes in sample k, the state, of samples.
func (r *Refiner) add(k, samples int) {
	switch {
	case samples == 1: // the state is its own mean
	case k == 0:
		copy(r.sum, r.state)
	default:
		sum := r.sum[:len(r.state)]
		for i, v := range r.state {
			sum[i] += v
		}
	}
}

// mean is the mean of all samples added.
func (r *Refiner) mean(samples int) []float32 {
	if samples == 1 {
		return r.state
	}
	share := 1 / float32(samples)
	for i := range r.sum {
		r.sum[i] *= share
	}
	return r.sum
}

// finite reports whether x holds neither NaN nor infinities: only they have all
// bits of the exponent set.
func finite(x []float32) bool {
	var largest uint32
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&^(1<<31))
	}
	return largest < 0xff<<23
}

func (r *Refiner) compose(mean []float32, s Settings, predicted, out *image.YCbCr) {
	chroma := mean[r.luma:]
	quarter := len(chroma) / 2
	composePlane(out.Y, predicted.Y, mean[:r.luma], s.Scale.Luma)
	composePlane(out.Cb, predicted.Cb, chroma[:quarter], s.Scale.Chroma)
	composePlane(out.Cr, predicted.Cr, chroma[quarter:], s.Scale.Chroma)
}

// composePlane writes clamp(round(predicted + scale*residual)), halves to even
// as everywhere in the models.
func composePlane(out, predicted []byte, residual []float32, scale float32) {
	out, predicted = out[:len(residual)], predicted[:len(residual)]
	for i, v := range residual {
		out[i] = toByte(float32(predicted[i]) + float32(scale*v))
	}
}

// toByte rounds half to even and clamps. 2^23 leaves no room for a fraction in a
// float32, so adding it rounds, and the byte is in the lowest bits.
func toByte(v float32) byte {
	if v < 0 {
		v = 0
	} else if v > 255 {
		v = 255
	}
	return byte(math.Float32bits(v + 1<<23))
}
