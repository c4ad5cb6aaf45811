package infer

import "math"

// Schedule is the noise schedule of Karras et al. 2022 (EDM). Sigmas are in
// units of the state, whose data has standard deviation 1.
type Schedule struct {
	SigmaMin float64 `json:"sigma_min"`
	SigmaMax float64 `json:"sigma_max"`
	Rho      float64 `json:"rho"`
}

// Sigmas overwrites dst, which may be nil, with steps noise levels from SigmaMax
// down to SigmaMin and a 0 at the end, and returns it; 0 steps give none.
//
// Karras et al. 2022, eq. 5, N = steps, i = 0 .. N-1:
//
//	sigma_i = (max^(1/rho) + i/(N-1) * (min^(1/rho) - max^(1/rho)))^rho
//
// N = 1 gives SigmaMax and 0.
func (s Schedule) Sigmas(dst []float32, steps int) []float32 {
	dst = dst[:0]
	if steps <= 0 {
		return dst
	}
	high, low := math.Pow(s.SigmaMax, 1/s.Rho), math.Pow(s.SigmaMin, 1/s.Rho)
	for i := range steps {
		at := float64(i) / float64(max(steps-1, 1))
		dst = append(dst, float32(math.Pow(high+at*(low-high), s.Rho)))
	}
	return append(dst, 0)
}
