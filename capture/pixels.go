package capture

import (
	"encoding/binary"
	"fmt"
	"image"
	"slices"
)

// layout is how a raw picture lies in a driver's buffer, and what its values mean.
type layout struct {
	pixel         string // a raw format of pixelFormats
	width, height int    // visible pixels
	stride        int    // bytes from one luma or packed row to the next
	bt709         bool   // colours are BT.709's, to be turned into BT.601's
	limited       bool   // luma 16..235 and chroma 16..240 (BT.601), to be stretched to 0..255
}

// rowBytes is the least stride: no gap between rows.
func (l *layout) rowBytes() int {
	switch l.pixel {
	case "YUYV", "UYVY":
		return 4 * half(l.width)
	case "NV12":
		return 2 * half(l.width)
	}
	return l.width
}

// check refuses a layout whose rows overlap.
func (l *layout) check() error {
	if !slices.Contains(pixelFormats[1:], l.pixel) {
		return fmt.Errorf("pixel format %q is not one of %v", l.pixel, pixelFormats)
	}
	if l.width <= 0 || l.height <= 0 || l.stride < l.rowBytes() {
		return fmt.Errorf("%s %dx%d with %d bytes a row is impossible", l.pixel, l.width, l.height, l.stride)
	}
	return nil
}

// size is the number of bytes up to the last visible pixel.
func (l *layout) size() int {
	rows := l.stride * (l.height - 1)
	switch l.pixel {
	case "YUYV", "UYVY":
		return rows + 4*half(l.width)
	case "NV12":
		return rows + l.stride*half(l.height) + 2*half(l.width)
	case "YU12":
		return rows + l.stride + half(l.stride)*(2*half(l.height)-1) + half(l.width)
	}
	return rows + l.width
}

// unpack fills dst's visible planes from src, which holds at least size() bytes. Chroma that is sampled on every
// row is averaged over two.
func (l *layout) unpack(dst *image.YCbCr, src []byte) {
	l.planes(dst, src)
	if l.bt709 {
		from709(dst)
	}
}

func (l *layout) planes(dst *image.YCbCr, src []byte) {
	switch l.pixel {
	case "YUYV":
		l.packed(dst, src, 0)
		return
	case "UYVY":
		l.packed(dst, src, 8)
		return
	}
	values := valuesOf(l.limited)
	for y := range l.height {
		row(dst.Y[y*dst.YStride:][:l.width], src[y*l.stride:], &values.luma, l.limited)
	}
	switch l.pixel {
	case "NV12":
		l.interleaved(dst, src[l.stride*l.height:], &values.chroma)
	case "YU12":
		l.planar(dst, src[l.stride*l.height:], &values.chroma)
	default:
		l.grey(dst)
	}
}

// packed unpacks YUYV (luma in the low byte of each pair: shift 0) and UYVY (shift 8), two rows at a time.
func (l *layout) packed(dst *image.YCbCr, src []byte, shift uint) {
	values := valuesOf(l.limited)
	for y := 0; y < l.height; y += 2 {
		upper := src[y*l.stride:][:4*half(l.width)]
		bright := dst.Y[y*dst.YStride:][:l.width]
		lower, dark := upper, bright // the last row of an odd height is its own neighbour
		if y+1 < l.height {
			lower = src[(y+1)*l.stride:][:4*half(l.width)]
			dark = dst.Y[(y+1)*dst.YStride:][:l.width]
		}
		cb := dst.Cb[y/2*dst.CStride:][:half(l.width)]
		cr := dst.Cr[y/2*dst.CStride:][:half(l.width)]
		packedRows(bright, dark, cb, cr, upper, lower, shift&8, values)
	}
}

const evenBytes = 0x00ff00ff00ff00ff

