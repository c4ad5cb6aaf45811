package tensorrt

import (
	"image"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"sharpend/infer"
)

func TestComparePictures(t *testing.T) {
	limit := Tolerance{Max: 6, Mean: 0.1}
	for _, c := range []struct {
		name   string
		change func(*image.YCbCr)
		want   string // "" = accepted
	}{
		{"the same", func(*image.YCbCr) {}, ""},
		{"a few samples by 6", func(p *image.YCbCr) { p.Y[7], p.Cb[3], p.Cr[9] = p.Y[7]+6, p.Cb[3]-6, p.Cr[9]+6 }, ""},
		{"one luma sample by 7", func(p *image.YCbCr) { p.Y[7] += 7 }, "max 7, mean 0.002"},
		{"one cb sample by 7", func(p *image.YCbCr) { p.Cb[7] -= 7 }, "max 7, mean 0.002"},
		{"the last cr sample by 7", func(p *image.YCbCr) { p.Cr[len(p.Cr)-1] += 7 }, "max 7, mean 0.002"},
		{"every luma sample by 1", func(p *image.YCbCr) { shift(p.Y) }, "max 1, mean 0.667"},
		{"every chroma sample by 1", func(p *image.YCbCr) { shift(p.Cb) }, "max 1, mean 0.167"},
		{"black", func(p *image.YCbCr) { clear(p.Y) }, "allowed: max 6, mean 0.1"},
	} {
		want, got := infer.NewPlanes(64, 48, 16), infer.NewPlanes(64, 48, 16)
		for _, p := range []*image.YCbCr{want, got} {
			paint(p, 128, 100)
		}
		c.change(got)
		difference, err := comparePictures(got, want, limit)
		if c.want == "" && (err != nil || !strings.Contains(difference, "grey levels from the cpu")) {
			t.Errorf("%s: refused: %v (%s)", c.name, err, difference)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: expected an error with %q, found %v", c.name, c.want, err)
		}
	}
}

func shift(plane []byte) {
	for i := range plane {
		plane[i]++
	}
}

func TestCompareStates(t *testing.T) {
	want := []float32{3, -4, 0, 0}
	for _, c := range []struct {
		got  []float32
		fine bool
	}{
		{[]float32{3, -4, 0, 0}, true},
		{[]float32{3.04, -4, 0, 0}, true},
		{[]float32{3.06, -4, 0, 0}, false}, // 0.06 of 5
		{[]float32{3, -4, 0, 0.06}, false},
		{[]float32{3, -4, float32(math.NaN()), 0}, false},
		{[]float32{3, -4, float32(math.Inf(1)), 0}, false},
		{[]float32{0, 0, 0, 0}, false},
	} {
		if difference, err := compareStates(c.got, want, Tolerance{RMS: 0.01}); (err == nil) != c.fine {
			t.Errorf("%v: expected %v, found %v (%s)", c.got, c.fine, err, difference)
		}
	}
	if _, err := compareStates([]float32{0, 1}, []float32{0, 0}, Tolerance{RMS: 0.01}); err == nil {
		t.Error("anything agrees with nothing")
	}
}

