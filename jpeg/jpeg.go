// Package jpeg turns JPEG streams into 4:2:0 planes and back: a thin layer over libjpeg-turbo
// (its 2.1 tj* API) that allocates nothing per picture. Pictures are full range YCbCr, as JPEG has it.
package jpeg

// #cgo pkg-config: libturbojpeg
// #cgo CFLAGS: -O3
// #cgo noescape read_header
// #cgo nocallback read_header
// #cgo noescape decode_planes
// #cgo nocallback decode_planes
// #cgo noescape encode_planes
// #cgo nocallback encode_planes
// #include "planes.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"strings"
	"unsafe"
)

// What a returned error wraps.
var (
	ErrDamaged     = errors.New("damaged JPEG")          // truncated, corrupt or no JPEG at all
	ErrSize        = errors.New("unexpected size")       // a sound header of another size than asked for
	ErrUnsupported = errors.New("unsupported JPEG")      // colours other than YCbCr and grey, or odd sampling factors
	errMemory      = errors.New("jpeg: out of C memory") //
	errPicture     = errors.New("jpeg: unusable picture in memory")
)

// maxSide is libjpeg's limit on a side in pixels; maxStride keeps strides within C's int.
const maxSide, maxStride = 65500, 1 << 30

// A Decoder decodes pictures of any size. The zero value is not usable: see NewDecoder.
// It is not safe for concurrent use.
type Decoder struct {
	// Fast takes the fast DCT, which saves a tenth of the time: for video.
	Fast  bool
	codec *C.codec
}

// NewDecoder returns a decoder, which holds C memory until Close.
func NewDecoder() (*Decoder, error) {
	c := C.new_codec(0)
	if c == nil {
		return nil, errMemory
	}
	return &Decoder{codec: c}, nil
}

// Close frees the C memory. A second Close does nothing.
func (d *Decoder) Close() {
	if d.codec != nil {
		C.free_codec(d.codec)
		d.codec = nil
	}
}

// Header returns a picture's size in pixels. Its error wraps ErrDamaged or ErrUnsupported.
func (d *Decoder) Header(data []byte) (width, height int, err error) {
	if len(data) == 0 {
		return 0, 0, fmt.Errorf("%w: empty", ErrDamaged)
	}
	if C.read_header(d.codec, bytePointer(data), C.ulong(len(data))) != 0 {
		return 0, 0, d.fault()
	}
	c := d.codec
	if c.space != C.TJCS_YCbCr && c.space != C.TJCS_GRAY || c.subsampling < 0 {
		return 0, 0, fmt.Errorf("%w: colours are neither YCbCr nor grey", ErrUnsupported)
	}
	return int(c.width), int(c.height), nil
}

// Decode fills dst's planes from a JPEG of the same size and any subsampling; the padding to the right
// of and below the visible part may be written too. Missing Huffman tables (MJPEG) are the standard ones.
// Its error wraps ErrDamaged, ErrSize or ErrUnsupported; dst is then untouched or holds half a picture.
func (d *Decoder) Decode(data []byte, dst *image.YCbCr) error {
	if dst.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		return fmt.Errorf("%w: not 4:2:0", errPicture)
	}
	if err := check(dst); err != nil {
		return err
	}
	w, h, err := d.Header(data)
	if err != nil {
		return err
	}
	if w != dst.Rect.Dx() || h != dst.Rect.Dy() {
		return fmt.Errorf("%w: %dx%d, expected %dx%d", ErrSize, w, h, dst.Rect.Dx(), dst.Rect.Dy())
	}
	switch C.decode_planes(d.codec, bytePointer(data), C.ulong(len(data)),
		bytePointer(dst.Y), C.int(dst.YStride), C.size_t(len(dst.Y)),
		bytePointer(dst.Cb), bytePointer(dst.Cr), C.int(dst.CStride), d.flags()) {
	case 0:
		return nil
	case C.NO_MEMORY:
		return errMemory
	}
	if d.onlyPadded(data) {
		return nil
	}
	return d.fault()
}

func (d *Decoder) flags() C.int {
	if d.Fast {
		return C.TJFLAG_FASTDCT
	}
	return C.TJFLAG_ACCURATEDCT
}

// onlyPadded reports whether the first complaint was about a few bytes between the last pixel and the end
// marker: many UVC cameras pad there, and the picture is whole. With restart markers it may hide a worse one.
func (d *Decoder) onlyPadded(data []byte) bool {
	var extra int
	var marker string
	_, err := fmt.Sscanf(d.message(), "Corrupt JPEG data: %d extraneous bytes before marker %s", &extra, &marker)
	return err == nil && extra <= 16 && marker == "0xd9" && !bytes.Contains(data, []byte{0xff, 0xdd, 0, 4})
}

