package main

import (
	"context"
	"image"
	"image/draw"
	"math"
	"testing"

	"sharpend/capture"
	"sharpend/infer"
)

// clipFrame is frame n of the demo clip and what it would show without shake.
func clipFrame(t *testing.T, n int, sharp string) (camera, truth *image.YCbCr) {
	t.Helper()
	c := capture.Default()
	c.Source, c.Path, c.AsFastAsPossible = capture.File, "../clips/shake.avi", true
	clip, err := capture.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer clip.Close()
	f := capture.Frame{Image: infer.NewPlanes(clip.Granted.Width, clip.Granted.Height, 2)}
	for range n + 1 {
		if err := clip.Read(context.Background(), &f); err != nil {
			t.Fatal(err)
		}
	}
	codec, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	defer codec.close()
	p, err := codec.read("../clips/" + sharp)
	if err != nil {
		t.Fatal(err)
	}
	return f.Image, p.planes
}

// crop is a part of a picture as a picture of its own.
func crop(p *image.YCbCr, r image.Rectangle) *image.YCbCr {
	rgb := image.NewRGBA(image.Rectangle{Max: r.Size()})
	draw.Draw(rgb, rgb.Rect, p, r.Min, draw.Src)
	out := infer.NewPlanes(r.Dx(), r.Dy(), 2)
	capture.FromImage(out, rgb)
	return out
}

// borderError is the root mean square difference of luma within eight pixels
// of the border.
func borderError(a, b *image.YCbCr) float64 {
	sum, n := 0.0, 0
	inside := a.Rect.Inset(8)
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			if !image.Pt(x, y).In(inside) {
				d := float64(a.Y[y*a.YStride+x]) - float64(b.Y[y*b.YStride+x])
				sum, n = sum+d*d, n+1
			}
		}
	}
	return math.Sqrt(sum / float64(n))
}

// TestBorderShowsNoSeam: where the picture meets its padding, the shipped
// predictor must not be farther from the truth than the camera was. The crops
// have odd sides and padding of up to 15 pixels.
func TestBorderShowsNoSeam(t *testing.T) {
	c, err := loadConfig("", func(c *Config) {
		c.Runtime.Providers = []string{"cpu"}
		c.Models.Denoiser = ""
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, sharp := range map[int]string{10: "sharp_0010.jpg", 62: "sharp_0062.jpg", 123: "sharp_0123.jpg"} {
		camera, truth := clipFrame(t, n, sharp)
		for _, r := range []image.Rectangle{camera.Rect, image.Rect(100, 60, 601, 333)} {
			before, want := crop(camera, r), crop(truth, r)
			after := predictOne(t, c, before)
			if b, a := borderError(before, want), borderError(after, want); a > b {
				t.Errorf("frame %d, %v: the border is %.2f grey levels from the truth, the camera's was %.2f", n, r.Size(), a, b)
			} else {
				t.Logf("frame %d, %v: border error %.2f, camera's %.2f", n, r.Size(), a, b)
			}
		}
	}
}

// predictOne runs the predictor on one picture of any size.
func predictOne(t *testing.T, c *Config, in *image.YCbCr) *image.YCbCr {
	t.Helper()
	p := testPipeline(t, c, output{})
	size := in.Rect.Size()
	if err := p.fit(&capture.Camera{Granted: capture.Format{Width: size.X, Height: size.Y}}); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	f := p.nextFree(context.Background())
	defer f.release()
	showOnly(f.Image, in)
	if err := p.predictFrame(f); err != nil {
		t.Fatal(err)
	}
	out := infer.NewPlanes(size.X, size.Y, 2)
	infer.Copy(out, f.sharp)
	return out
}

// showOnly copies what is visible and leaves the padding alone, as a camera does.
func showOnly(dst, src *image.YCbCr) {
	w, h := src.Rect.Dx(), src.Rect.Dy()
	rows := func(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
		for y := range h {
			copy(dst[y*dstStride:], src[y*srcStride:y*srcStride+w])
		}
	}
	rows(dst.Y, dst.YStride, src.Y, src.YStride, w, h)
	rows(dst.Cb, dst.CStride, src.Cb, src.CStride, (w+1)/2, (h+1)/2)
	rows(dst.Cr, dst.CStride, src.Cr, src.CStride, (w+1)/2, (h+1)/2)
}
