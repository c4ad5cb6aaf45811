package tensorrt

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// install lays out empty files that stand for libraries.
func install(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range paths {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFind(t *testing.T) {
	const named, env, beside, system = "n/libonnxruntime.so.1", "e/libonnxruntime.so", "lib/libonnxruntime.so.1", "usr/libonnxruntime.so.1.27.0"
	const old, packaged = "usr/libonnxruntime.so.1.21.0", "lib/sharpend/libonnxruntime.so.1"
	for _, c := range []struct {
		name                    string
		there                   []string
		configured, env         string
		wantPath, wantWhy, fail string
	}{
		{name: "the key comes first", there: []string{named, env, beside, system}, configured: named, env: env, wantPath: named, wantWhy: "runtime.library"},
		{name: "then the environment", there: []string{env, beside, system}, env: env, wantPath: env, wantWhy: "$SHARPEND_ONNXRUNTIME"},
		{name: "then beside the program", there: []string{beside, system}, wantPath: beside, wantWhy: "beside the program"},
		{name: "then the system", there: []string{system}, wantPath: system, wantWhy: "lib/libonnxruntime.so.1: no such file"},
		{name: "not an old one", there: []string{old, system}, wantPath: system, wantWhy: "version 1.21, and 1.24 or later is needed"},
		{name: "the package's own is the last", there: []string{system, packaged}, wantPath: system, wantWhy: "the system has it"},
		{name: "but better than an old one", there: []string{old, packaged}, wantPath: packaged, wantWhy: "the package brings it"},
		{name: "a key that names nothing is an error", there: []string{env, beside, system}, configured: named, env: env, fail: "the key runtime.library: ROOT/n/libonnxruntime.so.1: no such file"},
		{name: "so is such a variable", there: []string{beside, system}, env: env, fail: "$SHARPEND_ONNXRUNTIME: ROOT/e/libonnxruntime.so: no such file"},
		{name: "a folder is named", there: []string{beside}, configured: "lib", fail: "ROOT/lib is a folder: name the file, such as ROOT/lib/libonnxruntime.so.1"},
		{name: "nothing anywhere", there: []string{old}, fail: "set the key runtime.library or $SHARPEND_ONNXRUNTIME"},
	} {
		root := install(t, c.there...)
		at := func(p string) string {
			if p == "" {
				return ""
			}
			return filepath.Join(root, p)
		}
		listed := func() []string { return []string{at(old), at(system)} }
		path, why, err := find(at(c.configured), at(c.env), at("bin/sharpend"), listed)
		switch {
		case c.fail != "":
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.fail, "ROOT", root)) {
				t.Errorf("%s: expected an error with %q, found %v", c.name, c.fail, err)
			}
		case err != nil || path != at(c.wantPath) || !strings.Contains(why, c.wantWhy):
			t.Errorf("%s: expected %s (%s), found %s (%s), error %v", c.name, c.wantPath, c.wantWhy, path, why, err)
		}
	}
}

func TestLibraryErrorNamesEveryPlace(t *testing.T) {
	root := install(t, "a/libonnxruntime.so.1.20.1")
	_, _, err := find("", "", root+"/bin/sharpend", func() []string { return []string{root + "/a/libonnxruntime.so.1.20.1"} })
	for _, want := range []string{root + "/lib/libonnxruntime.so.1", root + "/a/libonnxruntime.so.1.20.1 is version 1.20"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q in %v", want, err)
		}
	}
}

func TestVersionThroughALink(t *testing.T) {
	root := install(t, "libonnxruntime.so.1.18.1")
	link := filepath.Join(root, "libonnxruntime.so.1")
	if err := os.Symlink("libonnxruntime.so.1.18.1", link); err != nil {
		t.Fatal(err)
	}
	if _, err := usable(link); err == nil || !strings.Contains(err.Error(), "version 1.18") {
		t.Errorf("expected the link's target to be too old, found %v", err)
	}
}

func TestNewestFirst(t *testing.T) {
	got := newestFirst([]string{"/b/libonnxruntime.so", "/b/libonnxruntime.so.1.9.0", "/a/libonnxruntime.so.1.27.0", "/a/libonnxruntime.so.1.27.0", "/c/libonnxruntime.so.1.30.1"})
	want := []string{"/c/libonnxruntime.so.1.30.1", "/a/libonnxruntime.so.1.27.0", "/b/libonnxruntime.so.1.9.0", "/b/libonnxruntime.so"}
	if !slices.Equal(got, want) {
		t.Errorf("expected %v, found %v", want, got)
	}
}

func TestFromCache(t *testing.T) {
	const out = `1234 libs found in cache ` + "`/etc/ld.so.cache'" + `
	libonnxruntime_providers_shared.so (libc6,x86-64) => /opt/x/libonnxruntime_providers_shared.so
	libonnxruntime.so.1.27.0 (libc6,x86-64) => /opt/x/libonnxruntime.so.1.27.0
	libonnx.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libonnx.so.1
`
	if got := fromCache(out); !slices.Equal(got, []string{"/opt/x/libonnxruntime.so.1.27.0"}) {
		t.Errorf("found %v", got)
	}
}

func TestStart(t *testing.T) {
	if err := Start(library); err != nil {
		t.Errorf("starting the same library again: %v", err)
	}
	if err := Start("/elsewhere/libonnxruntime.so.1"); err == nil || !strings.Contains(err.Error(), library) {
		t.Errorf("another library while one runs: expected an error that names the running one, found %v", err)
	}
	if v := Version(); !strings.HasPrefix(v, "1.") {
		t.Errorf("the version is %q", v)
	}
	if v := os.Getenv("ORT_DISABLE_TELEMETRY"); v != "1" {
		t.Errorf("telemetry is not disabled: ORT_DISABLE_TELEMETRY=%q", v)
	}
}

func TestStopAndStartAgain(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	d := openDenoiser(t, "denoiser", 64, 48)
	if err := Stop(); err == nil {
		t.Fatal("Stop unloads the library under open sessions")
	}
	p.Close()
	d.Close()
	if err := Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // whatever happens below, the next test needs the library
		if err := Start(library); err != nil {
			t.Fatal(err)
		}
	})
	whenStopped(t)
	if err := StartLogging(library); err != nil {
		t.Fatal(err)
	}
	if err := Stop(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := Start(library); err != nil {
			t.Fatal(err)
		}
		openPredictor(t, "predictor", 64, 48).Close()
		if err := Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func whenStopped(t *testing.T) {
	t.Helper()
	if err := Stop(); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if v := Version(); v != "" {
		t.Errorf("a stopped library has version %q", v)
	}
	if _, err := LoadModel("testdata/predictor.onnx", PredictorKind); err == nil || !strings.Contains(err.Error(), "not started") {
		t.Errorf("LoadModel without the library: %v", err)
	}
	for _, a := range Probe(Default()) {
		if a.Err == nil {
			t.Errorf("Probe says that %s works without the library", a.Provider)
		}
	}
	for path, want := range map[string]string{
		"/nowhere/libonnxruntime.so.1": "cannot open shared object file",
		"testdata/predictor.onnx":      "does not start from testdata/predictor.onnx",
	} {
		if err := Start(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "runtime.library") {
			t.Errorf("Start(%s): expected %q and the key in the error, found %v", path, want, err)
		}
	}
}
