package main

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/jpeg"
)

// A codec reads and writes picture files. Not safe for concurrent use.
type codec struct {
	decoder *jpeg.Decoder
	encoder *jpeg.Encoder
}

func newCodec() (*codec, error) {
	d, err := jpeg.NewDecoder()
	if err != nil {
		return nil, err
	}
	e, err := jpeg.NewEncoder()
	if err != nil {
		d.Close()
		return nil, err
	}
	return &codec{d, e}, nil
}

func (c *codec) close() {
	c.decoder.Close()
	c.encoder.Close()
}

// isPicture reports whether the file's name is one that we read and write.
func isPicture(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}

// A picture is a file's planes, upright, and where the file held more than
// 4:2:0 planes can, its pixels too.
type picture struct {
	planes *image.YCbCr
	pixels *image.NRGBA // from a PNG; nil from a JPEG
}

// read decodes a JPEG or PNG by its content, and turns it upright.
func (c *codec) read(path string) (*picture, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		return readPNG(path, data)
	}
	w, h, err := c.decoder.Header(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	planes := infer.NewPlanes(w, h, 2)
	if err := c.decoder.Decode(data, planes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &picture{planes: upright(planes, jpeg.Orientation(data))}, nil
}

func readPNG(path string, data []byte) (*picture, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b := img.Bounds()
	pixels := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(pixels, pixels.Rect, img, b.Min, draw.Src)
	planes := infer.NewPlanes(b.Dx(), b.Dy(), 2)
	capture.FromImage(planes, img)
	return &picture{planes, pixels}, nil
}

// upright applies an EXIF orientation (1 to 8) to a picture.
func upright(p *image.YCbCr, orientation int) *image.YCbCr {
	if orientation < 2 || orientation > 8 {
		return p
	}
	w, h := p.Rect.Dx(), p.Rect.Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	out := infer.NewPlanes(w, h, 2)
	turn(out.Y, out.YStride, p.Y, p.YStride, w, h, orientation)
	turn(out.Cb, out.CStride, p.Cb, p.CStride, (w+1)/2, (h+1)/2, orientation)
	turn(out.Cr, out.CStride, p.Cr, p.CStride, (w+1)/2, (h+1)/2, orientation)
	return out
}

// turn fills a w x h plane from one that lies as the EXIF orientation says.
func turn(dst []byte, dstStride int, src []byte, srcStride, w, h, orientation int) {
	for y := range h {
		for x := range w {
			sx, sy := x, y
			switch orientation {
			case 2:
				sx = w - 1 - x
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sy = h - 1 - y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, w-1-x
			case 7:
				sx, sy = h-1-y, w-1-x
			case 8:
				sx, sy = h-1-y, x
			}
			dst[y*dstStride+x] = src[sy*srcStride+sx]
		}
	}
}

// write encodes sharp by the file name's extension. A PNG keeps the original's
// full chroma and transparency: only what the networks changed is added.
func (c *codec) write(path string, original *picture, before, sharp *image.YCbCr, quality int, comment []byte) error {
	if strings.ToLower(filepath.Ext(path)) == ".png" {
		var b bytes.Buffer
		if err := png.Encode(&b, original.changed(before, sharp)); err != nil {
			return err
		}
		return writeFile(path, b.Bytes())
	}
	plain, err := c.encoder.Encode(nil, sharp, quality)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFile(path, jpeg.InsertComment(nil, plain, comment))
}

// changed adds the difference of two pictures in YCbCr to the pixels.
func (p *picture) changed(before, after *image.YCbCr) *image.NRGBA {
	out := p.pixels
	if out == nil {
		out = image.NewNRGBA(p.planes.Rect)
		draw.Draw(out, out.Rect, p.planes, image.Point{}, draw.Src)
	}
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			i, j := y*after.YStride+x, y/2*after.CStride+x/2
			pixel := out.Pix[y*out.Stride+4*x:]
			add(pixel, int32(after.Y[i])-int32(before.Y[i]), int32(after.Cb[j])-int32(before.Cb[j]), int32(after.Cr[j])-int32(before.Cr[j]))
		}
	}
	return out
}

// add changes an RGB pixel by a difference in YCbCr (JFIF; 16 fraction bits).
func add(pixel []byte, y, cb, cr int32) {
	y <<= 16
	pixel[0] = clamp(pixel[0], y+91881*cr)
	pixel[1] = clamp(pixel[1], y-22554*cb-46802*cr)
	pixel[2] = clamp(pixel[2], y+116130*cb)
}

func clamp(v byte, change int32) byte {
	return byte(min(max(int32(v)+(change+1<<15)>>16, 0), 255))
}

// writeFile writes beside the target and renames, so that a crash leaves the
// old file or the new one, never half of one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".sharpend-*"+filepath.Ext(path))
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
