package tensorrt

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// children are what this test program does instead of testing when $childEnv names one.
var children = map[string]func() error{"infer": inferUntilTold, "start": startAndStop}

const childEnv = "SHARPEND_TEST_CHILD"

// child starts this program as another, with more of an environment.
func child(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), append(env, childEnv+"="+name, Env+"="+library)...)
	return c
}

// inferUntilTold tries every provider, as the daemon does, and then computes
// for seconds, until SIGTERM ends it in the middle of a run.
func inferUntilTold() error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	Probe(Default())
	m, err := LoadModel("testdata/heavy.onnx", DenoiserKind)
	if err != nil {
		return err
	}
	d, err := OpenDenoiser(m, onCPU(1), 640, 368)
	if err != nil {
		return err
	}
	go func() {
		<-told
		fmt.Println("told")
		d.Terminate()
	}()
	fmt.Println("computing")
	for err == nil {
		err = d.Run(1)
	}
	if err != ErrTerminated {
		return err
	}
	d.Close()
	fmt.Println("stopped")
	return Stop()
}

func TestTerminatedWhileItComputes(t *testing.T) {
	c := child(t, "infer")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	c.Stderr = &complaint
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		if said = append(said, lines.Text()); lines.Text() == "computing" {
			time.Sleep(100 * time.Millisecond) // well into a run, which takes longer
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.Wait(); err != nil || strings.Join(said, " ") != "computing told stopped" {
		t.Errorf("expected an orderly end, found %v, %q, %s", err, said, complaint.String())
	}
}

func startAndStop() error {
	m, err := LoadModel("testdata/predictor.onnx", PredictorKind)
	if err != nil {
		return err
	}
	p, err := OpenPredictor(m, Default(), 64, 48)
	if err != nil {
		return err
	}
	p.Close()
	time.Sleep(500 * time.Millisecond) // an uploader would have begun
	return Stop()
}

// Official builds from 1.29 on write an identity and a queue into the home
// folder, and a log into the temporary one, unless they are told not to.
func TestNothingIsCollected(t *testing.T) {
	home := t.TempDir()
	c := child(t, "start", "HOME="+home, "TMPDIR="+home, "XDG_CACHE_HOME=", "ORT_DISABLE_TELEMETRY=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := os.ReadDir(home)
	if err != nil || len(files) > 0 {
		t.Errorf("ONNX Runtime %s left %v in the home folder (%v)", Version(), files, err)
	}
}
