package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"
)

func TestSigmasAreKarras(t *testing.T) {
	for _, c := range []struct {
		s     Schedule
		steps int
		want  []float64
	}{
		{Schedule{0.002, 80, 7}, 0, nil},
		{Schedule{0.002, 80, 7}, 1, []float64{80, 0}},
		{Schedule{0.002, 80, 7}, 2, []float64{80, 0.002, 0}},
		// EDM's own defaults, computed in Python from eq. 5.
		{Schedule{0.002, 80, 7}, 5, []float64{80, 17.5278320, 2.5152190, 0.16975276, 0.002, 0}},
		{Schedule{1, 5, 1}, 5, []float64{5, 4, 3, 2, 1, 0}},
		{Schedule{1, 9, 0.5}, 3, []float64{9, 6.4031242, 1, 0}},
	} {
		got := c.s.Sigmas(nil, c.steps)
		same := slices.EqualFunc(got, c.want, func(a float32, b float64) bool { return math.Abs(float64(a)-b) <= 1e-6*b })
		if !same {
			t.Errorf("%+v, %d steps: %v, want %v", c.s, c.steps, got, c.want)
		}
	}
}

func TestSigmasFall(t *testing.T) {
	falls := func(low, span, rho float64, n uint8) bool {
		s := Schedule{SigmaMin: 0.001 + math.Abs(math.Mod(low, 1)), Rho: 0.5 + math.Abs(math.Mod(rho, 12))}
		s.SigmaMax = s.SigmaMin + 0.1 + math.Abs(math.Mod(span, 100))
		steps := int(n)
		got := s.Sigmas(make([]float32, 3, 8), steps)
		if steps == 0 {
			return len(got) == 0
		}
		down := slices.IsSortedFunc(got, func(a, b float32) int {
			if a >= b {
				return -1
			}
			return 1
		})
		near := func(a float32, b float64) bool { return math.Abs(float64(a)/b-1) < 1e-5 }
		return len(got) == steps+1 && down && got[steps] == 0 && near(got[0], s.SigmaMax) && (steps == 1 || near(got[steps-1], s.SigmaMin))
	}
	if err := quick.Check(falls, &quick.Config{MaxCount: 1000}); err != nil {
		t.Error(err)
	}
}

