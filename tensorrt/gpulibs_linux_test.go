package tensorrt

import (
	"image"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	ort "github.com/yalue/onnxruntime_go"
)

// These tests run with the real GPU providers (make test-gpu-libs) on a machine
// without CUDA, or with libraries under CUDA's names of which no function works.

// stubs are in the way when $SHARPEND_CUDA_STUBS says so; their number of devices is this variable.
const (
	stubs       = "SHARPEND_CUDA_STUBS"
	stubDevices = "STUB_DEVICES"
)

func needGPULibraries(t *testing.T, withStubs bool) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(filepath.Dir(library), "libonnxruntime_providers_tensorrt.so")); err != nil {
		t.Skip("this ONNX Runtime has no GPU providers: run make test-gpu-libs")
	}
	if (os.Getenv(stubs) != "") != withStubs {
		t.Skip("this test is for the other case, with or without CUDA's names")
	}
}

func TestGPULibrariesWithoutCUDA(t *testing.T) {
	needGPULibraries(t, false)
	expectSkipped(t, Default(), map[string]string{
		TensorRT: `Failed to load library .*/libonnxruntime_providers_tensorrt.so with error: libcublas.so.13: cannot open shared object file: No such file or directory`,
		CUDA:     `Failed to load library .*/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory`,
	})
}

func TestGPULibrariesWithoutGPU(t *testing.T) {
	needGPULibraries(t, true)
	t.Setenv(stubDevices, "0")
	const none = `Failed to parse provider option "device_id": CUDA failure 100: no CUDA-capable device is detected`
	expectSkipped(t, Default(), map[string]string{TensorRT: none, CUDA: none})
}

// A wrong option is the first thing said, and by its key in the configuration.
func TestGPULibrariesNameUnknownOptions(t *testing.T) {
	needGPULibraries(t, true)
	t.Setenv(stubDevices, "1")
	c := Default()
	c.Options = map[string]map[string]string{TensorRT: {"trt_foo_enable": "1"}, CUDA: {"no_such_option": "1"}}
	expectSkipped(t, c, map[string]string{
		TensorRT: `runtime.options.tensorrt.trt_foo_enable: ONNX Runtime .* does not know this option of tensorrt: Unknown provider option: "trt_foo_enable".`,
		CUDA:     `runtime.options.cuda.no_such_option: ONNX Runtime .* does not know this option of cuda: Unknown provider option: "no_such_option".`,
	})
	c.Options = map[string]map[string]string{TensorRT: {"trt_min_subgraph_size": "few"}, CUDA: {"arena_extend_strategy": "kAny"}}
	expectSkipped(t, c, map[string]string{
		TensorRT: `runtime.options.tensorrt.trt_min_subgraph_size: tensorrt does not take this value: Failed to parse .*`,
		CUDA:     `runtime.options.cuda.arena_extend_strategy: cuda does not take this value: Failed to parse .* kAny`,
	})
}

// expectSkipped opens a model on the first provider that works: the CPU, for those reasons.
func expectSkipped(t *testing.T, c Config, reasons map[string]string) {
	t.Helper()
	p, err := OpenPredictor(load(t, "predictor", PredictorKind), c, 64, 48)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Provider() != CPU {
		t.Errorf("expected the cpu, found %s", p.Provider())
	}
	for _, a := range p.Attempts() {
		if a.Provider != CPU && !regexp.MustCompile("^"+reasons[a.Provider]+"$").MatchString(a.Err.Error()) {
			t.Errorf("%s: expected %q,\nfound %q", a.Provider, reasons[a.Provider], a.Err)
		}
	}
}

// Every typed key, set, is one that the real provider takes.
func TestGPULibrariesTakeEveryOption(t *testing.T) {
	needGPULibraries(t, true)
	t.Setenv(stubDevices, "1")
	c := Default().WithEngineCache("/engine", "/timing")
	c.TensorRT = TensorRTOptions{Precision: INT8, DenoiserPrecision: BF16, Calibration: "/table", NativeCalibration: true,
		Workspace: 1 << 30, OptimizationLevel: 5, TimingCache: true, DLACore: 1, CUDAGraph: true, ShareContextMemory: true,
		Sparsity: true, HardwareCompatible: true, BuildLog: true, EPContext: true}
	c.CUDA = CUDAOptions{Memory: 1 << 30, ConvSearch: "heuristic", NHWC: true}
	passed := map[string]bool{}
	for _, kind := range []string{PredictorKind, DenoiserKind} {
		for _, provider := range []string{TensorRT, CUDA} {
			options := c.sessionOptions(provider, kind, image.Pt(64, 48))
			for key := range options {
				passed[key] = true
			}
			if err := update(provider, options); err != nil {
				t.Errorf("%s, %s: %v", kind, provider, err)
			}
		}
	}
	for _, o := range Options() {
		for _, key := range o.Sets {
			if !passed[key] {
				t.Errorf("%s (%s) was not passed on", o.Key, key)
			}
		}
	}
}

func update(provider string, options map[string]string) error {
	return exclusive(func() error {
		if provider == CUDA {
			cuda, err := ort.NewCUDAProviderOptions()
			if err != nil {
				return err
			}
			defer cuda.Destroy()
			return cuda.Update(options)
		}
		trt, err := ort.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer trt.Destroy()
		return trt.Update(options)
	})
}

// Loading the real providers, whatever comes of it, leaves every handler as it was.
func TestGPULibrariesLeaveSignalsAlone(t *testing.T) {
	needGPULibraries(t, os.Getenv(stubs) != "")
	var before [lastSignal + 1]action
	for s := range before {
		before[s], _ = signalAction(s)
	}
	Probe(Default())
	for s := range before {
		if now, ok := signalAction(s); ok && now != before[s] {
			t.Errorf("signal %d: handler %x, was %x", s, now, before[s])
		}
	}
}
