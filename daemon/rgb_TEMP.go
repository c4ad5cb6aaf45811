package main

import (
	"image"
	"image/color"
)

func fromRGB(dst *image.YCbCr, src *image.NRGBA) {
	for y := range dst.Rect.Dy() {
		for x := range dst.Rect.Dx() {
			p := src.Pix[y*src.Stride+4*x:]
			l, cb, cr := color.RGBToYCbCr(p[0], p[1], p[2])
			dst.Y[y*dst.YStride+x] = l
			dst.Cb[y/2*dst.CStride+x/2], dst.Cr[y/2*dst.CStride+x/2] = cb, cr
		}
	}
}
