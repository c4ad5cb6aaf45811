package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

func TestAVI(t *testing.T) {
	pictures := shades(t, 4)
	pictures[1] = append(slices.Clone(pictures[1]), 0) // one odd and one even length
	for name, test := range map[string]struct {
		file aviFile
		want string
	}{
		"plain":      {aviFile{pictures: pictures}, "0:10 1:20 2:30 3:40"},
		"index":      {aviFile{pictures: pictures, index: true}, "0:10 1:20 2:30 3:40"},
		"OpenDML":    {aviFile{pictures: pictures, split: 2, index: true}, "0:10 1:20 2:30 3:40"},
		"no lengths": {aviFile{pictures: pictures, split: 2, zeroLengths: true}, "0:10 1:20 2:30 3:40"},
		"lower case": {aviFile{pictures: pictures, codec: "mjpg"}, "0:10 1:20 2:30 3:40"},
		"dropped":    {aviFile{pictures: [][]byte{nil, pictures[0], nil, nil, pictures[1], nil}}, "1:10 4:20"},
		"damaged":    {aviFile{pictures: [][]byte{pictures[0], pictures[1][:90], []byte("?"), pictures[2]}}, "0:10 1:truncated 2:garbage 3:30"},
		"sound, index chunks, records": {aviFile{pictures: pictures, between: func(i int) []byte {
			record := riff("LIST", append([]byte("rec "), riff("00dc", pictures[i])...))[:12]
			return slices.Concat(riff("01wb", make([]byte, 7)), riff("ix00", make([]byte, 24)), record)
		}}, "0:10 1:20 2:30 3:40"},
	} {
		t.Run(name, func(t *testing.T) { wantStory(t, fastConfig(write(t, "a.avi", test.file.bytes())), test.want) })
	}
}

func TestAVIThatWasCutOff(t *testing.T) {
	movie := aviFile{pictures: shades(t, 3)}
	whole := movie.bytes()
	last := len(movie.pictures[2])
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"in a picture":    {whole[:len(whole)-last/2], "0:10 1:20 2:truncated"},
		"in a header":     {whole[:len(whole)-(last+last&1)-3], "0:10 1:20"},
		"before a header": {whole[:len(whole)-(last+last&1)-8], "0:10 1:20"},
		"zeros behind":    {append(slices.Clone(whole), make([]byte, 4096)...), "0:10 1:20 2:30"},
		"garbage behind":  {append(slices.Clone(whole), "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"...), "0:10 1:20 2:30 3:garbage"},
	} {
		t.Run(name, func(t *testing.T) { wantStory(t, fastConfig(write(t, "a.avi", test.data)), test.want) })
	}
}

// The message names the file, the place and the loss.
func TestAVIThatWasCutOffSaysWhere(t *testing.T) {
	movie := aviFile{pictures: [][]byte{[]byte("0123456789")}}
	data := movie.bytes()[:len(movie.bytes())-4]
	film, err := newAVI(bytes.NewReader(data), int64(len(data)), "x.avi")
	if err != nil {
		t.Fatal(err)
	}
	_, err = film.next()
	want := fmt.Sprintf("truncated frame: x.avi: offset %d: the file ends after 6 of the picture's 10 bytes", len(data)-6)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAVILoops(t *testing.T) {
	c := fastConfig(write(t, "a.avi", (&aviFile{pictures: shades(t, 3)}).bytes()))
	c.Loop = true
	camera, f := open(t, c)
	for n := range 8 {
		if err := camera.Read(t.Context(), f); err != nil || f.Sequence != uint64(n) || nearest(f.Image) != 10*(n%3+1) {
			t.Fatalf("frame %d: number %d, level %d, %v", n, f.Sequence, nearest(f.Image), err)
		}
	}
}

// walk plays a clip's structure to its end and fails when a span leaves the file or does not move on.
func walk(t *testing.T, film *clip, size int64) {
	behind := int64(0)
	for range size + 10 {
		at, err := film.next()
		switch {
		case err == io.EOF:
			return
		case err != nil:
			if damage := new(Damage); err != errNoPicture && !errors.As(err, &damage) {
				t.Fatal(err)
			}
			continue
		}
		if at.offset < behind || at.size <= 0 || at.offset >= size {
			t.Fatalf("a picture at %+v behind %d in %d bytes", at, behind, size)
		}
		behind = at.offset + at.size
	}
	t.Fatal("no end")
}

func FuzzAVI(f *testing.F) {
	movie := aviFile{pictures: [][]byte{[]byte("abc"), nil, []byte("defg")}, split: 2, index: true}
	f.Add(movie.bytes())
	movie.zeroLengths = true
	f.Add(movie.bytes())
	f.Add(movie.bytes()[:120])
	f.Fuzz(func(t *testing.T, data []byte) {
		film, err := newAVI(bytes.NewReader(data), int64(len(data)), "x.avi")
		if err != nil {
			return
		}
		walk(t, film, int64(len(data)))
		film.rewind()
		walk(t, film, int64(len(data)))
	})
}
