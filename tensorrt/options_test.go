package tensorrt

import (
	"errors"
	"image"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// typed are the keys that fix nothing but the size.
func typed(t *testing.T, c Config, provider, kind string) map[string]string {
	t.Helper()
	all, err := c.ProviderOptions(provider, kind, image.Pt(64, 48))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return strings.HasPrefix(k, "trt_profile_") })
	return all
}

func TestDefaultsAreTheProvidersOwn(t *testing.T) {
	for _, provider := range []string{TensorRT, CUDA} {
		for _, kind := range []string{PredictorKind, DenoiserKind} {
			if all := typed(t, Default(), provider, kind); len(all) > 0 {
				t.Errorf("%s, %s: by default nothing is to be passed on, found %v", provider, kind, all)
			}
		}
	}
}

// Every typed key reaches the provider as ONNX Runtime's key of that meaning.
func TestTypedOptions(t *testing.T) {
	table := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(table, []byte("scales"), 0o600); err != nil {
		t.Fatal(err)
	}
	const sum = "sha256:6c00c076acc9c2f4b6a0c6403e07c7eb8ca220a10b4750c239cd013f24a8778c"
	for _, c := range []struct {
		key                 string
		set                 func(*Config)
		predictor, denoiser map[string]string
	}{
		{"precision", func(c *Config) { c.TensorRT.Precision = FP16 }, map[string]string{"trt_fp16_enable": "1"}, nil},
		{"precision", func(c *Config) { c.TensorRT.Precision = BF16 }, map[string]string{"trt_bf16_enable": "1"}, nil},
		{"precision", func(c *Config) { c.TensorRT.Precision, c.TensorRT.Calibration = INT8, table },
			map[string]string{"trt_int8_enable": "1", "trt_fp16_enable": "1", "trt_int8_calibration_table_name": sum}, nil},
		{"denoiser_precision", func(c *Config) { c.TensorRT.DenoiserPrecision = FP16 }, nil, map[string]string{"trt_fp16_enable": "1"}},
		{"denoiser_calibration", func(c *Config) { c.TensorRT.DenoiserPrecision, c.TensorRT.DenoiserCalibration = INT8, table }, nil,
			map[string]string{"trt_int8_enable": "1", "trt_fp16_enable": "1", "trt_int8_calibration_table_name": sum}},
		{"native_calibration", func(c *Config) { c.TensorRT.NativeCalibration = true }, map[string]string{"trt_int8_use_native_calibration_table": "1"}, same},
		{"workspace", func(c *Config) { c.TensorRT.Workspace = 1 << 30 }, map[string]string{"trt_max_workspace_size": "1073741824"}, same},
		{"optimization_level", func(c *Config) { c.TensorRT.OptimizationLevel = 0 }, map[string]string{"trt_builder_optimization_level": "0"}, same},
		{"dla_core", func(c *Config) { c.TensorRT.DLACore = 0 }, map[string]string{"trt_dla_enable": "1", "trt_dla_core": "0"}, same},
		{"auxiliary_streams", func(c *Config) { c.TensorRT.AuxiliaryStreams = 0 }, map[string]string{"trt_auxiliary_streams": "0"}, same},
		{"cuda_graph", func(c *Config) { c.TensorRT.CUDAGraph = true }, map[string]string{"trt_cuda_graph_enable": "1"}, same},
		{"share_context_memory", func(c *Config) { c.TensorRT.ShareContextMemory = true }, map[string]string{"trt_context_memory_sharing_enable": "1"}, same},
		{"sparsity", func(c *Config) { c.TensorRT.Sparsity = true }, map[string]string{"trt_sparsity_enable": "1"}, same},
		{"hardware_compatible", func(c *Config) { c.TensorRT.HardwareCompatible = true }, map[string]string{"trt_engine_hw_compatible": "1"}, same},
		{"ep_context", func(c *Config) { c.TensorRT.EPContext = true }, map[string]string{"trt_dump_ep_context_model": "1"}, same},
		{"timing_cache", func(c *Config) { c.TensorRT.TimingCache = false }, nil, nil}, // these three make no other engine
		{"timing_cache_path", func(c *Config) { c.TensorRT.TimingCachePath = "/t" }, nil, nil},
		{"build_log", func(c *Config) { c.TensorRT.BuildLog = true }, nil, nil},
		{"options", func(c *Config) {
			c.Options = map[string]map[string]string{TensorRT: {"trt_min_subgraph_size": "5"}, CUDA: {"other": "1"}}
		}, map[string]string{"trt_min_subgraph_size": "5"}, same},
	} {
		config := Default()
		c.set(&config)
		for kind, want := range map[string]map[string]string{PredictorKind: c.predictor, DenoiserKind: c.denoiser} {
			if reflect.ValueOf(want).Pointer() == reflect.ValueOf(same).Pointer() {
				want = c.predictor
			}
			if got := typed(t, config, TensorRT, kind); !maps.Equal(got, want) {
				t.Errorf("tensorrt.%s of the %s: expected %v, found %v", c.key, kind, want, got)
			}
		}
	}
}

