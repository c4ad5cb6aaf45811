package fakecam

import (
	"bytes"
	"encoding/binary"
	"slices"
)

var le = binary.LittleEndian

// What the camera offers: each pixel format at each size and rate. The first of each is its default.
var (
	pixels    = []string{"MJPG", "YUYV"}
	sizes     = [][2]int{{320, 240}, {160, 120}, {80, 60}}
	intervals = []uint32{1000000, 2000000} // 10 and 5 frames a second, in units of 100 ns
)

// mode is a choice among them; zero value: the defaults.
type mode struct{ pixel, size, interval int }

func (m mode) width() int  { return sizes[m.size][0] }
func (m mode) height() int { return sizes[m.size][1] }

// maxPayload is how many bytes one bulk transfer carries, with its header of two.
const maxPayload = 16384

func bytesOf(b ...byte) []byte          { return b }
func join(parts ...[]byte) []byte       { return bytes.Join(parts, nil) }
func word(v int) []byte                 { return le.AppendUint16(nil, uint16(v)) }
func double[T int | uint32](v T) []byte { return le.AppendUint32(nil, uint32(v)) }

// device is the USB device descriptor; strings 1, 2 and 3 name maker, product and serial number.
var device = join(bytesOf(18, 1), word(0x200), bytesOf(0xef, 2, 1, 64), word(0x1d6b), word(0x0102), word(0x100), bytesOf(1, 2, 3, 1))

// configuration is the whole configuration descriptor, by the USB Video Class 1.0: a video control interface
// (camera terminal to USB terminal) and a streaming interface with one bulk endpoint.
func configuration() []byte {
	units := join(bytesOf(18, 0x24, 2, 1), word(0x0201), bytesOf(0, 0), word(0), word(0), word(0), bytesOf(3, 0, 0, 0),
		bytesOf(9, 0x24, 3, 2), word(0x0101), bytesOf(0, 1, 0))
	control := join(bytesOf(13, 0x24, 1), word(0x0100), word(13+len(units)), double(48000000), bytesOf(1, 1), units)
	formats := join(mjpeg(), yuyv())
	streaming := join(bytesOf(15, 0x24, 1, 2), word(15+len(formats)), bytesOf(0x81, 0, 2, 0, 0, 0, 1, 0, 0), formats)
	body := join(
		bytesOf(8, 11, 0, 2, 0x0e, 3, 0, 2),
		bytesOf(9, 4, 0, 0, 0, 0x0e, 1, 0, 2), control,
		bytesOf(9, 4, 1, 0, 1, 0x0e, 2, 0, 0), streaming,
		bytesOf(7, 5, 0x81, 2), word(512), bytesOf(0))
	return join(bytesOf(9, 2), word(9+len(body)), bytesOf(2, 1, 0, 0x80, 250), body)
}

// colour says sRGB primaries and BT.601 coefficients.
var colour = bytesOf(6, 0x24, 0x0d, 1, 1, 4)

func mjpeg() []byte {
	return join(bytesOf(11, 0x24, 6, 1, byte(len(sizes)), 1, 1, 0, 0, 0, 0), frames(7), colour)
}

func yuyv() []byte {
	guid := []byte{'Y', 'U', 'Y', '2', 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71}
	return join(bytesOf(27, 0x24, 4, 2, byte(len(sizes))), guid, bytesOf(16, 1, 0, 0, 0, 0), frames(5), colour)
}

func frames(kind byte) (d []byte) {
	for i, s := range sizes {
		bits := s[0] * s[1] * 16
		d = append(d, join(bytesOf(byte(26+4*len(intervals)), 0x24, kind, byte(i+1), 0), word(s[0]), word(s[1]),
			double(bits*5), double(bits*10), double(s[0]*s[1]*2), double(intervals[0]), bytesOf(byte(len(intervals))))...)
		for _, v := range intervals {
			d = append(d, double(v)...)
		}
	}
	return d
}

// text is a string descriptor; nil for a string that there is not.
func text(index int, strings []string) []byte {
	if index == 0 {
		return bytesOf(4, 3, 9, 4) // American English
	}
	if index > len(strings) {
		return nil
	}
	d := bytesOf(0, 3)
	for _, r := range strings[index-1] {
		d = append(d, byte(r), 0)
	}
	d[0] = byte(len(d))
	return d
}

// probe is the answer to the driver's question what it would get.
func (m mode) probe() []byte {
	return join(word(1), bytesOf(byte(m.pixel+1), byte(m.size+1)), double(intervals[m.interval]),
		word(0), word(0), word(0), word(0), word(50), double(m.width()*m.height()*2), double(maxPayload))
}

// asked is the mode nearest to what the driver asks for.
func asked(b []byte) (m mode) {
	if len(b) < 8 {
		return m
	}
	m.pixel = min(max(int(b[2])-1, 0), len(pixels)-1)
	m.size = min(max(int(b[3])-1, 0), len(sizes)-1)
	if i := slices.Index(intervals, le.Uint32(b[4:])); i >= 0 {
		m.interval = i
	}
	return m
}
