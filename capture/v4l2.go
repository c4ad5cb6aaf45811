package capture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// openV4L2 opens, negotiates and starts a device. Everything is negotiated anew on each open: a camera that was
// unplugged may come back with other settings.
func openV4L2(ctx context.Context, c Config) (*Camera, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	node, name, err := findDevice(c.Device)
	if err != nil {
		return nil, err
	}
	c.Device = name
	camera, err := openNode(node, c)
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", name, explain(err))
	}
	return camera, nil
}

// findDevice resolves camera.device; an empty one means the only camera that is plugged in.
func findDevice(device string) (node, name string, err error) {
	if device != "" {
		return machine.resolve(device)
	}
	list, err := Devices()
	if err != nil {
		return "", "", err
	}
	return chooseDevice(list)
}

func chooseDevice(list []Device) (node, name string, err error) {
	usable := slices.DeleteFunc(slices.Clone(list), func(d Device) bool { return d.Problem != "" })
	switch {
	case len(usable) == 1:
		return usable[0].Path, usable[0].bestName(), nil
	case len(list) == 0:
		return "", "", errors.New("camera.device is empty and no camera is plugged in")
	case len(usable) == 0:
		return "", "", fmt.Errorf("camera.device is empty and no camera can be used: %s: %s", list[0].bestName(), list[0].Problem)
	}
	names := make([]string, len(usable))
	for i, d := range usable {
		names[i] = d.bestName()
	}
	return "", "", fmt.Errorf("camera.device is empty and there are %d cameras: name one of %s", len(usable), strings.Join(names, ", "))
}

// explain adds to the errors that one cannot guess the meaning of.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w (another program is using it)", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w (not enough USB bandwidth: try format MJPG, a smaller size or a lower fps)", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (is the user in group video, and does the unit allow char-video4linux?)", err)
	}
	return err
}

func openNode(node string, c Config) (*Camera, error) {
	if _, err := queryNode(node); err != nil {
		return nil, err
	}
	cam, fd, err := openWebcam(node)
	if err != nil {
		return nil, err
	}
	d := &device{webcam: cam, fd: fd, checkEnd: c.CheckEnd, timeout: c.Timeout}
	camera := &Camera{Name: c.Device, Config: c, read: d.read, close: d.close}
	camera.Asked = Format{c.Format, c.Width, c.Height, c.FPS}
	if camera.Name == node {
		camera.note("%s has no stable name: another camera may have it after a replug", node)
	}
	if err := d.setUp(camera); err != nil {
		d.close()
		return nil, err
	}
	return camera, nil
}

// setUp negotiates, sets the controls and starts the stream.
func (d *device) setUp(camera *Camera) error {
	if err := d.negotiate(camera); err != nil {
		return err
	}
	settings, err := matchControls(camera.Config.Controls, queryControls(d.fd))
	if err != nil {
		return err
	}
	notes, err := setControls(d.webcam, settings)
	camera.Notes = append(camera.Notes, notes...)
	if err != nil {
		return err
	}
	if err := d.start(camera.Config.Buffers); err != nil {
		return err
	}
	camera.KernelClock = d.kernelClock
	return nil
}

// negotiate sets format, size and rate, and reads back what the driver made of them: webcam's SetImageFormat
// answers with the size it was given.
func (d *device) negotiate(camera *Camera) error {
	current, err := queryFormat(d.fd)
	if err != nil {
		return fmt.Errorf("asking for its format: %w", err)
	}
	want := camera.Asked
	if want.Width == 0 {
		want.Width, want.Height = int(current.width), int(current.height)
	}
	pixel, err := choosePixel(want, modes(d.webcam, pixelFormats))
	if err != nil {
		return err
	}
	code := webcam.PixelFormat(codeOf(pixel))
	if _, _, _, err := d.webcam.SetImageFormat(code, uint32(want.Width), uint32(want.Height)); err != nil {
		return fmt.Errorf("setting %s %dx%d: %w", pixel, want.Width, want.Height, err)
	}
	if want.FPS > 0 {
		if err := d.webcam.SetFramerate(float32(want.FPS)); err != nil {
			camera.note("setting %g frames/s: %v", want.FPS, err)
		}
	}
	granted, err := queryFormat(d.fd)
	if err != nil {
		return fmt.Errorf("asking for the granted format: %w", err)
	}
	fps, _ := d.webcam.GetFramerate() // a driver without rates leaves it unknown
	camera.Granted = Format{fourCC(granted.pixel), int(granted.width), int(granted.height), math.Round(float64(fps)*1000) / 1000}
	camera.noteDifferences()
	return d.interpret(camera, granted)
}

// interpret derives the layout of the buffers from what was granted.
func (d *device) interpret(camera *Camera, granted v4l2PixFormat) (err error) {
	if camera.Granted.Pixel == "MJPG" {
		d.layout = layout{pixel: "MJPG", width: camera.Granted.Width, height: camera.Granted.Height}
		d.decoder, err = newDecoder()
		return err
	}
	d.layout = layout{
		pixel: camera.Granted.Pixel, width: camera.Granted.Width, height: camera.Granted.Height, stride: int(granted.stride),
		limited: granted.limited(camera.Granted.Pixel, camera.Config.Range),
	}
	if granted.stride == 0 { // some drivers leave it out when rows are packed
		d.layout.stride = d.layout.rowBytes()
	}
	d.layout.bt709 = granted.is709() && camera.Granted.Pixel != "GREY"
	if granted.is2020() {
		camera.note("the camera's colours are BT.2020; they are passed on as BT.601")
	}
	return d.layout.check()
}

// limited follows the kernel's V4L2_MAP_QUANTIZATION_DEFAULT, unless the configuration knows better. Grey without
// a word on its range is full: that is what grey sensors, and vivid, deliver.
func (p v4l2PixFormat) limited(pixel, configured string) bool {
	switch {
	case configured != "auto":
		return configured == "limited"
	case p.quantum != 0:
		return p.quantum != quantizationFull
	}
	return p.colorspace != colorspaceJPEG && pixel != "GREY"
}

func (p v4l2PixFormat) is709() bool {
	switch p.encoding {
	case encoding709, encodingXV709:
		return true
	}
	return p.encoding == 0 && p.colorspace == colorspace709
}

func (p v4l2PixFormat) is2020() bool {
	return p.encoding == encoding2020 || p.encoding == encoding2020Const
}

func (c *Camera) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

func (c *Camera) noteDifferences() {
	a, g := c.Asked, c.Granted
	if a.Pixel != "auto" && a.Pixel != g.Pixel {
		c.note("format %s was asked for, %s granted", a.Pixel, g.Pixel)
	}
	if a.Width != 0 && (a.Width != g.Width || a.Height != g.Height) {
		c.note("size %dx%d was asked for, %dx%d granted", a.Width, a.Height, g.Width, g.Height)
	}
	if a.FPS != 0 && (g.FPS < a.FPS*0.99 || g.FPS > a.FPS*1.01) {
		c.note("%g frames/s were asked for, %.4g granted", a.FPS, g.FPS)
	}
}
