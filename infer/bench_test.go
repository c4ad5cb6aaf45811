package infer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The picture of most benchmarks: 1280x720.
const benchW, benchH, benchLen = 1280, 720, 1280 * 720 * 3 / 2

func perSample(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/benchLen/float64(time.Nanosecond), "ns/sample")
}

func BenchmarkNoise(b *testing.B) {
	r := NewRefiner(make([]float32, benchLen), make([]float32, benchLen), benchW*benchH)
	r.sigmas = testSchedule.Sigmas(nil, 4)
	for b.Loop() {
		r.start(1, 0)
	}
	perSample(b)
}

func benchArrays() (x, denoised, noise []float32) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, denoised, noise = make([]float32, benchLen), make([]float32, benchLen), make([]float32, benchLen)
	for i := range x {
		x[i], denoised[i], noise[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	return x, denoised, noise
}

func BenchmarkStepODE(b *testing.B) {
	x, denoised, _ := benchArrays()
	for b.Loop() {
		StepODE(x, denoised, 2, 1.9)
	}
	perSample(b)
}

func BenchmarkStepAncestral(b *testing.B) {
	x, denoised, noise := benchArrays()
	for b.Loop() {
		StepAncestral(x, denoised, noise, 2, 1.9)
	}
	perSample(b)
}

func BenchmarkCompose(b *testing.B) {
	x, _, _ := benchArrays()
	in, out := noisePlanes(benchW, benchH, 16, 1), NewPlanes(benchW, benchH, 16)
	r := NewRefiner(x, make([]float32, benchLen), benchW*benchH)
	for b.Loop() {
		r.compose(x, testSettings, in, out)
	}
	perSample(b)
}

func BenchmarkFinite(b *testing.B) {
	x, _, _ := benchArrays()
	for b.Loop() {
		finite(x)
	}
	perSample(b)
}

// BenchmarkRefine is all of a refinement but the network: 8 steps, 1 sample.
func BenchmarkRefine(b *testing.B) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		b.Run(string(sampler), func(b *testing.B) {
			r := NewRefiner(make([]float32, benchLen), make([]float32, benchLen), benchW*benchH)
			in, out := noisePlanes(benchW, benchH, 16, 1), NewPlanes(benchW, benchH, 16)
			s := testSettings
			s.Steps, s.Sampler = 8, sampler
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Refine(s, func(float32) error { return nil }, in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
