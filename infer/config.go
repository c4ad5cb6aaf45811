package infer

import (
	"cmp"
	"math"
	"time"
)

// Limits of the configuration: far beyond use, near enough to catch a slip.
const (
	maxSteps   = 1000
	maxSamples = 1000
	maxThreads = 1024
	maxSigma   = 1e4
	maxRho     = 100
)

// Config is the refine section of the configuration file. Keys tagged live
// follow a reload; the others need a restart.
type Config struct {
	Steps   int     `yaml:"steps" live:"true"`   // denoiser evaluations a sample; 0 = no refinement
	Samples int     `yaml:"samples" live:"true"` // samples averaged: more is smoother and nearer the truth by PSNR
	Seed    uint64  `yaml:"seed" live:"true"`    // of the noise: same seed, same picture, same result
	Sampler Sampler `yaml:"sampler" live:"true"` // "ode", "ancestral", "" = the model's

	Budget time.Duration `yaml:"budget" live:"true"` // for one keyframe, by fewer steps; 0 = no limit

	SigmaMin float64 `yaml:"sigma_min" live:"true"` // the noise schedule; 0 = the model's
	SigmaMax float64 `yaml:"sigma_max" live:"true"`
	Rho      float64 `yaml:"rho" live:"true"`

	Threads int `yaml:"threads"` // CPU threads of the refiner
	Nice    int `yaml:"nice"`    // scheduling priority of those threads, 0 to 19 (lowest)

	Keyframes Keyframes `yaml:"keyframes" live:"true"`
}

// Prediction is the predict section of the configuration file.
type Prediction struct {
	SkipSharp float64 `yaml:"skip_sharp"` // threshold of the Gate: share of the scene's best sharpness; 0 = predict every frame
}

// DefaultPrediction is the configuration of an absent predict section.
func DefaultPrediction() Prediction { return Prediction{SkipSharp: 0.97} }

// Validate calls fault for a value that cannot work; key is relative to the
// predict section.
func (p *Prediction) Validate(fault func(key, format string, args ...any)) {
	if !(p.SkipSharp >= 0 && p.SkipSharp <= 1) {
		fault("skip_sharp", "must be a number from 0 (= predict every frame) to 1, not %v", p.SkipSharp)
	}
}

// Default is the configuration of an absent refine section.
func Default() Config {
	return Config{
		Steps:     2,
		Samples:   1,
		Seed:      1,
		Threads:   1,
		Nice:      19,
		Keyframes: Keyframes{Every: Interval{Duration: 2 * time.Second}, Scene: 6, AfterLoss: true},
	}
}

// Validate calls fault once for each key whose value cannot work; key is
// relative to the refine section.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	whole := func(key string, v, low, high int) {
		if v < low || v > high {
			fault(key, "must be a whole number from %d to %d, not %d", low, high, v)
		}
	}
	whole("steps", c.Steps, 0, maxSteps)
	whole("samples", c.Samples, 1, maxSamples)
	whole("threads", c.Threads, 1, maxThreads)
	whole("nice", c.Nice, 0, 19)
	if c.Sampler != "" && !c.Sampler.known() {
		fault("sampler", "must be %q, %q, or empty for the model's own, not %q", ODE, Ancestral, c.Sampler)
	}
	if c.Budget < 0 {
		fault("budget", "must not be negative (0 = no limit), not %v", c.Budget)
	}
	c.validateSchedule(fault)
	c.Keyframes.validate(func(key, format string, args ...any) { fault("keyframes."+key, format, args...) })
}

func (c *Config) validateSchedule(fault func(key, format string, args ...any)) {
	number := func(key string, v, high float64) bool {
		ok := v >= 0 && v <= high // false for NaN
		if !ok {
			fault(key, "must be a number from 0 (= the model's) to %g, not %v", high, v)
		}
		return ok
	}
	low := number("sigma_min", c.SigmaMin, maxSigma)
	high := number("sigma_max", c.SigmaMax, maxSigma)
	number("rho", c.Rho, maxRho)
	if low && high && c.SigmaMax > 0 && c.SigmaMin >= c.SigmaMax {
		fault("sigma_min", "must be below sigma_max (%g), not %g", c.SigmaMax, c.SigmaMin)
	}
}

func (k Keyframes) validate(fault func(key, format string, args ...any)) {
	if err := k.Every.check(); err != nil {
		fault("every", "%v", err)
	}
	if !(k.Scene >= 0 && k.Scene <= math.MaxUint8) {
		fault("scene", "must be a number of grey levels from 0 (= off) to 255, not %v", k.Scene)
	}
}

// Settings is what c asks of the refiner: keys left at zero take the model's
// value. model carries its scale, schedule and sampler. Settings.Check tells
// whether the two fit together.
func (c *Config) Settings(model Settings) Settings {
	return Settings{
		Steps:   c.Steps,
		Samples: c.Samples,
		Seed:    c.Seed,
		Sampler: cmp.Or(c.Sampler, model.Sampler),
		Schedule: Schedule{
			SigmaMin: cmp.Or(c.SigmaMin, model.Schedule.SigmaMin),
			SigmaMax: cmp.Or(c.SigmaMax, model.Schedule.SigmaMax),
			Rho:      cmp.Or(c.Rho, model.Schedule.Rho),
		},
		Scale: model.Scale,
	}
}
