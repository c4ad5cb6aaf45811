package tensorrt

import (
	_ "embed" // for the model below
	"fmt"
	"image"
	"strings"
	"time"
)

// tiny is a predictor that adds one grey level, written by testdata/generate.py.
//
//go:embed probe.onnx
var tiny []byte

// Probe tries every provider on a tiny model, with the device and options of c:
// an Attempt without Err really works on this machine. Needs Start before it.
func Probe(c Config) []Attempt {
	m, err := parseModel("the built-in probe model", PredictorKind, tiny)
	attempts := make([]Attempt, len(known))
	for i, provider := range known {
		attempts[i] = Attempt{Provider: provider, Err: err}
		if err == nil {
			attempts[i] = probe(m, c, provider)
		}
	}
	return attempts
}

func probe(m *Model, c Config, provider string) Attempt {
	p := newPredictor(m, image.Pt(128, 96))
	defer p.Close()
	c.TensorRT, c.engine = defaultTensorRT(), "" // what is set for a network's engine does not fit this one
	return attempt(provider, func(a *Attempt) error { return p.open(&c, a) })
}

// describe is the Detail of a chosen provider.
func describe(c *Config, note string, took time.Duration) string {
	parts := []string{fmt.Sprintf("threads %d", c.threads()), fmt.Sprintf("trial run %v", took)}
	if note != "" {
		parts = append(parts, note)
	}
	return strings.Join(parts, ", ")
}
