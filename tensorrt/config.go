package tensorrt

import (
	"runtime"
	"slices"
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
	Library   string   `yaml:"library"`   // path of libonnxruntime.so.1; "" = search, see Library
	Providers []string `yaml:"providers"` // in order of preference: the first that passes a real run is used
	Threads   int      `yaml:"threads"`   // of one session, the calling thread included; 0 = all cores
	Device    int      `yaml:"device"`    // number of the GPU

	// Of the denoiser, where they are not the predictor's: [] = the same.
	DenoiserProviders []string `yaml:"denoiser_providers"`

	Require string `yaml:"require"` // the least provider that will do: tensorrt, cuda, cpu; "" = any
	OnLess  string `yaml:"on_less"` // where less runs: exit, degraded

	TensorRT TensorRTOptions `yaml:"tensorrt"`
	CUDA     CUDAOptions     `yaml:"cuda"`

	Options map[string]map[string]string `yaml:"options"` // provider -> its own option -> value, passed on as they are

	engine, timing string // folders, see WithEngineCache
	profile        string // path, less its ending, of the session's profile
}

// Default is every provider in order, on all cores and the first GPU.
func Default() Config {
	return Config{Providers: slices.Clone(known), OnLess: OnLessExit, TensorRT: defaultTensorRT(), CUDA: defaultCUDA()}
}

// ProvidersFor is the list of one kind of model, in order of preference.
func (c *Config) ProvidersFor(kind string) []string {
	if kind == DenoiserKind && len(c.DenoiserProviders) > 0 {
		return c.DenoiserProviders
	}
	return c.Providers
}

// WithProviders is c with one list for both kinds of model.
func (c Config) WithProviders(list ...string) Config {
	c.Providers, c.DenoiserProviders = list, nil
	return c
}

// WithEngineCache is c with a folder that TensorRT loads its engine from, and
// writes it to when there is none, and one for the timing cache (used where
// timing_cache is on and timing_cache_path names no other; "" = none). One
// engine has one folder: sessions of two models need two. Without it each
// session builds its engine anew, for itself.
func (c Config) WithEngineCache(engine, timing string) Config {
	c.engine, c.timing = engine, timing
	return c
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
