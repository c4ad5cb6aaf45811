package engines

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A fake is a machine of small libraries that answer as NVIDIA's do.
type fake struct{ dir string }

const (
	fakeTensorRT = "int getInferLibVersion(void) { return 101303; } int getInferLibBuildVersion(void) { return 9; }"
	fakeRuntime  = "int cudaRuntimeGetVersion(int *v) { *v = 13010; return 0; }"
	fakeDriver   = `
#include <string.h>
static int begun;
int cuInit(unsigned flags) { begun = 1; return 0; }
int cuDriverGetVersion(int *v) { *v = 13020; return 0; }
int cuDeviceGet(int *d, int n) { *d = n + 40; return begun && n < 2 ? 0 : 101; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d == 40 ? "Orin" : "Thor", n); return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : a == 16 ? 14 : -1; return 0; }
int cuGetErrorString(int e, const char **s) { *s = e == 101 ? "invalid device ordinal" : "?"; return 0; }
`
)

// plain compiles the machine that works, once.
var plain = sync.OnceValues(func() (fake, error) {
	dir, err := os.MkdirTemp("", "engines")
	f := fake{dir}
	return f, errors.Join(err,
		f.compile("libnvinfer.so.77", fakeTensorRT),
		f.compile("libcudart.so.77", fakeRuntime),
		f.compile(driverName, fakeDriver),
		f.provider("libnvinfer.so.77", "libcudart.so.77"))
})

// provider compiles ONNX Runtime's library for TensorRT, in so far as its header goes.
func (f fake) provider(needs ...string) error {
	args := []string{"-Wl,--no-as-needed", "-L" + f.dir, "-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN"}
	for _, name := range needs {
		args = append(args, "-l:"+name)
	}
	return f.compile(providerName, "void nothing(void) {}", args...)
}

