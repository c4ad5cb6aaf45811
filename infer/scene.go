package infer

import (
	"image"
	"math"
)

// Thumbnails are tw x th means of luma; thumbRows rows of the picture at most
// are looked at for each of their rows.
const tw, th, thumbRows = 32, 18, 8

// Thumbnail writes the picture's visible luma at 32x18 to dst: the mean of each
// cell, over its full width and up to eight of its rows.
func Thumbnail(dst *[32 * 18]byte, img *image.YCbCr) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	for ty := range th {
		top, bottom := cell(ty, h, th)
		rows := min(bottom-top, thumbRows)
		var sums [tw]int
		for i := range rows {
			y := top + (2*i+1)*(bottom-top)/(2*rows)
			addCells(&sums, img.Y[y*img.YStride:y*img.YStride+w])
		}
		for tx, sum := range sums {
			left, right := cell(tx, w, tw)
			n := (right - left) * rows
			dst[ty*tw+tx] = byte((sum + n/2) / n)
		}
	}
}

// cell is the i-th of n parts of size; small pictures share pixels between cells.
func cell(i, size, n int) (from, to int) {
	from = i * size / n
	return from, max(from+1, (i+1)*size/n)
}

func addCells(sums *[tw]int, row []byte) {
	for tx := range sums {
		left, right := cell(tx, len(row), tw)
		sum := 0
		for _, v := range row[left:right] {
			sum += int(v)
		}
		sums[tx] += sum
	}
}

// Difference is how much two thumbnails differ, in grey levels: the mean absolute
// difference after the mean change of brightness is taken out, so that a lamp's
// flicker or the camera's exposure control is no new scene. A change of contrast
// still counts, as does anything that moves.
func Difference(a, b *[32 * 18]byte) float64 {
	total := 0
	for i := range a {
		total += int(a[i]) - int(b[i])
	}
	shift := float64(total) / float64(len(a))
	sum := 0.0
	for i := range a {
		sum += math.Abs(float64(int(a[i])-int(b[i])) - shift)
	}
	return sum / float64(len(a))
}
