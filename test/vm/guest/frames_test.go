//go:build vm

package guest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sharpend/test/vm/fakecam"
)

// Stable names of what the tests plug in.
const (
	vivid = "/dev/v4l/by-path/platform-vivid.0-video-index0"
	port  = "/dev/v4l/by-path/platform-vhci_hcd.0-usb-0:%d:1.0-video-index0"
	byID  = "/dev/v4l/by-id/usb-sharpend_Fake_camera_%s-video-index0"
)

// portName is the by-path name of what is plugged into a port of the virtual host controller.
func portName(number int) string { return fmt.Sprintf(port, number+1) }

func idName(serial string) string { return fmt.Sprintf(byID, serial) }

// plug plugs a camera in and waits for its node.
func plug(t *testing.T, number int, serial string) *fakecam.Camera {
	t.Helper()
	c, err := fakecam.Plug(number, serial, number)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Unplug() })
	awaitNode(t, portName(number))
	return c
}

func awaitNode(t *testing.T, name string) {
	t.Helper()
	eventually(t, name, func() error {
		_, err := os.Stat(name)
		return err
	})
	sh(t, "udevadm settle")
}

func unplug(t *testing.T, c *fakecam.Camera) {
	t.Helper()
	if err := c.Unplug(); err != nil {
		t.Fatal(err)
	}
}

func node(t *testing.T, name string) string {
	t.Helper()
	return sh(t, "readlink -f %s", name)
}

func TestUSBCameraFormats(t *testing.T) {
	plug(t, 0, "A1")
	for _, pixel := range []string{"MJPG", "YUYV"} {
		t.Run(pixel, func(t *testing.T) {
			i := start(t, "front", "camera: {device: "+idName("A1")+", format: "+pixel+", width: 320, height: 240}", exact(0))
			i.awaitStatus("online")
			i.awaitCamera("streaming")
			i.awaitFrames(10)
			i.awaitProperty("StatusText", "camera streams "+pixel+" 320x240")
			c := i.info.Camera
			if c.Granted.Format != pixel || c.Granted.Width != 320 || c.Granted.Height != 240 || c.Name != idName("A1") || !c.KernelClock {
				t.Errorf("info says %+v", c)
			}
			t.Log(i.counters().summary())
		})
	}
}

func (s stats) summary() string {
	return fmt.Sprintf("in %d, out %d, drops %v, damaged %v, decode %.1f ms, predict %.1f ms, encode %.1f ms, latency %.0f ms (p50)",
		s.In, s.Out, s.Drops, s.Damaged, s.MS["decode"].P50, s.MS["predict"].P50, s.MS["encode"].P50, s.MS["latency"].P50)
}

func TestRawFormats(t *testing.T) {
	for _, pixel := range []string{"YUYV", "UYVY", "NV12", "YU12", "GREY"} {
		t.Run(pixel, func(t *testing.T) {
			i := start(t, "bars", "camera: {device: "+vivid+", format: "+pixel+", width: 320, height: 180, fps: 10}", bars(pixel == "GREY"))
			i.awaitCamera("streaming")
			i.awaitFrames(5)
			if g := i.info.Camera.Granted; g.Format != pixel || g.Width != 320 || g.Height != 180 {
				t.Errorf("info says %+v", i.info.Camera)
			}
			t.Log(i.counters().summary())
		})
	}
}

// The shipped predictor works on this picture too, though it has not been blurred: what comes out resembles it.
// The emulated processor needs seconds for a frame.
func TestShippedPredictor(t *testing.T) {
	plug(t, 0, "A1")
	i := prepare(t, "front", "camera: {device: "+idName("A1")+", format: YUYV, width: 80, height: 60}\n"+
		"models: {predictor: predictor-s.onnx, denoiser: \"\"}\nruntime: {providers: [cpu]}", like(0, 10, 60))
	sh(t, "systemctl start %s", i.unit)
	i.awaitFrames(2)
	t.Log(i.counters().summary())
}

func TestGrantedDiffersFromAsked(t *testing.T) {
	plug(t, 0, "A1")
	i := start(t, "front", "camera: {device: "+idName("A1")+", format: MJPG, width: 333, height: 250, fps: 24}", exact(0))
	i.await("info", func() error {
		c := i.info.Camera
		notes := strings.Join(c.Notes, "; ")
		switch {
		case c.Asked.Width != 333 || c.Asked.Height != 250 || c.Asked.FPS != 24:
			return fmt.Errorf("asked is %+v", c.Asked)
		case c.Granted.Width != 320 || c.Granted.Height != 240 || c.Granted.FPS != 10:
			return fmt.Errorf("granted is %+v", c.Granted)
		case !strings.Contains(notes, "333x250 was asked for, 320x240 granted") || !strings.Contains(notes, "24 frames/s were asked for, 10 granted"):
			return fmt.Errorf("notes are %q", notes)
		}
		return nil
	})
	i.awaitFrames(3)
}

