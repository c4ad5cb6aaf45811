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

// Difference is how much two thumbnails differ, in grey levels: by how much a
// cell, in the mean, lies outside the range of the cells around it (3x3) in the
// other thumbnail, after the mean change of brightness is taken out. So camera
// shake, a pan by up to one cell, a lamp's flicker and exposure control are
// little or nothing. A change of contrast counts, as does anything that comes,
// goes, or moves by more than a cell.
func Difference(a, b *[32 * 18]byte) float64 {
	total := 0
	for i := range a {
		total += int(a[i]) - int(b[i])
	}
	shift := int(math.Round(float64(total) / float64(len(a))))
	sum := 0
	for i := range a {
		sum += outside(int(a[i])-shift, b, i) + outside(int(b[i])+shift, a, i)
	}
	return float64(sum) / float64(2*len(a))
}

// outside is how far v is from the range of the cells around the i-th of t.
func outside(v int, t *[32 * 18]byte, i int) int {
	x, y := i%tw, i/tw
	low, high := t[i], t[i]
	for row := max(y-1, 0); row <= min(y+1, th-1); row++ {
		for _, c := range t[row*tw+max(x-1, 0) : row*tw+min(x+1, tw-1)+1] {
			low, high = min(low, c), max(high, c)
		}
	}
	return max(int(low)-v, v-int(high), 0)
}
