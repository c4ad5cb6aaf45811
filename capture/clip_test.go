package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sharpend/infer"
	"sharpend/jpeg"
)

// shade is a JPEG of one grey level, by which a test knows it again.
func shade(t testing.TB, w, h, level int) []byte {
	e, err := jpeg.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	img := infer.NewPlanes(w, h, 2)
	fill(img.Y, byte(level))
	data, err := e.Encode(nil, img, 90)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(data)
}

// shades are n pictures of 32x24 pixels and the levels 10, 20, 30...
func shades(t testing.TB, n int) (all [][]byte) {
	for i := range n {
		all = append(all, shade(t, 32, 24, 10*(i+1)))
	}
	return all
}

func write(t testing.TB, name string, data []byte) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func fastConfig(path string) Config {
	c := Default()
	c.Source, c.Path, c.Loop, c.AsFastAsPossible = File, path, false, true
	return c
}

func open(t testing.TB, c Config) (*Camera, *Frame) {
	t.Helper()
	camera, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { camera.Close() })
	return camera, &Frame{Image: infer.NewPlanes(camera.Granted.Width, camera.Granted.Height, 32)}
}

// story plays to the end: "3:40" is frame number 3 of level 40, "4:truncated" a lost one.
func story(t *testing.T, c Config) string {
	t.Helper()
	camera, f := open(t, c)
	var told []string
	for range 100 {
		err := camera.Read(t.Context(), f)
		var damage *Damage
		switch {
		case err == io.EOF:
			return strings.Join(told, " ")
		case errors.As(err, &damage):
			told = append(told, fmt.Sprintf("%d:%s", f.Sequence, damage.Kind))
		case err != nil:
			t.Fatal(err)
		default:
			told = append(told, fmt.Sprintf("%d:%d", f.Sequence, nearest(f.Image)))
		}
	}
	t.Fatal("no end after 100 frames")
	return ""
}

// nearest is the picture's level to the nearest 10.
func nearest(img *image.YCbCr) int { return (int(img.Y[5]) + 5) / 10 * 10 }