var same = map[string]string{"as": "the predictor"}

func TestCUDAOptions(t *testing.T) {
	c := Default()
	c.CUDA = CUDAOptions{Memory: 2 << 30, ConvSearch: "heuristic", NHWC: true}
	want := map[string]string{"gpu_mem_limit": "2147483648", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0", "prefer_nhwc": "1"}
	if got := typed(t, c, CUDA, PredictorKind); !maps.Equal(got, want) {
		t.Errorf("expected %v, found %v", want, got)
	}
}

func TestCalibrationTableThatIsNotThere(t *testing.T) {
	c := Default()
	c.TensorRT.Precision, c.TensorRT.Calibration = INT8, "/nowhere/table"
	if _, err := c.ProviderOptions(TensorRT, PredictorKind, image.Pt(64, 48)); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/table") {
		t.Errorf("expected an error that names the file, found %v", err)
	}
	if got := c.sessionOptions(TensorRT, PredictorKind, image.Pt(64, 48))["trt_int8_calibration_table_name"]; got != "/nowhere/table" {
		t.Errorf("the session gets the table %q", got)
	}
}

// Options, the structs and the map cannot drift apart.
func TestEveryKeyIsAnOption(t *testing.T) {
	var keys []string
	for section, s := range map[string]any{"tensorrt.": TensorRTOptions{}, "cuda.": CUDAOptions{}} {
		for i := range reflect.TypeOf(s).NumField() {
			keys = append(keys, section+reflect.TypeOf(s).Field(i).Tag.Get("yaml"))
		}
	}
	var listed []string
	for _, o := range Options() {
		listed = append(listed, o.Key)
		if !strings.HasPrefix(o.Key, o.Provider+".") {
			t.Errorf("%s is said to be %s's", o.Key, o.Provider)
		}
	}
	slices.Sort(keys)
	slices.Sort(listed)
	if !slices.Equal(keys, listed) {
		t.Errorf("expected %v,\nfound %v", keys, listed)
	}
}

func TestProfileIsOneSize(t *testing.T) {
	ports := append([]port{{"sigma", f32, sigmaDims}}, planes("state_", "", f32)...)
	const want = "sigma:1,state_y:1x1x368x640,state_cb:1x1x184x320,state_cr:1x1x184x320"
	for key, got := range profile(ports, image.Pt(640, 368)) {
		if got != want {
			t.Errorf("%s: expected %s, found %s", key, want, got)
		}
	}
}

// What the session gets beside what makes the engine.
func TestSessionOptions(t *testing.T) {
	dir := t.TempDir()
	plain := Default()
	plain.Device = 3
	context := plain
	context.TensorRT.EPContext = true
	elsewhere := plain
	elsewhere.TensorRT.TimingCachePath, elsewhere.TensorRT.BuildLog = "/t", true
	off := plain
	off.TensorRT.TimingCache = false
	timed := map[string]string{"trt_timing_cache_enable": "1", "trt_timing_cache_path": "/timing"}
	cached := join(timed, map[string]string{"trt_engine_cache_enable": "1", "trt_engine_cache_path": dir})
	for name, c := range map[string]struct {
		config Config
		want   map[string]string
	}{
		"no folders":         {plain, nil},
		"none for a context": {context, nil},
		"an engine":          {plain.WithEngineCache(dir, "/timing"), cached},
		"timing elsewhere": {elsewhere.WithEngineCache(dir, "/timing"), join(cached,
			map[string]string{"trt_timing_cache_path": "/t", "trt_detailed_build_log": "1"})},
		"no timing": {off.WithEngineCache(dir, "/timing"), map[string]string{"trt_engine_cache_enable": "1", "trt_engine_cache_path": dir}},
		"a context": {context.WithEngineCache(dir, "/timing"), join(timed, map[string]string{"trt_engine_cache_enable": "1",
			"trt_dump_ep_context_model": "1", "trt_ep_context_file_path": filepath.Join(dir, "sharpend_ctx.onnx")})},
	} {
		got := c.config.sessionOptions(TensorRT, PredictorKind, image.Pt(64, 48))
		maps.DeleteFunc(got, func(k, _ string) bool { return strings.HasPrefix(k, "trt_profile_") })
		if want := join(c.want, map[string]string{"device_id": "3"}); !maps.Equal(got, want) {
			t.Errorf("%s: expected %v,\nfound %v", name, want, got)
		}
	}
	if got := plain.sessionOptions(CUDA, PredictorKind, image.Pt(64, 48)); len(got) != 1 || got["device_id"] != "3" {
		t.Errorf("cuda takes tensorrt's options: %v", got)
	}
	testContextIsLoaded(t, context.WithEngineCache(dir, "/timing"), timed)
}

