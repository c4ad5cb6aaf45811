package capture

import (
	"bytes"
	"fmt"
	"io"
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

// Marker segments as they may come, where nothing but the structure counts.
var (
	segments    = []byte("\xff\xe1\x00\x08\xff\xd9\xff\xd8\xff\xd9" + "\xff\xff\xdb\x00\x03\x01" + "\xff\xda\x00\x04\xff\xd9")
	entropy     = []byte("abc\xff\x00def\xff\xd3gh\xff\x00\xff\x00" + "\xff\xc4\x00\x03\x07" + "\xff\xda\x00\x02" + "ij\xff\x00k" + "\xff\xda\x00\x02" + "lm")
	wholeStream = slices.Concat([]byte{0xff, 0xd8}, segments, entropy, []byte{0xff, 0xd9})
)

// Wherever the reading window ends, in a marker, a length or a stuffed byte, the pictures are the same.
func TestStreamAcrossTheWindow(t *testing.T) {
	data := slices.Concat(wholeStream, []byte("--x\xff\xd8\r\xff"), wholeStream, wholeStream, []byte("\xff\xff"), wholeStream)
	for window := 4; window < 2*len(wholeStream); window++ {
		s := &stream{r: bytes.NewReader(data), buf: make([]byte, window), path: "x.mjpeg"}
		for range 2 {
			for n := range 4 {
				at, err := s.next()
				if err != nil || !bytes.Equal(data[at.offset:][:at.size], wholeStream) {
					t.Fatalf("window of %d bytes, picture %d: %+v, %v", window, n, at, err)
				}
			}
			if _, err := s.next(); err != io.EOF {
				t.Fatalf("window of %d bytes: then %v", window, err)
			}
			s.rewind()
		}
	}
}

func FuzzStream(f *testing.F) {
	p := shades(f, 2)
	f.Add(slices.Concat(p...))
	f.Add(withThumbnail(p[0], p[1]))
	f.Add(slices.Concat(p[0][:50], p[1]))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xff, 0xd9})
	f.Add(wholeStream)
	f.Fuzz(func(t *testing.T, data []byte) {
		film := newStream(bytes.NewReader(data), "x.mjpeg")
		walk(t, film, int64(len(data)))
	})
}
