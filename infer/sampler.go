package infer

import (
	"errors"
	"fmt"
	"math"
)

// Sampler names the way from noise to a picture.
type Sampler string

const (
	ODE       Sampler = "ode"       // deterministic after its first noise: Euler steps on the EDM ODE
	Ancestral Sampler = "ancestral" // fresh noise at every step: k-diffusion's euler_ancestral, eta = 1
)

func (s Sampler) known() bool { return s == ODE || s == Ancestral }

// Scale is grey levels per unit of the denoiser's state, from the model.
type Scale struct {
	Luma, Chroma float32
}

// Settings is all that decides a refinement besides the pictures.
type Settings struct {
	Steps    int // denoiser evaluations a sample; 0 = none
	Samples  int // averaged
	Seed     uint64
	Sampler  Sampler
	Schedule Schedule
	Scale    Scale
}

// Evaluations is how often the denoiser runs for one picture.
func (s Settings) Evaluations() int { return s.Steps * s.Samples }

// Check says what is wrong with s, all faults in one error: the configuration
// and the model's metadata may each be right and not fit together.
func (s Settings) Check() error {
	var faults []error
	if s.Steps < 0 {
		faults = append(faults, fmt.Errorf("steps must not be negative, not %d", s.Steps))
	}
	if s.Samples < 1 {
		faults = append(faults, fmt.Errorf("samples must be at least 1, not %d", s.Samples))
	}
	if !s.Sampler.known() {
		faults = append(faults, fmt.Errorf("sampler must be %q or %q, not %q", ODE, Ancestral, s.Sampler))
	}
	if c := s.Schedule; !(positive(c.SigmaMin) && positive(c.SigmaMax) && positive(c.Rho) && c.SigmaMin < c.SigmaMax) {
		faults = append(faults, fmt.Errorf("the noise schedule must have 0 < sigma_min < sigma_max and rho > 0, not sigma_min %v, sigma_max %v, rho %v", c.SigmaMin, c.SigmaMax, c.Rho))
	}
	if !(positive(float64(s.Scale.Luma)) && positive(float64(s.Scale.Chroma))) {
		faults = append(faults, fmt.Errorf("residual scales must be positive, not %v (luma) and %v (chroma)", s.Scale.Luma, s.Scale.Chroma))
	}
	return errors.Join(faults...)
}

func positive(v float64) bool { return v > 0 && !math.IsInf(v, 1) }

// StepODE moves the state x from noise level sigma to next, given the
// denoiser's answer at sigma.
//
// Karras et al. 2022, algorithm 1 without its second-order correction; eq. 1 and
// 3 with sigma(t) = t are dx/dsigma = (x - D(x; sigma)) / sigma, so that
//
//	x' = x + (next - sigma) * (x - D) / sigma = D + next/sigma * (x - D)
func StepODE(x, denoised []float32, sigma, next float32) {
	keep := next / sigma
	denoised = denoised[:len(x)]
	for i, d := range denoised {
		x[i] = d + float32(keep*(x[i]-d)) // the conversion forbids a fused multiply-add: arm64 rounds as amd64 does
	}
}

// StepAncestral moves the state x from noise level sigma to next: down too far
// along the ODE, and up again by fresh standard normal noise, which is not read
// when next is 0.
//
// k-diffusion, get_ancestral_step with eta = 1 and sample_euler_ancestral (the
// posterior of DDPM, Ho et al. 2020, eq. 6 and 7, in units of sigma):
//
//	up   = next * sqrt(sigma^2 - next^2) / sigma
//	down = sqrt(next^2 - up^2) = next^2 / sigma
//	x'   = D + down/sigma * (x - D) + up * noise
func StepAncestral(x, denoised, noise []float32, sigma, next float32) {
	r := float64(next) / float64(sigma)
	keep := float32(r * r)
	up := float32(float64(next) * math.Sqrt(max(0, 1-r*r)))
	denoised = denoised[:len(x)]
	if next == 0 {
		copy(x, denoised)
		return
	}
	noise = noise[:len(x)]
	for i, d := range denoised {
		x[i] = d + float32(keep*(x[i]-d)) + float32(up*noise[i])
	}
}
