package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackjack/webcam"
)

// Mode is a pixel format at a size that a device offers, with its rates.
type Mode struct {
	Pixel                                      string
	Width, Height                              int       // the (largest) size; 0: any
	MinWidth, MinHeight, StepWidth, StepHeight int       // the smaller sizes, where they come in steps
	Rates                                      []float64 // frames a second, the highest first; empty: not told
}

func (m Mode) String() string {
	size := fmt.Sprintf("%dx%d", m.Width, m.Height)
	if m.Width == 0 {
		size = "any size"
	} else if m.StepWidth > 0 || m.StepHeight > 0 {
		size = fmt.Sprintf("%dx%d to %s in steps of %dx%d", m.MinWidth, m.MinHeight, size, m.StepWidth, m.StepHeight)
	}
	rates := make([]string, len(m.Rates))
	for i, r := range m.Rates {
		rates[i] = fmt.Sprintf("%.4g", r)
	}
	return strings.TrimSpace(m.Pixel + " " + size + " " + strings.Join(rates, ","))
}

// carries says whether the mode can do a size (0: any) at a rate (0: any).
func (m Mode) carries(width, height int, fps float64) bool {
	if len(m.Rates) > 0 && fps > m.Rates[0]*1.01 {
		return false
	}
	return steps(width, m.MinWidth, m.Width, m.StepWidth) && steps(height, m.MinHeight, m.Height, m.StepHeight)
}

func steps(side, low, high, step int) bool {
	if side == 0 || high == 0 || side == high {
		return true
	}
	return step > 0 && side >= low && side <= high && (side-low)%step == 0
}

// lightLoad is the number of pixels a second up to which a raw format is preferred to MJPG, when both are
// offered: 640x480 at 30 frames a second, what every USB 2 camera manages.
const lightLoad = 640 * 480 * 30 * 1.01

// choosePixel picks a pixel format: the one asked for, or for "auto" MJPG when the load is heavy, else the first
// raw format that carries the size and rate, else what carries them, else the first that the program can read.
func choosePixel(asked Format, offered []Mode) (string, error) {
	has := func(pixel string) bool {
		return slices.ContainsFunc(offered, func(m Mode) bool { return m.Pixel == pixel })
	}
	carries := func(pixel string) bool {
		return slices.ContainsFunc(offered, func(m Mode) bool {
			return m.Pixel == pixel && m.carries(asked.Width, asked.Height, asked.FPS)
		})
	}
	if asked.Pixel != "auto" {
		if !has(asked.Pixel) {
			return "", fmt.Errorf("camera.format: %s is not offered, only %s", asked.Pixel, offeredPixels(offered))
		}
		return asked.Pixel, nil
	}
	order := append(slices.Clone(pixelFormats[1:]), "MJPG")
	if heavy(asked) {
		order = pixelFormats
	}
	for _, works := range []func(string) bool{carries, has} {
		if i := slices.IndexFunc(order, works); i >= 0 {
			return order[i], nil
		}
	}
	return "", fmt.Errorf("camera.format: none of %s is offered, only %s", strings.Join(pixelFormats, ", "), offeredPixels(offered))
}

func heavy(f Format) bool {
	fps := f.FPS
	if fps == 0 {
		fps = 30
	}
	return float64(f.Width)*float64(f.Height)*fps > lightLoad
}

func offeredPixels(offered []Mode) string {
	var names []string
	for _, m := range offered {
		if !slices.Contains(names, m.Pixel) {
			names = append(names, m.Pixel)
		}
	}
	return strings.Join(names, ", ")
}

// modes lists what the device offers; only says which pixel formats to look into (nil: all).
func modes(cam *webcam.Webcam, only []string) []Mode {
	var list []Mode
	for code := range cam.GetSupportedFormats() {
		pixel := fourCC(uint32(code))
		if only != nil && !slices.Contains(only, pixel) {
			list = append(list, Mode{Pixel: pixel})
			continue
		}
		sizes := cam.GetSupportedFrameSizes(code)
		if len(sizes) == 0 {
			list = append(list, Mode{Pixel: pixel})
		}
		for _, s := range sizes {
			list = append(list, modeOf(pixel, s, cam.GetSupportedFramerates(code, s.MaxWidth, s.MaxHeight)))
		}
	}
	slices.SortStableFunc(list, func(a, b Mode) int {
		return 4*strings.Compare(a.Pixel, b.Pixel) + 2*min(1, max(-1, b.Width-a.Width)) + min(1, max(-1, b.Height-a.Height))
	})
	return list
}

// modeOf translates webcam's answers; a continuous range of sizes reaches us as 0x0.
func modeOf(pixel string, s webcam.FrameSize, rates []webcam.FrameRate) Mode {
	m := Mode{Pixel: pixel, Width: int(s.MaxWidth), Height: int(s.MaxHeight)}
	if s.StepWidth > 0 || s.StepHeight > 0 {
		m.MinWidth, m.MinHeight = int(s.MinWidth), int(s.MinHeight)
		m.StepWidth, m.StepHeight = int(s.StepWidth), int(s.StepHeight)
	}
	for _, r := range rates {
		if r.MinNumerator > 0 {
			m.Rates = append(m.Rates, float64(r.MinDenominator)/float64(r.MinNumerator))
		}
	}
	slices.SortFunc(m.Rates, func(a, b float64) int { return int(min(1, max(-1, 1e6*(b-a)))) })
	return m
}
