package tensorrt

import (
	"image"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sharpend/infer"
)

func TestPredictorRunsOnThePicturesOwnMemory(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {641, 363}, {1, 1}, {1920, 1080}} {
		p := openPredictor(t, "predictor", size.X, size.Y)
		in, out := noisePicture(size.X, size.Y, 1), infer.NewPlanes(size.X, size.Y, 16)
		b := bind(t, p, in, out)
		for seed := range uint64(3) { // new content, same binding
			infer.Copy(in, noisePicture(size.X, size.Y, seed))
			if err := b.Run(); err != nil {
				t.Fatal(err)
			}
			isPlusOne(t, in, out)
		}
	}
}

func TestSeveralBindingsOfOnePredictor(t *testing.T) {
	p := openPredictor(t, "predictor", 40, 30)
	var ins, outs [4]*image.YCbCr
	var bindings [4]*Binding
	for i := range bindings {
		ins[i], outs[i] = noisePicture(40, 30, uint64(i)), infer.NewPlanes(40, 30, 16)
		bindings[i] = bind(t, p, ins[i], outs[i])
	}
	runtime.GC() // nothing but the bindings may be needed to keep the memory in place
	for i, b := range bindings {
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		isPlusOne(t, ins[i], outs[i])
	}
	bindings[1].Close()
	if err := bindings[1].Run(); err != ErrClosed {
		t.Fatalf("a closed binding: expected ErrClosed, found %v", err)
	}
	if err := bindings[2].Run(); err != nil {
		t.Fatalf("a binding beside a closed one: %v", err)
	}
}

// GPU providers copy an input when it is bound, so that each Run binds anew. The
// CPU shows it by another picture's tensors, which only a binding can bring in.
func TestRebinding(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	first, second, out := noisePicture(64, 48, 1), noisePicture(64, 48, 2), infer.NewPlanes(64, 48, 16)
	b := bind(t, p, first, out)
	other := bind(t, p, second, infer.NewPlanes(64, 48, 16))
	b.inputs, other.inputs = other.inputs, b.inputs
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	isPlusOne(t, first, out)
	p.rebind = true
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	isPlusOne(t, second, out)
	noAllocations(t, b.Run)
}

