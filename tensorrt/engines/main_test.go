package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const builderEnv = "ENGINES_TEST_BUILDER"

func TestMain(m *testing.M) {
	if how := os.Getenv(builderEnv); how != "" {
		os.Exit(builder(how, os.Args[1]))
	}
	status := m.Run()
	if f, err := plain(); err == nil {
		os.RemoveAll(f.dir)
	}
	os.Exit(status)
}

// builder is a process that builds the example in the cache dir, as how says.
func builder(how, dir string) int {
	if limit, ok := strings.CutPrefix(how, "limit "); ok {
		var bytes uint64
		fmt.Sscan(limit, &bytes)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: bytes}); err != nil {
			panic(err)
		}
	}
	c, err := OpenCache(dir)
	if err != nil {
		panic(err)
	}
	b := Build{Inputs: example(), Run: func(dir, timing string) error { return runAs(how, dir, timing) }}
	b.Wait = func() { fmt.Println("waits") }
	_, built, err := c.Build(context.Background(), b)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("built:", built)
	return 0
}

// runAs plays TensorRT: it loads what is there, or writes an engine.
func runAs(how, dir, timing string) error {
	path := filepath.Join(dir, "net.engine")
	if data, err := os.ReadFile(path); err == nil {
		if len(data) != 1<<20 {
			return fmt.Errorf("cannot deserialize an engine of %d bytes", len(data))
		}
		return nil
	}
	if os.Getenv(builderEnv) != "" {
		fmt.Println("writes")
	}
	switch how {
	case "slow":
		time.Sleep(300 * time.Millisecond)
	case "half":
		_ = os.WriteFile(path, make([]byte, 1<<19), 0o600)
		time.Sleep(time.Hour)
	case "fail":
		return errors.New("TensorRT says no")
	}
	_ = os.WriteFile(filepath.Join(timing, "sm87.timing"), []byte("measured"), 0o600)
	// As ofstream does, it says nothing of a disk that is full.
	_ = os.WriteFile(path, make([]byte, 1<<20), 0o600)
	return os.WriteFile(filepath.Join(dir, "net.profile"), []byte("p"), 0o600)
}

func startBuilder(t *testing.T, how, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), builderEnv+"="+how)
	cmd.Stdout = new(strings.Builder)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func said(cmd *exec.Cmd) string { return cmd.Stdout.(*strings.Builder).String() }
