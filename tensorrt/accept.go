package tensorrt

import (
	"fmt"
	"image"
	"math"
	"math/rand/v2"

	"sharpend/infer"
)

// A provider is accepted when its output on a test picture agrees with the
// CPU's: what runs without an error may still compute nonsense, by an engine of
// other weights, an overflow in fp16, or a bad calibration.

// Tolerance is how far a provider's output may lie from the CPU's.
type Tolerance struct {
	Max  float64 // largest difference of a predicted sample, grey levels
	Mean float64 // mean absolute difference of the predicted samples, grey levels
	RMS  float64 // of a denoised state's difference, against that of the state
}

// Tolerances are the bounds for each precision. With every kernel, convolution
// and activation of the shipped networks rounded to fp16 the predictor is off by
// max 1, mean 0.003 and the denoiser by 0.0007; to bf16 by max 1, mean 0.03 and
// 0.006. Weights of eight minutes' training earlier are off by mean 0.3. CUDA's
// and TensorRT's fp32 is TF32 on tensor cores, which has fp16's 10 bits of
// mantissa. The bounds of int8 are a choice.
var Tolerances = map[string]Tolerance{
	FP32: {Max: 3, Mean: 0.05, RMS: 0.005},
	FP16: {Max: 4, Mean: 0.1, RMS: 0.01},
	BF16: {Max: 8, Mean: 0.2, RMS: 0.04},
	INT8: {Max: 32, Mean: 1, RMS: 0.2},
}

// comparePictures says how far got is from want, and whether that is too far.
func comparePictures(got, want *image.YCbCr, t Tolerance) (difference string, err error) {
	worst, sum, n := 0, 0, 0
	for _, p := range [][2][]byte{{got.Y, want.Y}, {got.Cb, want.Cb}, {got.Cr, want.Cr}} {
		for i, v := range p[0] {
			d := max(int(v)-int(p[1][i]), int(p[1][i])-int(v))
			worst, sum = max(worst, d), sum+d
		}
		n += len(p[0])
	}
	mean := float64(sum) / float64(n)
	difference = fmt.Sprintf("max %d, mean %.3f grey levels from the cpu", worst, mean)
	if float64(worst) > t.Max || mean > t.Mean {
		err = fmt.Errorf("it does not compute what the cpu computes: %s (allowed: max %g, mean %g)", difference, t.Max, t.Mean)
	}
	return difference, err
}

// compareStates does the same for denoised states.
func compareStates(got, want []float32, t Tolerance) (difference string, err error) {
	var noise, signal float64
	for i, v := range want {
		noise += square(float64(got[i]) - float64(v))
		signal += square(float64(v))
	}
	rms := 0.0
	if noise != 0 { // NaN too
		rms = math.Sqrt(noise / signal)
	}
	difference = fmt.Sprintf("%.4f of the state from the cpu (rms)", rms)
	if !(rms <= t.RMS) {
		err = fmt.Errorf("it does not compute what the cpu computes: %s (allowed: %g)", difference, t.RMS)
	}
	return difference, err
}

func square(v float64) float64 { return v * v }

// accept compares the session with the reference model on the CPU: twice, with
// other pictures in between, since a recorded CUDA graph may read what was there before.
func (p *Predictor) accept(c *Config, reference *Model) (difference string, err error) {
	_, blurred := p.model.testPictures(p.size)
	want := infer.NewPlanes(p.size.X, p.size.Y, p.model.Multiple)
	if err := onTheCPU(c, reference, p.size, blurred, want); err != nil {
		return "", err
	}
	in, out := infer.NewPlanes(p.size.X, p.size.Y, p.model.Multiple), infer.NewPlanes(p.size.X, p.size.Y, p.model.Multiple)
	b, err := p.Bind(in, out)
	if err != nil {
		return "", err
	}
	defer b.Close()
	t := Tolerances[c.Precision(p.provider, PredictorKind)]
	for range 2 {
		infer.Copy(in, blurred)
		if err := b.Run(); err != nil {
			return "", err
		}
		if difference, err = comparePictures(out, want, t); err != nil {
			return difference, err
		}
		if err := b.tryGrey(in, out, 128, 128); err != nil {
			return difference, err
		}
	}
	return difference, nil
}

// onTheCPU predicts one picture by a session of its own.
func onTheCPU(c *Config, m *Model, size image.Point, in, out *image.YCbCr) error {
	p := newPredictor(m, size)
	defer p.Close()
	if _, err := p.create(c, CPU); err != nil {
		return fmt.Errorf("nothing to compare with: %w", err)
	}
	b, err := p.Bind(in, out)
	if err != nil {
		return err
	}
	return b.Run()
}