// packedRows does four pixels of two rows at a time, then what is left of the width.
func packedRows(y0, y1, cb, cr, upper, lower []byte, shift uint, v *values) {
	n := len(y0) / 4
	for i := 0; i < n; i++ {
		a := binary.LittleEndian.Uint64(upper[8*i : 8*i+8])
		b := binary.LittleEndian.Uint64(lower[8*i : 8*i+8])
		binary.LittleEndian.PutUint32(y0[4*i:4*i+4], four(a>>(shift&8), &v.luma))
		binary.LittleEndian.PutUint32(y1[4*i:4*i+4], four(b>>(shift&8), &v.luma))
		c := a>>(8-shift&8)&evenBytes + b>>(8-shift&8)&evenBytes
		binary.LittleEndian.PutUint16(cb[2*i:2*i+2], uint16(v.chroma[c&511])|uint16(v.chroma[c>>32&511])<<8)
		binary.LittleEndian.PutUint16(cr[2*i:2*i+2], uint16(v.chroma[c>>16&511])|uint16(v.chroma[c>>48&511])<<8)
	}
	luma, chroma := int(shift/8), int(1-shift/8)
	for x := 4 * n; x < len(y0); x++ {
		y0[x], y1[x] = v.luma[upper[2*x+luma]], v.luma[lower[2*x+luma]]
	}
	for x := 2 * n; x < len(cb); x++ {
		cb[x] = v.chroma[int(upper[4*x+chroma])+int(lower[4*x+chroma])]
		cr[x] = v.chroma[int(upper[4*x+chroma+2])+int(lower[4*x+chroma+2])]
	}
}

// four looks up every second byte of x.
func four(x uint64, table *[256]byte) uint32 {
	return uint32(table[byte(x)]) | uint32(table[byte(x>>16)])<<8 |
		uint32(table[byte(x>>32)])<<16 | uint32(table[byte(x>>48)])<<24
}

func (l *layout) interleaved(dst *image.YCbCr, src []byte, table *[512]byte) {
	for y := range half(l.height) {
		from := src[y*l.stride:][:2*half(l.width)]
		cb := dst.Cb[y*dst.CStride:][:len(from)/2]
		cr := dst.Cr[y*dst.CStride:][:len(from)/2]
		for x := range cb {
			cb[x], cr[x] = table[2*int(from[2*x])], table[2*int(from[2*x+1])]
		}
	}
}

func (l *layout) planar(dst *image.YCbCr, src []byte, table *[512]byte) {
	stride, rows := half(l.stride), half(l.height)
	for y := range rows {
		cb := dst.Cb[y*dst.CStride:][:half(l.width)]
		cr := dst.Cr[y*dst.CStride:][:half(l.width)]
		fromCb, fromCr := src[y*stride:][:len(cb)], src[(rows+y)*stride:][:len(cr)]
		if !l.limited {
			copy(cb, fromCb)
			copy(cr, fromCr)
			continue
		}
		for x := range cb {
			cb[x], cr[x] = table[2*int(fromCb[x])], table[2*int(fromCr[x])]
		}
	}
}

func (l *layout) grey(dst *image.YCbCr) {
	for y := range half(l.height) {
		fill(dst.Cb[y*dst.CStride:][:half(l.width)], 128)
		fill(dst.Cr[y*dst.CStride:][:half(l.width)], 128)
	}
}

func row(dst, src []byte, table *[256]byte, limited bool) {
	if !limited {
		copy(dst, src)
		return
	}
	src = src[:len(dst)]
	for x := range dst {
		dst[x] = table[src[x]]
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func half(n int) int { return (n + 1) / 2 }

// values maps stored values to full range: luma by value, chroma by the sum of two values.
type values struct {
	luma   [256]byte
	chroma [512]byte
}

var fullValues, limitedValues = makeValues(1, 1, 0), makeValues(255.0/219, 255.0/224, 16)

func valuesOf(limited bool) *values {
	if limited {
		return limitedValues
	}
	return fullValues
}

func makeValues(luma, chroma, black float64) *values {
	v := new(values)
	for i := range v.luma {
		v.luma[i] = level((float64(i) - black) * luma)
	}
	for i := range v.chroma {
		v.chroma[i] = level((float64(i)/2-128)*chroma + 128)
	}
	return v
}

// level rounds to the nearest of the 256 grey levels, a half upwards.
func level(v float64) byte { return byte(max(0, min(255, v+0.5))) }
