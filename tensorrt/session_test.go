package tensorrt

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// missing is how the library says that it comes without GPU providers: the x64 build, or the arm64 one.
var missing = regexp.MustCompile(`^(Failed to load library .*libonnxruntime_providers_.*: cannot open shared object file|.* execution provider is not enabled in this build)`)

// The library under test has no GPU providers: they must fail in its own words, which are kept.
func TestProvidersInOrder(t *testing.T) {
	m := load(t, "predictor", PredictorKind)
	p, err := OpenPredictor(m, Default(), 64, 48)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Provider() != CPU {
		t.Errorf("expected cpu, found %s", p.Provider())
	}
	checkAttempts(t, p.Attempts())

	d, err := OpenDenoiser(load(t, "denoiser", DenoiserKind), Default(), 64, 48)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	checkAttempts(t, d.Attempts())
}

func checkAttempts(t *testing.T, attempts []Attempt) {
	t.Helper()
	if len(attempts) != 3 {
		t.Fatalf("expected 3 attempts, found %+v", attempts)
	}
	for i, want := range []string{TensorRT, CUDA} {
		if a := attempts[i]; a.Provider != want || a.Err == nil || !missing.MatchString(a.Err.Error()) {
			t.Errorf("attempt %d: expected %s with %q, found %+v", i, want, missing, a)
		}
	}
	if a := attempts[2]; a.Provider != CPU || a.Err != nil || !strings.Contains(a.Detail, "trial run") {
		t.Errorf("attempt 2: expected cpu with a trial run, found %+v", a)
	}
}

// Every provider but the CPU is compared with it, once its trial run is over.
func TestTrial(t *testing.T) {
	for _, provider := range known {
		var calls []string
		a := Attempt{Provider: provider}
		_, err := a.trial(func() error { calls = append(calls, "smoke"); return nil },
			func() (string, error) { calls = append(calls, "accept"); return "max 1", io.ErrNoProgress })
		if provider == CPU && (err != nil || len(calls) != 1 || a.Difference != "") {
			t.Errorf("cpu: expected a trial run alone, found %v (%v)", calls, err)
		}
		if provider != CPU && (err != io.ErrNoProgress || !slices.Equal(calls, []string{"smoke", "accept"}) || a.Difference != "max 1") {
			t.Errorf("%s: expected a trial run and a comparison, found %v (%v)", provider, calls, err)
		}
		calls = nil
		_, err = a.trial(func() error { return io.ErrNoProgress }, func() (string, error) { calls = append(calls, "accept"); return "", nil })
		if err == nil || !strings.HasPrefix(err.Error(), "the trial run failed: ") || calls != nil {
			t.Errorf("%s: a failed trial run: found %v and %v", provider, err, calls)
		}
	}
}

func TestNoProviderWorks(t *testing.T) {
	c := Default()
	c.Providers = []string{CUDA, TensorRT}
	_, err := OpenPredictor(load(t, "predictor", PredictorKind), c, 64, 48)
	_, err2 := OpenDenoiser(load(t, "denoiser", DenoiserKind), c, 64, 48)
	for _, err := range []error{err, err2} {
		for _, want := range []string{"runtime.providers", "cuda: ", "; tensorrt: ", ".onnx"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("expected %q in %v", want, err)
			}
		}
	}
	if len(environment.open) != 0 {
		t.Errorf("%d sessions are left", len(environment.open))
	}
}

func TestPoolsDoNotSpin(t *testing.T) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Destroy()
	if err := general(o, 2); err != nil {
		t.Fatal(err)
	}
	if v, err := o.GetSessionConfigEntry("session.intra_op.allow_spinning"); v != "0" {
		t.Errorf(`session.intra_op.allow_spinning: expected "0", found %q (%v)`, v, err)
	}
}

func TestProbe(t *testing.T) {
	checkAttempts(t, Probe(Default()))
}

// Sessions may be opened, run and closed from many goroutines at once.
func TestOpenAndCloseConcurrently(t *testing.T) {
	predictor, denoiser := load(t, "predictor", PredictorKind), load(t, "denoiser", DenoiserKind)
	var group sync.WaitGroup
	for i := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			if i%2 == 0 {
				cycle(t, func() (closer, error) { return OpenPredictor(predictor, Default(), 64+i, 48) })
			} else {
				cycle(t, func() (closer, error) { return OpenDenoiser(denoiser, Default(), 64+i, 48) })
			}
		}()
	}
	group.Wait()
	if len(environment.open) != 0 {
		t.Errorf("%d sessions are left", len(environment.open))
	}
}

type closer interface{ Close() }

func cycle(t *testing.T, open func() (closer, error)) {
	for range 5 {
		session, err := open()
		if err != nil {
			t.Error(err)
			return
		}
		session.Close()
	}
}

// The refiner's threads must be as nice as the thread that opens its session.
func TestThreadsInheritPriority(t *testing.T) {
	before := niceThreads(t)
	done := make(chan struct{})
	release := make(chan struct{})
	m := load(t, "denoiser", DenoiserKind)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(done)
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 19); err != nil {
			t.Error(err)
		}
		d, err := OpenDenoiser(m, onCPU(3), 64, 48)
		if err != nil {
			t.Error(err)
			return
		}
		defer d.Close()
		done <- struct{}{}
		<-release
	}()
	<-done
	if n := niceThreads(t) - before; n != 3 {
		t.Errorf("expected 3 threads at nice 19 (the caller and 2 of the pool), found %d", n)
	}
	close(release)
	<-done
}

// niceThreads counts this process's threads of nice 19.
func niceThreads(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(files) == 0 {
		t.Fatalf("no threads in /proc: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread is gone
		}
		_, fields, _ := strings.Cut(string(data), ") ")
		if nice, _ := strconv.Atoi(strings.Fields(fields)[16]); nice == 19 {
			n++
		}
	}
	return n
}

// Errors are values here: the library itself writes nothing to stderr.
func TestLibraryIsSilent(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	real, err := syscall.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(file.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	provoke(t)
	if err := syscall.Dup3(real, 2, 0); err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(file.Name())
	if err != nil || len(said) > 0 {
		t.Errorf("ONNX Runtime wrote to stderr: %q (%v)", said, err)
	}
}

// provoke makes the library meet every kind of trouble.
func provoke(t *testing.T) {
	p := openPredictor(t, "dies", 64, 48)
	in := infer.NewPlanes(64, 48, 16)
	b := bind(t, p, in, infer.NewPlanes(64, 48, 16))
	in.Y[0] = 255
	if err := b.Run(); err == nil {
		t.Error("the dying model lives")
	}
	d := openDenoiser(t, "denoiser", 64, 48)
	d.Terminate()
	if err := d.Run(1); err != ErrTerminated {
		t.Error(err)
	}
	Probe(Default())
	if _, err := LoadModel("testdata/wrong-cut.onnx", PredictorKind); err == nil {
		t.Error("the cut model loads")
	}
}
