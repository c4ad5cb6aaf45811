//go:build vm

package guest

import (
	"os"
	"strings"
	"testing"

	"sharpend/test/vm/fakecam"
)

// nodrop makes uvcvideo deliver the frames that it knows to be damaged instead of throwing them away.
func nodrop(t *testing.T, value string) {
	t.Helper()
	const file = "/sys/module/uvcvideo/parameters/nodrop"
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(file, []byte("0"), 0o644) })
}

// One frame in three is faulty. Whatever the fault, the others arrive, none that is damaged does (the watcher looks
// at each), camera and process stay, and the fault is counted: by its kind, or as a gap in the camera's own count
// where the driver keeps it to itself.
func TestDamagedFrames(t *testing.T) {
	nodrop(t, "1")
	t.Run("MJPG", faults("MJPG",
		fault{fakecam.Truncated, 3, "truncated"},
		fault{fakecam.Garbage, 3, "garbage"},
		fault{fakecam.Rotten, 3, "garbage"},
		fault{fakecam.WrongSize, 3, "size"},
		fault{fakecam.Flagged, 3, "flagged"},
		fault{fakecam.Empty, 3, ""}, // uvcvideo waits for bytes
		fault{fakecam.NoDHT, 1, noDamage},
	))
	t.Run("YUYV", faults("YUYV",
		fault{fakecam.Truncated, 3, "flagged"}, // uvcvideo knows how long it must be
		fault{fakecam.Empty, 3, ""},
	))
}

type fault struct {
	fakecam.Fault
	every int
	kind  string // what it is counted as; "": as a gap
}

const noDamage = "none"

func faults(pixel string, list ...fault) func(*testing.T) {
	return func(t *testing.T) {
		c := plug(t, 0, "A1")
		i := start(t, "front", "camera: {device: "+idName("A1")+", format: "+pixel+", width: 160, height: 120}", exact(0))
		same := i.sameProcess()
		for _, f := range list {
			t.Run(string(f.Fault), func(t *testing.T) {
				i.use(t)
				f.test(t, c, i)
				same()
			})
		}
		i.use(t)
	}
}

func (f fault) test(t *testing.T, c *fakecam.Camera, i *instance) {
	before, sent := i.counters(), c.Sent()
	c.Misbehave(f.Fault, f.every)
	if f.kind != noDamage {
		i.await("damage", func() error {
			return wrong(f.count(i.stats)-f.count(before) >= 3, "counted: %v, drops %v", i.stats.Damaged, i.stats.Drops)
		})
	}
	i.awaitFrames(10)
	c.Misbehave(fakecam.None, 0)
	i.awaitFrames(3)
	after := i.counters()
	for kind, n := range after.Damaged {
		if n -= before.Damaged[kind]; kind != f.kind && n > 0 {
			t.Errorf("%d %s frames are counted", n, kind)
		}
	}
	if after.Camera != "streaming" || after.Losses != 0 {
		t.Errorf("the camera is %s and was lost %d times", after.Camera, after.Losses)
	}
	t.Logf("%d sent, %d published: damaged %v, drops %v", c.Sent()-sent, after.Out-before.Out, after.Damaged, after.Drops)
}

func (f fault) count(s stats) uint64 {
	if f.kind == "" {
		return s.Drops["camera"]
	}
	return s.Damaged[f.kind]
}

// By default uvcvideo throws away what it knows to be damaged; when everything is, the camera looks stalled.
func TestOnlyFlaggedFrames(t *testing.T) {
	nodrop(t, "0")
	stall(t, fakecam.Flagged)
}

func TestStalledCamera(t *testing.T) { stall(t, fakecam.Stall) }

// stall: the camera is there, can be opened, and sends nothing that arrives. After camera.timeout it is reported
// lost, stays so however often it is opened, and comes back.
func stall(t *testing.T, fault fakecam.Fault) {
	t.Helper()
	impatient(t)
	c := plug(t, 0, "A1")
	i := start(t, "front", "camera: {device: "+idName("A1")+", format: MJPG, width: 160, height: 120, timeout: 1s}", exact(0))
	same := i.sameProcess()
	c.Misbehave(fault, 1)
	i.await("loss", func() error {
		return wrong(i.info.Camera.State == "lost" && strings.Contains(i.info.Camera.Error, "no frame for 1s"), "info says %+v", i.info.Camera)
	})
	i.read(func() { i.infos = nil })
	i.await("losses", func() error { return wrong(i.stats.Losses >= 4, "%d", i.stats.Losses) })
	i.awaitProperty("StatusText", "camera lost")
	i.awaitStatus("online")
	i.read(func() {
		if len(i.infos) > 0 {
			t.Errorf("while it was stalled the camera became %v", i.infos)
		}
	})
	c.Misbehave(fakecam.None, 0)
	t.Logf("frames again after %v", i.awaitFrames(3))
	i.awaitCamera("streaming")
	same()
}

// vivid's own faults, injected by its controls.
func TestInjectedFaults(t *testing.T) {
	i := start(t, "bars", "camera: {device: "+vivid+", format: YUYV, width: 320, height: 180, fps: 10}", bars(false))
	same := i.sameProcess()
	for _, tt := range []struct {
		name   string
		inject func(t *testing.T, before stats)
	}{
		{"error flag", i.injectFlags},
		{"dropped buffers", i.injectDrops},
		{"EIO", i.injectEIO},
		{"ENODEV", i.injectENODEV},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i.use(t)
			tt.inject(t, i.counters())
			t.Logf("frames again after %v", i.awaitFrames(3))
			i.awaitCamera("streaming")
			same()
		})
	}
	i.use(t)
}

func setControl(t *testing.T, control string, value int) {
	t.Helper()
	sh(t, "v4l2-ctl -d %s -c %s=%d", vivid, control, value)
}

func (i *instance) injectFlags(t *testing.T, before stats) {
	for n := range uint64(3) {
		setControl(t, "inject_v4l2_buf_flag_error", 1)
		i.await("damage", func() error {
			return wrong(i.stats.Damaged["flagged"] > before.Damaged["flagged"]+n, "counted: %v", i.stats.Damaged)
		})
	}
}

func (i *instance) injectDrops(t *testing.T, before stats) {
	setControl(t, "percentage_of_dropped_buffers", 50)
	defer setControl(t, "percentage_of_dropped_buffers", 0)
	i.await("drops", func() error {
		return wrong(i.stats.Drops["camera"] > before.Drops["camera"]+5, "counted: %v", i.stats.Drops)
	})
}

func (i *instance) injectEIO(t *testing.T, before stats) {
	setControl(t, "inject_fatal_streaming_error", 1)
	i.await("loss", func() error { return wrong(i.stats.Losses > before.Losses, "none") })
}

func (i *instance) injectENODEV(t *testing.T, _ stats) {
	const driver = "/sys/bus/platform/drivers/vivid/"
	sh(t, "echo vivid.0 >%sunbind", driver)
	i.awaitCamera("lost")
	sh(t, "echo vivid.0 >%sbind", driver)
	awaitNode(t, vivid)
}
