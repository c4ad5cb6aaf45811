package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/config"
	"sharpend/tensorrt"
)

// childCommand is the process that builds j's engine: this program, with the
// configuration in force on its standard input, for the file may have changed.
func (p *pipeline) childCommand(j engineJob) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	c := *p.config.Load()
	c.Models = modelsOf(j, c.Models)
	c.resolve(here) // the builder's configuration lies in no folder
	text, err := config.Effective(&c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "engines", "build", "--config", "/dev/stdin",
		"--model", j.model.Kind, "--size", sizeText(j.size), "--expect", j.key)
	cmd.Stdin = bytes.NewReader(text)
	return cmd, nil
}

// modelsOf names j's model, which a swap may have brought.
func modelsOf(j engineJob, m Models) Models {
	if j.model.Kind == tensorrt.DenoiserKind {
		m.Denoiser = j.model.Path
	} else {
		m.Predictor = j.model.Path
	}
	return m
}

// A child is a builder at work. It is a process of its own for three reasons:
// TensorRT cannot be interrupted, takes all memory, and may crash.
type child struct {
	cmd   *exec.Cmd
	said  *lastLines
	ooms  uint64 // the kernel's count before it started
	ended chan error
}

// startChild starts a builder in a process group of its own, so that a Ctrl-C
// is the daemon's to pass on. It dies with the calling thread, hence with the
// daemon, and first when memory runs out. Its niceness is the thread's.
func startChild(cmd *exec.Cmd, log *slog.Logger, background func(func())) (*child, error) {
	c := &child{cmd: cmd, said: &lastLines{log: log}, ooms: oomKills(), ended: make(chan error, 1)}
	cmd.Env = childEnvironment(cmd.Environ())
	cmd.Stdout, cmd.Stderr = c.said, c.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // for pipes that a grandchild holds open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("1000"), 0); err != nil {
		log.Debug("the builder is not the first to go when memory runs out", "error", err)
	}
	background(func() { c.ended <- cmd.Wait() })
	return c, nil
}

// kill ends the builder and all that it started. It holds nothing that would
// need to be put in order: see engines.Cache.
func (c *child) kill() { _ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL) }

// problem says what a build came to; "" for success.
func (c *child) problem(err error) string {
	if err == nil {
		return ""
	}
	how := err.Error()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			how = "the builder was ended by " + unix.SignalName(status.Signal())
		} else {
			how = "" // status 1: it said why
			if status.ExitStatus() != 1 {
				how = "the builder ended with " + err.Error()
			}
		}
	}
	return exitText(how, oomKills() > c.ooms, c.said.lines())
}

// childEnvironment is the daemon's, without what belongs to systemd's dealings
// with the daemon alone.
func childEnvironment(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "SHARPEND_DEBUG_FREEZE"}, name)
	})
}

// oomKills is how many processes the kernel has ended for lack of memory since
// the boot; see proc_vmstat(5).
func oomKills() uint64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\noom_kill ")
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// lastLines logs what a builder says, and keeps the end of it. Safe for concurrent use.
type lastLines struct {
	log  *slog.Logger
	mu   sync.Mutex
	part []byte
	kept []string
}

const (
	keepLines = 5
	lineMost  = 500 // bytes
)

func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 && len(l.part) < lineMost {
			return len(b), nil
		}
		if i < 0 || i > lineMost {
			i = lineMost - 1
		}
		l.line(string(l.part[:i+1]))
		l.part = l.part[i+1:]
	}
}

func (l *lastLines) line(text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	l.log.Info("engine builder", "says", text)
	l.kept = append(l.kept, text)
	l.kept = l.kept[max(0, len(l.kept)-keepLines):]
}

// lines are the last ones, the unfinished included.
func (l *lastLines) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(string(l.part))
	l.part = nil
	return slices.Clone(l.kept)
}

// watch waits for the builder's end, and calls tick every so often. A context
// that is done, or give up's signal, ends it.
func (c *child) watch(ctx context.Context, every time.Duration, tick func(), giveUp <-chan struct{}) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case err := <-c.ended:
			return err
		case <-ticker.C:
			tick()
		case <-giveUp:
			c.kill()
			giveUp = nil
		case <-ctx.Done():
			c.kill()
			select {
			case <-c.ended:
			case <-time.After(2 * time.Second): // a driver that holds it in the kernel
			}
			return ctx.Err()
		}
	}
}
