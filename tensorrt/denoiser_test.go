package tensorrt

import (
	"image"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// checkDenoised compares with the test model's formula, sample by sample.
func checkDenoised(t *testing.T, d *Denoiser, sigma float32) {
	t.Helper()
	luma := len(d.Blurred.Y)
	chroma := luma / 4
	for i, got := range d.Denoised {
		var b, p byte
		switch {
		case i < luma:
			b, p = d.Blurred.Y[i], d.Predicted.Y[i]
		case i < luma+chroma:
			b, p = d.Blurred.Cb[i-luma], d.Predicted.Cb[i-luma]
		default:
			b, p = d.Blurred.Cr[i-luma-chroma], d.Predicted.Cr[i-luma-chroma]
		}
		want := 0.5*float64(d.State[i]) + 0.1*float64(sigma) + 0.01*(float64(p)-float64(b))
		if math.Abs(float64(got)-want) > 1e-4 {
			t.Fatalf("sample %d: expected %v, found %v", i, want, got)
		}
	}
}

func fillDenoiser(d *Denoiser, seed int) {
	for i := range d.State {
		d.State[i] = float32((i*7+seed)%100) / 10
	}
	blurred := noisePicture(d.Blurred.Rect.Dx(), d.Blurred.Rect.Dy(), uint64(seed))
	predicted := noisePicture(d.Blurred.Rect.Dx(), d.Blurred.Rect.Dy(), uint64(seed)+1)
	copyPlanes(d.Blurred, blurred)
	copyPlanes(d.Predicted, predicted)
}

func copyPlanes(dst, src *image.YCbCr) {
	copy(dst.Y, src.Y)
	copy(dst.Cb, src.Cb)
	copy(dst.Cr, src.Cr)
}

func TestDenoiserReadsEveryInput(t *testing.T) {
	for _, size := range []image.Point{{64, 48}, {333, 77}} {
		d := openDenoiser(t, "denoiser", size.X, size.Y)
		runtime.GC()
		for i, sigma := range []float32{20, 3, 0.01} {
			fillDenoiser(d, i)
			if err := d.Run(sigma); err != nil {
				t.Fatal(err)
			}
			checkDenoised(t, d, sigma)
		}
	}
}

func TestDenoiserStartsClean(t *testing.T) {
	d := openDenoiser(t, "denoiser", 64, 48)
	for i := range d.State {
		if d.State[i] != 0 || d.Denoised[i] != 0 {
			t.Fatalf("sample %d: the trial run's numbers are still there", i)
		}
	}
}

func TestSessionsAtTwoSizes(t *testing.T) {
	small, large := openDenoiser(t, "denoiser", 64, 48), openDenoiser(t, "denoiser", 128, 96)
	for i, d := range []*Denoiser{large, small, large, small} {
		fillDenoiser(d, i)
		if err := d.Run(1); err != nil {
			t.Fatal(err)
		}
		checkDenoised(t, d, 1)
	}
}

func TestDenoiserRunAllocatesNothing(t *testing.T) {
	d := openDenoiser(t, "denoiser", 64, 48)
	noAllocations(t, func() error { return d.Run(1) })
}

func TestTerminateEndsALongRun(t *testing.T) {
	d := openDenoiser(t, "heavy", 960, 540)
	whole, err := timed(func() error { return d.Run(1) })
	if err != nil {
		t.Fatal(err)
	}
	if whole < 200*time.Millisecond {
		t.Fatalf("the heavy model takes only %v: too short to show anything", whole)
	}
	time.AfterFunc(whole/10, d.Terminate)
	took, err := timed(func() error { return d.Run(1) })
	if err != ErrTerminated {
		t.Fatalf("expected ErrTerminated, found %v", err)
	}
	if took > whole*2/3 {
		t.Errorf("the terminated run took %v of a whole run's %v", took, whole)
	}
	if err := d.Run(1); err != nil {
		t.Errorf("the run after a terminated one: %v", err)
	}
}

func TestTerminateBetweenRunsEndsTheNext(t *testing.T) {
	d := openDenoiser(t, "denoiser", 64, 48)
	d.Terminate()
	d.Terminate()
	if err := d.Run(1); err != ErrTerminated {
		t.Fatalf("expected ErrTerminated, found %v", err)
	}
	fillDenoiser(d, 1)
	if err := d.Run(1); err != nil {
		t.Fatal(err)
	}
	checkDenoised(t, d, 1)
}

// Terminate at any moment leads to ErrTerminated or a whole run, never to another error.
func TestTerminateAtAnyMoment(t *testing.T) {
	d := openDenoiser(t, "denoiser", 640, 360)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				d.Terminate()
				time.Sleep(300 * time.Microsecond)
			}
		}
	}()
	terminated := 0
	for range 500 {
		switch err := d.Run(1); err {
		case nil:
		case ErrTerminated:
			terminated++
		default:
			t.Errorf("expected nil or ErrTerminated, found %v", err)
		}
	}
	close(stop)
	<-done
	if terminated == 0 {
		t.Error("not one run was terminated")
	}
}

func TestDenoiserBusyAndClose(t *testing.T) {
	d := openDenoiser(t, "heavy", 960, 540)
	result := make(chan error)
	go func() {
		err := d.Run(1)
		for err == ErrBusy { // the loop below looked at the same moment
			err = d.Run(1)
		}
		result <- err
	}()
	deadline := time.Now().Add(30 * time.Second)
	for d.running.TryLock() { // until the goroutine runs
		d.running.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("the run does not start")
		}
		runtime.Gosched()
	}
	if err := d.Run(1); err != ErrBusy {
		t.Errorf("a second run: expected ErrBusy, found %v", err)
	}
	d.Close()
	if err := <-result; err != ErrTerminated {
		t.Errorf("the run that Close met: expected ErrTerminated, found %v", err)
	}
	d.Terminate()
	d.Close()
	if err := d.Run(1); err != ErrClosed {
		t.Errorf("Run after Close: expected ErrClosed, found %v", err)
	}
}

func TestDenoiserTrialRun(t *testing.T) {
	_, err := OpenDenoiser(load(t, "wrong-nan", DenoiserKind), onCPU(1), 64, 48)
	if err == nil || !strings.Contains(err.Error(), "found NaN at sample 0") || !strings.Contains(err.Error(), "wrong-nan.onnx") {
		t.Errorf("expected the trial run to find NaN and name the file, found %v", err)
	}
	_, err = OpenDenoiser(load(t, "predictor", PredictorKind), onCPU(1), 64, 48)
	if err == nil || !strings.Contains(err.Error(), "predictor.onnx: expected a denoiser, found a predictor") {
		t.Errorf("a predictor as a denoiser: found %v", err)
	}
}
