package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// What TensorRT, CUDA and the driver answer on the machine of these tests.
const fakeLibraries = `
#include <string.h>
int getInferLibVersion(void) { return 100300; }
int cudaRuntimeGetVersion(int *v) { *v = 12060; return 0; }
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuDeviceGet(int *d, int n) { *d = n; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Orin", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : 14; return 0; }
`

// machineWithTensorRT makes a folder with the real ONNX Runtime and, beside it,
// a provider for TensorRT in name only, on a machine that seems to have a GPU.
func machineWithTensorRT(t *testing.T) (library string) {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("fake.c"), fakeLibraries)
	write(t, path("provider.c"), "void nothing(void) {}")
	gcc := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("gcc", append([]string{"-shared", "-fPIC"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
	}
	gcc("-o", path("libnvinfer.so.77"), path("fake.c"))
	for _, name := range []string{"libcudart.so.77", "libcuda.so.1"} {
		if err := os.Link(path("libnvinfer.so.77"), path(name)); err != nil {
			t.Fatal(err)
		}
	}
	gcc("-o", path("libonnxruntime_providers_tensorrt.so"), path("provider.c"),
		"-L"+dir, "-Wl,--no-as-needed", "-l:libnvinfer.so.77", "-l:libcudart.so.77", "-Wl,-rpath,$ORIGIN")
	real, err := filepath.Abs(os.Getenv("SHARPEND_ONNXRUNTIME"))
	if err != nil {
		t.Fatal(err)
	}
	library = path("libonnxruntime.so.1")
	if err := os.Symlink(real, library); err != nil {
		t.Fatal(err)
	}
	return library
}

// engineConfig writes a configuration for that machine.
func engineConfig(t *testing.T, library, cache, more string) (file string) {
	t.Helper()
	models, err := filepath.Abs("../tensorrt/testdata")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "c.yaml")
	write(t, file, fmt.Sprintf("models: {predictor: %s/predictor.onnx, denoiser: %s/denoiser.onnx}\nengines: {cache: %s}\nruntime:\n  library: %s\n%s",
		models, models, cache, library, more))
	return file
}

// fill builds the predictor's engine of a configuration, in name only.
func fill(t *testing.T, file string) (engines.Manifest, string) {
	t.Helper()
	c, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.startRuntime(slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer tensorrt.Stop()
	s, err := c.engineSource()
	if err != nil {
		t.Fatal(err)
	}
	m, err := tensorrt.LoadModel(c.Models.Predictor, tensorrt.PredictorKind)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.job(&c.Runtime, m, testSize)
	if err != nil {
		t.Fatal(err)
	}
	manifest, _, err := s.cache.Build(context.Background(), engines.Build{
		Inputs: j.inputs, About: engines.About{Name: m.Name, ModelBytes: 10}, Run: func(dir, _ string) error { return fakeEngine("", dir) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return *manifest, filepath.Join(s.cache.Dir(), manifest.Key)
}

func TestEnginesUsage(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"engines", 2, "a word is missing; the commands are:\n  engines build"},
		{"engines bild", 2, `there is no "bild"`},
		{"engines --help", 0, "engines prune"},
		{"help engines", 0, "engines prune"},
		{"help engines build", 0, "--size WxH"},
		{"engines build", 2, "--config FILE is missing"},
		{"engines build -c x.yaml --size 640", 2, "--size is a width and a height"},
		{"engines build -c x.yaml --size 640x360x2", 2, "--size is a width and a height"},
		{"engines build -c x.yaml --size -640x360", 2, "--size is a width and a height"},
		{"engines build -c x.yaml --model both", 2, "--model is predictor or denoiser"},
		{"engines build -c x.yaml --expect abc", 2, "--expect needs --model"},
		{"engines build -c none.yaml", 1, "none.yaml: no such file"},
		{"engines build -c ../configs/demo.yaml --providers cpu", 1, "there is nothing to build: runtime.providers names no tensorrt"},
		{"engines build -c ../configs/demo.yaml --size 640x360 --providers tensorrt,cpu", 1, "runs no TensorRT"},
		{"engines list extra", 2, `unexpected argument "extra"`},
		{"engines prune --older soon", 2, "--older is an age"},
		{"engines prune --older 0d", 2, "--older is an age"},
		{"engines prune --keep -1", 2, "--keep is a number"},
	} {
		status, stdout, stderr := sharpend(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%s: expected %d and %q, found %d, %q, %q", c.args, c.status, c.says, status, stdout, stderr)
		}
	}
}

func TestOlder(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "30d": 720 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute} {
		if p, err := pruningPolicy(false, 0, text); err != nil || p.Older != want {
			t.Errorf("%q: expected %v, found %v, %v", text, want, p.Older, err)
		}
	}
}

func TestEnginesListVerifyPrune(t *testing.T) {
	library, cache := machineWithTensorRT(t), filepath.Join(t.TempDir(), "cache")
	plain, half := engineConfig(t, library, cache, ""), engineConfig(t, library, cache, "  tensorrt: {precision: fp16}\n")
	run := func(status int, want, args string) string {
		t.Helper()
		got, stdout, stderr := sharpend(strings.Fields(args)...)
		if got != status || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%s: expected %d and %q, found %d: %s%s", args, status, want, got, stdout, stderr)
		}
		return stdout
	}
	run(0, "No engines in "+cache+"/engines", "engines list -c "+plain)
	run(0, "[]", "engines list --json -c "+plain)
	m, dir := fill(t, plain)
	run(0, "test-predictor  640x368  good", "engines list -c "+plain)
	run(0, "TensorRT 10.3.0, CUDA 12.6, driver 12.6", "engines list -c "+plain)
	var list []engines.Entry
	if err := json.Unmarshal([]byte(run(0, m.Key, "engines list --json -c "+plain)), &list); err != nil || len(list) != 1 || list[0].Manifest.Inputs.GPU != "Orin" {
		t.Errorf("%v: %+v", err, list)
	}
	run(0, m.Key[:12]+"  test-predictor at 640x368  good", "engines verify -c "+plain)
	run(0, "stays: it can be used", "engines prune -c "+plain)
	run(0, "stays: it can be used", "engines prune -c "+half+" -c "+plain)
	run(0, "goes: trt_fp16_enable was not set, is 1", "engines prune --dry-run -c "+half)
	run(0, "goes: no predictor runs on TensorRT", "engines prune --dry-run -c "+engineConfig(t, library, cache, "  providers: [cuda, cpu]\n"))
	run(0, "goes: it was built 0 days ago", "engines prune --dry-run --older 1ns -c "+plain)
	noGPU := engineConfig(t, os.Getenv("SHARPEND_ONNXRUNTIME"), cache, "")
	run(0, "What can be used here is not known, so that only what is damaged goes", "engines prune -c "+noGPU)
	if !exists(dir) {
		t.Fatal("an engine that can be used is gone")
	}
	write(t, filepath.Join(dir, "x.engine"), "other")
	run(1, "1 of 1 engines", "engines verify -c "+plain)
	run(0, "goes: ", "engines prune --dry-run -c "+plain)
	if !exists(dir) {
		t.Error("a dry run removes")
	}
	run(0, "x.engine has 5 bytes instead of 13", "engines prune -c "+plain)
	run(0, "No engines", "engines list -c "+plain)
	_, dir = fill(t, plain)
	run(0, "goes: all are to go", "engines prune --all -c "+plain)
	if exists(dir) {
		t.Error("--all leaves one")
	}
}

