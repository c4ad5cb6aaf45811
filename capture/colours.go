package capture

import "image"

// from709 turns full-range planes of BT.709's colours into BT.601's, which JPEG, the networks and whoever shows the
// pictures take for granted: pure green, for one, would be 33 grey levels too bright. With 16 bits of fraction, from
// the two matrices (Kr, Kb = 0.2126, 0.0722 and 0.299, 0.114); what 8 bits cannot hold is clamped.
func from709(p *image.YCbCr) {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	for y := range h {
		tint(p.Y[y*p.YStride:][:w], p.Cb[y/2*p.CStride:][:half(w)], p.Cr[y/2*p.CStride:][:half(w)])
	}
	for y := range half(h) {
		cbs, crs := p.Cb[y*p.CStride:][:half(w)], p.Cr[y*p.CStride:][:half(w)]
		for x := range cbs {
			cb, cr := int32(cbs[x])-128, int32(crs[x])-128
			cbs[x] = clamp8(128 + (64871*cb-7252*cr+1<<15)>>16)
			crs[x] = clamp8(128 + (64448*cr-4748*cb+1<<15)>>16)
		}
	}
}

// tint changes a row of luma by what its chroma adds.
func tint(row, cb, cr []byte) {
	cb, cr = cb[:half(len(row))], cr[:half(len(row))]
	for i := range len(row) / 2 {
		d := tinge(cb[i], cr[i])
		two := row[2*i : 2*i+2]
		two[0], two[1] = clamp8(int32(two[0])+d), clamp8(int32(two[1])+d)
	}
	if last := len(row) - 1; last%2 == 0 {
		row[last] = clamp8(int32(row[last]) + tinge(cb[last/2], cr[last/2]))
	}
}

func tinge(cb, cr byte) int32 {
	return (6657*(int32(cb)-128) + 12850*(int32(cr)-128) + 1<<15) >> 16
}

func clamp8(v int32) byte { return byte(max(0, min(255, v))) }
