package jpeg

import (
	"bytes"
	"encoding/binary"
)

// Markers of ITU-T T.81, table B.1.
const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP0 = 0xe0
	markerAPP1 = 0xe1
	markerCOM  = 0xfe
)

// segment splits the first marker segment off data: its marker, its content and what follows.
// Not ok: no segment with a length is there (the end, the picture data, or garbage).
func segment(data []byte) (marker byte, content, rest []byte, ok bool) {
	for len(data) > 1 && data[0] == 0xff && data[1] == 0xff { // fill bytes
		data = data[1:]
	}
	if len(data) < 4 || data[0] != 0xff || data[1] < 0xc0 || data[1]&^7 == 0xd0 || data[1] == markerSOI || data[1] == markerEOI {
		return 0, nil, nil, false
	}
	length := int(binary.BigEndian.Uint16(data[2:]))
	if length < 2 || length+2 > len(data) {
		return 0, nil, nil, false
	}
	return data[1], data[4 : length+2], data[length+2:], true
}

func hasSOI(data []byte) bool {
	return len(data) >= 2 && data[0] == 0xff && data[1] == markerSOI
}

// InsertComment appends to dst[:0] the picture with a COM segment of text behind its SOI and JFIF header,
// and returns that. Text past 65533 bytes is cut off; what is no JPEG is copied as it is.
// The two slices must not overlap.
func InsertComment[T string | []byte](dst, jpeg []byte, text T) []byte {
	if !hasSOI(jpeg) {
		return append(dst[:0], jpeg...)
	}
	text = text[:min(len(text), 0xffff-2)]
	rest := jpeg[2:]
	if marker, _, after, ok := segment(rest); ok && marker == markerAPP0 {
		rest = after
	}
	dst = append(dst[:0], jpeg[:len(jpeg)-len(rest)]...)
	length := len(text) + 2
	dst = append(dst, 0xff, markerCOM, byte(length>>8), byte(length))
	dst = append(dst, text...)
	return append(dst, rest...)
}

// Orientation is the EXIF orientation of a JPEG, 1..8 (EXIF 2.3, tag 0x0112): 1 when it has none or a malformed one.
func Orientation(data []byte) int {
	if !hasSOI(data) {
		return 1
	}
	data = data[2:]
	for {
		marker, content, rest, ok := segment(data)
		if !ok || marker == markerSOS {
			return 1
		}
		if tiff, found := bytes.CutPrefix(content, []byte("Exif\x00\x00")); found && marker == markerAPP1 {
			return tiffOrientation(tiff)
		}
		data = rest
	}
}

// tiffOrientation looks the tag up in the first directory of a TIFF header.
func tiffOrientation(tiff []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(tiff, []byte("MM")) {
		order = binary.BigEndian
	} else if !bytes.HasPrefix(tiff, []byte("II")) {
		return 1
	}
	if len(tiff) < 8 || order.Uint16(tiff[2:]) != 42 {
		return 1
	}
	offset := uint64(order.Uint32(tiff[4:]))
	if offset+2 > uint64(len(tiff)) {
		return 1
	}
	directory := tiff[offset+2:]
	for n := order.Uint16(tiff[offset:]); n > 0 && len(directory) >= 12; n-- {
		const tag, short = 0x0112, 3
		value := int(order.Uint16(directory[8:]))
		if order.Uint16(directory) == tag && order.Uint16(directory[2:]) == short && value >= 1 && value <= 8 {
			return value
		}
		directory = directory[12:]
	}
	return 1
}
