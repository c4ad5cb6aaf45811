package main

import (
	"image"
	"maps"
	"slices"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// An engineSource is what engines on this machine are named by, and where they lie.
type engineSource struct {
	cache   *engines.Cache
	onnx    string // ONNX Runtime's version
	machine engines.Machine
}

// engineSource asks the machine. ONNX Runtime must run.
func (c *Config) engineSource() (*engineSource, error) {
	library, _, err := tensorrt.Library(c.Runtime.Library)
	if err != nil {
		return nil, err
	}
	s := &engineSource{onnx: tensorrt.Version()}
	tensorrt.KeepSignals(func() { s.machine, err = engines.ProbeMachine(library, c.Runtime.Device) })
	if err != nil {
		return nil, err
	}
	s.cache, err = c.Engines.Open()
	return s, err
}

// onTensorRT are the files of the models that may run on TensorRT, by kind.
func (c *Config) onTensorRT() map[string]string {
	paths := map[string]string{tensorrt.PredictorKind: c.Models.Predictor, tensorrt.DenoiserKind: c.Models.Denoiser}
	maps.DeleteFunc(paths, func(kind, path string) bool {
		return path == "" || !slices.Contains(c.Runtime.ProvidersFor(kind), tensorrt.TensorRT)
	})
	return paths
}

// inputs are what the engine of a model depends on. size is padded.
func (s *engineSource) inputs(c *tensorrt.Config, kind, sha256 string, size image.Point) (engines.Inputs, error) {
	options, err := c.ProviderOptions(tensorrt.TensorRT, kind, size)
	return engines.Inputs{
		Kind: kind, Model: sha256, Options: options, Width: size.X, Height: size.Y, ONNX: s.onnx, Machine: s.machine,
	}, err
}

// job is the engine of a model for pictures of size visible pixels.
func (s *engineSource) job(c *tensorrt.Config, m *tensorrt.Model, size image.Point) (j engineJob, err error) {
	padded, err := m.Padded(size.X, size.Y)
	if err != nil {
		return j, err
	}
	j = engineJob{model: m, size: size}
	if j.inputs, err = s.inputs(c, m.Kind, m.SHA256, padded); err == nil {
		j.key, err = j.inputs.Key()
	}
	return j, err
}
