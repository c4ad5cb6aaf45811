// Package fakecam is a USB camera in user space. It speaks USB/IP to the kernel's own virtual host controller
// (module vhci-hcd), so that the real uvcvideo driver binds to it and makes a real /dev/videoN, which can be
// plugged in and out and told to misbehave. It needs root.
package fakecam

import (
	"bytes"
	"image"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Fault is a way to misbehave.
type Fault string

const (
	None      Fault = ""
	Truncated Fault = "truncated" // half of the bytes
	Garbage   Fault = "garbage"   // bytes that are no picture
	Rotten    Fault = "rotten"    // a JPEG with zeros written over a part of its middle
	Empty     Fault = "empty"     // no bytes at all
	Flagged   Fault = "flagged"   // the header's error bit
	NoDHT     Fault = "nodht"     // no Huffman tables; not damaged
	WrongSize Fault = "size"      // a whole JPEG of another size
	Stall     Fault = "stall"     // nothing is sent
)

// Camera is a camera that is plugged in. Its methods may be called from any goroutine.
type Camera struct {
	number int
	port   int
	link   *link
	done   chan struct{}
	sent   atomic.Int64

	mu    sync.Mutex
	fault Fault
	every int // one frame in so many is faulty
}

// Plug plugs a camera into a port (0 to 7) of the virtual host controller. number chooses its pictures; cameras
// of one serial number cannot be told apart but by their port.
func Plug(port int, serial string, number int) (*Camera, error) {
	c := &Camera{number: number, port: port, done: make(chan struct{}),
		link: &link{strings: []string{"sharpend", "Fake camera", serial}}}
	if err := c.link.attach(port); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// Unplug returns when the camera has noticed.
func (c *Camera) Unplug() error {
	err := detach(c.port)
	if err == nil {
		<-c.done
	}
	return err
}

// Misbehave makes one frame in every so many faulty; None ends that.
func (c *Camera) Misbehave(f Fault, every int) {
	c.mu.Lock()
	c.fault, c.every = f, every
	c.mu.Unlock()
}

// Sent is how many frames the driver has taken, the faulty ones among them.
func (c *Camera) Sent() int { return int(c.sent.Load()) }

// run sends a frame at each turn of the clock while the driver wants them.
func (c *Camera) run() {
	defer close(c.done)
	var pictures [][]byte
	var shown mode
	id := byte(0) // toggles from frame to frame
	for n := 0; ; n++ {
		time.Sleep(time.Duration(intervals[shown.interval]) * 100)
		if c.unplugged() {
			return
		}
		m, wanted := c.link.streams()
		if !wanted {
			continue
		}
		if pictures == nil || m != shown {
			pictures, shown = render(m, c.number), m
		}
		if c.sendFrame(pictures, m, n, id) {
			c.sent.Add(1)
			id ^= 1
		}
	}
}

func (c *Camera) unplugged() bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.gone
}

func render(m mode, camera int) (pictures [][]byte) {
	for picture := range Pictures {
		pictures = append(pictures, encode(paint(m.width(), m.height(), picture, camera), pixels[m.pixel]))
	}
	return pictures
}

// sendFrame sends picture n, spoilt if it is its turn, in as many transfers as it takes.
func (c *Camera) sendFrame(pictures [][]byte, m mode, n int, id byte) bool {
	c.mu.Lock()
	fault := c.fault
	if c.every == 0 || n%c.every != 0 {
		fault = None
	}
	c.mu.Unlock()
	if fault == Stall {
		return false
	}
	data := spoil(pictures[n%Pictures], m, fault)
	const endOfFrame, errorBit, endOfHeader = 0x02, 0x40, 0x80
	flags := endOfHeader | id
	if fault == Flagged {
		flags |= errorBit
	}
	for last := false; !last; {
		if !c.link.send(func(length int) []byte {
			part := data[:min(len(data), min(length, maxPayload)-2)]
			data = data[len(part):]
			last = len(data) == 0
			if last {
				flags |= endOfFrame
			}
			return append([]byte{2, flags}, part...)
		}) {
			return false
		}
	}
	return true
}

func spoil(data []byte, m mode, f Fault) []byte {
	switch f {
	case Truncated:
		return data[:len(data)/2]
	case Garbage:
		return bytes.Repeat([]byte{0xA5}, len(data))
	case Rotten:
		data = slices.Clone(data)
		clear(data[len(data)*6/10 : len(data)*7/10])
	case Empty:
		return nil
	case NoDHT:
		return withoutDHT(data)
	case WrongSize:
		return encode(image.NewYCbCr(image.Rect(0, 0, m.width()/2, m.height()/2), image.YCbCrSubsampleRatio420), pixels[m.pixel])
	}
	return data
}
