package main

import (
	"bytes"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pattern has a bright upper left corner, so that turning it shows.
func pattern(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{40, 60, 80, 255}
			if x < w/2 && y < h/2 {
				c = color.NRGBA{220, 200, 160, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

func writePNG(t *testing.T, file string, m image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	write(t, file, b.String())
}

// withOrientation puts an EXIF segment behind a JPEG's SOI.
func withOrientation(t *testing.T, m image.Image, orientation byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, &stdjpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(orientation) + "\x00\x00\x00\x00\x00\x00"
	app1 := "\xff\xe1" + string([]byte{0, byte(len(exif) + 2)}) + exif
	return b.String()[:2] + app1 + b.String()[2:]
}

func open(t *testing.T, file string) image.Image {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

func brightness(m image.Image, x, y int) int {
	return int(color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y)
}

func TestImageKeepsSizeAndPictureOfAnySize(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []image.Point{{1, 1}, {2, 3}, {17, 31}, {64, 48}, {101, 57}, {1920, 1080}} {
		in, out, steps := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.png"), "1"
		if size.X > 1000 {
			steps = "0" // the refiner takes long
		}
		writePNG(t, in, pattern(size.X, size.Y))
		if status, _, stderr := sharpend("image", in, out, "--steps", steps); status != 0 {
			t.Fatalf("%v: %s", size, stderr)
		}
		m := open(t, out)
		if m.Bounds().Size() != size {
			t.Errorf("%v came out as %v", size, m.Bounds().Size())
		}
		if size.X > 16 && (brightness(m, 4, 4) < 180 || brightness(m, size.X-4, size.Y-4) > 90) {
			t.Errorf("%v: corners are %d and %d, want about 201 and 58", size, brightness(m, 4, 4), brightness(m, size.X-4, size.Y-4))
		}
	}
}

func TestImageHonoursOrientation(t *testing.T) {
	const w, h = 48, 32
	bright := map[byte]image.Point{ // where the stored upper left corner belongs
		1: {8, 8}, 2: {40, 8}, 3: {40, 24}, 4: {8, 24}, 5: {8, 8}, 6: {24, 8}, 7: {24, 40}, 8: {8, 40},
	}
	dir := t.TempDir()
	for o := byte(1); o <= 8; o++ {
		in, out := filepath.Join(dir, "in.jpg"), filepath.Join(dir, "out.jpg")
		write(t, in, withOrientation(t, pattern(w, h), o))
		if status, _, stderr := sharpend("image", in, out, "--predict-only"); status != 0 {
			t.Fatalf("orientation %d: %s", o, stderr)
		}
		m := open(t, out)
		want := image.Pt(w, h)
		if o >= 5 {
			want = image.Pt(h, w)
		}
		if m.Bounds().Size() != want {
			t.Errorf("orientation %d: size %v, want %v", o, m.Bounds().Size(), want)
			continue
		}
		p := bright[o]
		q := want.Sub(p)
		if brightness(m, p.X, p.Y) < 150 || brightness(m, q.X, q.Y) > 110 {
			t.Errorf("orientation %d: %v is %d and %v is %d, want bright and dark", o, p, brightness(m, p.X, p.Y), q, brightness(m, q.X, q.Y))
		}
	}
}

func TestImageKeepsTransparencyAndChroma(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for y := range 32 {
		for x := range 32 { // columns of red and blue: 4:2:0 alone would make them purple
			m.SetNRGBA(x, y, color.NRGBA{uint8(200 * (x % 2)), 0, uint8(200 * (1 - x%2)), uint8(8 * x)})
		}
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, "out.png")
	writePNG(t, in, m)
	config := filepath.Join(dir, "identity.yaml")
	write(t, config, "models: {predictor: identity.onnx, denoiser: \"\"}\nruntime: {providers: [cpu]}\n")
	if status, _, stderr := sharpend("image", "-c", config, in, out); status != 0 {
		t.Fatal(stderr)
	}
	got := open(t, out).(*image.NRGBA)
	if !bytes.Equal(got.Pix, m.Pix) {
		t.Error("the identity model changed a PNG's pixels")
	}
}

func TestImageFolder(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "new")
	writePNG(t, filepath.Join(in, "a.png"), pattern(32, 32))
	write(t, filepath.Join(in, "b.jpg"), withOrientation(t, pattern(48, 32), 1))
	write(t, filepath.Join(in, "broken.jpg"), "no picture")
	write(t, filepath.Join(in, "notes.txt"), "no picture either")
	status, _, stderr := sharpend("image", in, out, "--predict-only")
	if status != 1 || !strings.Contains(stderr, "broken.jpg") {
		t.Errorf("status %d saying %q, want 1 naming broken.jpg", status, stderr)
	}
	open(t, filepath.Join(out, "a.png"))
	open(t, filepath.Join(out, "b.jpg"))
	if entries, _ := os.ReadDir(out); len(entries) != 2 {
		t.Errorf("%v in the output folder, want two files", entries)
	}
}

func TestImageNeverOverwritesItsInput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.png")
	writePNG(t, file, pattern(32, 32))
	before, _ := os.ReadFile(file)
	for _, args := range [][]string{{file, file}, {file, dir}, {dir, dir}} {
		if status, _, stderr := sharpend("image", args[0], args[1]); status != 2 || !strings.Contains(stderr, "lost") {
			t.Errorf("image %v: status %d saying %q, want 2 saying what would be lost", args, status, stderr)
		}
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the input was overwritten")
	}
}

func TestImageIsDeterministicBySeed(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.png")
	writePNG(t, in, pattern(64, 48))
	pixels := func(seed string) []byte {
		out := filepath.Join(dir, "out.png")
		if status, _, stderr := sharpend("image", in, out, "--steps", "2", "--seed", seed); status != 0 {
			t.Fatal(stderr)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	a, b, c := pixels("1"), pixels("1"), pixels("2")
	if !bytes.Equal(a, b) {
		t.Error("the same seed gave two pictures")
	}
	if bytes.Equal(a, c) {
		t.Error("another seed gave the same picture")
	}
}
