package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sharpend/capture"
	"sharpend/infer"
)

// measured is how long the camera is watched.
const measured = 2 * time.Second

// checkCamera lists what is plugged in, opens what is configured, and measures its real rate.
func (d *doctor) checkCamera(ctx context.Context) {
	c := d.config.Camera
	if c.Source == capture.V4L2 {
		devices, err := capture.Devices()
		d.tell(devicesFinding(devices, err))
		if len(devices) == 0 && c.Device == "" {
			return
		}
	}
	camera, err := capture.Open(ctx, c)
	if err != nil {
		d.tell(cameraTrouble(c, err))
		return
	}
	defer camera.Close()
	d.granted = camera.Granted
	s, err := watch(ctx, camera, measured)
	if err != nil {
		d.tell(cameraTrouble(c, err))
		return
	}
	d.rate = s.rate
	d.tell(rateFinding(camera, s))
}

func devicesFinding(devices []capture.Device, err error) finding {
	f := finding{Name: "cameras", Status: fine}
	var texts []string
	for _, d := range devices {
		name := append(slices.Clone(d.Names), d.Path)[0]
		if d.Problem != "" {
			f.Status = warn
			texts = append(texts, fmt.Sprintf("%s: %s", name, d.Problem))
			f.Advice = adviceFor(d.Problem)
			continue
		}
		formats, usable := modesText(d.Formats)
		if texts = append(texts, fmt.Sprintf("%s (%s): %s", name, d.Card, formats)); !usable {
			f.Status, f.Advice = warn, "feed a v4l2loopback device from it, in one of "+strings.Join(readable, ", ")
		}
	}
	f.Detail = strings.Join(texts, "\n")
	if err != nil || len(devices) == 0 {
		f.Status, f.Detail = fail, "there is no video capture device under /dev"
		f.Advice = "plug one in; a CSI camera needs a v4l2loopback device fed from nvarguscamerasrc; in a container pass the device in"
	}
	return f
}

// readable are the pixel formats that camera.format takes.
var readable = []string{"MJPG", "YUYV", "UYVY", "NV12", "YU12", "GREY"}

// modesText names each pixel format that can be read once, with its largest size,
// and counts the others.
func modesText(modes []capture.Mode) (text string, usable bool) {
	var texts []string
	for _, pixel := range readable {
		var largest capture.Mode
		for _, m := range modes {
			if m.Pixel == pixel && (largest.Pixel == "" || m.Width*m.Height > largest.Width*largest.Height) {
				largest = m
			}
		}
		if largest.Pixel != "" {
			texts = append(texts, largest.String())
		}
	}
	var others []string
	for _, m := range modes {
		if !slices.Contains(readable, m.Pixel) && !slices.Contains(others, m.Pixel) {
			others = append(others, m.Pixel)
		}
	}
	usable = len(texts) > 0
	if len(others) > 0 {
		texts = append(texts, fmt.Sprintf("%d formats that sharpend does not read", len(others)))
	}
	return strings.Join(texts, ", "), usable
}

// A sighting is what the camera gave in some seconds.
type sighting struct {
	frames  int
	rate    float64 // frames a second
	damaged map[string]int
	lost    uint64 // by the camera's own count
}

// made is the rate at which the camera made frames, whether they reached us or not.
func (s sighting) made() float64 {
	return s.rate * float64(s.frames+int(s.lost)) / float64(max(s.frames, 1))
}

// watch reads a camera for so long after its first frame; a clip may end earlier.
func watch(ctx context.Context, camera *capture.Camera, length time.Duration) (s sighting, err error) {
	ctx, cancel := context.WithTimeout(ctx, camera.Config.Timeout+length+5*time.Second)
	defer cancel()
	s.damaged = map[string]int{}
	f := capture.Frame{Image: infer.NewPlanes(camera.Granted.Width, camera.Granted.Height, 2)}
	var first, last time.Time
	var count sequence
	for s.frames < 2 || last.Sub(first) < length {
		var damage *capture.Damage
		switch err := camera.Read(ctx, &f); {
		case err == nil:
		case errors.As(err, &damage):
			s.damaged[damage.Kind]++
			count.damaged++
			continue
		case errors.Is(err, io.EOF) && s.frames > 0:
			return s, nil
		default:
			return s, err
		}
		s.lost += count.missing(&frame{Frame: f})
		if last = time.Now(); s.frames == 0 {
			first = last
		}
		s.frames += 1 + f.Skipped
		s.rate = float64(s.frames-1) / max(last.Sub(first).Seconds(), 1e-9)
	}
	return s, nil
}

// rateFinding compares the camera's promise with what came.
func rateFinding(camera *capture.Camera, s sighting) finding {
	f := finding{Name: "camera", Status: fine}
	parts := []string{fmt.Sprintf("%s: %s %dx%d", camera.Name, camera.Granted.Pixel, camera.Granted.Width, camera.Granted.Height)}
	rate := fmt.Sprintf("%.1f frames/s measured", s.rate)
	if camera.Granted.FPS > 0 {
		rate += fmt.Sprintf(", %.4g promised", camera.Granted.FPS)
	}
	parts = append(parts, rate)
	broken := 0
	for _, kind := range slices.Sorted(maps.Keys(s.damaged)) {
		parts = append(parts, fmt.Sprintf("%d %s", s.damaged[kind], kind))
		broken += s.damaged[kind]
	}
	if s.lost > 0 {
		parts = append(parts, fmt.Sprintf("%d lost", s.lost))
	}
	f.Detail = strings.Join(append(parts, camera.Notes...), "; ")
	switch {
	case 10*broken > s.frames:
		f.Status, f.Advice = warn, "many frames are broken: try another cable or port, camera.format, or (only if they are called truncated and look whole) camera.check_end: false"
	case s.rate < 0.9*camera.Granted.FPS && camera.Config.Source == capture.V4L2 && s.made() < 0.9*camera.Granted.FPS:
		f.Status, f.Advice = warn, "in poor light many cameras lower their rate: more light, or camera.controls: {exposure_dynamic_framerate: 0}; on USB 2 a raw format is too much for large pictures: camera.format: MJPG"
	case s.rate < 0.9*camera.Granted.FPS:
		f.Status, f.Advice = warn, "this machine is too slow or too busy to take every frame"
	}
	return f
}

// cameraTrouble explains why the camera gives no frames. A camera that is in use is most likely used by the daemon.
func cameraTrouble(c capture.Config, err error) finding {
	f := finding{"camera", fail, err.Error(), adviceFor(err.Error())}
	if strings.Contains(f.Detail, "resource busy") {
		f.Status = warn
	}
	if c.Source == capture.File {
		f.Advice = "camera.path must name a folder of pictures, an .avi or an .mjpeg file"
	}
	return f
}

// adviceFor goes by words: the V4L2 library's errors carry nothing else.
func adviceFor(problem string) string {
	for _, a := range []struct{ says, advice string }{
		{"permission denied", "let the user use cameras: sudo usermod -aG video $USER, then log in anew (the service: SupplementaryGroups=video)"},
		{"resource busy", "another program has the camera, perhaps sharpend itself: stop it for this check (sudo systemctl stop sharpend)"},
		{"not plugged in", "plug it in, or choose one that sharpend devices lists"},
		{"no camera is plugged in", "plug one in"},
		{"deadline exceeded", "it streams no frame: unplug and plug it, try another port or camera.format"},
		{"name one of", "set camera.device"},
	} {
		if strings.Contains(problem, a.says) {
			return a.advice
		}
	}
	return "sharpend devices lists what cameras can do"
}
