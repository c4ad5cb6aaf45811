package infer

import (
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"
)

var (
	testSchedule = Schedule{SigmaMin: 0.02, SigmaMax: 20, Rho: 7}
	testSettings = Settings{Steps: 4, Samples: 1, Seed: 1, Sampler: ODE, Schedule: testSchedule, Scale: Scale{Luma: 10, Chroma: 3}}
)

// gauss is the ideal denoiser of data that is standard normal noise around 0:
// D(x; sigma) = x / (1 + sigma^2).
func gauss(denoised, x []float32, sigma float32) {
	for i, v := range x {
		denoised[i] = float32(float64(v) / (1 + float64(sigma)*float64(sigma)))
	}
}

// bench is a refiner for pictures of w x h around the Gaussian denoiser.
type bench struct {
	*Refiner
	predicted, out *image.YCbCr
}

func newBench(w, h int) bench {
	predicted, out := noisePlanes(w, h, 16, 1), noisePlanes(w, h, 16, 2)
	n := len(predicted.Y) * 3 / 2
	return bench{NewRefiner(make([]float32, n), make([]float32, n), len(predicted.Y)), predicted, out}
}

func (b bench) gauss(sigma float32) error {
	gauss(b.denoised, b.state, sigma)
	return nil
}

// constant answers a residual of v, whatever it is asked.
func (b bench) constant(v float32) func(float32) error {
	return func(float32) error {
		for i := range b.denoised {
			b.denoised[i] = v
		}
		return nil
	}
}

func (b bench) refine(t *testing.T, s Settings) *image.YCbCr {
	t.Helper()
	if _, err := b.Refine(s, b.gauss, b.predicted, b.out); err != nil {
		t.Fatal(err)
	}
	c := NewPlanes(b.out.Rect.Dx(), b.out.Rect.Dy(), 16)
	Copy(c, b.out)
	return c
}

func samePixels(a, b *image.YCbCr) bool {
	return slices.Equal(a.Y, b.Y) && slices.Equal(a.Cb, b.Cb) && slices.Equal(a.Cr, b.Cr)
}

func TestRefineFollowsFromItsArguments(t *testing.T) {
	b := newBench(33, 17)
	for _, sampler := range []Sampler{ODE, Ancestral} {
		s := testSettings
		s.Sampler, s.Samples = sampler, 2
		first := b.refine(t, s)
		other := s
		other.Seed++
		if samePixels(first, b.refine(t, other)) {
			t.Errorf("%s: another seed, same picture", sampler)
		}
		if !samePixels(first, b.refine(t, s)) {
			t.Errorf("%s: same seed, another picture", sampler)
		}
		if !samePixels(first, newBench(33, 17).refine(t, s)) {
			t.Errorf("%s: same seed in another refiner, another picture", sampler)
		}
	}
}

func TestRefineWithoutStepsCopies(t *testing.T) {
	b, s := newBench(33, 17), testSettings
	s.Steps = 0
	n, err := b.Refine(s, func(float32) error { return errors.New("called") }, b.predicted, b.out)
	if n != 0 || err != nil || !samePixels(b.out, b.predicted) {
		t.Errorf("%d evaluations, error %v, copied: %v", n, err, samePixels(b.out, b.predicted))
	}
}

func TestRefineAddsTheScaledResidual(t *testing.T) {
	for _, samples := range []int{1, 3} {
		b, s := newBench(33, 17), testSettings
		s.Samples = samples
		n, err := b.Refine(s, b.constant(1.25), b.predicted, b.out)
		if n != 4*samples || n != s.Evaluations() || err != nil {
			t.Fatalf("%d evaluations, error %v", n, err)
		}
		check := func(name string, out, predicted []byte, add float64) {
			for i := range out {
				if want := byte(math.RoundToEven(min(float64(predicted[i])+add, 255))); out[i] != want {
					t.Fatalf("%d samples, %s[%d]: %d from %d, want %d", samples, name, i, out[i], predicted[i], want)
				}
			}
		}
		check("Y", b.out.Y, b.predicted.Y, 12.5)
		check("Cb", b.out.Cb, b.predicted.Cb, 3.75)
		check("Cr", b.out.Cr, b.predicted.Cr, 3.75)
	}
}

func TestRefineInPlace(t *testing.T) {
	b := newBench(33, 17)
	want := b.refine(t, testSettings)
	if _, err := b.Refine(testSettings, b.gauss, b.predicted, b.predicted); err != nil || !samePixels(b.predicted, want) {
		t.Errorf("error %v, same: %v", err, samePixels(b.predicted, want))
	}
}

func TestFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, bad := range []float32{inf, -inf, inf - inf} {
		if finite([]float32{0, 1, bad, 2}) {
			t.Errorf("%v passes", bad)
		}
	}
	if !finite([]float32{0, -1, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}) {
		t.Error("finite numbers are refused")
	}
}

// Refine is no more than the schedule, the noise in order, and the step functions.
func TestRefineIsItsSteps(t *testing.T) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		b, s := newBench(160, 160), testSettings
		s.Sampler = sampler
		b.refine(t, s)
		rng := rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15))
		x := make([]float32, len(b.state))
		for i := range x {
			x[i] = 20 * float32(rng.NormFloat64())
		}
		sample(sampler, x, s.Schedule, s.Steps, rng)
		if !slices.Equal(x, b.state) {
			t.Errorf("%s: another state", sampler)
		}
	}
}

// Sample k starts from the same noise however many samples there are, and its
// noise has nothing to do with the others'.
func TestSamplesAreIndependent(t *testing.T) {
	starts := func(samples int) (out [][]float32) {
		b, s := newBench(160, 160), testSettings
		s.Samples = samples
		_, err := b.Refine(s, func(sigma float32) error {
			if sigma == b.sigmas[0] {
				out = append(out, slices.Clone(b.state))
			}
			return b.gauss(sigma)
		}, b.predicted, b.out)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, four := starts(1), starts(4)
	if !slices.Equal(one[0], four[0]) {
		t.Error("the first of four samples differs from one alone")
	}
	n := len(one[0])
	for i := range four {
		for j := range i {
			sum := 0.0
			for k := range n {
				sum += float64(four[i][k]) * float64(four[j][k])
			}
			if c := sum / float64(n) / 400; math.Abs(c) > 5/math.Sqrt(float64(n)) {
				t.Errorf("samples %d and %d: correlation %.4f", i, j, c)
			}
		}
	}
}

// The residual of K averaged samples of independent pixels has 1/K of the variance.
func TestAveragingLessensVariance(t *testing.T) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		b := newBench(128, 128)
		s := testSettings
		s.Sampler, s.Steps, s.Scale = sampler, 16, Scale{20, 20}
		for i := range b.predicted.Y {
			b.predicted.Y[i] = 128
		}
		deviation := func(samples int) float64 {
			s.Samples = samples
			sum := 0.0
			for _, v := range b.refine(t, s).Y {
				sum += math.Pow(float64(v)-128, 2)
			}
			return math.Sqrt(sum/float64(len(b.predicted.Y))) / 20
		}
		one, four, nine := deviation(1), deviation(4), deviation(9)
		if math.Abs(one/four-2) > 0.08 || math.Abs(one/nine-3) > 0.12 {
			t.Errorf("%s: deviation %.3f of 1 sample, %.3f of 4, %.3f of 9", sampler, one, four, nine)
		}
	}
}

func TestRefineAllocatesNothing(t *testing.T) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		b, s := newBench(64, 64), testSettings
		s.Sampler, s.Samples, s.Steps = sampler, 2, 63
		denoise := b.gauss
		if n := testing.AllocsPerRun(5, func() {
			if _, err := b.Refine(s, denoise, b.predicted, b.out); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", sampler, n)
		}
	}
}

func TestToByteRoundsHalfToEvenAndClamps(t *testing.T) {
	same := func(v float32) bool {
		return toByte(v) == byte(math.RoundToEven(math.Min(math.Max(float64(v), 0), 255)))
	}
	for i := -40; i < 1100; i++ {
		if v := float32(i) / 4; !same(v) {
			t.Fatalf("%v becomes %d", v, toByte(v))
		}
	}
	if err := quick.Check(func(v float32) bool { return same(v) && same(float32(math.Mod(float64(v), 300))) }, nil); err != nil {
		t.Error(err)
	}
}

func ExampleRefiner_Refine() {
	picture := NewPlanes(640, 480, 16)
	w, h := PaddedSize(picture)
	state, denoised := make([]float32, w*h*3/2), make([]float32, w*h*3/2)
	refiner := NewRefiner(state, denoised, w*h)
	settings := Settings{Steps: 8, Samples: 2, Seed: 1, Sampler: ODE, Schedule: Schedule{0.02, 20, 7}, Scale: Scale{10, 3}}
	n, err := refiner.Refine(settings, func(sigma float32) error {
		clear(denoised) // a network would read state and sigma
		return nil
	}, picture, picture)
	fmt.Println(n, err)
	// Output: 16 <nil>
}
