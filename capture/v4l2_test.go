package capture

import (
	"context"
	"errors"
	"image"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"sharpend/infer"
)

func TestKernelStructSizes(t *testing.T) {
	for name, sizes := range map[string][2]uintptr{
		"v4l2_capability":     {unsafe.Sizeof(v4l2Capability{}), 104},
		"v4l2_format":         {unsafe.Sizeof(v4l2Format{}), 208},
		"v4l2_requestbuffers": {unsafe.Sizeof(v4l2RequestBuffers{}), 20},
		"v4l2_buffer":         {unsafe.Sizeof(v4l2Buffer{}), 88},
		"v4l2_queryctrl":      {unsafe.Sizeof(v4l2QueryControl{}), 68},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s has %d bytes, the kernel wants %d", name, sizes[0], sizes[1])
		}
	}
}

func TestChoosePixel(t *testing.T) {
	both := []Mode{
		{Pixel: "MJPG", Width: 1920, Height: 1080, Rates: []float64{30}}, {Pixel: "MJPG", Width: 640, Height: 480, Rates: []float64{60, 30}},
		{Pixel: "YUYV", Width: 1920, Height: 1080, Rates: []float64{5}}, {Pixel: "YUYV", Width: 640, Height: 480, Rates: []float64{30, 15}},
	}
	steps := []Mode{{Pixel: "GREY"}, {Pixel: "UYVY", Width: 1920, Height: 1080, MinWidth: 32, MinHeight: 32, StepWidth: 16, StepHeight: 2}}
	tests := []struct {
		why     string
		asked   Format
		offered []Mode
		want    string
	}{
		{"small and slow is raw", Format{"auto", 640, 480, 30}, both, "YUYV"},
		{"no rate counts as 30", Format{"auto", 640, 480, 0}, both, "YUYV"},
		{"fast is MJPG", Format{"auto", 640, 480, 60}, both, "MJPG"},
		{"large is MJPG", Format{"auto", 1920, 1080, 0}, both, "MJPG"},
		{"large and slow is raw where raw is fast enough", Format{"auto", 1920, 1080, 4}, both, "YUYV"},
		{"raw without the rate loses to MJPG", Format{"auto", 640, 360, 4}, append([]Mode{{Pixel: "MJPG", Width: 640, Height: 360}}, both...), "MJPG"},
		{"raw too slow loses to MJPG", Format{"auto", 320, 240, 25}, []Mode{{Pixel: "YUYV", Rates: []float64{15}}, {Pixel: "MJPG", Rates: []float64{30}}}, "MJPG"},
		{"a size that nothing has is the driver's to round", Format{"auto", 641, 481, 15}, both, "YUYV"},
		{"the order of preference", Format{"auto", 320, 240, 0}, steps, "UYVY"},
		{"what carries the size goes before the order", Format{"auto", 321, 240, 0}, steps, "GREY"},
		{"named", Format{"MJPG", 640, 480, 5}, both, "MJPG"},
		{"named but not offered", Format{"NV12", 640, 480, 5}, both, ""},
		{"nothing that we read", Format{"auto", 640, 480, 5}, []Mode{{Pixel: "H264"}, {Pixel: "BA81"}}, ""},
	}
	for _, tt := range tests {
		got, err := choosePixel(tt.asked, tt.offered)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v, want %q", tt.why, got, err, tt.want)
		}
	}
}

func TestModeOf(t *testing.T) {
	rates := []webcam.FrameRate{{MinNumerator: 1, MinDenominator: 15}, {MinNumerator: 1001, MinDenominator: 30000}}
	m := modeOf("YUYV", webcam.FrameSize{MinWidth: 16, MaxWidth: 64, StepWidth: 16, MinHeight: 8, MaxHeight: 32, StepHeight: 8}, rates)
	if want := "YUYV 16x8 to 64x32 in steps of 16x8 29.97,15"; m.String() != want {
		t.Errorf("%q, want %q", m, want)
	}
	if any := modeOf("GREY", webcam.FrameSize{}, nil); any.String() != "GREY any size" || !any.carries(641, 481, 99) {
		t.Errorf("a continuous range became %q", any)
	}
}

func TestRangeOfRawFormats(t *testing.T) {
	const sRGB = 8
	tests := []struct {
		quantum, colorspace uint32
		pixel, configured   string
		want                bool
	}{
		{0, sRGB, "YUYV", "auto", true},
		{0, 0, "NV12", "auto", true},
		{0, colorspaceJPEG, "YUYV", "auto", false},
		{1, sRGB, "YUYV", "auto", false},
		{2, colorspaceJPEG, "YUYV", "auto", true},
		{0, sRGB, "GREY", "auto", false},
		{2, sRGB, "GREY", "auto", true},
		{0, sRGB, "YUYV", "full", false},
		{1, sRGB, "YUYV", "limited", true},
	}
	for _, tt := range tests {
		p := v4l2PixFormat{quantum: tt.quantum, colorspace: tt.colorspace}
		if got := p.limited(tt.pixel, tt.configured); got != tt.want {
			t.Errorf("%+v: limited is %v", tt, got)
		}
	}
}

