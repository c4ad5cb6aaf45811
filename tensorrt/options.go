package tensorrt

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// TensorRTOptions is the section runtime.tensorrt: how engines are built and run.
type TensorRTOptions struct {
	Precision           string `yaml:"precision"`            // of the predictor: fp32, fp16, bf16 or int8
	DenoiserPrecision   string `yaml:"denoiser_precision"`   // of the denoiser, likewise
	Calibration         string `yaml:"calibration"`          // int8: the predictor's calibration table, a file
	DenoiserCalibration string `yaml:"denoiser_calibration"` // int8: the denoiser's
	NativeCalibration   bool   `yaml:"native_calibration"`   // the tables are TensorRT's own, not ONNX Runtime's
	Workspace           Memory `yaml:"workspace"`            // of the builder at most; 0 = all there is
	OptimizationLevel   int    `yaml:"optimization_level"`   // 0 (built fast) to 5 (runs fast)
	TimingCache         bool   `yaml:"timing_cache"`         // keep what was timed for the next build
	TimingCachePath     string `yaml:"timing_cache_path"`    // folder; "" = beside the engines
	DLACore             int    `yaml:"dla_core"`             // core of the deep learning accelerator; -1 = the GPU
	AuxiliaryStreams    int    `yaml:"auxiliary_streams"`    // beside the main one, at most; -1 = TensorRT's choice
	CUDAGraph           bool   `yaml:"cuda_graph"`           // record the launches once, replay them
	ShareContextMemory  bool   `yaml:"share_context_memory"` // between the parts of one network
	Sparsity            bool   `yaml:"sparsity"`             // use 2:4 sparse weights where the network has them
	HardwareCompatible  bool   `yaml:"hardware_compatible"`  // engines for other GPUs, too
	BuildLog            bool   `yaml:"build_log"`            // TensorRT's own log of a build, in detail
	EPContext           bool   `yaml:"ep_context"`           // an engine as a model of its own, which starts faster
}

// CUDAOptions is the section runtime.cuda.
type CUDAOptions struct {
	Memory     Memory `yaml:"memory"`      // of the provider's arena at most; 0 = no limit
	ConvSearch string `yaml:"conv_search"` // how cuDNN's algorithm is chosen: exhaustive, heuristic or default
	TF32       bool   `yaml:"tf32"`        // compute float32 with 10 bits of mantissa on tensor cores
	NHWC       bool   `yaml:"nhwc"`        // channels last
}

// The precisions of an engine.
const (
	FP32 = "fp32"
	FP16 = "fp16"
	BF16 = "bf16"
	INT8 = "int8"
)

var precisions = []string{FP32, FP16, BF16, INT8}

var convSearches = []string{"exhaustive", "heuristic", "default"}

func defaultTensorRT() TensorRTOptions {
	return TensorRTOptions{Precision: FP32, DenoiserPrecision: FP32, OptimizationLevel: 3, TimingCache: true, DLACore: -1, AuxiliaryStreams: -1}
}

func defaultCUDA() CUDAOptions { return CUDAOptions{ConvSearch: "exhaustive", TF32: true} }

// precision and calibration are those of a kind of model.
func (o *TensorRTOptions) precision(kind string) string {
	if kind == DenoiserKind {
		return o.DenoiserPrecision
	}
	return o.Precision
}

func (o *TensorRTOptions) calibration(kind string) string {
	if kind == DenoiserKind {
		return o.DenoiserCalibration
	}
	return o.Calibration
}

// Precision is what a provider computes in for a kind of model: the CPU and CUDA in the model's own.
func (c *Config) Precision(provider, kind string) string {
	if provider == TensorRT {
		return c.TensorRT.precision(kind)
	}
	return FP32
}

// An Option is one typed key and the provider's own keys that it sets: by values,
// where it differs from the provider's default, or in sessionOptions.
type Option struct {
	Key      string   // below runtime, such as tensorrt.workspace
	Provider string   // TensorRT or CUDA
	Sets     []string // the provider's keys
	Meaning  string   // with its unit
	values   func(c *Config, kind string) []string
}

// Options lists every typed key of runtime.tensorrt and runtime.cuda, in the
// order of their declaration. Every ONNX Runtime that this program takes knows
// all the keys that they set.
func Options() []Option { return slices.Clone(options) }

