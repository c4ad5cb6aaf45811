// Package mosquittotest runs a real mosquitto on a free loopback port for tests.
package mosquittotest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Broker is a mosquitto without persistence. It is killed when the test ends.
// Not safe for concurrent use.
type Broker struct {
	Addr string // 127.0.0.1:PORT

	t      testing.TB
	config string // path
	output string // path
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Start runs mosquitto and waits until it accepts connections. Lines are added to
// its configuration file; without any it lets everybody in. Without mosquitto the test fails.
func Start(t testing.TB, lines ...string) *Broker {
	t.Helper()
	b := New(t, lines...)
	b.Restart()
	return b
}

// New is Start without starting: Addr is reserved, and Restart brings it up.
func New(t testing.TB, lines ...string) *Broker {
	t.Helper()
	if len(lines) == 0 {
		lines = []string{"allow_anonymous true"}
	}
	dir := t.TempDir()
	b := &Broker{Addr: freeAddr(t), t: t, config: filepath.Join(dir, "mosquitto.conf"), output: filepath.Join(dir, "mosquitto.log")}
	_, port, _ := net.SplitHostPort(b.Addr)
	// As root mosquitto would become the user mosquitto, who cannot read the test's files.
	text := fmt.Sprintf("listener %s 127.0.0.1\nuser root\npersistence false\nlog_type all\n%s\n", port, strings.Join(lines, "\n"))
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Kill)
	return b
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Restart kills mosquitto if it runs and starts it, with empty memory, on the same port.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Kill()
	path, err := find()
	if err != nil {
		b.t.Fatal(err)
	}
	output, err := os.OpenFile(b.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer output.Close()
	b.cmd = exec.Command(path, "-c", b.config)
	b.cmd.Stdout, b.cmd.Stderr = output, output
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	b.launch()
	b.waitReady()
}

// find looks also where Debian puts daemons, which is not in a user's PATH.
func find() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("mosquitto is not installed: apt-get install mosquitto")
}

// launch starts the process from a thread that lives as long as the process:
// Pdeathsig, which keeps a crashed test from leaving mosquitto behind, is tied to the thread.
func (b *Broker) launch() {
	b.t.Helper()
	cmd, started, ended := b.cmd, make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		b.cmd = nil
		b.t.Fatal(err)
	}
	b.ended = ended
}

func (b *Broker) waitReady() {
	b.t.Helper()
	for range 500 {
		conn, err := net.Dial("tcp", b.Addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-b.ended:
			b.t.Fatalf("mosquitto ended:\n%s", b.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
	b.t.Fatalf("mosquitto does not listen on %s:\n%s", b.Addr, b.Log())
}

// Kill ends mosquitto at once, frozen or not; nothing happens when it does not run.
func (b *Broker) Kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	<-b.ended
	b.cmd = nil
}

// Freeze stops the process (SIGSTOP); the kernel still accepts connections and bytes for it.
func (b *Broker) Freeze() { b.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (b *Broker) Thaw() { b.signal(syscall.SIGCONT) }

func (b *Broker) signal(s syscall.Signal) {
	b.t.Helper()
	if b.cmd == nil {
		b.t.Fatal("mosquitto does not run")
	}
	if err := b.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// Log returns what mosquitto has written so far.
func (b *Broker) Log() string {
	text, _ := os.ReadFile(b.output)
	return string(text)
}
