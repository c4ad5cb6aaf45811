package fakecam

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
)

// Pictures is how many different ones a camera shows in turn.
const Pictures = 4

// A picture is columns x rows patches of flat colour, whose edges fall on the blocks of a JPEG.
const columns, rows = 10, 5

// patch is the colour of a patch, full-range Y, Cb and Cr. Every patch differs from picture to picture and from
// camera to camera, so that a picture pieced together of two is none of them.
func patch(column, row, picture, camera int) [3]int {
	code := (7*column + 11*row + column*row + 5*picture + 3*camera) % 27
	return [3]int{60 + 60*(code%3), 90 + 38*(code/3%3), 90 + 38*(code/9)}
}

func paint(width, height, picture, camera int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for y := range height {
		for x := range width {
			c := patch(x*columns/width, y*rows/height, picture, camera)
			m.Y[m.YOffset(x, y)] = byte(c[0])
			m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = byte(c[1]), byte(c[2])
		}
	}
	return m
}

// encode turns a picture into what the camera sends.
func encode(m *image.YCbCr, pixel string) []byte {
	if pixel == "YUYV" {
		return packYUYV(m)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		panic(err) // no picture of ours is too large
	}
	return b.Bytes()
}

// packYUYV reduces to the limited range, as cameras do.
func packYUYV(m *image.YCbCr) []byte {
	luma := func(x, y int) byte { return byte(16 + (int(m.Y[m.YOffset(x, y)])*219+127)/255) }
	chroma := func(v byte) byte { return byte((128*255 + (int(v)-128)*224 + 127) / 255) }
	var b []byte
	for y := range m.Rect.Dy() {
		for x := 0; x < m.Rect.Dx(); x += 2 {
			at := m.COffset(x, y)
			b = append(b, luma(x, y), chroma(m.Cb[at]), luma(x+1, y), chroma(m.Cr[at]))
		}
	}
	return b
}

// withoutDHT leaves out the Huffman tables, as many cameras do.
func withoutDHT(b []byte) []byte {
	out := append([]byte{}, b[:2]...)
	for i := 2; i+4 <= len(b); {
		marker, length := b[i+1], int(be.Uint16(b[i+2:]))
		if marker == 0xda {
			return append(out, b[i:]...)
		}
		if marker != 0xc4 {
			out = append(out, b[i:i+2+length]...)
		}
		i += 2 + length
	}
	return out
}

// Likeness is how far a received picture is from the nearest that the camera shows, in grey levels over all
// patches and components.
type Likeness struct {
	Picture   int
	Mean, Max float64
	Where     string // of Max
}

// Compare finds which picture of the camera m shows. It looks at the inner part of each patch.
func Compare(m *image.YCbCr, camera int) Likeness {
	best := Likeness{Max: 256, Mean: 256}
	for picture := range Pictures {
		if l := compare(m, picture, camera); l.Mean < best.Mean {
			best = l
		}
	}
	return best
}

func compare(m *image.YCbCr, picture, camera int) Likeness {
	l := Likeness{Picture: picture}
	w, h := m.Rect.Dx()/columns, m.Rect.Dy()/rows
	for row := range rows {
		for column := range columns {
			want := patch(column, row, picture, camera)
			got := average(m, image.Rect(column*w+w/4, row*h+h/4, (column+1)*w-w/4, (row+1)*h-h/4))
			for i := range want {
				d := got[i] - float64(want[i])
				d = max(d, -d)
				l.Mean += d / (3 * columns * rows)
				if d > l.Max {
					l.Max, l.Where = d, fmt.Sprintf("patch %d,%d %s is %.0f, not %d", column, row, [3]string{"Y", "Cb", "Cr"}[i], got[i], want[i])
				}
			}
		}
	}
	return l
}

func average(m *image.YCbCr, r image.Rectangle) (a [3]float64) {
	n := float64(r.Dx() * r.Dy())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			at := m.COffset(x, y)
			a[0] += float64(m.Y[m.YOffset(x, y)]) / n
			a[1] += float64(m.Cb[at]) / n
			a[2] += float64(m.Cr[at]) / n
		}
	}
	return a
}