func TestSigmasReusesItsBuffer(t *testing.T) {
	buffer := make([]float32, 0, 17)
	if n := testing.AllocsPerRun(5, func() { buffer = testSchedule.Sigmas(buffer, 16) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// sample runs a whole sampler on the Gaussian denoiser from the state x.
func sample(sampler Sampler, x []float32, schedule Schedule, steps int, rng *rand.Rand) {
	sigmas := schedule.Sigmas(nil, steps)
	denoised, noise := make([]float32, len(x)), make([]float32, len(x))
	for i := range steps {
		gauss(denoised, x, sigmas[i])
		if sampler == ODE {
			StepODE(x, denoised, sigmas[i], sigmas[i+1])
			continue
		}
		for j := range noise {
			noise[j] = float32(rng.NormFloat64())
		}
		StepAncestral(x, denoised, noise, sigmas[i], sigmas[i+1])
	}
}

// For the Gaussian denoiser the ODE is dx/ds = x*s/(1+s^2), so that
// x(0) = x(max) / sqrt(1+max^2). Euler's error is of first order in the steps.
func TestODEFindsTheAnalyticSolution(t *testing.T) {
	start := 13.7
	want := start / math.Sqrt(1+20*20)
	relative := func(steps int) float64 {
		x := []float32{float32(start)}
		sample(ODE, x, testSchedule, steps, nil)
		return math.Abs(float64(x[0])/want - 1)
	}
	if e := relative(2000); e > 0.002 {
		t.Errorf("2000 steps are off by %.3g", e)
	}
	for _, steps := range []int{50, 100, 200} {
		if ratio := relative(steps) / relative(2*steps); ratio < 1.7 || ratio > 2.4 {
			t.Errorf("from %d to %d steps the error falls %.2f times, want about 2", steps, 2*steps, ratio)
		}
	}
}

// Ancestral steps keep the variance of Gaussian data. What N steps give exactly
// follows from the recursion v' = a^2 v + up^2, a = the step's linear factor.
func TestAncestralHasTheRightVariance(t *testing.T) {
	const n = 50_000
	for _, c := range []struct {
		steps     int
		low, high float64 // of the variance the recursion gives; that of the data is 1
	}{{1, 0, 0.01}, {8, 0.1, 0.99}, {100, 0.9, 1.001}, {1000, 0.99, 1.0001}} {
		want := ancestralVariance(testSchedule, c.steps)
		if want < c.low || want > c.high {
			t.Errorf("%d steps: the recursion gives %.4f, want %g to %g", c.steps, want, c.low, c.high)
		}
		if c.steps > 100 {
			continue
		}
		rng := rand.New(rand.NewPCG(1, 2))
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(testSchedule.SigmaMax * rng.NormFloat64())
		}
		sample(Ancestral, x, testSchedule, c.steps, rng)
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		if got := sum / n; math.Abs(got/want-1) > 5*math.Sqrt(2.0/n) {
			t.Errorf("%d steps: variance %.5f, want %.5f", c.steps, got, want)
		}
	}
}

// ancestralVariance is written from k-diffusion's own form: sigma_up, sigma_down,
// and the derivative d = (x - D) / sigma.
func ancestralVariance(s Schedule, steps int) float64 {
	sigmas := s.Sigmas(nil, steps)
	v := s.SigmaMax * s.SigmaMax
	for i := range steps {
		from, to := float64(sigmas[i]), float64(sigmas[i+1])
		up := min(to, math.Sqrt(to*to*(from*from-to*to)/(from*from)))
		down := math.Sqrt(to*to - up*up)
		shrink := 1 / (1 + from*from)
		a := 1 + (down-from)*(1-shrink)/from
		v = a*a*v + up*up
	}
	return v
}

// Without data to be found (a denoiser that answers 0) both samplers only change
// the noise level: the ODE in proportion, ancestral steps exactly to next.
func TestStepsReachTheNextNoiseLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 100_000
	for _, next := range []float32{4.9, 2, 0.1, 0} {
		for _, sampler := range []Sampler{ODE, Ancestral} {
			x, zero, noise := make([]float32, n), make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], noise[i] = 5*float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
			if sampler == ODE {
				StepODE(x, zero, 5, next)
			} else {
				StepAncestral(x, zero, noise, 5, next)
			}
			sum := 0.0
			for _, v := range x {
				sum += float64(v) * float64(v)
			}
			if got := math.Sqrt(sum / n); math.Abs(got-float64(next)) > 0.015*float64(next) {
				t.Errorf("%s to %v: noise level %v", sampler, next, got)
			}
		}
	}
}

func TestLastStepGivesTheDenoised(t *testing.T) {
	last := func(x, d float32) bool {
		if math.Abs(float64(x)) > 1e30 || math.Abs(float64(d)) > 1e30 {
			return true
		}
		ode, ancestral, denoised := []float32{x}, []float32{x}, []float32{d}
		StepODE(ode, denoised, 0.02, 0)
		StepAncestral(ancestral, denoised, nil, 0.02, 0)
		return ode[0] == d && ancestral[0] == d
	}
	if err := quick.Check(last, nil); err != nil {
		t.Error(err)
	}
}

// The steps are what k-diffusion computes with derivatives.
func TestStepsAgainstKDiffusion(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		x, d, noise := rng.NormFloat64()*10, rng.NormFloat64(), rng.NormFloat64()
		from := 0.01 + 20*rng.Float64()
		to := from * rng.Float64()
		ode, ancestral := []float32{float32(x)}, []float32{float32(x)}
		StepODE(ode, []float32{float32(d)}, float32(from), float32(to))
		StepAncestral(ancestral, []float32{float32(d)}, []float32{float32(noise)}, float32(from), float32(to))
		up := min(to, math.Sqrt(to*to*(from*from-to*to)/(from*from)))
		down := math.Sqrt(to*to - up*up)
		slope := (x - d) / from
		near(t, fmt.Sprintf("ode %.3g to %.3g", from, to), ode[0], x+slope*(to-from))
		near(t, fmt.Sprintf("ancestral %.3g to %.3g", from, to), ancestral[0], x+slope*(down-from)+noise*up)
	}
}

func near(t *testing.T, name string, got float32, want float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > 1e-5*(1+math.Abs(want)) {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}