var options = []Option{
	{"tensorrt.precision", TensorRT, []string{"trt_fp16_enable", "trt_bf16_enable", "trt_int8_enable"},
		"what the predictor's engine may compute in, besides float32: `fp32` (nothing else), `fp16`, `bf16` (GPUs from compute capability 8.0) or `int8` (with fp16 where that is faster)",
		func(c *Config, kind string) []string {
			p := c.TensorRT.precision(kind)
			return []string{flag(p == FP16 || p == INT8), flag(p == BF16), flag(p == INT8)}
		}},
	{"tensorrt.denoiser_precision", TensorRT, nil, "the same of the denoiser's engine", nil},
	{"tensorrt.calibration", TensorRT, []string{"trt_int8_calibration_table_name"},
		"for int8: file with the predictor's calibration table; none for a model that was quantised before (QDQ nodes)",
		func(c *Config, kind string) []string { return []string{c.TensorRT.calibration(kind)} }},
	{"tensorrt.denoiser_calibration", TensorRT, nil, "the same of the denoiser", nil},
	{"tensorrt.native_calibration", TensorRT, []string{"trt_int8_use_native_calibration_table"},
		"the tables were written by TensorRT, not by ONNX Runtime",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.NativeCalibration)} }},
	{"tensorrt.workspace", TensorRT, []string{"trt_max_workspace_size"},
		"memory that a build may take as scratch at most, such as `512 MiB`; 0 = all of the GPU's",
		func(c *Config, _ string) []string { return []string{amount(c.TensorRT.Workspace)} }},
	{"tensorrt.optimization_level", TensorRT, []string{"trt_builder_optimization_level"},
		"0 to 5: the higher, the longer a build and the better, at best, the engine",
		func(c *Config, _ string) []string { return []string{unless(c.TensorRT.OptimizationLevel, 3)} }},
	{"tensorrt.timing_cache", TensorRT, []string{"trt_timing_cache_enable"},
		"keep the times that a build measures, so that the next is faster", nil},
	{"tensorrt.timing_cache_path", TensorRT, []string{"trt_timing_cache_path"},
		"folder of the timing cache; none = beside the engines", nil},
	{"tensorrt.dla_core", TensorRT, []string{"trt_dla_enable", "trt_dla_core"},
		"core of the deep learning accelerator (Orin NX and AGX have two) to run on, in fp16 or int8; what it can't run falls back to the GPU; -1 = the GPU runs all",
		func(c *Config, _ string) []string {
			if c.TensorRT.DLACore < 0 {
				return []string{"", ""}
			}
			return []string{"1", strconv.Itoa(c.TensorRT.DLACore)}
		}},
	{"tensorrt.auxiliary_streams", TensorRT, []string{"trt_auxiliary_streams"},
		"CUDA streams beside the main one at most; 0 takes the least memory; -1 = TensorRT's choice",
		func(c *Config, _ string) []string { return []string{unless(c.TensorRT.AuxiliaryStreams, -1)} }},
	{"tensorrt.cuda_graph", TensorRT, []string{"trt_cuda_graph_enable"},
		"record the kernel launches of a run once, and replay them",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.CUDAGraph)} }},
	{"tensorrt.share_context_memory", TensorRT, []string{"trt_context_memory_sharing_enable"},
		"the parts of a network that TensorRT runs one after another share their memory",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.ShareContextMemory)} }},
	{"tensorrt.sparsity", TensorRT, []string{"trt_sparsity_enable"},
		"use 2:4 structured sparsity where a network's weights have it",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.Sparsity)} }},
	{"tensorrt.hardware_compatible", TensorRT, []string{"trt_engine_hw_compatible"},
		"build engines that other GPUs from compute capability 8.0 can load, at some cost of speed; TensorRT does not do it on a Jetson",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.HardwareCompatible)} }},
	{"tensorrt.build_log", TensorRT, []string{"trt_detailed_build_log"},
		"TensorRT's own log of each build, in detail, on standard error", nil},
	{"tensorrt.ep_context", TensorRT, []string{"trt_dump_ep_context_model"},
		"write each engine as an EP-context model, too, which is loaded without parsing the network again",
		func(c *Config, _ string) []string { return []string{flag(c.TensorRT.EPContext)} }},
	{"cuda.memory", CUDA, []string{"gpu_mem_limit"},
		"memory that CUDA's arena may grow to, such as `2 GiB`; 0 = no limit",
		func(c *Config, _ string) []string { return []string{amount(c.CUDA.Memory)} }},
	{"cuda.conv_search", CUDA, []string{"cudnn_conv_algo_search"},
		"how cuDNN's algorithm for a convolution is chosen: `exhaustive` (the first run times all), `heuristic` or `default`",
		func(c *Config, _ string) []string {
			return []string{unless(strings.ToUpper(c.CUDA.ConvSearch), "EXHAUSTIVE")}
		}},
	{"cuda.tf32", CUDA, []string{"use_tf32"},
		"compute float32 with 10 bits of mantissa on the tensor cores of Ampere and later",
		func(c *Config, _ string) []string {
			if c.CUDA.TF32 {
				return []string{""}
			}
			return []string{"0"}
		}},
	{"cuda.nhwc", CUDA, []string{"prefer_nhwc"},
		"keep tensors with their channels last",
		func(c *Config, _ string) []string { return []string{flag(c.CUDA.NHWC)} }},
}

// flag, amount and unless give "" for the provider's default, which is not passed on.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