func wantStory(t *testing.T, c Config, want string) {
	t.Helper()
	if got := story(t, c); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFolderPlaysByName(t *testing.T) {
	folder, pictures := t.TempDir(), shades(t, 3)
	for name, data := range map[string][]byte{
		"b.JPG": pictures[1], "a.jpg": pictures[0], "c.jpeg": pictures[2], "notes.txt": []byte("x"),
		"d.jpg": shade(t, 16, 16, 40), "e.jpg": pictures[2][:100], "f.jpg": nil, "g.jpg": []byte("not a picture"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantStory(t, fastConfig(folder), "0:10 1:20 2:30 3:size 4:truncated 5:empty 6:garbage")
}

func TestFolderSizeIsTheFirstSoundPictures(t *testing.T) {
	folder := t.TempDir()
	os.WriteFile(filepath.Join(folder, "a.jpg"), []byte("broken"), 0o644)
	os.WriteFile(filepath.Join(folder, "b.jpg"), shade(t, 31, 17, 50), 0o644)
	camera, _ := open(t, fastConfig(folder))
	if camera.Granted.Width != 31 || camera.Granted.Height != 17 {
		t.Errorf("granted %v", camera.Granted)
	}
	wantStory(t, fastConfig(folder), "0:garbage 1:50")
}

func TestErrorsNameTheFile(t *testing.T) {
	empty, huge := t.TempDir(), shade(t, 16, 16, 10)
	frame := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[frame+5:], "\xff\x00\xff\x00") // 65280 pixels a side
	movie := aviFile{pictures: shades(t, 1)}
	movie.codec = "H264"
	for path, want := range map[string]string{
		"/nonexistent/x.avi": "/nonexistent/x.avi",
		empty:                "no .jpg, .jpeg or .png in this folder",
		write(t, "film.mp4", []byte("\x00\x00\x00ftyp")): "film.mp4: neither an AVI nor a JPEG stream",
		write(t, "none.mjpeg", nil):                      "none.mjpeg: neither",
		write(t, "h264.avi", movie.bytes()):              `h264.avi: offset 172: the pictures are "H264", not MJPG`,
		write(t, "cut.avi", movie.bytes()[:100]):         "cut.avi: offset",
		write(t, "soi.mjpeg", []byte{255, 216, 255, 0}):  "no sound picture",
		write(t, "huge.jpg", huge):                       "65280x65280 is more than",
		os.DevNull:                                       "neither a file nor a folder",
	} {
		_, err := Open(t.Context(), fastConfig(path))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "camera.path") {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestRates(t *testing.T) {
	movie := aviFile{pictures: shades(t, 1), rate: 30000, scale: 1001}
	path, stream := write(t, "a.avi", movie.bytes()), write(t, "a.mjpeg", movie.pictures[0])
	for _, test := range []struct {
		path  string
		asked float64
		want  float64
		notes int
	}{{path, 0, 30000.0 / 1001, 0}, {path, 12, 12, 0}, {stream, 0, defaultRate, 1}, {stream, 8, 8, 0}} {
		c := fastConfig(test.path)
		c.FPS = test.asked
		camera, _ := open(t, c)
		if camera.Granted.FPS != test.want || len(camera.Notes) != test.notes {
			t.Errorf("%+v: granted %v, notes %q", test, camera.Granted, camera.Notes)
		}
	}
}

func TestPlayingAllocatesNothing(t *testing.T) {
	pictures := shades(t, 4)
	movie := aviFile{pictures: pictures}
	for _, path := range []string{write(t, "a.avi", movie.bytes()), write(t, "a.mjpeg", slices.Concat(pictures...))} {
		for _, fast := range []bool{true, false} {
			c := fastConfig(path)
			c.Loop, c.AsFastAsPossible, c.FPS = true, fast, 1000
			camera, f := open(t, c)
			ctx := t.Context()
			read := func() {
				if err := camera.Read(ctx, f); err != nil {
					t.Fatal(err)
				}
			}
			for range 5 {
				read()
			}
			if n := testing.AllocsPerRun(50, read); n != 0 {
				t.Errorf("%s: %v allocations a frame", path, n)
			}
		}
	}
}

// The clip that ships with the program.
func TestShippedClip(t *testing.T) {
	camera, f := open(t, fastConfig("../clips/shake.avi"))
	if camera.Granted != (Format{"MJPG", 640, 360, 12}) {
		t.Errorf("granted %v", camera.Granted)
	}
	for n := range 144 {
		if err := camera.Read(t.Context(), f); err != nil {
			t.Fatalf("frame %d: %v", n, err)
		}
	}
	if err := camera.Read(t.Context(), f); err != io.EOF {
		t.Errorf("behind the last frame: %v", err)
	}
}

// aviFile writes AVI files, sound and unsound ones.
type aviFile struct {
	pictures    [][]byte // nil: a chunk without bytes
	rate, scale uint32
	codec       string
	between     func(i int) []byte // chunks in front of picture i
	zeroLengths bool               // of the lists, as in a recording that was cut off
	split       int                // picture that begins a second RIFF part; 0 = none
	index       bool
}

func (a *aviFile) bytes() []byte {
	rate, scale := max(a.rate, 1), max(a.scale, 1)
	if a.rate == 0 {
		rate = 20
	}
	codec := a.codec
	if codec == "" {
		codec = "MJPG"
	}
	u32 := binary.LittleEndian.AppendUint32
	avih := append(u32(nil, 50000), make([]byte, 52)...)
	sound := slices.Concat([]byte("auds"), make([]byte, 52))
	video := slices.Concat([]byte("vids"+codec), make([]byte, 12), u32(u32(nil, scale), rate), make([]byte, 28))
	format := slices.Concat(u32(nil, 40), make([]byte, 12), []byte(codec), make([]byte, 20))
	hdrl := a.list("LIST", "hdrl", riff("avih", avih),
		a.list("LIST", "strl", riff("strh", video), riff("strf", format)),
		a.list("LIST", "strl", riff("strh", sound), riff("strf", make([]byte, 18))))
	parts := [][]byte{nil}
	for i, picture := range a.pictures {
		if a.split != 0 && i == a.split {
			parts = append(parts, nil)
		}
		if last := &parts[len(parts)-1]; a.between != nil {
			*last = append(*last, a.between(i)...)
		}
		last := &parts[len(parts)-1]
		*last = append(*last, riff("00dc", picture)...)
	}
	var index []byte
	if a.index {
		index = riff("idx1", make([]byte, 16*len(a.pictures)))
	}
	file := a.list("RIFF", "AVI ", hdrl, riff("JUNK", make([]byte, 33)), a.list("LIST", "movi", parts[0]), index)
	for _, part := range parts[1:] {
		file = append(file, a.list("RIFF", "AVIX", a.list("LIST", "movi", part))...)
	}
	return file
}

func (a *aviFile) list(id, kind string, chunks ...[]byte) []byte {
	b := riff(id, slices.Concat(append([][]byte{[]byte(kind)}, chunks...)...))
	if a.zeroLengths {
		copy(b[4:8], "\x00\x00\x00\x00")
	}
	return b
}

func riff(id string, content []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(id), uint32(len(content))), content...)
	return append(b, make([]byte, len(content)&1)...)
}
