package capture

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// tiles are 16x16 pixels of colour, odd ones brighter.
func tiles(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			lift := byte(60 * ((x/16 + y/16) % 2))
			img.SetNRGBA(x, y, color.NRGBA{90 + lift, 120 + lift, 180 + lift, 255})
		}
	}
	return img
}

func encodePNG(t testing.TB, img image.Image) []byte {
	out := new(bytes.Buffer)
	if err := png.Encode(out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFolderOfPNGs(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string][]byte{
		"a.png": encodePNG(t, tiles(33, 17)), "b.PNG": encodePNG(t, tiles(17, 33)), "c.png": encodePNG(t, tiles(33, 17))[:60],
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wantStory(t, fastConfig(folder), "0:120 1:size 2:garbage")
	camera, f := open(t, fastConfig(folder))
	if err := camera.Read(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	for y := range 17 {
		for x := range 33 {
			c := tiles(33, 17).NRGBAAt(x, y)
			luma, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
			got := f.Image.YCbCrAt(x, y)
			if got != (color.YCbCr{Y: luma, Cb: cb, Cr: cr}) {
				t.Fatalf("%d, %d: got %v", x, y, got)
			}
		}
	}
}

// JPEGs whose colours libjpeg-turbo leaves as they are go the standard library's way.
func TestRGBJPEG(t *testing.T) {
	data := shade(t, 16, 16, 80) // its chroma of 128 will be read as green and blue
	app0 := 2 + 2 + int(data[4])<<8 + int(data[5])
	data = append([]byte{0xff, 0xd8}, data[app0:]...) // a JFIF header would mean YCbCr
	frame, scan := bytes.Index(data, []byte{0xff, 0xc0}), bytes.Index(data, []byte{0xff, 0xda})
	for i, id := range []byte("RGB") {
		data[frame+10+3*i], data[scan+5+2*i] = id, id
	}
	want, _, _ := color.RGBToYCbCr(80, 128, 128)
	camera, f := open(t, fastConfig(write(t, "a.jpg", data)))
	if err := camera.Read(t.Context(), f); err != nil || int(f.Image.Y[5]) < int(want)-3 || int(f.Image.Y[5]) > int(want)+3 {
		t.Errorf("luma %d, want %d; %v", f.Image.Y[5], want, err)
	}
}

// Chroma is the mean of a square, at odd edges of what is left of it; transparent is black.
func TestFromImage(t *testing.T) {
	src := image.NewNRGBA(image.Rect(5, 5, 8, 8))
	for i, level := range []byte{200, 100, 50, 100, 190, 50, 10, 10, 0} {
		src.SetNRGBA(5+i%3, 5+i/3, color.NRGBA{level, level / 2, 0, 255})
	}
	src.SetNRGBA(7, 7, color.NRGBA{255, 255, 255, 0})
	dst := image.NewYCbCr(image.Rect(0, 0, 3, 3), image.YCbCrSubsampleRatio420)
	FromImage(dst, src)
	chroma := func(r, g uint8) (cb, cr int) {
		_, b, c := color.RGBToYCbCr(r, g, 0)
		return int(b), int(c)
	}
	b1, r1 := chroma(200, 100)
	b2, r2 := chroma(100, 50)
	b3, r3 := chroma(190, 95)
	if got, want := dst.Cb[0], (b1+2*b2+b3+2)/4; int(got) != want {
		t.Errorf("Cb %d, want %d", got, want)
	}
	if got, want := dst.Cr[0], (r1+2*r2+r3+2)/4; int(got) != want {
		t.Errorf("Cr %d, want %d", got, want)
	}
	b, r := chroma(50, 25)
	if int(dst.Cb[1]) != b || int(dst.Cr[1]) != r {
		t.Errorf("right edge: %d, %d", dst.Cb[1], dst.Cr[1])
	}
	if dst.Y[8] != 0 || dst.Cb[3] != 128 {
		t.Errorf("transparent: %d, %d", dst.Y[8], dst.Cb[3])
	}
}
