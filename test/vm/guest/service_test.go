//go:build vm

package guest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func small(serial string) string {
	return "camera: {device: " + idName(serial) + ", format: MJPG, width: 160, height: 120}"
}

// shipped is a configuration with the shipped networks, small enough for the emulated processor.
func shipped(serial, refine string) string {
	return "camera: {device: " + idName(serial) + ", format: YUYV, width: 80, height: 60}\n" +
		"models: {predictor: predictor-s.onnx, denoiser: denoiser-s.onnx}\nrefine: " + refine
}

func TestKilledIsRestarted(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", small("A1"), exact(0))
	before := i.number("MainPID")
	i.kill("KILL")
	i.await("status", func() error { // the broker says it in its stead
		return wrong(strings.Contains(strings.Join(i.statuses, " "), "offline"), "only %q", i.statuses)
	})
	i.awaitStatus("online")
	took := i.awaitFrames(5)
	if now := i.number("MainPID"); now == before || i.number("NRestarts") != 1 {
		t.Errorf("the process was %d and is %d, %d restarts", before, now, i.number("NRestarts"))
	}
	t.Logf("frames again after %v; %v", took, i.statuses)
}

// dropIn changes a unit for the time of a test.
func dropIn(t *testing.T, unit, text string) {
	t.Helper()
	folder := "/run/systemd/system/" + unit + ".d"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, folder+"/test.conf", text)
	sh(t, "systemctl daemon-reload")
	t.Cleanup(func() {
		os.RemoveAll(folder)
		shell("systemctl daemon-reload")
	})
}

// impatient gives the watchdog less time than the faults of a test take: none but a stuck pipeline may trip it.
func impatient(t *testing.T) { dropIn(t, "sharpend@front.service", "[Service]\nWatchdogSec=5s\n") }

func TestFrozenPipelineIsEndedByTheWatchdog(t *testing.T) {
	plug(t, 0, "A1")
	const freeze = 4 * time.Second
	dropIn(t, "sharpend@front.service", fmt.Sprintf("[Service]\nWatchdogSec=5s\nEnvironment=SHARPEND_DEBUG_FREEZE=%v\n", freeze))
	i := start(t, "front", small("A1"), exact(0))
	before := i.number("MainPID")
	i.awaitJournal("Watchdog timeout")
	for _, text := range []string{"SIGABRT: abort", "goroutine ", "daemon.(*pipeline).predict", "daemon.(*pipeline).read"} {
		i.awaitJournal(strings.Replace(text, "daemon.", "main.", 1))
	}
	i.awaitJournal("'watchdog'")
	i.awaitFrames(3)
	if now := i.number("MainPID"); now == before || i.number("NRestarts") < 1 {
		t.Errorf("the process was %d and is %d, %d restarts", before, now, i.number("NRestarts"))
	}
}

// SIGTERM in the middle of a refinement that would take minutes, with more keyframes waiting. The promise is 2 s; to it
// is added what the emulated processor needs for one frame, which cannot be interrupted, and takes milliseconds
// elsewhere.
func TestTermination(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", shipped("A1", "{steps: 50, samples: 4}"), like(0, 10, 60))
	i.awaitJournal("refiner ready")
	time.Sleep(time.Second) // into the first step
	bound := 2*time.Second + time.Duration(i.counters().MS["predict"].P99*float64(time.Millisecond))
	pid := i.number("MainPID")
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for syscall.Kill(pid, 0) == nil && time.Since(began) < *patience {
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	if took > bound {
		t.Errorf("it took %v to end, more than %v", took, bound)
	}
	i.awaitJournal("Deactivated successfully")
	i.awaitStatus("offline")
	i.read(func() {
		if i.metas != 0 {
			t.Error("the refinement was over: nothing was interrupted")
		}
	})
	t.Logf("it took %v to end, of %v", took, bound)
}

func TestReloadGood(t *testing.T) {
	plug(t, 0, "A1")
	config := func(steps int) string {
		return shipped("A1", fmt.Sprintf("{steps: %d, keyframes: {every: 0, scene: 0, after_loss: false}}", steps))
	}
	i := start(t, "front", config(1), like(0, 10, 60))
	i.await("stats", func() error { return wrong(i.stats.Steps == 1, "%d steps", i.stats.Steps) })
	same := i.sameProcess()
	i.configure(config(2))
	i.reload("refine.steps")
	i.await("stats", func() error { return wrong(i.stats.Steps == 2, "%d steps", i.stats.Steps) })
	i.kill("USR1") // ask for a keyframe
	i.await("keyframe", func() error { return wrong(i.metas > 0 && i.meta.StepsDone == 2, "%d, %+v", i.metas, i.meta) })
	i.awaitActive()
	same()
}

// reload waits until the daemon says that the keys have changed, and no other.
func (i *instance) reload(keys ...string) {
	i.t.Helper()
	began := time.Now()
	sh(i.t, "systemctl reload %s", i.unit)
	i.await("reload", func() error {
		r := i.info.Reload
		return wrong(r != nil && r.Time.After(began.Add(-time.Second)) && r.Error == "" && slices.Equal(r.Changed, keys) && len(r.Restart) == 0,
			"info says %+v", r)
	})
}

func TestReloadLosesNoFrame(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", small("A1"), exact(0))
	same := i.sameProcess()
	i.read(func() { i.numbers = nil })
	before := i.counters()
	for quality := range 3 {
		i.configure(small("A1") + fmt.Sprintf("\npublish: {quality: %d}", 90+quality))
		i.reload("publish.quality")
		i.awaitFrames(3)
	}
	var came []uint64
	i.read(func() { came = slices.Clone(i.numbers) })
	now := time.Now()
	i.await("stats", func() error { return wrong(i.stats.Time.After(now), "none since") })
	same()
	lost, after := gaps(came), i.counters()
	counted := after.Drops["predict"] + after.Drops["publish"] - before.Drops["predict"] - before.Drops["publish"]
	if uint64(len(lost)) > counted {
		t.Errorf("frames %v are lost, and %d counted as dropped: %v, before %v", lost, counted, after.Drops, before.Drops)
	}
	t.Logf("%d frames around three reloads, %d not published", len(came), len(lost))
}

func TestReloadBad(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", small("A1"), exact(0))
	same := i.sameProcess()
	for _, tt := range []struct{ line, want string }{
		{"publish: {quality: 101}", "between 1 and 100"},
		{"refine: {stepz: 3}", "stepz"},
		{"refine: [", "yaml"},
	} {
		i.configure(small("A1") + "\n" + tt.line)
		sh(t, "systemctl reload %s", i.unit)
		place := i.file() + ":" // then line:column
		i.await("reload", func() error {
			r := i.info.Reload
			if r == nil || !strings.Contains(r.Error, tt.want) {
				return fmt.Errorf("info says %+v", r)
			}
			_, after, _ := strings.Cut(r.Error, place)
			var line, column int
			_, err := fmt.Sscanf(after, "%d:%d:", &line, &column)
			return wrong(err == nil && line > 0 && column > 0, "no line and column in %q", r.Error)
		})
		i.awaitJournal("reload refused")
		i.awaitJournal(place)
		i.awaitFrames(3)
		i.awaitActive()
	}
	same()
	i.configure(small("A1") + "\npublish: {quality: 90}")
	i.reload("publish.quality")
}
