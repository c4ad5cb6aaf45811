package fakecam

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

var be = binary.BigEndian

// Requests and answers of USB/IP; every message begins with a header of 48 bytes.
const (
	submit       = 1
	unlink       = 2
	submitAnswer = 3
	unlinkAnswer = 4

	headerLen = 48
	unlinked  = -int32(syscall.ECONNRESET)
	stalled   = -int32(syscall.EPIPE)
)

// link is the device's end of the connection to the kernel's virtual host controller.
type link struct {
	socket  *os.File
	strings []string // maker, product, serial number

	mu      sync.Mutex // one step: taking a transfer off the list and writing its answer
	waiting []transfer // bulk reads that the driver has asked for, the oldest first
	mode    mode       // committed
	gone    bool
}

type transfer struct {
	number uint32
	length int
}

// attach connects the link to a port of the host controller.
func (l *link) attach(port int) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	l.socket = os.NewFile(uintptr(pair[0]), "usbip")
	defer syscall.Close(pair[1])
	const highSpeed = 3
	order := fmt.Sprintf("%d %d %d %d", port, pair[1], 1<<16|(port+1), highSpeed)
	if err := os.WriteFile("/sys/devices/platform/vhci_hcd.0/attach", []byte(order), 0); err != nil {
		l.socket.Close()
		return fmt.Errorf("attaching to port %d: %w", port, err)
	}
	go l.serve()
	return nil
}

func detach(port int) error {
	return os.WriteFile("/sys/devices/platform/vhci_hcd.0/detach", fmt.Append(nil, port), 0)
}

// serve answers the kernel until the device is unplugged.
func (l *link) serve() {
	defer l.socket.Close()
	header := make([]byte, headerLen)
	for {
		if _, err := io.ReadFull(l.socket, header); err != nil {
			break
		}
		switch be.Uint32(header) {
		case submit:
			l.submitted(header)
		case unlink:
			l.unlink(be.Uint32(header[4:]), be.Uint32(header[20:]))
		}
	}
	l.mu.Lock()
	l.gone = true
	l.mu.Unlock()
}

func (l *link) submitted(header []byte) {
	number, in, endpoint := be.Uint32(header[4:]), be.Uint32(header[12:]) == 1, be.Uint32(header[16:])
	length := int(be.Uint32(header[24:]))
	var data []byte
	if !in && length > 0 {
		data = make([]byte, length)
		io.ReadFull(l.socket, data)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if endpoint != 0 {
		l.waiting = append(l.waiting, transfer{number, length})
		return
	}
	answer, ok := l.control(header[40:48], data)
	if !ok {
		l.answer(number, stalled, 0, nil)
		return
	}
	if !in {
		l.answer(number, 0, length, nil)
		return
	}
	answer = answer[:min(len(answer), length)]
	l.answer(number, 0, len(answer), answer)
}

// control answers a request on endpoint 0.
func (l *link) control(setup, data []byte) (answer []byte, ok bool) {
	kind, request, value, index := setup[0], setup[1], le.Uint16(setup[2:]), le.Uint16(setup[4:])
	const getStatus, clearFeature, setFeature, getDescriptor, setConfiguration, setInterface = 0, 1, 3, 6, 9, 11
	streaming := index&255 == 1 && (value>>8 == 1 || value>>8 == 2) // probe and commit
	switch {
	case kind == 0x80 && request == getDescriptor:
		return l.descriptor(value)
	case kind&0x60 == 0 && (request == setConfiguration || request == setInterface || request == clearFeature || request == setFeature):
		return nil, true
	case kind&0xe0 == 0x80 && request == getStatus:
		return bytesOf(0, 0), true
	case kind == 0xa1 && streaming:
		return l.ask(request), true
	case kind == 0x21 && streaming && request == 1:
		l.mode = asked(data)
		return nil, true
	}
	return nil, false
}

func (l *link) descriptor(value uint16) (d []byte, ok bool) {
	switch value >> 8 {
	case 1:
		d = device
	case 2:
		d = configuration()
	case 3:
		d = text(int(value&255), l.strings)
	}
	return d, d != nil
}

func (l *link) ask(request byte) []byte {
	const getLength, getInfo = 0x85, 0x86
	switch request {
	case getInfo:
		return bytesOf(3)
	case getLength:
		return word(26)
	}
	return l.mode.probe()
}

// unlink takes back a transfer. The kernel drops the whole device when a transfer that it took back is answered.
func (l *link) unlink(number, wanted uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := int32(0)
	for i, t := range l.waiting {
		if t.number == wanted {
			l.waiting = append(l.waiting[:i:i], l.waiting[i+1:]...)
			status = unlinked
			break
		}
	}
	header := make([]byte, headerLen)
	be.PutUint32(header, unlinkAnswer)
	be.PutUint32(header[4:], number)
	be.PutUint32(header[20:], uint32(status))
	l.socket.Write(header)
}

func (l *link) answer(number uint32, status int32, length int, data []byte) {
	header := make([]byte, headerLen, headerLen+len(data))
	be.PutUint32(header, submitAnswer)
	be.PutUint32(header[4:], number)
	be.PutUint32(header[20:], uint32(status))
	be.PutUint32(header[24:], uint32(length))
	l.socket.Write(append(header, data...))
}

// streams says whether the driver waits for pictures, and in which mode.
func (l *link) streams() (mode, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode, len(l.waiting) > 0 && !l.gone
}

// send answers the oldest waiting transfer with what fill makes for its length; false when none comes in time.
func (l *link) send(fill func(length int) []byte) bool {
	for deadline := time.Now().Add(time.Second); ; {
		l.mu.Lock()
		if len(l.waiting) > 0 && !l.gone {
			break
		}
		gone := l.gone
		l.mu.Unlock()
		if gone || time.Now().After(deadline) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	defer l.mu.Unlock()
	t := l.waiting[0]
	l.waiting = l.waiting[1:]
	data := fill(t.length)
	l.answer(t.number, 0, len(data), data)
	return true
}