func (d *Denoiser) accept(c *Config, reference *Model) (difference string, err error) {
	cpu := newDenoiser(reference, d.size, d.size.X, d.size.Y)
	defer cpu.Close()
	if err := cpu.prepare(); err != nil {
		return "", err
	}
	if _, err := cpu.create(c, CPU); err != nil {
		return "", fmt.Errorf("nothing to compare with: %w", err)
	}
	t := Tolerances[c.Precision(d.provider, DenoiserKind)]
	sharp, blurred := d.model.testPictures(d.size)
	for _, power := range []float64{0.5, 0.75} { // two levels: the second shows whether a run reads its input
		sigma := d.model.SigmaMin * math.Pow(d.model.SigmaMax/d.model.SigmaMin, power)
		for _, s := range []*Denoiser{cpu, d} {
			s.fill(sharp, blurred, sigma)
			if err := s.Run(float32(sigma)); err != nil {
				return "", err
			}
		}
		if difference, err = compareStates(d.Denoised, cpu.Denoised, t); err != nil {
			break
		}
	}
	clear(d.State)
	clear(d.Denoised)
	return difference, err
}

// fill sets every input: a state of noise at a level, and two pictures.
func (d *Denoiser) fill(sharp, blurred *image.YCbCr, sigma float64) {
	for _, p := range [][2]*image.YCbCr{{d.Predicted, sharp}, {d.Blurred, blurred}} {
		copy(p[0].Y, p[1].Y)
		copy(p[0].Cb, p[1].Cb)
		copy(p[0].Cr, p[1].Cr)
	}
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range d.State {
		d.State[i] = float32(noise.NormFloat64() * math.Hypot(1, sigma))
	}
}

// testPictures are the model's golden pictures, repeated over a padded size; of
// a model without any a drawing.
func (m *Model) testPictures(size image.Point) (sharp, blurred *image.YCbCr) {
	sharp, blurred = infer.NewPlanes(size.X, size.Y, m.Multiple), infer.NewPlanes(size.X, size.Y, m.Multiple)
	g, err := m.Golden()
	if err != nil {
		draw(sharp, blurred, size)
		return sharp, blurred
	}
	for _, p := range [][2]*image.YCbCr{{sharp, g.Predicted}, {blurred, g.Blurred}} {
		tile(p[0].Y, p[1].Y, size.X, g.Width)
		tile(p[0].Cb, p[1].Cb, size.X/2, g.Width/2)
		tile(p[0].Cr, p[1].Cr, size.X/2, g.Width/2)
	}
	return sharp, blurred
}

func tile(to, from []byte, width, period int) {
	height := len(from) / period
	for i := range to {
		x, y := i%width%period, i/width%height
		to[i] = from[y*period+x]
	}
}

// draw paints a scene of edges, textures, slopes and colours, and the same
// blurred by motion; always the same ones.
func draw(sharp, blurred *image.YCbCr, size image.Point) {
	noise := rand.New(rand.NewPCG(3, 4))
	for i := range sharp.Y {
		sharp.Y[i] = luma(i%size.X, i/size.X) + byte(noise.Uint32()%5)
	}
	for i := range sharp.Cb {
		x, y := i%(size.X/2), i/(size.X/2)
		sharp.Cb[i], sharp.Cr[i] = chroma(x, y), chroma(y+40, x)
	}
	smear(blurred.Y, sharp.Y, size.X, 9)
	smear(blurred.Cb, sharp.Cb, size.X/2, 5)
	smear(blurred.Cr, sharp.Cr, size.X/2, 5)
}

// luma is a field of tiles, each with stripes, a slope, or a plain grey.
func luma(x, y int) byte {
	switch tile := x/24 + 3*(y/20); tile % 5 {
	case 0:
		return byte(40 + 150*((x+y)/3%2))
	case 1:
		return byte(30 + 8*(x%24))
	case 2:
		return byte(200 - 7*(y%20))
	default:
		return byte(30 + tile*53%190)
	}
}

func chroma(x, y int) byte { return byte(70 + (x/17*41+y/13*23)%120) }

// smear moves each sample along a slanted line of so many pixels, and keeps the mean.
func smear(to, from []byte, width, length int) {
	height := len(from) / width
	for i := range to {
		x, y, sum := i%width, i/width, 0
		for step := range length {
			sum += int(from[min(y+step/3, height-1)*width+min(x+step, width-1)])
		}
		to[i] = byte(sum / length)
	}
}