func amount(m Memory) string {
	if m == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(m), 10)
}

func unless[T comparable](value, standard T) string {
	if value == standard {
		return ""
	}
	return fmt.Sprint(value)
}

// ours are the keys that the program itself sets: where, and why nobody else may.
var ours = map[string]string{
	"device_id":                "the key runtime.device",
	"has_user_compute_stream":  "the program: it has no stream of its own",
	"user_compute_stream":      "the program: it has no stream of its own",
	"trt_engine_cache_enable":  "the program, which keeps the engines",
	"trt_engine_cache_path":    "the program, which keeps the engines",
	"trt_engine_cache_prefix":  "the program, which keeps the engines",
	"trt_ep_context_file_path": "the program, which keeps the engines",
	"trt_profile_min_shapes":   "the program: an engine is for one size, the camera's",
	"trt_profile_opt_shapes":   "the program: an engine is for one size, the camera's",
	"trt_profile_max_shapes":   "the program: an engine is for one size, the camera's",
}

// setBy says what sets a provider's key, "" for those that only runtime.options can.
func setBy(provider, key string) string {
	if by, ok := ours[key]; ok {
		return by
	}
	for i := range options {
		if options[i].Provider == provider && slices.Contains(options[i].Sets, key) {
			return "the key runtime." + options[i].Key
		}
	}
	return ""
}

// ProviderOptions is what a session of a model of this kind at this padded size
// passes to the provider and what makes its engine what it is: without the
// device's number, the folders of caches and the log. A file is given as
// "sha256:" and the hexadecimal sum of its content; the error is that of reading it.
func (c *Config) ProviderOptions(provider, kind string, size image.Point) (map[string]string, error) {
	all := c.engineOptions(provider, kind, size)
	const table = "trt_int8_calibration_table_name"
	if path := all[table]; path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the calibration table: %w", err)
		}
		sum := sha256.Sum256(data)
		all[table] = "sha256:" + hex.EncodeToString(sum[:])
	}
	return all, nil
}

func (c *Config) engineOptions(provider, kind string, size image.Point) map[string]string {
	all := map[string]string{}
	for i := range options {
		if o := &options[i]; o.Provider == provider && o.values != nil {
			for j, value := range o.values(c, kind) {
				if value != "" {
					all[o.Sets[j]] = value
				}
			}
		}
	}
	if provider == TensorRT {
		inputs, _ := portsOf(kind)
		maps.Copy(all, profile(inputs, size))
	}
	maps.Copy(all, c.Options[provider])
	return all
}

// sessionOptions is all that a session passes to the provider. The device is
// always named: without it a missing GPU shows only at the session's creation.
func (c *Config) sessionOptions(provider, kind string, size image.Point) map[string]string {
	all := c.engineOptions(provider, kind, size)
	all["device_id"] = strconv.Itoa(c.Device)
	if provider == TensorRT {
		c.addCaches(all)
		if c.TensorRT.BuildLog {
			all["trt_detailed_build_log"] = "1"
		}
	}
	return all
}

// addCaches names the folders. Without one ONNX Runtime would write into the working directory.
func (c *Config) addCaches(all map[string]string) {
	const dump = "trt_dump_ep_context_model"
	switch {
	case c.engine == "" || c.contextModel() != "":
		delete(all, dump)
	case all[dump] != "":
		// The engine's own folder must then be relative to the context model's: the same.
		all["trt_ep_context_file_path"] = filepath.Join(c.engine, contextName)
		all["trt_engine_cache_enable"] = "1"
	default:
		all["trt_engine_cache_enable"], all["trt_engine_cache_path"] = "1", c.engine
	}
	if folder := cmp.Or(c.TensorRT.TimingCachePath, c.timing); c.TensorRT.TimingCache && folder != "" {
		all["trt_timing_cache_enable"], all["trt_timing_cache_path"] = "1", folder
	}
}

const contextName = "sharpend_ctx.onnx"

// contextModel is the path of the EP-context model to open in the model's stead, "" without.
func (c *Config) contextModel() string {
	path := filepath.Join(c.engine, contextName)
	if c.engine == "" || !c.TensorRT.EPContext {
		return ""
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// profile fixes the one size that the engine is built for: any other would be
// built on the way, in the middle of the stream.
func profile(ports []port, size image.Point) map[string]string {
	shapes := make([]string, len(ports))
	for i, p := range ports {
		w, h := size.X, size.Y
		switch p.dims {
		case chromaDims:
			w, h = w/2, h/2
			fallthrough
		case lumaDims:
			shapes[i] = fmt.Sprintf("%s:1x1x%dx%d", p.name, h, w)
		default:
			shapes[i] = p.name + ":1"
		}
	}
	all := strings.Join(shapes, ",")
	return map[string]string{"trt_profile_min_shapes": all, "trt_profile_opt_shapes": all, "trt_profile_max_shapes": all}
}
