package tensorrt

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

func faultsOf(c Config) (keys []string) {
	c.Validate(func(key, format string, args ...any) {
		keys = append(keys, key+": "+fmt.Sprintf(format, args...))
	})
	return keys
}

func TestDefaultIsValid(t *testing.T) {
	if faults := faultsOf(Default()); faults != nil {
		t.Error(faults)
	}
	c := Default()
	c.Providers[0] = "changed"
	if Default().Providers[0] != TensorRT {
		t.Error("a change of one default changes all")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"providers: []", []string{"providers: is empty: name at least one of tensorrt, cuda, cpu"}},
		{"providers: [gpu, cpu, cpu]", []string{`providers: "gpu" is no provider: use tensorrt, cuda, cpu`, "providers: cpu is named twice"}},
		{"threads: -1", []string{"threads: must be 0 (all cores) to 1024, not -1"}},
		{"{threads: 5000, device: -2}", []string{"threads: must be 0 (all cores) to 1024, not 5000", "device: must be a GPU's number from 0, not -2"}},
		{"options: {cpu: {a: b}}", []string{"options.cpu: takes no options: only tensorrt and cuda do"}},
		{"options: {cuda: {device_id: 1}}", []string{"options.cuda.device_id: is set by the key runtime.device"}},
		{"options: {tensorrt: {trt_min_subgraph_size: 5, trt_layer_norm_fp32_fallback: true}, cuda: {arena_extend_strategy: kSameAsRequested}}", nil},
		{"options: {tensorrt: {trt_fp16_enable: true, trt_builder_optimization_level: 5}, cuda: {use_tf32: 0}}", []string{
			"options.cuda.use_tf32: is set by the key runtime.cuda.tf32",
			"options.tensorrt.trt_builder_optimization_level: is set by the key runtime.tensorrt.optimization_level",
			"options.tensorrt.trt_fp16_enable: is set by the key runtime.tensorrt.precision",
		}},
		{"options: {tensorrt: {trt_engine_cache_path: /tmp, trt_timing_cache_path: /tmp}}", []string{
			"options.tensorrt.trt_engine_cache_path: is set by the program, which keeps the engines",
			"options.tensorrt.trt_timing_cache_path: is set by the key runtime.tensorrt.timing_cache_path",
		}},
		{"{denoiser_providers: [cpu, gpu]}", []string{`denoiser_providers: "gpu" is no provider: use tensorrt, cuda, cpu`}},
		{"tensorrt: {precision: half, denoiser_precision: fp8}", []string{
			`tensorrt.precision: must be fp32, fp16, bf16, int8, not "half"`,
			`tensorrt.denoiser_precision: must be fp32, fp16, bf16, int8, not "fp8"`,
		}},
		{"tensorrt: {calibration: table, denoiser_calibration: table, denoiser_precision: int8}", []string{
			"tensorrt.calibration: is for int8, and precision is fp32",
		}},
		{"tensorrt: {native_calibration: true}", []string{"tensorrt.native_calibration: says how a calibration table is written, and none is named"}},
		{"tensorrt: {optimization_level: 6, dla_core: -2, auxiliary_streams: -2}", []string{
			"tensorrt.optimization_level: must be 0 to 5, not 6",
			"tensorrt.dla_core: must be a core's number from 0, or -1 for the GPU, not -2",
			"tensorrt.auxiliary_streams: must be a number of streams from 0, or -1 for TensorRT's choice, not -2",
		}},
		{"tensorrt: {timing_cache: false, timing_cache_path: /var/cache}", []string{"tensorrt.timing_cache_path: names a folder, and timing_cache is off"}},
		{"tensorrt: {dla_core: 0, precision: fp16}", []string{"tensorrt.denoiser_precision: is fp32, and a DLA (dla_core 0) computes in fp16 or int8 only"}},
		{"{denoiser_providers: [cuda], tensorrt: {dla_core: 0, precision: fp16}}", nil},
		{"tensorrt: {precision: int8, calibration: t, native_calibration: true, workspace: 512 MiB, ep_context: true}", nil},
		{"cuda: {conv_search: best}", []string{`cuda.conv_search: must be exhaustive, heuristic, default, not "best"`}},
	} {
		config := Default()
		if err := yaml.Unmarshal([]byte(c.text), &config); err != nil {
			t.Fatal(err)
		}
		if got := faultsOf(config); !slices.Equal(got, c.want) {
			t.Errorf("%s: expected %q, found %q", c.text, c.want, got)
		}
	}
}

func TestThreads(t *testing.T) {
	c := Default()
	if c.threads() != runtime.NumCPU() {
		t.Errorf("0 threads: expected every core, found %d", c.threads())
	}
	c.Threads = 3
	if c.threads() != 3 {
		t.Errorf("3 threads: found %d", c.threads())
	}
}
