package capture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"sharpend/jpeg"
)

// device is a streaming V4L2 device. Its buffers are mapped and queued by calls of our own: webcam's streaming
// leaks its mappings when starting fails (every later open is then EBUSY) and drops each buffer's error flag,
// sequence and time.
type device struct {
	webcam      *webcam.Webcam
	fd          int
	layout      layout        // of a raw picture, or only the size for MJPG
	decoder     *jpeg.Decoder // for MJPG
	checkEnd    bool
	timeout     time.Duration
	buffers     [][]byte // the kernel's memory, by buffer index
	kernelClock bool
	count       counter
	pending     []*Damage // found while draining, for the next reads
	poll        [1]unix.PollFd
}

// start maps the buffers, queues them and starts the stream.
func (d *device) start(buffers int) error {
	d.poll[0] = unix.PollFd{Fd: int32(d.fd), Events: unix.POLLIN}
	count, err := requestBuffers(d.fd, uint32(buffers))
	if err != nil {
		return fmt.Errorf("asking for %d buffers: %w", buffers, err)
	}
	for i := range count {
		if err := d.addBuffer(i); err != nil {
			return fmt.Errorf("buffer %d of %d: %w", i, count, err)
		}
	}
	if err := streamOn(d.fd); err != nil {
		return fmt.Errorf("starting the stream: %w", err)
	}
	return nil
}

func (d *device) addBuffer(index uint32) error {
	b, err := queryBuffer(d.fd, index)
	if err != nil {
		return err
	}
	d.kernelClock = b.flags&bufClockMask == bufClockMonotone
	memory, err := unix.Mmap(d.fd, int64(uint32(b.offset)), int(b.length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	d.buffers = append(d.buffers, memory)
	return enqueue(d.fd, &b)
}

func (d *device) close() error {
	if len(d.buffers) > 0 {
		streamOff(d.fd) // an unplugged camera answers ENODEV
	}
	for _, b := range d.buffers {
		unix.Munmap(b)
	}
	if d.decoder != nil {
		d.decoder.Close()
	}
	return d.webcam.Close()
}

// read is Camera.Read: the newest whole frame that the kernel holds, or the damage found on the way to it.
func (d *device) read(ctx context.Context, f *Frame) error {
	if f.Image.Rect != image.Rect(0, 0, d.layout.width, d.layout.height) {
		return fmt.Errorf("a frame of %v cannot take the camera's %dx%d", f.Image.Rect, d.layout.width, d.layout.height)
	}
	if damage := d.takePending(); damage != nil {
		return damage
	}
	deadline := time.Now().Add(d.timeout)
	for {
		if err := d.wait(ctx, deadline); err != nil {
			return err
		}
		b, skipped, err := d.newest()
		if err != nil {
			return fmt.Errorf("the camera is lost: %w", err)
		}
		if skipped >= 0 {
			f.Skipped = skipped
			return d.fill(f, b)
		}
		if damage := d.takePending(); damage != nil {
			return damage
		}
	}
}

func (d *device) takePending() error {
	if len(d.pending) == 0 {
		return nil
	}
	damage := d.pending[0]
	d.pending = append(d.pending[:0], d.pending[1:]...)
	return damage
}

// slice is how long a cancelled read may go on.
const slice = 50 * time.Millisecond

// wait returns when a buffer may be ready. After an unplug poll answers POLLERR or POLLHUP for ever, so those end
// the wait with the error that the driver gives.
func (d *device) wait(ctx context.Context, deadline time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("the camera is lost: no frame for %v", d.timeout)
		}
		n, err := unix.Poll(d.poll[:], int(min(left, slice)/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("the camera is lost: poll: %w", err)
		}
		if n > 0 {
			return d.polled(d.poll[0].Revents)
		}
	}
}

func (d *device) polled(events int16) error {
	if events&unix.POLLIN != 0 {
		return nil
	}
	var b v4l2Buffer
	err := dequeue(d.fd, &b)
	if err == nil || err == unix.EAGAIN {
		err = errors.New("poll reports an error")
	}
	return fmt.Errorf("the camera is lost: %w", err)
}

// newest takes every buffer that is done, keeps the last whole one and gives the others back; the damaged become
// pending. skipped is -1 when none is whole.
func (d *device) newest() (kept v4l2Buffer, skipped int, err error) {
	skipped = -1
	for range d.buffers {
		var b v4l2Buffer
		err := dequeue(d.fd, &b)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return kept, skipped, err
		}
		back := b
		if damage := d.inspect(b); damage != nil {
			d.pending = append(d.pending, damage)
		} else {
			skipped++
			back, kept = kept, b
		}
		if back.kind != 0 { // the first whole one displaces none
			if err := enqueue(d.fd, &back); err != nil {
				return kept, skipped, err
			}
		}
	}
	return kept, skipped, nil
}

// inspect finds the damage that shows without decoding.
func (d *device) inspect(b v4l2Buffer) *Damage {
	switch {
	case b.flags&bufFlagError != 0:
		return damaged(Flagged, "the driver flagged buffer %d, frame %d", b.index, b.sequence)
	case b.bytesused == 0:
		return damaged(Empty, "frame %d has no bytes", b.sequence)
	case int(b.index) >= len(d.buffers) || int(b.bytesused) > len(d.buffers[b.index]):
		return damaged(Garbage, "frame %d claims %d bytes of buffer %d", b.sequence, b.bytesused, b.index)
	case d.layout.pixel == "MJPG":
		return inspectJPEG(d.buffers[b.index][:b.bytesused], d.checkEnd)
	case int(b.bytesused) < d.layout.size():
		return damaged(Truncated, "frame %d has %d of %d bytes", b.sequence, b.bytesused, d.layout.size())
	}
	return nil
}

// fill decodes a buffer into f and gives it back to the kernel.
func (d *device) fill(f *Frame, b v4l2Buffer) error {
	start := time.Now()
	f.Time = start
	if d.kernelClock {
		f.Time = wallClock(b.timestamp, start)
	}
	f.Sequence = d.count.next(b.sequence)
	damage := d.decode(f.Image, d.buffers[b.index][:b.bytesused])
	f.Decode = time.Since(start)
	if err := enqueue(d.fd, &b); err != nil {
		return fmt.Errorf("the camera is lost: %w", err)
	}
	return damage
}

func (d *device) decode(dst *image.YCbCr, data []byte) error {
	if d.layout.pixel == "MJPG" {
		return decodeJPEG(d.decoder, data, dst)
	}
	d.layout.unpack(dst, data)
	return nil
}

// counter makes a count that does not wrap of the driver's 32 bits.
type counter struct {
	total uint64
	any   bool
}

func (c *counter) next(sequence uint32) uint64 {
	if !c.any {
		c.total, c.any = uint64(sequence), true
	}
	c.total += uint64(sequence - uint32(c.total))
	return c.total
}

// wallClock converts a time of the kernel's monotonic clock; one that is absurd is taken for the time of arrival.
func wallClock(stamp unix.Timeval, now time.Time) time.Time {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return now
	}
	age := time.Duration(t.Nano() - stamp.Nano())
	if age < 0 || age > time.Minute {
		return now
	}
	return now.Add(-age)
}
