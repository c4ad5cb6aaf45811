package infer

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
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

func TestRefineInterrupted(t *testing.T) {
	stop := errors.New("terminated")
	for _, sampler := range []Sampler{ODE, Ancestral} {
		for at := range 8 {
			b, s := newBench(33, 17), testSettings
			s.Samples, s.Sampler = 2, sampler
			before := NewPlanes(33, 17, 16)
			Copy(before, b.out)
			calls := 0
			n, err := b.Refine(s, func(sigma float32) error {
				if calls == at {
					return stop
				}
				calls++
				return b.gauss(sigma)
			}, b.predicted, b.out)
			if n != at || !errors.Is(err, stop) || !samePixels(before, b.out) {
				t.Errorf("stopped after %d: %d evaluations, error %v, out untouched: %v", at, n, err, samePixels(before, b.out))
			}
		}
	}
}

func TestRefineRefusesWhatIsNotFinite(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, at := range []int{0, 700, 32*48*3/2 - 1} {
			b := newBench(33, 17)
			before := NewPlanes(33, 17, 16)
			Copy(before, b.out)
			_, err := b.Refine(testSettings, func(sigma float32) error {
				_ = b.gauss(sigma)
				b.denoised[at] = float32(bad)
				return nil
			}, b.predicted, b.out)
			if !errors.Is(err, ErrNotFinite) || !samePixels(before, b.out) {
				t.Errorf("%v at %d: error %v, out untouched: %v", bad, at, err, samePixels(before, b.out))
			}
		}
	}
}

func TestRefineRefusesOtherSizes(t *testing.T) {
	b := newBench(33, 17)
	for name, p := range map[string][2]*image.YCbCr{
		"both larger":     {NewPlanes(64, 64, 16), NewPlanes(64, 64, 16)},
		"out larger":      {b.predicted, NewPlanes(64, 64, 16)},
		"out shows less":  {b.predicted, NewPlanes(33, 16, 32)},
		"out as wide":     {b.predicted, NewPlanes(32, 33, 16)},
		"not 4:2:0":       {image.NewYCbCr(image.Rect(0, 0, 48, 32), image.YCbCrSubsampleRatio444), b.out},
		"predicted small": {NewPlanes(16, 16, 16), b.out},
	} {
		if _, err := b.Refine(testSettings, b.gauss, p[0], p[1]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRefineRefusesFaultySettings(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"steps must not":   func(s *Settings) { s.Steps = -1 },
		"samples must":     func(s *Settings) { s.Samples = 0 },
		"sampler must":     func(s *Settings) { s.Sampler = "heun" },
		"rho":              func(s *Settings) { s.Schedule.Rho = 0 },
		"sigma_min":        func(s *Settings) { s.Schedule.SigmaMin = 20 },
		"sigma_max":        func(s *Settings) { s.Schedule.SigmaMax = math.Inf(1) },
		"not sigma_min Na": func(s *Settings) { s.Schedule.SigmaMin = math.NaN() },
		"residual scales":  func(s *Settings) { s.Scale.Chroma = 0 },
	} {
		b, s := newBench(16, 16), testSettings
		change(&s)
		if _, err := b.Refine(s, b.gauss, b.predicted, b.out); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := testSettings.Check(); err != nil {
		t.Error(err)
	}
}

func TestNewRefinerRefusesOtherLayouts(t *testing.T) {
	for _, n := range [][3]int{{0, 0, 0}, {24, 24, 15}, {24, 23, 16}, {32, 32, 16}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: no panic", n)
				}
			}()
			NewRefiner(make([]float32, n[0]), make([]float32, n[1]), n[2])
		}()
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
		b := newBench(160, 160)
		s := testSettings
		s.Sampler, s.Steps, s.Scale = sampler, 60, Scale{20, 20}
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
		if math.Abs(one/four-2) > 0.05 || math.Abs(one/nine-3) > 0.08 {
			t.Errorf("%s: deviation %.3f of 1 sample, %.3f of 4, %.3f of 9", sampler, one, four, nine)
		}
	}
}

func TestRefineAllocatesNothing(t *testing.T) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		b, s := newBench(200, 200), testSettings
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
