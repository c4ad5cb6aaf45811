package capture

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// withThumbnail puts a whole small JPEG into an APP1 segment.
func withThumbnail(picture, thumbnail []byte) []byte {
	n := len(thumbnail) + 2
	return slices.Concat(picture[:2], []byte{0xff, 0xe1, byte(n >> 8), byte(n)}, thumbnail, picture[2:])
}

func TestStream(t *testing.T) {
	p := shades(t, 4)
	boundary := func(picture []byte) []byte {
		return fmt.Appendf(nil, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", len(picture), picture)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"plain":          {slices.Concat(p...), "0:10 1:20 2:30 3:40"},
		"one picture":    {p[2], "0:30"},
		"thumbnails":     {slices.Concat(withThumbnail(p[0], p[3]), p[1], withThumbnail(p[2], p[3])), "0:10 1:20 2:30"},
		"multipart":      {slices.Concat(boundary(p[0]), boundary(p[1]), []byte("--frame--\r\n")), "0:10 1:20"},
		"zeros between":  {slices.Concat(p[0], make([]byte, 100000), p[1], make([]byte, 7)), "0:10 1:20"},
		"cut, then on":   {slices.Concat(p[0], p[1][:len(p[1])-9], p[2]), "0:10 1:truncated 2:30"},
		"cut in headers": {slices.Concat(p[0], p[1][:20], p[2]), "0:10 1:truncated 2:30"},
		"cut at the end": {slices.Concat(p[0], p[1][:len(p[1])-9]), "0:10 1:truncated"},
	} {
		t.Run(name, func(t *testing.T) { wantStory(t, fastConfig(write(t, "a.mjpeg", test.data)), test.want) })
	}
}

// Pictures of many lengths cross the reading window's edge at every kind of place.
func TestStreamAcrossTheWindow(t *testing.T) {
	picture, thumbnail := shade(t, 32, 24, 50), shade(t, 8, 8, 90)
	var data []byte
	const n = 60
	for i := range n {
		data = append(data, make([]byte, 1103*i%997)...)
		data = append(data, withThumbnail(picture, bytes.Repeat(thumbnail, 1+i%9))...)
	}
	film := newStream(bytes.NewReader(data), "x.mjpeg")
	for i := range n {
		at, err := film.next()
		if err != nil {
			t.Fatal(err)
		}
		got := data[at.offset:][:at.size]
		if !bytes.HasPrefix(got, picture[:2]) || !bytes.HasSuffix(got, picture[2:]) {
			t.Fatalf("picture %d: %+v", i, at)
		}
	}
	if _, err := film.next(); err == nil {
		t.Error("one too many")
	}
}

func FuzzStream(f *testing.F) {
	p := shades(f, 2)
	f.Add(slices.Concat(p...))
	f.Add(withThumbnail(p[0], p[1]))
	f.Add(slices.Concat(p[0][:50], p[1]))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xff, 0xd9})
	f.Fuzz(func(t *testing.T, data []byte) {
		film := newStream(bytes.NewReader(data), "x.mjpeg")
		walk(t, film, int64(len(data)))
	})
}