// fakeMachine is the machine that works, but for the libraries in replace: "" takes one away.
func fakeMachine(t *testing.T, replace map[string]string) (onnx string) {
	t.Helper()
	base, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	f := fake{t.TempDir()}
	for _, name := range []string{"libnvinfer.so.77", "libcudart.so.77", driverName, providerName} {
		if source, ok := replace[name]; !ok {
			err = os.Link(filepath.Join(base.dir, name), filepath.Join(f.dir, name))
		} else if source != "" {
			err = f.compile(name, source)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	onnx = filepath.Join(f.dir, "libonnxruntime.so.1")
	if err := os.WriteFile(onnx, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return onnx
}

// withoutLibrary is a machine that lacks a library which no test has loaded.
func withoutLibrary(t *testing.T, present, absent string) (onnx string) {
	onnx = fakeMachine(t, nil)
	f := fake{filepath.Dir(onnx)}
	os.Remove(filepath.Join(f.dir, providerName)) // a link: the base stays
	if err := errors.Join(f.compile(absent, "int x;"), f.provider(present, absent), os.Remove(filepath.Join(f.dir, absent))); err != nil {
		t.Fatal(err)
	}
	return onnx
}

func (f fake) compile(name, source string, args ...string) error {
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".c", []byte(source), 0o600); err != nil {
		return err
	}
	args = append([]string{"-shared", "-fPIC", "-Wl,-soname," + name, "-o", path, path + ".c"}, args...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}

// withoutModule hides the driver of the machine that the test runs on.
func withoutModule(t *testing.T, release string) {
	was := moduleVersion
	t.Cleanup(func() { moduleVersion = was })
	moduleVersion = filepath.Join(t.TempDir(), "version")
	if release != "" {
		if err := os.WriteFile(moduleVersion, []byte(release+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProbeMachine(t *testing.T) {
	withoutModule(t, "540.4.0")
	m, err := ProbeMachine(fakeMachine(t, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := Machine{TensorRT: "10.13.3.9", CUDA: "13.1", Driver: "13.2 (540.4.0)", GPU: "Orin", Capability: "8.7", Multiprocessors: 14}
	if m != want {
		t.Errorf("expected %+v, found %+v", want, m)
	}
}

// A wheel's folder holds the real file; the path that is configured may be a link elsewhere.
func TestProbeMachineThroughALink(t *testing.T) {
	withoutModule(t, "")
	link := filepath.Join(t.TempDir(), "libonnxruntime.so.1")
	if err := os.Symlink(fakeMachine(t, nil), link); err != nil {
		t.Fatal(err)
	}
	m, err := ProbeMachine(link, 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.GPU != "Thor" || m.Driver != "13.2" {
		t.Errorf("device 1: found %+v", m)
	}
}

// What is absent or answers nonsense is an error that names it, never an empty field.
func TestProbeMachineFails(t *testing.T) {
	withoutModule(t, "")
	for _, c := range []struct {
		library, source string // "" removes it
		device          int
		want            string
	}{
		{providerName, "", 0, "runs no TensorRT: open "},
		{"libnvinfer.so.77", "int other;", 0, "no TensorRT: "},
		{"libnvinfer.so.77", "int getInferLibVersion(void) { return 0; }", 0, "says its version is 0"},
		{"libcudart.so.77", "int cudaRuntimeGetVersion(int *v) { *v = 1; return 35; }", 0, "cudaRuntimeGetVersion fails with error 35"},
		{"libcudart.so.77", "int cudaRuntimeGetVersion(int *v) { *v = 0; return 0; }", 0, "says its version is 0"},
		{driverName, "int cuInit(unsigned f) { return 100; }", 0, "has no function cuDriverGetVersion"},
		{driverName, strings.Replace(fakeDriver, "begun = 1; return 0", "return 100", 1), 0, "no GPU: "},
		{driverName, strings.Replace(fakeDriver, "*v = 13020", "*v = 0", 1), 0, "no GPU: "},
		{driverName, strings.Replace(fakeDriver, `"Orin"`, `""`, 1), 0, "the GPU tells no name"},
		{driverName, strings.Replace(fakeDriver, "? 14", "? 0", 1), 0, "tells no compute capability and size"},
		{driverName, fakeDriver, 2, "cuDeviceGet of GPU 2 fails with error 101: invalid device ordinal"},
	} {
		m, err := ProbeMachine(fakeMachine(t, map[string]string{c.library: c.source}), c.device)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.60q: expected %q, found %+v, %v", c.library, c.source, c.want, m, err)
		}
	}
}

func TestProbeMachineWithoutLibraries(t *testing.T) {
	withoutModule(t, "")
	for _, c := range []struct{ present, absent, want string }{
		{"libcudart.so.77", "libnvinfer.so.78", "no TensorRT: libnvinfer.so.78: cannot open shared object file"},
		{"libnvinfer.so.77", "libcudart.so.78", "no CUDA: libcudart.so.78: cannot open shared object file"},
	} {
		m, err := ProbeMachine(withoutLibrary(t, c.present, c.absent), 0)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("expected %q, found %+v, %v", c.want, m, err)
		}
	}
}

// TensorRT before 10 told no build number.
func TestOldTensorRT(t *testing.T) {
	withoutModule(t, "")
	m, err := ProbeMachine(fakeMachine(t, map[string]string{"libnvinfer.so.77": "int getInferLibVersion(void) { return 8601; }"}), 0)
	if err != nil || m.TensorRT != "8.6.1" {
		t.Errorf("found %q, %v", m.TensorRT, err)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct{ found, want string }{
		{tensorrtVersion(100300, 26), "10.3.0.26"},
		{tensorrtVersion(8601, -1), "8.6.1"},
		{tensorrtVersion(110000, 0), "11.0.0.0"},
		{cudaVersion(12060), "12.6"},
		{cudaVersion(13000), "13.0"},
	} {
		if c.found != c.want {
			t.Errorf("expected %s, found %s", c.want, c.found)
		}
	}
}

// LD_LIBRARY_PATH comes before RUNPATH and after RPATH, as for ld.so.
func TestSearchOrder(t *testing.T) {
	first := t.TempDir()
	t.Setenv("LD_LIBRARY_PATH", first)
	onnx := fakeMachine(t, nil)
	if err := (fake{first}).compile("libnvinfer.so.77", "int getInferLibVersion(void) { return 100100; }"); err != nil {
		t.Fatal(err)
	}
	withoutModule(t, "")
	m, err := ProbeMachine(onnx, 0)
	if err != nil || m.TensorRT != "10.1.0" {
		t.Errorf("expected LD_LIBRARY_PATH's 10.1.0, found %q, %v", m.TensorRT, err)
	}
}

func ExampleInputs_Differences() {
	was := Inputs{Kind: "predictor", Model: "abc", Options: map[string]string{"trt_fp16_enable": "1", "b": "2"}, Machine: Machine{TensorRT: "10.3.0"}}
	now := was
	now.TensorRT, now.Options = "10.7.0", map[string]string{"b": "2"}
	fmt.Println(strings.Join(was.Differences(now), "\n"))
	// Output:
	// TensorRT was 10.3.0, is 10.7.0
	// trt_fp16_enable was 1, is not set
}