func noAllocations(t *testing.T, run func() error) {
	t.Helper()
	allocations := testing.AllocsPerRun(200, func() {
		if err := run(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Errorf("a run makes %v allocations, expected none", allocations)
	}
}

func TestPredictorRunAllocatesNothing(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	b := bind(t, p, noisePicture(64, 48, 1), infer.NewPlanes(64, 48, 16))
	noAllocations(t, b.Run)
}

func TestBindRefusesOtherPictures(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	good := infer.NewPlanes(64, 48, 16)
	loose := image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio444)
	mislabelled := infer.NewPlanes(64, 48, 16)
	mislabelled.SubsampleRatio = image.YCbCrSubsampleRatio440
	for name, pair := range map[string][2]*image.YCbCr{
		"another size":    {infer.NewPlanes(128, 96, 16), good},
		"another height":  {good, infer.NewPlanes(64, 64, 16)},
		"another ratio":   {mislabelled, good},
		"another padding": {good, infer.NewPlanes(64, 48, 64)},
		"4:4:4":           {loose, good},
		"its own result":  {good, good},
	} {
		if b, err := p.Bind(pair[0], pair[1]); err == nil {
			b.Close()
			t.Errorf("%s: Bind accepts it", name)
		}
	}
}

func TestProviderThatDiesInFlight(t *testing.T) {
	p := openPredictor(t, "dies", 64, 48)
	in, out := infer.NewPlanes(64, 48, 16), infer.NewPlanes(64, 48, 16)
	b := bind(t, p, in, out)
	if err := b.Run(); err != nil {
		t.Fatal(err)
	}
	in.Y[0] = 201
	err := b.Run()
	if err == nil || !strings.Contains(err.Error(), "dies.onnx on cpu") || !strings.Contains(err.Error(), "out of data bounds") {
		t.Fatalf("expected the library's own error, with file and provider; found %v", err)
	}
}

func TestPredictorClose(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	in, out := infer.NewPlanes(64, 48, 16), infer.NewPlanes(64, 48, 16)
	b := bind(t, p, in, out)
	p.Close()
	p.Close()
	b.Close()
	if err := b.Run(); err != ErrClosed {
		t.Errorf("Run after Close: expected ErrClosed, found %v", err)
	}
	if _, err := p.Bind(in, out); err != ErrClosed {
		t.Errorf("Bind after Close: expected ErrClosed, found %v", err)
	}
}

// A session that is dropped without Close leaks: it must not take the process down.
func TestForgottenSessionsStay(t *testing.T) {
	var keep []closer
	forget := func() {
		p, err := OpenPredictor(load(t, "predictor", PredictorKind), onCPU(1), 64, 48)
		if err != nil {
			t.Fatal(err)
		}
		bind(t, p, infer.NewPlanes(64, 48, 16), infer.NewPlanes(64, 48, 16))
		if _, err := OpenDenoiser(load(t, "denoiser", DenoiserKind), onCPU(1), 64, 48); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	for range 3 {
		runtime.GC() // collects what it can; a pin that leaks panics
		time.Sleep(10 * time.Millisecond)
	}
	environment.Lock()
	for session := range environment.open {
		keep = append(keep, session.(closer))
	}
	environment.Unlock()
	if len(keep) != 2 {
		t.Errorf("expected 2 open sessions, found %d", len(keep))
	}
	for _, session := range keep {
		session.Close()
	}
}

func TestConcurrentRunIsRefused(t *testing.T) {
	p := openPredictor(t, "predictor", 64, 48)
	b := bind(t, p, infer.NewPlanes(64, 48, 16), infer.NewPlanes(64, 48, 16))
	p.running.Lock() // as a Run in progress does
	err := b.Run()
	p.running.Unlock()
	if err != ErrBusy {
		t.Errorf("expected ErrBusy, found %v", err)
	}
}

// Runs that meet are either whole or refused.
func TestConcurrentRuns(t *testing.T) {
	p := openPredictor(t, "predictor", 640, 360)
	var group sync.WaitGroup
	for i := range 4 {
		in, out := noisePicture(640, 360, uint64(i)), infer.NewPlanes(640, 360, 16)
		b := bind(t, p, in, out)
		group.Add(1)
		go func() {
			defer group.Done()
			for range 50 {
				clear(out.Y)
				if err := b.Run(); err == nil {
					isPlusOne(t, in, out)
				} else if err != ErrBusy {
					t.Errorf("expected ErrBusy or a whole run, found %v", err)
				}
			}
		}()
	}
	group.Wait()
}

func TestOpenPredictorRefuses(t *testing.T) {
	good := load(t, "predictor", PredictorKind)
	for _, size := range []image.Point{{0, 48}, {64, -1}, {20000, 48}} {
		if p, err := OpenPredictor(good, onCPU(1), size.X, size.Y); err == nil {
			p.Close()
			t.Errorf("a size of %v is accepted", size)
		}
	}
	_, err := OpenPredictor(load(t, "denoiser", DenoiserKind), onCPU(1), 64, 48)
	if err == nil || !strings.Contains(err.Error(), "denoiser.onnx: expected a predictor, found a denoiser") {
		t.Errorf("a denoiser as a predictor: found %v", err)
	}
}

// What keeps the contract on paper and still paints nonsense is caught by the trial run.
func TestPredictorTrialRun(t *testing.T) {
	for name, want := range map[string]string{
		"wrong-black":  "a plain picture came out wrong: expected luma of about 128, found a mean of 1.0",
		"wrong-chroma": "the trial run failed",
	} {
		p, err := OpenPredictor(load(t, name, PredictorKind), onCPU(1), 64, 48)
		if err == nil {
			p.Close()
			t.Errorf("%s is accepted", name)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name+".onnx") {
			t.Errorf("%s: expected %q in the error, found %v", name, want, err)
		}
	}
}