func (d *Decoder) message() string {
	return C.GoString(C.tjGetErrorStr2(d.codec.handle))
}

// fault is tj's last complaint as an error, and readies the decoder for the next picture.
func (d *Decoder) fault() error {
	text, kind := d.message(), ErrDamaged
	C.renew_decoder(d.codec)
	if strings.Contains(text, "nsupported") && !strings.Contains(text, "marker") || strings.Contains(text, "subsampling type") {
		kind = ErrUnsupported
	}
	return fmt.Errorf("%w: %s", kind, text)
}

// An Encoder encodes pictures of any size. The zero value is not usable: see NewEncoder.
// It is not safe for concurrent use.
type Encoder struct{ codec *C.codec }

// NewEncoder returns an encoder, which holds C memory until Close.
func NewEncoder() (*Encoder, error) {
	c := C.new_codec(1)
	if c == nil {
		return nil, errMemory
	}
	return &Encoder{c}, nil
}

// Close frees the C memory. A second Close does nothing.
func (e *Encoder) Close() {
	if e.codec != nil {
		C.free_codec(e.codec)
		e.codec = nil
	}
}

// Encode encodes the visible part of img, in its own subsampling, at quality 1..100 (libjpeg's scale) into
// dst's memory, which it overwrites, and returns that cut to length. When dst's capacity is less than Bound
// it takes fresh memory of that size.
func (e *Encoder) Encode(dst []byte, img *image.YCbCr, quality int) ([]byte, error) {
	if err := check(img); err != nil {
		return dst, err
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if bound := Bound(w, h, img.SubsampleRatio); cap(dst) < bound {
		dst = make([]byte, bound)
	}
	dst = dst[:cap(dst)]
	n := C.encode_planes(e.codec, bytePointer(img.Y), C.int(img.YStride),
		bytePointer(img.Cb), bytePointer(img.Cr), C.int(img.CStride),
		C.int(w), C.int(h), samplings[img.SubsampleRatio], C.int(min(max(quality, 1), 100)), bytePointer(dst), C.ulong(len(dst)))
	switch {
	case n == C.NO_MEMORY:
		return dst[:0], errMemory
	case n < 0:
		return dst[:0], fmt.Errorf("jpeg: %s", C.GoString(C.tjGetErrorStr2(e.codec.handle)))
	}
	return dst[:n], nil
}

// Bound is the number of bytes that a picture of this size cannot exceed when encoded.
func Bound(width, height int, ratio image.YCbCrSubsampleRatio) int {
	return int(C.tjBufSize(C.int(width), C.int(height), samplings[ratio]))
}

// samplings are tj's names for the subsamplings that both sides know.
var samplings = map[image.YCbCrSubsampleRatio]C.int{
	image.YCbCrSubsampleRatio444: C.TJSAMP_444,
	image.YCbCrSubsampleRatio422: C.TJSAMP_422,
	image.YCbCrSubsampleRatio420: C.TJSAMP_420,
	image.YCbCrSubsampleRatio440: C.TJSAMP_440,
	image.YCbCrSubsampleRatio411: C.TJSAMP_411,
}

// check keeps C inside the planes: a picture may come from anywhere.
func check(img *image.YCbCr) error {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	s, known := samplings[img.SubsampleRatio]
	if !known || w <= 0 || h <= 0 || w > maxSide || h > maxSide || img.Rect.Min != (image.Point{}) {
		return fmt.Errorf("%w: %v, %v", errPicture, img.Rect, img.SubsampleRatio)
	}
	cw, ch := int(C.tjPlaneWidth(1, C.int(w), s)), int(C.tjPlaneHeight(1, C.int(h), s))
	if !holds(img.Y, img.YStride, w, h) || !holds(img.Cb, img.CStride, cw, ch) || !holds(img.Cr, img.CStride, cw, ch) {
		return fmt.Errorf("%w: %v, strides %d and %d", errPicture, img.Rect, img.YStride, img.CStride)
	}
	return nil
}

func holds(plane []byte, stride, width, height int) bool {
	return stride >= width && stride <= maxStride && len(plane) >= stride*(height-1)+width
}

func bytePointer(b []byte) *C.uchar { return (*C.uchar)(unsafe.SliceData(b)) }