// The daemon's builder, with the program's own command line: it arrives at the
// same key, and at ONNX Runtime's own refusal, which the daemon reports.
func TestRealBuilder(t *testing.T) {
	file := engineConfig(t, machineWithTensorRT(t), "cache", "  tensorrt: {precision: fp16, workspace: 512 MiB}\n")
	t.Chdir(filepath.Dir(file))
	c, err := loadConfig(filepath.Base(file), nil) // all relative: the builder must find it nevertheless
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.start(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tensorrt.Stop()
	for _, m := range []*tensorrt.Model{n.predictor, n.denoiser} {
		k := newPipeline(c, n, output{}, slog.New(slog.DiscardHandler)).engines
		k.builds = true
		k.child = func(j engineJob) (*exec.Cmd, error) {
			cmd, err := k.childCommand(j)
			cmd.Env = append(os.Environ(), fakeBuilderEnv+`={"How":"program"}`)
			return cmd, err
		}
		end := supervised(t, k)
		runtime := c.Runtime
		runtime.Threads = 3 // the refiner has its own; a key has none
		o, err := k.prepare(m, testSize, runtime)
		if err != nil {
			t.Fatal(err)
		}
		if o.missing == nil {
			t.Fatalf("found %+v, %s", o, k.skippedFor(m.Kind))
		}
		k.opened(o, tensorrt.CPU)
		eventually(t, "a failure", func() bool { return firstJob(k).State == jobFailed })
		if got := firstJob(k).Error; !strings.Contains(got, "libonnxruntime_providers_shared.so") || !strings.Contains(got, "building; the first time this takes minutes") {
			t.Errorf("%s: found %q", m.Kind, got)
		}
		end()
		j := *o.missing
		if !exists("cache/engines/build.lock") {
			t.Error("the builder worked in another cache")
		}
		j.key = strings.Repeat("0", 64)
		cmd, err := k.child(j)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "not what they were when the daemon loaded them") {
			t.Errorf("another key: %v, %s", err, out)
		}
	}
}

func TestDoctorOnEngines(t *testing.T) {
	k, asked := testKeeper(t.TempDir(), "succeed")
	s, err := k.source()
	if err != nil {
		t.Fatal(err)
	}
	m := testModel(tensorrt.PredictorKind)
	says := func(list []string, status verdict, words ...string) {
		t.Helper()
		c := withProviders(list...)
		f := s.finding(&c, m, testSize)
		for _, w := range words {
			if f.Status != status || !strings.Contains(f.Detail+"; "+f.Advice, w) {
				t.Errorf("expected %s and %q, found %+v", status, w, f)
			}
		}
	}
	both := []string{tensorrt.TensorRT, tensorrt.CPU}
	says(both, warn, "is not built yet", "the next provider serves", "minutes, the first time")
	says([]string{tensorrt.TensorRT}, warn, "the daemon waits for it")
	supervised(t, k)
	serve(t, k, withProviders(both...), tensorrt.CPU)
	eventually(t, "a swap", func() bool { return asked.Load() == 1 })
	says(both, fine, "is there, built in 0 s")
	s.machine.TensorRT = "10.4.0"
	says(both, warn, "is not built yet")
}
