package main

import (
	"errors"
	"fmt"
	"image"
	"slices"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// checkEngine looks for the predictor's engine at the camera's size, where
// TensorRT runs.
func (d *doctor) checkEngine() {
	c := &d.config.Runtime
	if d.model == nil || d.chosen != tensorrt.TensorRT || d.granted.Width == 0 {
		return
	}
	s, err := d.config.engineSource()
	if err != nil {
		d.tell(finding{"engine", fail, err.Error(), "without knowing these versions no engine of TensorRT is used"})
		return
	}
	d.tell(s.finding(c, d.model, image.Pt(d.granted.Width, d.granted.Height)))
}

// finding says whether a model's engine is there. Another user's cache, such as
// a service's, is not looked into: CACHE_DIRECTORY names it.
func (s *engineSource) finding(c *tensorrt.Config, m *tensorrt.Model, size image.Point) finding {
	j, err := s.job(c, m, size)
	if err != nil {
		return finding{"engine", fail, err.Error(), "see docs/tensorrt.md"}
	}
	e, err := s.cache.Acquire(j.key)
	if err == nil {
		e.Close()
		return finding{"engine", fine, fmt.Sprintf("%s is there, built in %.0f s", j.name(), e.Manifest.Seconds), ""}
	}
	if errors.Is(err, engines.ErrBusy) {
		return finding{"engine", fine, j.name() + " is being built", ""}
	}
	past, _ := s.cache.List(false) // without it there is no estimate
	took := "minutes, the first time"
	if guess := engines.EstimateOf(j.inputs, int64(len(m.Data)), past); guess.Time > 0 {
		took = fmt.Sprintf("about %v", guess.Time)
	}
	f := finding{"engine", warn, fmt.Sprintf("%s: %v", j.name(), err), "the next provider serves until it is built, which takes " + took + "; `sharpend engines build` does it beforehand"}
	if list := c.ProvidersFor(m.Kind); slices.Index(list, tensorrt.TensorRT) == len(list)-1 {
		f.Advice = "the daemon waits for it, which takes " + took + "; `sharpend engines build` does it beforehand"
	}
	return f
}
