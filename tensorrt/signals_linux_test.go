package tensorrt

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"sharpend/tensorrt/internal/foreign"
)

var taken = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGSEGV, syscall.SIGURG, syscall.SIGPIPE}

func TestSignalsAreKept(t *testing.T) {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGTERM)
	defer signal.Stop(arrived)

	KeepSignals(func() {
		for _, s := range taken {
			if err := foreign.Take(s); err != nil {
				t.Fatal(err)
			}
		}
		if !foreign.Has(syscall.SIGTERM) {
			t.Error("the handler was not replaced: this test shows nothing")
		}
	})
	for _, s := range taken {
		if foreign.Has(s) {
			t.Errorf("%v still has the foreign handler", s)
		}
	}
	expectSignal(t, arrived, syscall.SIGTERM)
}

func expectSignal(t *testing.T, arrived chan os.Signal, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-arrived:
	case <-time.After(5 * time.Second):
		t.Errorf("Go does not get %v any more", s)
	}
}

// A signal.Notify of another goroutine during the call must not be undone.
func TestSignalsThatGoTakesMeanwhileStay(t *testing.T) {
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	arrived := make(chan os.Signal, 1)
	defer signal.Stop(arrived)
	KeepSignals(func() { signal.Notify(arrived, syscall.SIGUSR2) })
	expectSignal(t, arrived, syscall.SIGUSR2)
}

// The GPU providers go through KeepSignals, the CPU does not need to.
func TestAttemptKeepsSignals(t *testing.T) {
	take := func(*Attempt) error { return foreign.Take(syscall.SIGWINCH) }
	for _, provider := range []string{TensorRT, CUDA} {
		if a := attempt(provider, take); a.Err != nil || foreign.Has(syscall.SIGWINCH) {
			t.Errorf("%s leaves its signal handler behind (%v)", provider, a.Err)
		}
	}
	KeepSignals(func() {
		if a := attempt(CPU, take); a.Err != nil || !foreign.Has(syscall.SIGWINCH) {
			t.Errorf("the handler was not replaced: this test shows nothing (%v)", a.Err)
		}
	})
}