// Another model stands for a provider that computes something else, such as an
// engine of the weights of yesterday.
func TestPredictorIsComparedWithTheCPU(t *testing.T) {
	c := onCPU(1)
	p := openPredictor(t, "predictor", 200, 100)
	difference, err := p.accept(&c, p.model)
	if err != nil || difference != "max 0, mean 0.000 grey levels from the cpu" {
		t.Errorf("a provider that computes the same is refused: %v (%s)", err, difference)
	}
	other, err := LoadModel(filepath.Join("..", "models", "identity.onnx"), PredictorKind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.accept(&c, other); err == nil || !strings.Contains(err.Error(), "max 1, mean 1.000 grey levels from the cpu (allowed: max ") {
		t.Errorf("a provider that computes one grey level more: found %v", err)
	}
	if _, err := p.accept(&c, load(t, "wrong-chroma", PredictorKind)); err == nil {
		t.Error("the reference fails, and the provider is accepted")
	}
	if n := len(environment.open); n != 1 {
		t.Errorf("%d sessions are open, expected that of the test alone", n)
	}
}

func TestDenoiserIsComparedWithTheCPU(t *testing.T) {
	c := onCPU(1)
	d := openDenoiser(t, "denoiser", 200, 100)
	difference, err := d.accept(&c, d.model)
	if err != nil || difference != "0.0000 of the state from the cpu (rms)" {
		t.Errorf("a provider that computes the same is refused: %v (%s)", err, difference)
	}
	for _, v := range [][]float32{d.State, d.Denoised} {
		if v[0] != 0 || v[len(v)-1] != 0 {
			t.Error("the comparison leaves its pictures behind")
		}
	}
	for name, want := range map[string]string{"heavy": "of the state from the cpu (rms) (allowed: 0.005)", "wrong-nan": "NaN of the state"} {
		if _, err := d.accept(&c, load(t, name, DenoiserKind)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected an error with %q, found %v", name, want, err)
		}
	}
	if n := len(environment.open); n != 1 {
		t.Errorf("%d sessions are open, expected that of the test alone", n)
	}
}

// What another precision's tolerance allows must be looser, and of every precision there is one.
func TestTolerances(t *testing.T) {
	for i, precision := range precisions {
		is := Tolerances[precision]
		if is.Max <= 0 || is.Mean <= 0 || is.RMS <= 0 {
			t.Errorf("%s has no tolerance", precision)
		}
		if i > 0 {
			if was := Tolerances[precisions[i-1]]; is.Max < was.Max || is.Mean < was.Mean || is.RMS < was.RMS {
				t.Errorf("%s is to be closer to the cpu than %s", precision, precisions[i-1])
			}
		}
	}
}

// The test pictures are in range, differ from each other, and have something everywhere.
func TestTestPictures(t *testing.T) {
	for _, m := range []*Model{load(t, "predictor", PredictorKind), golden(t)} {
		for _, size := range []image.Point{{16, 16}, {208, 112}, {640, 368}} {
			sharp, blurred := m.testPictures(size)
			again, _ := m.testPictures(size)
			if d, err := comparePictures(again, sharp, Tolerance{}); err != nil {
				t.Errorf("%v: two drawings differ: %s", size, d)
			}
			if _, err := comparePictures(sharp, blurred, Tolerance{Max: 10, Mean: 1}); err == nil {
				t.Errorf("%v: the blurred picture is the sharp one", size)
			}
			if m := meanOf(blurred.Y) - meanOf(sharp.Y); math.Abs(m) > 12 && size.X > 16 {
				t.Errorf("%v: blur changes the mean by %.1f", size, m)
			}
			lastRow := sharp.Y[len(sharp.Y)-16:]
			if strings.Count(string(lastRow), string(lastRow[:1])) == 16 {
				t.Errorf("%v: the last row is empty", size)
			}
		}
	}
}

func meanOf(plane []byte) float64 {
	sum := 0
	for _, v := range plane {
		sum += int(v)
	}
	return float64(sum) / float64(len(plane))
}

func golden(t *testing.T) *Model {
	t.Helper()
	m, err := LoadModel(filepath.Join("..", "models", "predictor-s.onnx"), PredictorKind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Golden(); err != nil {
		t.Fatal(err)
	}
	return m
}

// The tiles are the golden picture itself, in place.
func TestTile(t *testing.T) {
	to := make([]byte, 5*4)
	tile(to, []byte{1, 2, 3, 4}, 5, 2)
	const want = "\x01\x02\x01\x02\x01\x03\x04\x03\x04\x03\x01\x02\x01\x02\x01\x03\x04\x03\x04\x03"
	if string(to) != want {
		t.Errorf("found %v", to)
	}
}
