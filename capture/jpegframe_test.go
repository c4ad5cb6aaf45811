package capture

import (
	"bytes"
	"errors"
	"testing"

	"sharpend/infer"
	"sharpend/jpeg"
)

func testJPEG(t *testing.T) []byte {
	t.Helper()
	img := infer.NewPlanes(64, 48, 16)
	for i := range img.Y {
		img.Y[i] = byte(i * 7)
	}
	e, err := jpeg.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	data, err := e.Encode(nil, img, 80)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(data)
}

func TestJPEGDamage(t *testing.T) {
	d, err := jpeg.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	whole := testJPEG(t)
	garbled := bytes.Clone(whole)
	copy(garbled[len(garbled)/2:], bytes.Repeat([]byte{0xFF, 0xC0}, 40))
	tests := []struct {
		why        string
		data       []byte
		w, h       int
		seen       string // by inspectJPEG with the check of the end
		afterwards string // by decodeJPEG
	}{
		{"whole", whole, 64, 48, "", ""},
		{"padded with zeros", append(bytes.Clone(whole), make([]byte, 5000)...), 64, 48, "", ""},
		{"half", whole[:len(whole)/2], 64, 48, Truncated, Truncated},
		{"half, then zeros", append(bytes.Clone(whole[:len(whole)/2]), make([]byte, 999)...), 64, 48, Truncated, Truncated},
		{"no JPEG", bytes.Repeat([]byte{0xA5}, 999), 64, 48, Garbage, Garbage},
		{"two bytes", []byte{0xFF, 0xD8}, 64, 48, Garbage, Garbage},
		{"garbled", garbled, 64, 48, "", Garbage},
		{"another size", whole, 64, 50, "", WrongSize},
	}
	for _, tt := range tests {
		seen := ""
		if damage := inspectJPEG(tt.data, true); damage != nil {
			seen = damage.Kind
		}
		if seen != tt.seen {
			t.Errorf("%s: inspectJPEG says %q, want %q", tt.why, seen, tt.seen)
		}
		afterwards, damage := "", &Damage{}
		if err := decodeJPEG(d, tt.data, infer.NewPlanes(tt.w, tt.h, 16)); errors.As(err, &damage) {
			afterwards = damage.Kind
		} else if err != nil {
			afterwards = err.Error()
		}
		if afterwards != tt.afterwards {
			t.Errorf("%s: decodeJPEG says %q, want %q", tt.why, afterwards, tt.afterwards)
		}
	}
	if inspectJPEG(whole[:len(whole)/2], false) != nil {
		t.Error("the end is checked although check_end is off")
	}
}

// FuzzInspectJPEG: whatever inspectJPEG lets through, the decoder answers with a picture or with Damage.
func FuzzInspectJPEG(f *testing.F) {
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xD9})
	f.Add([]byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00\xff\xd9\x00\x00"))
	d, err := jpeg.NewDecoder()
	if err != nil {
		f.Fatal(err)
	}
	dst := infer.NewPlanes(16, 16, 16)
	f.Fuzz(func(t *testing.T, data []byte) {
		damage := new(Damage)
		if inspectJPEG(data, true) != nil {
			return
		}
		if err := decodeJPEG(d, data, dst); err != nil && !errors.As(err, &damage) {
			t.Error(err)
		}
	})
}
