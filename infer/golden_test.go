package infer

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden reads one of the files that train/golden.py writes.
func golden(t *testing.T, name string, into any) {
	t.Helper()
	path := "../models/golden/" + name
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (train/golden.py writes it)", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// goldenSchedule is a schedule, its step count and noise levels in Python.
type goldenSchedule struct {
	Steps    int       `json:"steps"`
	SigmaMin float64   `json:"sigma_min"`
	SigmaMax float64   `json:"sigma_max"`
	Rho      float64   `json:"rho"`
	Sigmas   []float64 `json:"sigmas"`
}

func (g goldenSchedule) compare(t *testing.T) []float32 {
	t.Helper()
	got := Schedule{g.SigmaMin, g.SigmaMax, g.Rho}.Sigmas(nil, g.Steps)
	compare(t, "noise levels", got, g.Sigmas, 0)
	return got
}

// compare allows for the rounding of float32 along a few steps, of numbers as
// large as size and more.
func compare(t *testing.T, name string, got []float32, want []float64, size float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: %d values, want %d", name, len(got), len(want))
	}
	for i, v := range got {
		if math.Abs(float64(v)-want[i]) > 2e-6*max(math.Abs(want[i]), size) {
			t.Errorf("%s, value %d: %v, want %v", name, i, v, want[i])
		}
	}
}

func TestSigmasMatchPython(t *testing.T) {
	var cases []goldenSchedule
	golden(t, "schedule.json", &cases)
	if len(cases) < 3 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		c.compare(t)
	}
}

func TestTrajectoriesMatchPython(t *testing.T) {
	for _, sampler := range []Sampler{ODE, Ancestral} {
		t.Run(string(sampler), func(t *testing.T) {
			var g struct {
				goldenSchedule
				Sampler Sampler     `json:"sampler"`
				Start   []float32   `json:"start_noise"`
				Noise   [][]float32 `json:"noise"`
				States  [][]float64 `json:"states"`
			}
			golden(t, string(sampler)+".json", &g)
			if g.Sampler != sampler || len(g.States) != g.Steps || (sampler == Ancestral && len(g.Noise) != g.Steps-1) {
				t.Fatalf("sampler %q, %d steps, %d states, %d noises", g.Sampler, g.Steps, len(g.States), len(g.Noise))
			}
			sigmas := g.compare(t)
			x, denoised := g.Start, make([]float32, len(g.Start))
			for i := range x {
				x[i] *= sigmas[0]
			}
			for i, want := range g.States {
				gauss(denoised, x, sigmas[i])
				switch {
				case sampler == ODE:
					StepODE(x, denoised, sigmas[i], sigmas[i+1])
				case i < len(g.Noise):
					StepAncestral(x, denoised, g.Noise[i], sigmas[i], sigmas[i+1])
				default:
					StepAncestral(x, denoised, nil, sigmas[i], sigmas[i+1])
				}
				compare(t, "state", x, want, 1)
			}
		})
	}
}