// testContextIsLoaded: once it is there it is opened, and not written again.
func testContextIsLoaded(t *testing.T, c Config, want map[string]string) {
	path := filepath.Join(c.engine, contextName)
	if c.contextModel() != "" {
		t.Errorf("%s is said to be there", path)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.contextModel(); got != path {
		t.Errorf("expected %s, found %q", path, got)
	}
	got := c.sessionOptions(TensorRT, PredictorKind, image.Pt(64, 48))
	maps.DeleteFunc(got, func(k, _ string) bool { return strings.HasPrefix(k, "trt_profile_") })
	if want := join(want, map[string]string{"device_id": "3"}); !maps.Equal(got, want) {
		t.Errorf("a context that is there: expected %v,\nfound %v", want, got)
	}
}

func join(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return all
}

func TestProvidersFor(t *testing.T) {
	c := Default()
	c.DenoiserProviders = []string{CUDA}
	if p, d := c.ProvidersFor(PredictorKind), c.ProvidersFor(DenoiserKind); !slices.Equal(p, known) || !slices.Equal(d, []string{CUDA}) {
		t.Errorf("found %v and %v", p, d)
	}
	if d := Default(); !slices.Equal(d.ProvidersFor(DenoiserKind), known) {
		t.Error("without a list of its own the denoiser takes the predictor's")
	}
	one := c.WithProviders(CPU)
	if !slices.Equal(one.ProvidersFor(DenoiserKind), []string{CPU}) || len(c.Providers) != 3 {
		t.Errorf("WithProviders: %v, and the original %v", one.ProvidersFor(DenoiserKind), c.Providers)
	}
}

// These texts are the library's own, recorded from 1.29.0.
func TestBlame(t *testing.T) {
	const source = "/onnxruntime_src/onnxruntime/core/providers/tensorrt/tensorrt_execution_provider_info.cc:74 static onnxruntime::TensorrtExecutionProviderInfo onnxruntime::TensorrtExecutionProviderInfo::FromProviderOptions(const onnxruntime::ProviderOptions&) [ONNXRuntimeError] : 1 : FAIL : "
	c := Default()
	c.Options = map[string]map[string]string{TensorRT: {"trt_foo": "1"}}
	for said, want := range map[string]string{
		`provider_options_utils.h:182 Parse Unknown provider option: "trt_foo".`:                                                                                                                                                                      `runtime.options.tensorrt.trt_foo: ONNX Runtime 1.`,
		`provider_options_utils.h:182 Parse Unknown provider option: "trt_sparsity_enable".`:                                                                                                                                                          `the key runtime.tensorrt.sparsity: ONNX Runtime 1.`,
		`provider_options_utils.h:187 Parse Failed to parse provider option "trt_foo": parse_string.h:116 ParseStringWithClassicLocale Failed to parse value: "0"`:                                                                                    `runtime.options.tensorrt.trt_foo: tensorrt does not take this value: Failed to parse provider option "trt_foo": Failed to parse value: "0"`,
		`provider_options_utils.h:187 Parse Failed to parse provider option "device_id": CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/x.cc ; line=81 ; expr=cudaGetDeviceCount(&num_devices);`: `Failed to parse provider option "device_id": CUDA failure 100: no CUDA-capable device is detected`,
	} {
		if got := plain(c.blame(TensorRT, errors.New(source+said))).Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "onnxruntime_src") {
			t.Errorf("expected %q,\nfound %q", want, got)
		}
	}
}
