package tensorrt

import (
	"slices"
	"strings"
)

// A fault reports what is wrong with a key.
type fault = func(key, format string, args ...any)

// Validate reports each fault with its key, relative to the section.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	if len(c.Providers) == 0 {
		fault("providers", "is empty: name at least one of %s", strings.Join(known, ", "))
	}
	validateProviders("providers", c.Providers, fault)
	validateProviders("denoiser_providers", c.DenoiserProviders, fault)
	if c.Threads < 0 || c.Threads > 1024 {
		fault("threads", "must be 0 (all cores) to 1024, not %d", c.Threads)
	}
	if c.Device < 0 {
		fault("device", "must be a GPU's number from 0, not %d", c.Device)
	}
	c.validateRequire(fault)
	c.TensorRT.validate(fault)
	c.validatePrecision(PredictorKind, "", fault)
	c.validatePrecision(DenoiserKind, "denoiser_", fault)
	if !slices.Contains(convSearches, c.CUDA.ConvSearch) {
		fault("cuda.conv_search", "must be %s, not %q", strings.Join(convSearches, ", "), c.CUDA.ConvSearch)
	}
	c.validateOptions(fault)
}

func validateProviders(key string, list []string, fault fault) {
	for i, p := range list {
		if !slices.Contains(known, p) {
			fault(key, "%q is no provider: use %s", p, strings.Join(known, ", "))
		} else if slices.Contains(list[:i], p) {
			fault(key, "%s is named twice", p)
		}
	}
}

func (o *TensorRTOptions) validate(fault fault) {
	if o.NativeCalibration && o.Calibration == "" && o.DenoiserCalibration == "" {
		fault("tensorrt.native_calibration", "says how a calibration table is written, and none is named")
	}
	if o.OptimizationLevel < 0 || o.OptimizationLevel > 5 {
		fault("tensorrt.optimization_level", "must be 0 to 5, not %d", o.OptimizationLevel)
	}
	if o.TimingCachePath != "" && !o.TimingCache {
		fault("tensorrt.timing_cache_path", "names a folder, and timing_cache is off")
	}
	if o.DLACore < -1 {
		fault("tensorrt.dla_core", "must be a core's number from 0, or -1 for the GPU, not %d", o.DLACore)
	}
	if o.AuxiliaryStreams < -1 {
		fault("tensorrt.auxiliary_streams", "must be a number of streams from 0, or -1 for TensorRT's choice, not %d", o.AuxiliaryStreams)
	}
}

// validatePrecision knows what ONNX Runtime ignores without a word: a table
// without int8, and a DLA in any precision but fp16 and int8.
func (c *Config) validatePrecision(kind, prefix string, fault fault) {
	precision, core := c.TensorRT.precision(kind), c.TensorRT.DLACore
	switch {
	case !slices.Contains(precisions, precision):
		fault("tensorrt."+prefix+"precision", "must be %s, not %q", strings.Join(precisions, ", "), precision)
	case c.TensorRT.calibration(kind) != "" && precision != INT8:
		fault("tensorrt."+prefix+"calibration", "is for int8, and %sprecision is %s", prefix, precision)
	case core >= 0 && precision != FP16 && precision != INT8 && slices.Contains(c.ProvidersFor(kind), TensorRT):
		fault("tensorrt."+prefix+"precision", "is %s, and a DLA (dla_core %d) computes in fp16 or int8 only", precision, core)
	}
}

// validateOptions refuses raw keys that a typed one, or the program itself, sets.
func (c *Config) validateOptions(fault fault) {
	for _, provider := range sortedKeys(c.Options) {
		key := "options." + provider
		if provider != TensorRT && provider != CUDA {
			fault(key, "takes no options: only %s and %s do", TensorRT, CUDA)
			continue
		}
		for _, option := range sortedKeys(c.Options[provider]) {
			if by := setBy(provider, option); by != "" {
				fault(key+"."+option, "is set by %s", by)
			}
		}
	}
}
