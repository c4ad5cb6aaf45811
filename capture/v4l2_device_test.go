package capture

import (
	"context"
	"errors"
	"image/color"
	"os"
	"slices"
	"testing"
	"time"

	"sharpend/infer"
)

// testDevice is a real camera or vivid, named by its owner.
func testDevice(t *testing.T) Device {
	t.Helper()
	name := os.Getenv("SHARPEND_TEST_DEVICE")
	if name == "" {
		t.Skip("SHARPEND_TEST_DEVICE names no camera: its tests are skipped")
	}
	node, _, err := machine.resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := describe(node)
	if !ok || d.Problem != "" {
		t.Fatalf("%s: %+v", name, d)
	}
	d.Path = name
	return d
}

func openTest(t *testing.T, c Config) *Camera {
	t.Helper()
	camera, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { camera.Close() })
	t.Logf("%s: asked %v, granted %v, notes %q", camera.Name, camera.Asked, camera.Granted, camera.Notes)
	return camera
}

func newFrame(c *Camera) *Frame {
	return &Frame{Image: infer.NewPlanes(c.Granted.Width, c.Granted.Height, 16)}
}

func TestDeviceDeliversEveryFormat(t *testing.T) {
	d := testDevice(t)
	for _, pixel := range pixelFormats {
		if !slices.ContainsFunc(d.Formats, func(m Mode) bool { return m.Pixel == pixel }) {
			continue
		}
		t.Run(pixel, func(t *testing.T) {
			c := Default()
			c.Device, c.Format = d.Path, pixel
			camera := openTest(t, c)
			if camera.Granted.Pixel != pixel {
				t.Errorf("granted %v", camera.Granted)
			}
			f := newFrame(camera)
			readTen(t, camera, f)
			if d.Driver == "vivid" {
				wantBars(t, f, pixel == "GREY")
			}
			wantNoAllocations(t, camera, f)
		})
	}
}

func readTen(t *testing.T, camera *Camera, f *Frame) {
	t.Helper()
	last := Frame{}
	for n := range 10 {
		readWhole(t, camera, f)
		if age := time.Since(f.Time); age < 0 || age > time.Second {
			t.Errorf("frame %d is %v old", f.Sequence, age)
		}
		if n > 0 && (f.Sequence <= last.Sequence || !f.Time.After(last.Time)) {
			t.Errorf("frame %d at %v came after frame %d at %v", f.Sequence, f.Time, last.Sequence, last.Time)
		}
		last = *f
	}
	t.Logf("decoding took %v", f.Decode)
}

// readWhole lets a few frames be damaged: a camera's first ones often are.
func readWhole(t *testing.T, camera *Camera, f *Frame) {
	t.Helper()
	for range 5 {
		damage := new(Damage)
		err := camera.Read(t.Context(), f)
		if err == nil {
			return
		}
		if !errors.As(err, &damage) {
			t.Fatal(err)
		}
		t.Log(err)
	}
	t.Fatal("five damaged frames in a row")
}

// wantBars checks vivid's default test pattern, eight bars of 75 % colour, below the text that it writes on it.
func wantBars(t *testing.T, f *Frame, grey bool) {
	t.Helper()
	bars := [][3]int{{191, 191, 191}, {191, 191, 0}, {0, 191, 191}, {0, 191, 0}, {191, 0, 191}, {191, 0, 0}, {0, 0, 191}, {0, 0, 0}}
	w, h := f.Image.Rect.Dx(), f.Image.Rect.Dy()
	for i, want := range bars {
		at := f.Image.YCbCrAt(w*(2*i+1)/16, h*7/8)
		r, g, b := color.YCbCrToRGB(at.Y, at.Cb, at.Cr)
		if grey { // BT.709 luma
			luma := (2126*want[0] + 7152*want[1] + 722*want[2]) / 10000
			want = [3]int{luma, luma, luma}
		}
		for j, got := range [3]byte{r, g, b} {
			if d := int(got) - want[j]; d < -12 || d > 12 {
				t.Errorf("bar %d is %d %d %d, want %v", i, r, g, b, want)
				break
			}
		}
	}
}

func wantNoAllocations(t *testing.T, camera *Camera, f *Frame) {
	t.Helper()
	ctx := context.Background()
	if n := testing.AllocsPerRun(10, func() {
		if err := camera.Read(ctx, f); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestDeviceCancelledReadReturns(t *testing.T) {
	c := Default()
	c.Device = testDevice(t).Path
	camera := openTest(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := camera.Read(ctx, newFrame(camera)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read returned %v", err)
	}
}

func TestDeviceBusyThenFree(t *testing.T) {
	c := Default()
	c.Device = testDevice(t).Path
	camera := openTest(t, c)
	if second, err := Open(t.Context(), c); err == nil {
		second.Close()
		t.Error("a second Open of a streaming device succeeded")
	}
	readTen(t, camera, newFrame(camera))
	camera.Close()
	again := openTest(t, c)
	readTen(t, again, newFrame(again))
}

func TestDeviceRefusesUnknownControl(t *testing.T) {
	c := Default()
	c.Device = testDevice(t).Path
	c.Controls = map[string]int{"no_such_control": 1}
	if camera, err := Open(t.Context(), c); err == nil {
		camera.Close()
		t.Error("it was accepted")
	} else {
		t.Log(err)
	}
}
