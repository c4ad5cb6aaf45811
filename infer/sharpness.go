package infer

import (
	"fmt"
	"image"
	"math"
)

const (
	sharpRows  = 128                                   // rows of a picture that Sharpness looks at, at most
	smoothGain = 16                                    // of the integer smoothing kernel
	edge       = 16                                    // grey levels over two pixels: what is flatter is noise rather than structure
	damping    = 25.0                                  // grey levels squared a pixel: pulls pictures without structure to 0
	edgeEnergy = edge * edge * smoothGain * smoothGain // as sums of integers have it
	dampEnergy = damping * smoothGain * smoothGain
)

// Sharpness is the energy of the Laplacian over the energy of the gradient, both
// of smoothed luma and at edges only; higher is sharper, 0 means no edges (or a
// picture under 5x5 pixels). Camera shake of a few pixels lowers it.
//
// It is a relative measure: compare pictures of one scene and size, and not one
// scene with another. Lower contrast lowers it a little. Smoothing and the limit
// on edges keep out sensor noise up to a standard deviation of about 5 grey
// levels; from about 15 noise passes for structure. Ringing, block edges of strong JPEG
// compression and wrong detail count as sharp: it cannot tell them.
// At most 128 rows, evenly spread, are looked at. Allocates nothing.
func Sharpness(img *image.YCbCr) float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < 5 || h < 5 {
		return 0
	}
	rows := min(h-4, sharpRows)
	var curve, slope int64
	for i := range rows {
		top := i * (h - 4) / rows
		c, s := rowEnergies(img.Y[top*img.YStride:], img.YStride, w)
		curve += c
		slope += s
	}
	return float64(curve) / (float64(slope) + dampEnergy*float64(rows*(w-4)))
}

// rowEnergies sums the squares of Laplacian and gradient, where that is an edge,
// along the middle one of the five rows that begin at y. Both are taken of the
// picture smoothed by 1 2 1 across and down, so each is one 5x5 kernel.
func rowEnergies(y []byte, stride, w int) (curve, slope int64) {
	r0, r1, r2, r3, r4 := y[:w], y[stride:][:w], y[2*stride:][:w], y[3*stride:][:w], y[4*stride:][:w]
	// Smoothed down the columns x-4 .. x: the middle row, and sum and difference of its neighbours.
	var m0, m1, m2, m3, m4 int32
	var s1, s2, s3, s4 int32
	var d1, d2, d3, d4 int32
	for x := range w {
		a, b, c, d, e := int32(r0[x]), int32(r1[x]), int32(r2[x]), int32(r3[x]), int32(r4[x])
		m0, m1, m2, m3, m4 = m1, m2, m3, m4, b+2*c+d
		s1, s2, s3, s4 = s2, s3, s4, a+2*(b+c+d)+e
		d1, d2, d3, d4 = d2, d3, d4, e+2*(d-b)-a
		if x < 4 {
			continue
		}
		gx, gy := m4-m0+2*(m3-m1), d1+2*d2+d3
		if energy := gx*gx + gy*gy; energy > edgeEnergy {
			laplacian := 6*m2 + 2*(m1+m3) - m0 - m4 - s1 - 2*s2 - s3
			curve += int64(laplacian) * int64(laplacian)
			slope += int64(energy)
		}
	}
	return curve, slope
}

// PSNR is the peak signal-to-noise ratio between the visible luma of two pictures
// of one size (else it panics), in dB; +Inf when they are the same.
func PSNR(a, b *image.YCbCr) float64 {
	if a.Rect.Size() != b.Rect.Size() {
		panic(fmt.Sprintf("infer: PSNR: %v and %v", a.Rect.Size(), b.Rect.Size()))
	}
	w, h := a.Rect.Dx(), a.Rect.Dy()
	var sum int64
	for y := range h {
		rowA, rowB := a.Y[y*a.YStride:][:w], b.Y[y*b.YStride:][:w]
		for x, v := range rowA {
			d := int32(v) - int32(rowB[x])
			sum += int64(d * d)
		}
	}
	return 10 * math.Log10(255*255*float64(w*h)/float64(sum))
}
