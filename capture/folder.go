package capture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // for colours that libjpeg-turbo does not turn into YCbCr
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sharpend/jpeg"
)

// folder is the pictures of a folder in the order of their names, as their pixels lie (EXIF orientation is for
// photographs, not for cameras). Opening a file for each costs a few allocations a frame.
type folder struct {
	path  string
	names []string
	at    int64
}

func openFolder(path string) (*clip, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".jpg", ".jpeg", ".png":
			f.names = append(f.names, e.Name())
		}
	}
	if len(f.names) == 0 {
		return nil, fmt.Errorf("%s: no .jpg, .jpeg or .png in this folder", path)
	}
	return &clip{pixel: "pictures", next: f.next, load: f.load, rewind: func() { f.at = 0 }, close: func() error { return nil }}, nil
}

func (f *folder) next() (span, error) {
	if f.at == int64(len(f.names)) {
		return span{}, io.EOF
	}
	f.at++
	return span{offset: f.at - 1}, nil
}

func (f *folder) load(at span, buf []byte) ([]byte, error) {
	file, err := os.Open(filepath.Join(f.path, f.names[at.offset]))
	if err != nil {
		return buf[:0], err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return buf[:0], err
	}
	if info.Size() > maxPicture {
		return buf[:0], fmt.Errorf("%s: %d bytes are too many for a picture", file.Name(), info.Size())
	}
	buf = sized(buf, int(info.Size()))
	_, err = io.ReadFull(file, buf)
	return buf, err
}

// pictureSize reads the size off a JPEG's or PNG's header.
func pictureSize(d *jpeg.Decoder, data []byte) (w, h int, err error) {
	w, h, err = d.Header(data)
	if err == nil {
		return w, h, nil
	}
	config, _, other := image.DecodeConfig(bytes.NewReader(data))
	if other != nil {
		return 0, 0, err
	}
	return config.Width, config.Height, nil
}

// decodeOther decodes with the standard library what libjpeg-turbo does not.
func decodeOther(data []byte, dst *image.YCbCr) error {
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return &Damage{Garbage, err}
	}
	if w, h := dst.Rect.Dx(), dst.Rect.Dy(); config.Width != w || config.Height != h {
		return damaged(WrongSize, "%dx%d, expected %dx%d", config.Width, config.Height, w, h)
	}
	src, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return &Damage{Garbage, err}
	}
	FromImage(dst, src)
	return nil
}

// FromImage converts a picture of dst's size to dst's planes: chroma is the mean of each 2x2 square (fewer at odd
// edges), and what is transparent is over black.
func FromImage(dst *image.YCbCr, src image.Image) {
	rgb, ok := src.(*image.RGBA)
	if !ok {
		rgb = image.NewRGBA(image.Rectangle{Max: src.Bounds().Size()})
		draw.Draw(rgb, rgb.Rect, src, src.Bounds().Min, draw.Src)
	}
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := 0; y < h; y += 2 {
		for x := 0; x < w; x += 2 {
			square(dst, rgb, x, y, min(x+2, w), min(y+2, h))
		}
	}
}

// square converts the pixels that share one chroma sample.
func square(dst *image.YCbCr, src *image.RGBA, x0, y0, x1, y1 int) {
	var cb, cr, n int
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			p := src.Pix[y*src.Stride+4*x:]
			luma, b, r := color.RGBToYCbCr(p[0], p[1], p[2])
			dst.Y[y*dst.YStride+x] = luma
			cb, cr, n = cb+int(b), cr+int(r), n+1
		}
	}
	at := y0/2*dst.CStride + x0/2
	dst.Cb[at], dst.Cr[at] = byte((cb+n/2)/n), byte((cr+n/2)/n)
}
