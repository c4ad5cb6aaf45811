package infer

import (
	"errors"
	"image"
	"math"
	"strings"
	"testing"
)

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
		"both larger":               {NewPlanes(64, 64, 16), NewPlanes(64, 64, 16)},
		"out larger":                {b.predicted, NewPlanes(64, 64, 16)},
		"out shows less":            {b.predicted, NewPlanes(33, 16, 32)},
		"out as wide":               {b.predicted, NewPlanes(32, 33, 16)},
		"same memory, another size": {b.predicted, NewPlanes(33, 18, 16)},
		"not 4:2:0":                 {image.NewYCbCr(image.Rect(0, 0, 48, 32), image.YCbCrSubsampleRatio444), b.out},
		"predicted small":           {NewPlanes(16, 16, 16), b.out},
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
