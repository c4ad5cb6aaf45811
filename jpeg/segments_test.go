package jpeg

import (
	"bytes"
	"encoding/binary"
	stdjpeg "image/jpeg"
	"strings"
	"testing"
)

// exif is a picture's start with an EXIF segment that gives the orientation.
func exif(order binary.AppendByteOrder, value uint16) []byte {
	name := "II"
	if order.String() == binary.BigEndian.String() {
		name = "MM"
	}
	b := append([]byte("Exif\x00\x00"), name...)
	b = order.AppendUint16(b, 42)
	b = order.AppendUint32(b, 10) // two bytes of slack in front of the directory
	b = append(b, 0, 0)
	b = order.AppendUint16(b, 2)
	b = entry(order, b, 0x0100, 640)
	b = entry(order, b, 0x0112, value)
	head := []byte{0xff, markerSOI, 0xff, markerAPP0, 0, 4, 1, 2, 0xff, 0xff, markerAPP1}
	return append(binary.BigEndian.AppendUint16(head, uint16(len(b)+2)), b...)
}

func entry(order binary.AppendByteOrder, b []byte, tag, value uint16) []byte {
	b = order.AppendUint16(b, tag)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(b, value)
	return append(b, 0, 0)
}

func TestOrientation(t *testing.T) {
	for value := uint16(1); value <= 8; value++ {
		if got := Orientation(exif(binary.LittleEndian, value)); got != int(value) {
			t.Errorf("little endian %d: got %d", value, got)
		}
		if got := Orientation(exif(binary.BigEndian, value)); got != int(value) {
			t.Errorf("big endian %d: got %d", value, got)
		}
	}
	sound := exif(binary.BigEndian, 6)
	for name, data := range map[string][]byte{
		"out of range":  exif(binary.BigEndian, 9),
		"zero":          exif(binary.BigEndian, 0),
		"no EXIF":       encoded(t, planes(8, 8, 0), 90),
		"nothing":       nil,
		"not a JPEG":    sound[2:],
		"unknown order": bytes.Replace(sound, []byte("MM"), []byte("MI"), 1),
		"far directory": bytes.Replace(sound, []byte{0, 42, 0, 0, 0, 10}, []byte{0, 42, 0xff, 0xff, 0xff, 0xff}, 1),
	} {
		if got := Orientation(data); got != 1 {
			t.Errorf("%s: got %d", name, got)
		}
	}
	for n := range sound {
		if got := Orientation(sound[:n]); got != 1 {
			t.Errorf("cut to %d bytes: got %d", n, got)
		}
	}
}

func TestInsertComment(t *testing.T) {
	img := planes(32, 16, 0)
	data := encoded(t, img, 95)
	got := InsertComment(nil, data, "frame 17")
	_, _, rest, _ := segment(got[2:])
	if marker, content, _, ok := segment(rest); !ok || marker != markerCOM || string(content) != "frame 17" {
		t.Errorf("behind the JFIF header: marker %x, %q", marker, content)
	}
	if _, err := stdjpeg.Decode(bytes.NewReader(got)); err != nil {
		t.Error(err)
	}
	out := blank(32, 16, 0)
	if err := newDecoder(t).Decode(InsertComment(nil, data, strings.Repeat("x", 100000)), out); err != nil {
		t.Errorf("a long text: %v", err)
	}
	wantClose(t, out, img, 8)
	if got := InsertComment(nil, []byte("text"), "x"); string(got) != "text" {
		t.Errorf("no JPEG: got %q", got)
	}
	buffer := make([]byte, 0, 2*len(data))
	if n := testing.AllocsPerRun(20, func() { buffer = InsertComment(buffer, data, "frame 17") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(exif(binary.LittleEndian, 3))
	f.Add(exif(binary.BigEndian, 6))
	f.Add(encoded(f, planes(8, 8, 0), 90))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o := Orientation(data); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}

// Whatever the bytes: an error or a picture of the right size, and nothing outside the planes written.
func FuzzDecode(f *testing.F) {
	for _, s := range subsamplings {
		data := encodeAs(f, scene(24, 17), s)
		f.Add(data)
		f.Add(data[:len(data)*2/3])
	}
	f.Add(withoutDHT(f, encoded(f, planes(24, 17, 0), 60)))
	d := newDecoder(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		w, h, err := d.Header(data)
		if err != nil || w*h > 1<<20 {
			w, h = 24, 17
		}
		cw, ch := (w+1)/2, (h+1)/2
		memory := bytes.Repeat([]byte{77}, w*h+2*cw*ch+64)
		img := blank(w, h, 0)
		img.Y, img.Cb, img.Cr = memory[:w*h], memory[w*h:][:cw*ch], memory[w*h+cw*ch:][:cw*ch]
		d.Decode(data, img)
		if tail := memory[w*h+2*cw*ch:]; bytes.Count(tail, []byte{77}) != len(tail) {
			t.Error("bytes past the planes were written")
		}
	})
}
