//go:build vm

// Package guest holds the tests that need a machine of their own: a kernel with camera drivers, systemd, a broker.
// They run as root inside the virtual machine that vm.sh boots, one after the other, and change it at will.
package guest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

var patience = flag.Duration("patience", time.Minute, "how long a test waits for what should come soon: "+
	"the processor is emulated, on a machine that may be busy, and what comes late is no failure unless a test says so")

func TestMain(m *testing.M) {
	flag.Parse()
	if err := setUp(); err != nil {
		fmt.Println("setting up the guest:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp() error {
	for _, line := range []string{
		"modprobe -a vhci-hcd uvcvideo",
		"modprobe vivid n_devs=1",
		"systemctl start mosquitto",
	} {
		if _, err := shell(line); err != nil {
			return err
		}
	}
	return install()
}

// shell runs a command line and returns what it printed.
func shell(line string, args ...any) (string, error) {
	line = fmt.Sprintf(line, args...)
	out, err := exec.Command("timeout", "120", "sh", "-c", line).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w\n%s", line, err, text)
	}
	return text, nil
}

// sh is shell for commands that must not fail.
func sh(t *testing.T, line string, args ...any) string {
	t.Helper()
	out, err := shell(line, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until check finds nothing wrong, and returns how long that took.
func eventually(t *testing.T, what string, check func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > *patience {
			t.Fatalf("%s: not within %v: %v", what, *patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// wrong makes an error of a condition that does not hold yet.
func wrong(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// number reads a property of a unit.
func (i *instance) number(property string) int {
	i.t.Helper()
	n, err := strconv.Atoi(i.property(property))
	if err != nil {
		i.t.Fatal(err)
	}
	return n
}

func (i *instance) property(property string) string {
	i.t.Helper()
	return sh(i.t, "systemctl show -P %s %s", property, i.unit)
}

// An instance is one camera's service.
type instance struct {
	*watcher
	t      *testing.T
	name   string // in the topics, and of the configuration's file
	unit   string
	cursor string // of the journal, when it was started
}

// prepare writes the configuration and listens to the topics; the service is stopped when the test ends.
func prepare(t *testing.T, name, config string, check func([]byte) error) *instance {
	t.Helper()
	i := &instance{t: t, name: name, unit: "sharpend@" + name + ".service"}
	i.configure(config)
	i.cursor = cursor(t)
	i.watcher = watch(t, name, check)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(i.journal())
		}
		shell("systemctl stop %s; systemctl reset-failed %s", i.unit, i.unit)
		if bad := i.damagedPictures(); bad != "" {
			t.Errorf("pictures that the camera did not show were published: %s", bad)
		}
		i.watcher.close()
		os.Remove(i.file())
	})
	return i
}

// start brings the service up: it returns when it is ready, which it is when frames flow.
func start(t *testing.T, name, config string, check func([]byte) error) *instance {
	t.Helper()
	i := prepare(t, name, config, check)
	sh(t, "systemctl start %s", i.unit)
	i.awaitFrames(3)
	return i
}

// use makes a subtest answer for what goes wrong from now on.
func (i *instance) use(t *testing.T) { i.t, i.watcher.t = t, t }

func (i *instance) file() string { return "/etc/sharpend/" + i.name + ".yaml" }

// configure writes a configuration. Its lines replace the keys of the common one.
func (i *instance) configure(config string) {
	i.t.Helper()
	base := `name: ` + i.name + `
models: {predictor: /opt/test/identity.onnx, denoiser: ""}
runtime: {providers: [cpu], threads: 1}
refine: {steps: 0, keyframes: {every: 0, scene: 0, after_loss: false}}
publish: {quality: 95}
stats: {every: 500ms}
`
	for _, line := range strings.Split(strings.TrimSpace(config), "\n") {
		key, _, _ := strings.Cut(line, ":")
		base = without(base, key) + line + "\n"
	}
	write(i.t, i.file(), base)
}

func without(config, key string) string {
	var kept strings.Builder
	for _, line := range strings.SplitAfter(config, "\n") {
		if !strings.HasPrefix(line, key+":") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func cursor(t *testing.T) string {
	t.Helper()
	_, c, ok := strings.Cut(sh(t, "journalctl -n 1 -o cat --show-cursor"), "-- cursor: ")
	if !ok {
		t.Fatal("the journal has no cursor")
	}
	return c
}

// journal is what the unit has logged since it was prepared.
func (i *instance) journal() string {
	shell("journalctl --sync")
	out, _ := shell("journalctl -u %s -o short-monotonic --no-hostname --after-cursor '%s'", i.unit, i.cursor)
	return out
}

// awaitJournal waits for a line of the journal.
func (i *instance) awaitJournal(text string) {
	i.t.Helper()
	eventually(i.t, "journal", func() error {
		return wrong(strings.Contains(i.journal(), text), "%q is not in it", text)
	})
}

func (i *instance) kill(signal string) {
	i.t.Helper()
	sh(i.t, "systemctl kill -s %s --kill-whom=main %s", signal, i.unit)
}

// sameProcess ends the test if the service has been started anew since.
func (i *instance) sameProcess() func() {
	i.t.Helper()
	before := i.number("MainPID")
	return func() {
		i.t.Helper()
		if now := i.number("MainPID"); now != before || now == 0 {
			i.t.Errorf("the process was %d and is %d", before, now)
		}
	}
}
