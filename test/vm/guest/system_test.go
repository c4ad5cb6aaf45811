//go:build vm

package guest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFullStateFolder(t *testing.T) {
	plug(t, 0, "A1")
	const folder = "/var/lib/private/sharpend"
	sh(t, "mkdir -p %s && mount -t tmpfs -o size=64k,mode=755 full %s && mkdir -p %s/front", folder, folder, folder)
	t.Cleanup(func() { shell("systemctl stop sharpend@front; umount %s", folder) })
	i := prepare(t, "front", small("A1"), exact(0))
	if out, err := shell("dd if=/dev/zero of=%s/fill bs=4k", folder); err == nil {
		t.Fatalf("it is not full: %s", out)
	}
	sh(t, "systemctl start %s", i.unit)
	i.awaitFrames(5)
	i.kill("USR1")
	i.await("keyframe", func() error { return wrong(i.metas > 0, "none") })
	if n := i.number("NRestarts"); n != 0 {
		t.Errorf("%d restarts", n)
	}
}

// The wall clock jumps an hour forward, then two back, and so on. Frames flow on, latencies stay true, and nobody is killed.
func TestClockJumps(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", small("A1"), exact(0))
	same := i.sameProcess()
	offset := time.Duration(0)
	jump := func(by time.Duration) {
		offset += by
		sh(t, "date -s @%d", time.Now().Add(by).Unix())
	}
	t.Cleanup(func() { shell("date -s @%d", time.Now().Add(-offset).Unix()) })
	i.read(func() { i.worst = 0 })
	for n := range 8 { // often enough that a frame is under way in one of the jumps
		jump([]time.Duration{time.Hour, -2 * time.Hour}[n%2])
		i.awaitFrames(2)
	}
	i.await("time", func() error {
		off := time.Since(i.stats.Time)
		return wrong(off > -20*time.Second && off < 20*time.Second, "stats are %v old", off)
	})
	i.read(func() {
		if i.worst <= 0 || i.worst > 20000 {
			t.Errorf("a latency of %.0f ms was told", i.worst)
		}
	})
	time.Sleep(2 * time.Second)
	i.awaitActive()
	same()
}

func TestUnitsVerify(t *testing.T) {
	for _, unit := range []string{"sharpend.service", "sharpend@front.service"} {
		if out := sh(t, "systemd-analyze verify --man=no %s", unit); out != "" {
			t.Errorf("%s: %s", unit, out)
		}
	}
}

func TestUnitsAreHardened(t *testing.T) {
	const most = 1.5
	for _, unit := range []string{"sharpend.service", "sharpend@front.service"} {
		out := sh(t, "systemd-analyze security --no-pager %s", unit)
		last := out[strings.LastIndexByte(out, '\n')+1:]
		_, text, _ := strings.Cut(last, ": ")
		level, err := strconv.ParseFloat(strings.Fields(text + " ?")[0], 64)
		if err != nil || level > most {
			t.Errorf("%s: want at most %.1f: %s", unit, most, last)
		}
		t.Log(last)
	}
}
