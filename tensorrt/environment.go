package tensorrt

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

var (
	// ErrBusy is a second Run on a session while the first still runs.
	ErrBusy = errors.New("the session is running: one Run at a time")
	// ErrClosed is the use of a session, or a binding, after its Close.
	ErrClosed = errors.New("the session is closed")
	// ErrTerminated is a Run that Terminate ended.
	ErrTerminated = errors.New("the run was terminated")

	errNotStarted = errors.New("ONNX Runtime is not started")
)

// environment is ONNX Runtime's process-wide state, whose calls the binding does not lock.
var environment struct {
	sync.Mutex
	path string // of the library that runs, "" when stopped
	// The open sessions: the library cannot go before them. One that is never
	// closed stays reachable here: its pinned memory would else panic when it is collected.
	open map[any]struct{}
}

// Start loads the ONNX Runtime library at path and starts it, with telemetry
// off and its own log silent (errors come back as values). Starting the same
// library again does nothing; another one needs a Stop first.
// Safe for concurrent use.
func Start(path string) error { return start(path, ort.WithLogLevelFatal()) }

// StartLogging is Start with ONNX Runtime's warnings on standard error, and so
// TensorRT's own log of a build (runtime.tensorrt.build_log): for the process that builds.
func StartLogging(path string) error { return start(path, ort.WithLogLevelWarning()) }

func start(path string, level ort.EnvironmentOption) error {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == path && path != "" {
		return nil
	}
	if environment.path != "" {
		return fmt.Errorf("cannot start ONNX Runtime from %s: it runs from %s already", path, environment.path)
	}
	// Official builds from 1.29 on send telemetry unless this is set before the start.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return err
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(level); err != nil {
		return startError(path, err)
	}
	environment.path = path
	return nil
}

func startError(path string, err error) error {
	if strings.Contains(err.Error(), "Error setting ORT API base") {
		return fmt.Errorf("%s is older than ONNX Runtime 1.%d; %s", path, minMinor, keyHint)
	}
	return fmt.Errorf("ONNX Runtime does not start from %s: %w; %s", path, err, keyHint)
}

// Stop unloads the library. It refuses while sessions are open; without a
// Start before it, it does nothing.
func Stop() error {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == "" {
		return nil
	}
	if n := len(environment.open); n > 0 {
		return fmt.Errorf("cannot stop ONNX Runtime: %d sessions are open", n)
	}
	environment.path = ""
	return ort.DestroyEnvironment()
}

// Version is the running library's version, such as "1.27.0"; "" when it is not started.
func Version() string {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == "" {
		return ""
	}
	return ort.GetVersion()
}

// exclusive runs one of ONNX Runtime's process-wide calls, alone.
func exclusive(call func() error) error {
	environment.Lock()
	defer environment.Unlock()
	if environment.path == "" {
		return errNotStarted
	}
	return call()
}

// hold keeps an owner of sessions or tensors, and the library. Only within exclusive.
func hold(owner any) {
	if environment.open == nil {
		environment.open = map[any]struct{}{}
	}
	environment.open[owner] = struct{}{}
}

// release ends hold, once destroy has freed what the owner had.
func release(owner any, destroy func() error) {
	environment.Lock()
	defer environment.Unlock()
	destroy() // the binding's Destroy functions only fail on what is destroyed already
	delete(environment.open, owner)
}