func TestReplugUnderAnotherNode(t *testing.T) {
	c := plug(t, 0, "A1")
	i := start(t, "front", "camera: {device: "+idName("A1")+", width: 320, height: 240}", exact(0))
	i.awaitCamera("streaming")
	same, before := i.sameProcess(), node(t, idName("A1"))
	held, err := os.Open(before) // its number cannot be given away while it is open
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	unplug(t, c)
	lost := i.awaitCamera("lost")
	i.awaitStatus("online") // it is the camera that is gone, not the service
	i.awaitProperty("StatusText", "camera lost")
	if i.info.Camera.Error == "" {
		t.Error("info does not say why the camera is lost")
	}
	plug(t, 0, "A1")
	if after := node(t, idName("A1")); after == before {
		t.Fatalf("the camera is at %s again: this test needs another node", after)
	}
	back := i.awaitCamera("streaming")
	i.awaitFrames(5)
	same()
	if s := i.counters(); s.Losses == 0 {
		t.Errorf("no loss is counted: %+v", s)
	}
	t.Logf("loss reported after %v, back %v after the node; %v", lost, back, i.infos)
}

func TestAbsentAtStart(t *testing.T) {
	i := prepare(t, "front", "camera: {device: "+idName("A1")+", width: 320, height: 240}", exact(0))
	sh(t, "systemctl start --no-block %s", i.unit)
	i.awaitStatus("online")
	i.await("info", func() error {
		return wrong(i.info.Camera.State == "lost" && strings.Contains(i.info.Camera.Error, "not plugged in"), "it says %+v", i.info.Camera)
	})
	same := i.sameProcess()
	time.Sleep(3 * time.Second) // time for the service to give up, were it so minded
	same()
	plug(t, 0, "A1")
	i.awaitFrames(5)
	i.awaitCamera("streaming")
	i.awaitActive()
	same()
}

// The machine has booted without any camera, so no camera driver is loaded. The unit loads V4L2's core, without
// which systemd would forbid the camera that comes later; udev loads the driver when it comes.
func TestHotPlugWithoutDriver(t *testing.T) {
	sh(t, "modprobe -r vivid uvcvideo && modprobe -r videobuf2_memops")
	shell("modprobe -r videodev") // if it is not gone by now
	t.Cleanup(func() { shell("modprobe -a vivid uvcvideo && udevadm settle") })
	if out := sh(t, "cut -d' ' -f1 /proc/modules"); strings.Contains("\n"+out+"\n", "\nvideodev\n") {
		t.Fatal("videodev is still loaded")
	}
	i := prepare(t, "front", small("A1"), exact(0))
	sh(t, "systemctl start --no-block %s", i.unit)
	i.awaitStatus("online")
	plug(t, 0, "A1")
	i.awaitFrames(3)
	i.awaitActive()
	if n := i.number("NRestarts"); n != 0 {
		t.Errorf("%d restarts", n)
	}
}

func (i *instance) awaitActive() {
	i.t.Helper()
	i.awaitProperty("ActiveState", "active")
}

// awaitProperty waits until a property of the unit begins with want.
func (i *instance) awaitProperty(property, want string) {
	i.t.Helper()
	eventually(i.t, i.unit, func() error {
		got := i.property(property)
		return wrong(strings.HasPrefix(got, want), "%s is %q", property, got)
	})
}

// Two cameras of one serial number: a by-id name means either, so it is refused; by their ports they stay apart,
// even when they come back in the other order.
func TestTwinsAreNeverSwapped(t *testing.T) {
	left, right := plug(t, 0, "TWIN"), plug(t, 1, "TWIN")
	config := func(device string) string { return "camera: {device: " + device + ", width: 160, height: 120}" }
	l := start(t, "left", config(portName(0)), exact(0))
	r := start(t, "right", config(portName(1)), exact(1))
	sameLeft, sameRight := l.sameProcess(), r.sameProcess()
	before := node(t, portName(0))
	unplug(t, left)
	unplug(t, right)
	l.awaitCamera("lost")
	r.awaitCamera("lost")
	plug(t, 1, "TWIN")
	plug(t, 0, "TWIN")
	if after := node(t, portName(1)); after != before {
		t.Fatalf("the right camera is at %s, not at %s where the left one was", after, before)
	}
	l.awaitFrames(5)
	r.awaitFrames(5)
	sameLeft()
	sameRight()
	for _, i := range []*instance{l, r} {
		sh(t, "systemctl stop %s", i.unit)
	}
	either := prepare(t, "either", config(idName("TWIN")), func([]byte) error { return errors.New("a picture of an ambiguous camera") })
	sh(t, "systemctl start --no-block %s", either.unit)
	either.await("info", func() error {
		e := either.info.Camera.Error
		return wrong(strings.Contains(e, "2 cameras claim this name") && strings.Contains(e, portName(0)) && strings.Contains(e, portName(1)), "it says %q", e)
	})
}

// A camera of another identity in the same port is not the one that was unplugged.
func TestAnotherCameraIsNotTaken(t *testing.T) {
	c := plug(t, 0, "A1")
	i := start(t, "front", "camera: {device: "+idName("A1")+", width: 160, height: 120}", exact(0))
	unplug(t, c)
	i.awaitCamera("lost")
	plug(t, 1, "B2")
	time.Sleep(3 * time.Second)
	i.read(func() {
		if i.info.Camera.State != "lost" || slices.Contains(i.infos[len(i.infos)-1:], "streaming") {
			t.Errorf("info says %+v", i.info.Camera)
		}
	})
}
