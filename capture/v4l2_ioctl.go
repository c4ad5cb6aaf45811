package capture

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The few calls of the kernel's V4L2 interface (linux/videodev2.h) that blackjack/webcam does not make, or whose
// answers it throws away.

const (
	bufTypeCapture = 1
	memoryMmap     = 1

	capCapture    = 0x00000001
	capMultiplane = 0x00001000
	capDeviceCaps = 0x80000000

	bufFlagError     = 0x00000040
	bufClockMask     = 0x0000e000
	bufClockMonotone = 0x00002000

	colorspaceJPEG    = 7
	quantizationFull  = 1
	encoding709       = 2
	encodingXV709     = 4
	encoding2020      = 6
	encoding2020Const = 7
	colorspace709     = 3
)

type v4l2Capability struct {
	driver                   [16]byte
	card, bus                [32]byte
	_, capabilities, devCaps uint32
	_                        [3]uint32
}

type v4l2PixFormat struct {
	width, height, pixel, field, stride, size     uint32
	colorspace, private, flags, encoding, quantum uint32
	transfer                                      uint32
}

type v4l2Format struct {
	kind  uint32
	union [25]uint64
}

type v4l2RequestBuffers struct {
	count, kind, memory uint32
	_                   [2]uint32
}

type v4l2Buffer struct {
	index, kind, bytesused, flags, _ uint32
	timestamp                        unix.Timeval
	_                                [4]uint32 // time code
	sequence, memory                 uint32
	offset                           uintptr // a union: its low 32 bits are the offset to mmap
	length, _, _                     uint32
}

type v4l2QueryControl struct {
	id, kind        uint32
	name            [32]byte
	low, high, _, _ int32
	flags           uint32
	_               [2]uint32
}

const (
	readCall  = 2 << 30
	writeCall = 1 << 30
	bothCall  = readCall | writeCall
)

// ioctl makes call number of V4L2 on fd with *arg, again when a signal interrupted it.
func ioctl[T any](fd int, direction, number uintptr, arg *T) error {
	request := direction | unsafe.Sizeof(*arg)<<16 | 'V'<<8 | number
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

func queryFormat(fd int) (v4l2PixFormat, error) {
	f := v4l2Format{kind: bufTypeCapture}
	err := ioctl(fd, bothCall, 4, &f)
	return *(*v4l2PixFormat)(unsafe.Pointer(&f.union)), err
}

func requestBuffers(fd int, count uint32) (uint32, error) {
	r := v4l2RequestBuffers{count: count, kind: bufTypeCapture, memory: memoryMmap}
	err := ioctl(fd, bothCall, 8, &r)
	return r.count, err
}

func queryBuffer(fd int, index uint32) (v4l2Buffer, error) {
	b := v4l2Buffer{index: index, kind: bufTypeCapture, memory: memoryMmap}
	err := ioctl(fd, bothCall, 9, &b)
	return b, err
}

func enqueue(fd int, b *v4l2Buffer) error {
	*b = v4l2Buffer{index: b.index, kind: bufTypeCapture, memory: memoryMmap}
	return ioctl(fd, bothCall, 15, b)
}

func dequeue(fd int, b *v4l2Buffer) error {
	*b = v4l2Buffer{kind: bufTypeCapture, memory: memoryMmap}
	return ioctl(fd, bothCall, 17, b)
}

func streamOn(fd int) error {
	kind := int32(bufTypeCapture)
	return ioctl(fd, writeCall, 18, &kind)
}

func streamOff(fd int) error {
	kind := int32(bufTypeCapture)
	return ioctl(fd, writeCall, 19, &kind)
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// fourCC is a pixel format's code as the name that everyone uses.
func fourCC(code uint32) string {
	return string([]byte{byte(code), byte(code >> 8), byte(code >> 16), byte(code >> 24)})
}

func codeOf(name string) uint32 {
	return uint32(name[0]) | uint32(name[1])<<8 | uint32(name[2])<<16 | uint32(name[3])<<24
}
