package capture

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"
)

var (
	ink   = color.RGBA{24, 26, 30, 255}
	paper = color.RGBA{228, 226, 218, 255}
)

// paint draws the sharp scene: within view a grid of 4 x 3 cells, each with something that blur spoils.
func paint(canvas *image.RGBA, view image.Rectangle, seed uint64) {
	ground(canvas)
	rng, w, h := rand.New(rand.NewPCG(seed, 0x7061696e74)), view.Dx(), view.Dy()
	cell := func(x, y, columns, rows int) image.Rectangle {
		gap := min(w, h) / 40
		return image.Rect(x*w/4+gap, y*h/3+gap, (x+columns)*w/4-gap, (y+rows)*h/3-gap).Add(view.Min)
	}
	paragraph(canvas, cell(0, 0, 2, 1), []string{"SHARPEND", fmt.Sprintf("scene %d", seed), plate(rng)})
	symbol(canvas, cell(2, 0, 1, 1), qrModules(fmt.Appendf(nil, "sharpend scene %d", seed)))
	zonePlate(canvas, cell(3, 0, 1, 1))
	edges(canvas, cell(0, 1, 1, 1), 5)
	barcode(canvas, cell(1, 1, 2, 1), fmt.Sprintf("SCENE-%d", seed))
	star(canvas, cell(3, 1, 1, 1))
	patches(canvas, cell(0, 2, 1, 1), rng)
	lines := []string{"the quick brown fox", "jumps over the lazy dog", "0123456789 +-*/=", plate(rng) + "  " + plate(rng), plate(rng) + "  " + plate(rng)}
	paragraph(canvas, cell(1, 2, 2, 1), lines)
	edges(canvas, cell(3, 2, 1, 1), 40)
}

// ground is a wall with soft light on it.
func ground(canvas *image.RGBA) {
	w, h := canvas.Rect.Dx(), canvas.Rect.Dy()
	for y := range h {
		for x := range w {
			fx, fy := float64(x)/float64(w), float64(y)/float64(h)
			light := 0.75 + 0.25*math.Cos(3*(fx-0.4))*math.Cos(2.5*(fy-0.3))
			canvas.SetRGBA(x, y, color.RGBA{level(170 * light), level((150 + 20*fx) * light), level((125 + 40*fy) * light), 255})
		}
	}
}

func plate(rng *rand.Rand) string {
	letter := func() byte { return 'A' + byte(rng.IntN(26)) }
	return fmt.Sprintf("%c%c-%04d %c", letter(), letter(), rng.IntN(10000), letter())
}

