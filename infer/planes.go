package infer

import (
	"fmt"
	"image"
)

// NewPlanes allocates a 4:2:0 picture whose visible part is w x h pixels (odd
// sizes too) and whose planes are padded to a multiple of multiple pixels, in
// one backing array in I420 order: Y, then Cb, then Cr. YStride is the padded
// width, CStride half of it. An odd multiple is doubled, so that chroma fits.
// The picture is black with chroma 128. Panics unless all arguments are positive.
func NewPlanes(w, h, multiple int) *image.YCbCr {
	if w <= 0 || h <= 0 || multiple <= 0 {
		panic(fmt.Sprintf("infer: NewPlanes(%d, %d, %d): every argument must be positive", w, h, multiple))
	}
	if multiple%2 != 0 {
		multiple *= 2
	}
	pw, ph := roundUp(w, multiple), roundUp(h, multiple)
	luma, chroma := pw*ph, pw/2*(ph/2)
	all := make([]byte, luma+2*chroma)
	for i := luma; i < len(all); i++ {
		all[i] = 128
	}
	return &image.YCbCr{
		Y:              all[:luma:luma],
		Cb:             all[luma : luma+chroma : luma+chroma],
		Cr:             all[luma+chroma:],
		YStride:        pw,
		CStride:        pw / 2,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           image.Rect(0, 0, w, h),
	}
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// PaddedSize is the size of the luma plane in memory, padding included.
func PaddedSize(img *image.YCbCr) (w, h int) {
	return img.YStride, len(img.Y) / img.YStride
}

// Pad fills the padding of a picture from NewPlanes by repeating the last
// visible column and row of each plane. Writers fill the visible part only:
// w x h luma and (w+1)/2 x (h+1)/2 chroma samples.
func Pad(img *image.YCbCr) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	padPlane(img.Y, img.YStride, w, h)
	padPlane(img.Cb, img.CStride, (w+1)/2, (h+1)/2)
	padPlane(img.Cr, img.CStride, (w+1)/2, (h+1)/2)
}

func padPlane(plane []byte, stride, w, h int) {
	if w < stride {
		for y := range h {
			row := plane[y*stride : (y+1)*stride]
			fill(row[w:], row[w-1])
		}
	}
	last := plane[(h-1)*stride : h*stride]
	for y := h; (y+1)*stride <= len(plane); y++ {
		copy(plane[y*stride:], last)
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// Copy copies src's pixels to dst. Both show the same size (else it panics);
// where their strides differ, the visible part is copied and dst padded anew.
func Copy(dst, src *image.YCbCr) {
	if dst.Rect.Size() != src.Rect.Size() {
		panic(fmt.Sprintf("infer: Copy: %v onto %v", src.Rect.Size(), dst.Rect.Size()))
	}
	if sameLayout(dst, src) {
		copy(dst.Y, src.Y)
		copy(dst.Cb, src.Cb)
		copy(dst.Cr, src.Cr)
		return
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	copyPlane(dst.Y, dst.YStride, src.Y, src.YStride, w, h)
	copyPlane(dst.Cb, dst.CStride, src.Cb, src.CStride, (w+1)/2, (h+1)/2)
	copyPlane(dst.Cr, dst.CStride, src.Cr, src.CStride, (w+1)/2, (h+1)/2)
	Pad(dst)
}

func copyPlane(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		copy(dst[y*dstStride:y*dstStride+w], src[y*srcStride:])
	}
}

// sameLayout reports whether every sample lies at the same index in both.
func sameLayout(a, b *image.YCbCr) bool {
	return a.YStride == b.YStride && a.CStride == b.CStride &&
		len(a.Y) == len(b.Y) && len(a.Cb) == len(b.Cb) && len(a.Cr) == len(b.Cr)
}
