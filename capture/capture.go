// Package capture turns cameras into frames: V4L2 devices, files that stand in for a camera, and a synthetic
// scene with known ground truth. A Camera is read by one goroutine; the package starts none of its own. Frames
// come out as full-range 4:2:0 planes in memory that the caller owns, so no kernel memory ever leaves here.
package capture

import (
	"context"
	"fmt"
	"image"
	"time"
)

// Format is a pixel format, a size in pixels and a rate in frames a second; zero means "not known" or "any".
type Format struct {
	Pixel  string  `json:"format"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`
}

func (f Format) String() string {
	return fmt.Sprintf("%s %dx%d at %.4g/s", f.Pixel, f.Width, f.Height, f.FPS)
}

// Frame is one picture and what is known about it. The caller allocates Image at the camera's granted size
// (infer.NewPlanes) and uses the Frame again for later reads.
type Frame struct {
	Image    *image.YCbCr  // filled by Read: full-range 4:2:0, at least the visible part
	Truth    *image.YCbCr  // the sharp ground truth; filled only where Camera.HasTruth and not nil
	Sequence uint64        // the camera's own count: a gap beyond Skipped and any Damage in between is frames lost before us
	Time     time.Time     // capture time, with a monotonic reading: the kernel's clock where Camera.KernelClock, else arrival
	Decode   time.Duration // time spent turning the camera's bytes into planes
	Skipped  int           // older whole frames that were waiting and were thrown away for this one
}

// The kinds of Damage.
const (
	Truncated = "truncated" // fewer bytes than the picture needs, or a JPEG without its end
	Garbage   = "garbage"   // bytes that are no picture
	Empty     = "empty"     // a buffer without bytes
	Flagged   = "flagged"   // the driver says that the buffer is damaged
	WrongSize = "size"      // a picture of another size than the one granted
)

// Damage is the error of a Read that lost one frame: read on.
type Damage struct {
	Kind string // one of the constants above
	Err  error  // what was wrong with it
}

func (d *Damage) Error() string { return d.Kind + " frame: " + d.Err.Error() }
func (d *Damage) Unwrap() error { return d.Err }

func damaged(kind, format string, args ...any) *Damage {
	return &Damage{kind, fmt.Errorf(format, args...)}
}

// Camera is an open source of frames. Get one from Open: the zero value is not usable. It is not safe for
// concurrent use; Close must not overlap a Read (cancel the Read's context first).
type Camera struct {
	Name        string   // stable identity: the by-id or by-path name of a device, the path of a file
	Config      Config   // what to Open after a loss: as given, but the device by its stable name
	Asked       Format   // what the configuration asked for
	Granted     Format   // what the camera delivers: the size that frames must have
	HasTruth    bool     // frames come with their ground truth
	KernelClock bool     // Frame.Time is the kernel's capture time, not the time of arrival
	Lossless    bool     // a file played as fast as possible: the reader waits for the pipeline, nothing is dropped
	Notes       []string // what the camera changed or ignored, for the log

	read  func(ctx context.Context, f *Frame) error
	close func() error
}

// Open opens and negotiates the camera that c describes. The error names the device, file or key. A device that
// is absent, busy or not yet readable (EACCES while udev is at work) is an ordinary error: try again later.
func Open(ctx context.Context, c Config) (*Camera, error) {
	switch c.Source {
	case V4L2:
		return openV4L2(ctx, c)
	case File:
		return openFile(ctx, c)
	case Synthetic:
		return openScene(ctx, c)
	}
	return nil, fmt.Errorf("camera.source: %q is not one of %s, %s, %s", c.Source, V4L2, File, Synthetic)
}

// New makes a camera of the caller's own source of frames: about describes it, read and close keep the promises
// of Read and Close.
func New(about Camera, read func(ctx context.Context, f *Frame) error, close func() error) *Camera {
	about.read, about.close = read, close
	return &about
}

// Read waits for the next frame and fills f. It returns ctx.Err() when ctx ends, io.EOF at the end of a file that
// does not loop, and a *Damage for a frame that is lost (read on). Any other error means that the camera is lost:
// Close it and Open Camera.Config.
func (c *Camera) Read(ctx context.Context, f *Frame) error { return c.read(ctx, f) }

// Close gives the device or file back. A second Close does nothing.
func (c *Camera) Close() error {
	if c.close == nil {
		return nil
	}
	closeOnce := c.close
	c.close = nil
	return closeOnce()
}