func box(canvas *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(canvas, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// paragraph writes lines as large as whole multiples of the bitmap font allow.
func paragraph(canvas *image.RGBA, r image.Rectangle, lines []string) {
	box(canvas, r, paper)
	const glyphWidth, glyphHeight = 8, 16
	longest := 0
	for _, line := range lines {
		longest = max(longest, len(line))
	}
	scale := max(1, min(r.Dx()/((longest+1)*glyphWidth), r.Dy()/(len(lines)*glyphHeight)))
	for i, line := range lines {
		mask := image.NewAlpha(image.Rect(0, 0, len(line)*glyphWidth, glyphHeight))
		writer := font.Drawer{Dst: mask, Src: image.Opaque, Face: inconsolata.Bold8x16, Dot: fixed.P(0, inconsolata.Bold8x16.Ascent)}
		writer.DrawString(line)
		enlarge(canvas, r, r.Min.Add(image.Pt(scale*glyphWidth/2, i*r.Dy()/len(lines))), mask, scale)
	}
}

func enlarge(canvas *image.RGBA, clip image.Rectangle, at image.Point, mask *image.Alpha, scale int) {
	for y := range mask.Rect.Dy() * scale {
		for x := range mask.Rect.Dx() * scale {
			if p := at.Add(image.Pt(x, y)); p.In(clip) {
				canvas.SetRGBA(p.X, p.Y, mix(paper, ink, float64(mask.AlphaAt(x/scale, y/scale).A)/255))
			}
		}
	}
}

// mix is between a (share 0) and b (share 1).
func mix(a, b color.RGBA, share float64) color.RGBA {
	share = min(max(share, 0), 1)
	between := func(a, b uint8) uint8 { return level(float64(a) + (float64(b)-float64(a))*share) }
	return color.RGBA{between(a.R, b.R), between(a.G, b.G), between(a.B, b.B), 255}
}

// symbol draws a square code with its quiet zone of four modules.
func symbol(canvas *image.RGBA, r image.Rectangle, modules [][]bool) {
	box(canvas, r, paper)
	n := len(modules)
	side := max(1, min(r.Dx(), r.Dy())/(n+8))
	at := r.Min.Add(image.Pt((r.Dx()-n*side)/2, (r.Dy()-n*side)/2))
	for y, row := range modules {
		for x, dark := range row {
			if dark {
				box(canvas, image.Rect(x*side, y*side, (x+1)*side, (y+1)*side).Add(at).Intersect(r), ink)
			}
		}
	}
}

// barcode draws a Code 128 with its quiet zone of ten modules and the text below.
func barcode(canvas *image.RGBA, r image.Rectangle, text string) {
	lines := image.Rect(r.Min.X, r.Min.Y, r.Max.X, r.Max.Y-r.Dy()/3)
	paragraph(canvas, image.Rect(r.Min.X, lines.Max.Y, r.Max.X, r.Max.Y), []string{text})
	box(canvas, lines, paper)
	modules := code128(text)
	width := max(1, r.Dx()/(len(modules)+20))
	x := r.Min.X + (r.Dx()-width*len(modules))/2
	for i, dark := range modules {
		if dark {
			bar := image.Rect(x+i*width, r.Min.Y+r.Dy()/16, x+(i+1)*width, lines.Max.Y-r.Dy()/16)
			box(canvas, bar.Intersect(lines), ink)
		}
	}
}

// shadePixels paints every pixel of a cell with ink by a share that depends on its place from the centre.
func shadePixels(canvas *image.RGBA, r image.Rectangle, share func(x, y float64) float64) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			dx, dy := float64(2*x-r.Min.X-r.Max.X+1)/2, float64(2*y-r.Min.Y-r.Max.Y+1)/2
			canvas.SetRGBA(x, y, mix(paper, ink, share(dx, dy)))
		}
	}
}

// zonePlate has rings whose frequency grows to a third of a cycle per pixel at the shorter side.
func zonePlate(canvas *image.RGBA, r image.Rectangle) {
	radius := float64(min(r.Dx(), r.Dy())) / 2
	shadePixels(canvas, r, func(x, y float64) float64 {
		square := x*x + y*y
		if square > radius*radius {
			return 0.5
		}
		return 0.5 + 0.5*math.Cos(math.Pi/3*square/radius)
	})
}

// edges is a square turned by some degrees (5: the slanted edge of ISO 12233).
func edges(canvas *image.RGBA, r image.Rectangle, degrees float64) {
	reach := 0.3 * float64(min(r.Dx(), r.Dy()))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	shadePixels(canvas, r, func(x, y float64) float64 {
		return reach + 0.5 - max(math.Abs(x*cos+y*sin), math.Abs(y*cos-x*sin))
	})
}

// star is a Siemens star of 18 spokes, grey where they are finer than pixels.
func star(canvas *image.RGBA, r image.Rectangle) {
	radius := 0.48 * float64(min(r.Dx(), r.Dy()))
	shadePixels(canvas, r, func(x, y float64) float64 {
		away := math.Hypot(x, y)
		if away > radius {
			return 0
		}
		return 0.5 + math.Sin(18*math.Atan2(y, x))*away/18
	})
}

// patches are sixteen colours side by side.
func patches(canvas *image.RGBA, r image.Rectangle, rng *rand.Rand) {
	for i := range 16 {
		x, y := i%4, i/4
		c := color.RGBA{byte(40 + rng.IntN(200)), byte(40 + rng.IntN(200)), byte(40 + rng.IntN(200)), 255}
		box(canvas, image.Rect(r.Min.X+x*r.Dx()/4, r.Min.Y+y*r.Dy()/4, r.Min.X+(x+1)*r.Dx()/4, r.Min.Y+(y+1)*r.Dy()/4), c)
	}
}
