package tensorrt

import (
	"runtime"
	"slices"
	"strings"
)

// The providers that this package knows, in the order of preference.
const (
	TensorRT = "tensorrt"
	CUDA     = "cuda"
	CPU      = "cpu"
)

var known = []string{TensorRT, CUDA, CPU}

// Config is the `runtime` section. Every key needs a restart.
// The zero value is not valid: start from Default.
type Config struct {
	Library   string                       `yaml:"library"`   // path of libonnxruntime.so.1; "" = search, see Library
	Providers []string                     `yaml:"providers"` // in order of preference: the first that passes a real run is used
	Threads   int                          `yaml:"threads"`   // of one session, the calling thread included; 0 = all cores
	Device    int                          `yaml:"device"`    // number of the GPU
	Options   map[string]map[string]string `yaml:"options"`   // provider -> its own option -> value, passed on as they are
}

// Default is every provider in order, on all cores and the first GPU.
func Default() Config {
	return Config{Providers: slices.Clone(known)}
}

// Validate reports each fault with its key, relative to the section.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	if len(c.Providers) == 0 {
		fault("providers", "is empty: name at least one of %s", strings.Join(known, ", "))
	}
	for i, p := range c.Providers {
		if !slices.Contains(known, p) {
			fault("providers", "%q is no provider: use %s", p, strings.Join(known, ", "))
		} else if slices.Contains(c.Providers[:i], p) {
			fault("providers", "%s is named twice", p)
		}
	}
	if c.Threads < 0 || c.Threads > 1024 {
		fault("threads", "must be 0 (all cores) to 1024, not %d", c.Threads)
	}
	if c.Device < 0 {
		fault("device", "must be a GPU's number from 0, not %d", c.Device)
	}
	c.validateOptions(fault)
}

func (c *Config) validateOptions(fault func(key, format string, args ...any)) {
	for _, provider := range sortedKeys(c.Options) {
		key := "options." + provider
		if provider != TensorRT && provider != CUDA {
			fault(key, "takes no options: only %s and %s do", TensorRT, CUDA)
		}
		if _, ok := c.Options[provider]["device_id"]; ok {
			fault(key+".device_id", "is set by the key runtime.device")
		}
	}
}

// threads is never 0: ONNX Runtime's own 0 pins each thread to a core.
func (c *Config) threads() int {
	if c.Threads > 0 {
		return c.Threads
	}
	return runtime.NumCPU()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
