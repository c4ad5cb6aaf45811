package capture

import (
	"image"
	"math"
	"math/rand/v2"
)

// tap is one shifted copy of the scene in a blurred view: where from, and its share of 65536.
type tap struct {
	dx, dy int
	weight uint32
}

// paths are the shapes of the camera's shake during each exposure of a cycle.
type paths struct {
	kernels [][]tap
	reach   int // pixels from the centroid that any tap goes
}

// drawPaths draws n bent paths of mean length c.Blur: their lengths are spread evenly over half to one and a half of it.
func drawPaths(c SceneConfig, n int) paths {
	rng := rand.New(rand.NewPCG(c.Seed, 0x7368616b65))
	var p paths
	for _, place := range rng.Perm(n) {
		length := c.Blur * (0.5 + (float64(place)+0.5)/float64(n))
		kernel := splat(bend(rng, length))
		for _, t := range kernel {
			p.reach = max(p.reach, t.dx, -t.dx, t.dy, -t.dy)
		}
		p.kernels = append(p.kernels, kernel)
	}
	return p
}

type point struct{ x, y float64 }

// bend is a path of constant speed that turns by up to two radians, around its centroid. Four points a pixel, or
// 256 in all, are as good as more.
func bend(rng *rand.Rand, length float64) []point {
	angle, turn := 2*math.Pi*rng.Float64(), 4*rng.Float64()-2
	n := min(max(int(math.Ceil(4*length)), 1), 256)
	points, at, mean := make([]point, n+1), point{}, point{}
	for i := range points {
		points[i] = at
		mean.x, mean.y = mean.x+at.x/float64(n+1), mean.y+at.y/float64(n+1)
		sin, cos := math.Sincos(angle + turn*float64(i)/float64(n))
		at = point{at.x + length/float64(n)*cos, at.y + length/float64(n)*sin}
	}
	for i := range points {
		points[i] = point{points[i].x - mean.x, points[i].y - mean.y}
	}
	return points
}

// splat shares each point out to the four pixels around it.
func splat(points []point) []tap {
	reach := 1
	for _, p := range points {
		reach = max(reach, int(math.Ceil(max(math.Abs(p.x), math.Abs(p.y))))+1)
	}
	side := 2*reach + 1
	grid := make([]float64, side*side)
	for _, p := range points {
		x, y := math.Floor(p.x), math.Floor(p.y)
		fx, fy := p.x-x, p.y-y
		at := (int(y)+reach)*side + int(x) + reach
		grid[at] += (1 - fx) * (1 - fy)
		grid[at+1] += fx * (1 - fy)
		grid[at+side] += (1 - fx) * fy
		grid[at+side+1] += fx * fy
	}
	return whole(grid, side, reach, float64(len(points)))
}

// whole turns the grid's weights, which sum up to total, into integers that sum up to 65536.
func whole(grid []float64, side, reach int, total float64) []tap {
	var taps []tap
	left, largest := uint32(1<<16), 0
	for i, v := range grid {
		weight := uint32(v / total * (1 << 16))
		if weight == 0 {
			continue
		}
		left -= weight
		taps = append(taps, tap{i%side - reach, i/side - reach, weight})
		if weight > taps[largest].weight {
			largest = len(taps) - 1
		}
	}
	taps[largest].weight += left
	return taps
}

// shutter exposes blurred views: light adds up, grey levels don't.
type shutter struct {
	width, height int
	light         [3][]uint16 // the canvas's red, green and blue in linear light
	stride        int
	levels        []byte      // from linear light to sRGB
	sum           [3][]uint32 // one row
	film          *image.RGBA
}

func newShutter(canvas *image.RGBA, w, h int) *shutter {
	s := &shutter{width: w, height: h, stride: canvas.Rect.Dx(), film: image.NewRGBA(image.Rect(0, 0, w, h))}
	light, levels := transfer()
	s.levels = levels
	for c := range s.light {
		s.light[c] = make([]uint16, len(canvas.Pix)/4)
		s.sum[c] = make([]uint32, w)
		for i := range s.light[c] {
			s.light[c][i] = light[canvas.Pix[4*i+c]]
		}
	}
	return s
}

// transfer is sRGB's curve (IEC 61966-2-1) as tables, each the other's inverse at the 256 levels.
func transfer() (light [256]uint16, levels []byte) {
	levels = make([]byte, 1<<16)
	from := 0
	for i := range light {
		light[i] = uint16(math.Round(65535 * linear(float64(i)/255)))
		to := 1 << 16
		if i < 255 {
			to = int(math.Ceil(65535 * linear((float64(i)+0.5)/255)))
		}
		fill(levels[from:to], byte(i))
		from = to
	}
	return light, levels
}

func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

// expose is the view at origin through a path.
func (s *shutter) expose(origin image.Point, path []tap) *image.YCbCr {
	for y := range s.height {
		row := s.film.Pix[y*s.film.Stride:]
		for c, sum := range s.sum {
			clear(sum)
			for _, t := range path {
				add(sum, s.light[c][(origin.Y+y+t.dy)*s.stride+origin.X+t.dx:], t.weight)
			}
			for x, v := range sum {
				row[4*x+c] = s.levels[v>>16]
			}
		}
	}
	developed := image.NewYCbCr(s.film.Rect, image.YCbCrSubsampleRatio420)
	FromImage(developed, s.film)
	return developed
}

// add is left alone by the race detector, under which the scene would take 15 times as long to open.
//
//go:norace
func add(sum []uint32, light []uint16, weight uint32) {
	light = light[:len(sum)]
	for i := range sum {
		sum[i] += uint32(light[i]) * weight
	}
}
