package tensorrt

import (
	"errors"
	"fmt"
	"image"
	"strings"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// Attempt is what became of one provider of the list.
type Attempt struct {
	Provider   string
	Err        error  // why it was passed over, in the library's own words; nil: it was chosen
	Detail     string // what else is worth knowing
	Difference string // of its output from the CPU's, where it was compared
}

// choice is the outcome of going through the list of providers.
type choice struct {
	provider string
	attempts []Attempt
}

// Provider is the one that was chosen.
func (c *choice) Provider() string { return c.provider }

// Attempts lists the providers that were tried, in order: the last one was chosen.
func (c *choice) Attempts() []Attempt { return c.attempts }

// choose tries the providers in order until one works. If none does, the error holds every reason.
func choose(providers []string, try func(*Attempt) error) (choice, error) {
	var c choice
	for _, p := range providers {
		a := attempt(p, try)
		c.attempts = append(c.attempts, a)
		if a.Err == nil {
			c.provider = p
			trimHeap()
			return c, nil
		}
	}
	reasons := make([]string, len(c.attempts))
	for i, a := range c.attempts {
		reasons[i] = a.Provider + ": " + a.Err.Error()
	}
	return c, fmt.Errorf("none of runtime.providers works: %s", strings.Join(reasons, "; "))
}

func attempt(provider string, try func(*Attempt) error) Attempt {
	a := Attempt{Provider: provider}
	run := func() { a.Err = try(&a) }
	if provider == CPU {
		run()
	} else {
		KeepSignals(run)
	}
	a.Err = plain(a.Err)
	return a
}

// trial runs a fresh session, and compares it with the CPU unless it is the CPU.
func (a *Attempt) trial(smoke func() error, accept func() (difference string, err error)) (took time.Duration, err error) {
	if took, err = timed(smoke); err != nil {
		return took, fmt.Errorf("the trial run failed: %w", err)
	}
	if a.Provider != CPU {
		a.Difference, err = accept()
	}
	return took, err
}

// newSession calls create with the options for one provider. kind and size
// are what the session will be run with. Alone in the process while it lasts.
func newSession(c *Config, provider, kind string, size image.Point, create func(*ort.SessionOptions) error) (note string, err error) {
	err = exclusive(func() error {
		o, err := ort.NewSessionOptions()
		if err != nil {
			return err
		}
		defer o.Destroy()
		if err := general(o, c.threads()); err != nil {
			return err
		}
		if note, err = addProvider(o, c, provider, kind, size); err != nil {
			return err
		}
		if c.profile != "" {
			if err := o.EnableProfiling(c.profile); err != nil {
				return err
			}
		}
		return create(o)
	})
	return note, err
}

// general sets what every session has, whatever the provider.
func general(o *ort.SessionOptions, threads int) error {
	return errors.Join(
		o.SetIntraOpNumThreads(threads),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.SetLogSeverityLevel(ort.LoggingLevelFatal), // errors come back as values
		// A spinning pool takes the cores from the other session: 3 times its p99.
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		// Small blocks of work, taken as threads are free: a core that decodes or encodes
		// meanwhile does not hold up the whole run.
		o.AddSessionConfigEntry("session.dynamic_block_base", "4"),
		// Resident with predictor-s and denoiser-s at 640x360: 99 MB like this, 138 MB with
		// patterns, 194 MB without the arena (at 1280x720 204 and 328 MB); the times are the same.
		o.SetCpuMemArena(true),
		o.SetMemPattern(false),
	)
}

func timed(run func() error) (time.Duration, error) {
	start := time.Now()
	err := run()
	return time.Since(start).Round(10 * time.Microsecond), err
}