func TestMatchControls(t *testing.T) {
	have := []control{
		{id: 0x00980900, kind: controlInteger, name: controlName("Brightness"), low: -64, high: 64},
		{id: 0x009a0901, kind: controlMenu, name: controlName("Auto Exposure"), low: 0, high: 3},
		{id: 0x009a0902, kind: controlInteger, name: controlName("Exposure Time, Absolute"), low: 1, high: 5000},
		{id: 0x00980a00, kind: controlInteger, name: "sensor_age", low: 0, high: 9, flags: controlReadOnly},
		{id: 0x00980a01, kind: controlBits, name: "bits", high: -1},
	}
	list, err := matchControls(map[string]int{"exposure_time_absolute": 300, "0x980900": -64, "Auto Exposure": 1, "bits": 7}, have)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range list {
		order = append(order, s.name)
	}
	if want := []string{"auto_exposure", "brightness", "bits", "exposure_time_absolute"}; !slices.Equal(order, want) {
		t.Errorf("set in the order %q, want %q", order, want)
	}
	_, err = matchControls(map[string]int{"brightness": 65, "sharpnes": 1, "sensor_age": 1, "bits": -1}, have)
	for _, want := range []string{"controls.brightness: 65 is not within -64..64", "controls.sharpnes: the camera has no such control, only brightness",
		"controls.sensor_age: can only be read", "controls.bits: -1 is not within 0..4294967295"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestCounterDoesNotWrap(t *testing.T) {
	var c counter
	for _, tt := range []struct {
		sequence uint32
		want     uint64
	}{{0xFFFFFFFE, 0xFFFFFFFE}, {0xFFFFFFFF, 0xFFFFFFFF}, {1, 0x100000001}, {5, 0x100000005}} {
		if got := c.next(tt.sequence); got != tt.want {
			t.Errorf("%#x became %#x, want %#x", tt.sequence, got, tt.want)
		}
	}
}

func TestWallClock(t *testing.T) {
	var clock unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &clock); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for age, want := range map[time.Duration]time.Duration{50 * time.Millisecond: 50 * time.Millisecond, time.Hour: 0, -time.Hour: 0} {
		got := now.Sub(wallClock(unix.NsecToTimeval(clock.Nano()-int64(age)), now))
		if got < want || got > want+time.Second {
			t.Errorf("a stamp of %v ago became %v ago", age, got)
		}
	}
}

func TestInspect(t *testing.T) {
	d := &device{layout: layout{pixel: "YUYV", width: 4, height: 2, stride: 8}, buffers: [][]byte{make([]byte, 32)}}
	for _, tt := range []struct {
		b    v4l2Buffer
		want string
	}{
		{v4l2Buffer{bytesused: 16}, ""},
		{v4l2Buffer{bytesused: 32}, ""},
		{v4l2Buffer{bytesused: 15}, Truncated},
		{v4l2Buffer{}, Empty},
		{v4l2Buffer{bytesused: 16, flags: bufFlagError | bufClockMonotone}, Flagged},
		{v4l2Buffer{bytesused: 33}, Garbage},
		{v4l2Buffer{bytesused: 16, index: 1}, Garbage},
	} {
		got := ""
		if damage := d.inspect(tt.b); damage != nil {
			got = damage.Kind
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.b, got, tt.want)
		}
	}
}

// pipeDevice waits on a pipe instead of a camera.
func pipeDevice(t *testing.T) (d *device, writer *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	d = &device{fd: int(r.Fd()), timeout: 200 * time.Millisecond, layout: layout{width: 2, height: 2}}
	d.poll[0] = unix.PollFd{Fd: int32(d.fd), Events: unix.POLLIN}
	return d, w
}

func TestReadEnds(t *testing.T) {
	f := &Frame{Image: infer.NewPlanes(2, 2, 2)}
	d, w := pipeDevice(t)
	var damage *Damage
	if err := d.read(t.Context(), f); err == nil || errors.As(err, &damage) || !strings.Contains(err.Error(), "no frame for 200ms") {
		t.Errorf("without frames Read returned %v", err)
	}
	d.timeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.read(ctx, f); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled, Read returned %v", err)
	}
	w.Close()
	if err := d.read(t.Context(), f); err == nil || errors.As(err, &damage) || !errors.Is(err, unix.ENOTTY) {
		t.Errorf("after POLLHUP Read returned %v", err)
	}
	d.pending = []*Damage{damaged(Empty, "one"), damaged(Flagged, "two")}
	for _, want := range []string{Empty, Flagged} {
		if err := d.read(t.Context(), f); !errors.As(err, &damage) || damage.Kind != want {
			t.Errorf("Read returned %v, want the pending %s", err, want)
		}
	}
	f.Image.Rect = image.Rect(0, 0, 4, 2)
	if err := d.read(t.Context(), f); err == nil || !strings.Contains(err.Error(), "2x2") {
		t.Errorf("a frame of the wrong size: %v", err)
	}
}

func TestOpenRefusesWhatIsNoCamera(t *testing.T) {
	c := Default()
	for device, want := range map[string]string{"/dev/null": "not a V4L2 device", "/dev/v4l/by-id/nothing": "not plugged in"} {
		c.Device = device
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), device) {
			t.Errorf("%s: %v", device, err)
		}
	}
}
