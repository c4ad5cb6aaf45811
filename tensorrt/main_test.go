package tensorrt

import (
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sharpend/infer"
)

var library string // of every test here

func TestMain(m *testing.M) {
	library = os.Getenv(Env)
	if library == "" {
		library = filepath.Join("..", "lib", libraryName)
	}
	library, _ = filepath.Abs(library)
	if err := Start(library); err != nil {
		fmt.Fprintf(os.Stderr, "%v\nno ONNX Runtime to test with: run make lib\n", err)
		os.Exit(1)
	}
	if run := children[os.Getenv(childEnv)]; run != nil {
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func load(t testing.TB, name, kind string) *Model {
	t.Helper()
	m, err := LoadModel(filepath.Join("testdata", name+".onnx"), kind)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func onCPU(threads int) Config {
	c := Default()
	c.Providers, c.Threads = []string{CPU}, threads
	return c
}

func openPredictor(t testing.TB, name string, w, h int) *Predictor {
	t.Helper()
	p, err := OpenPredictor(load(t, name, PredictorKind), onCPU(1), w, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func openDenoiser(t testing.TB, name string, w, h int) *Denoiser {
	t.Helper()
	d, err := OpenDenoiser(load(t, name, DenoiserKind), onCPU(1), w, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func bind(t testing.TB, p *Predictor, in, out *image.YCbCr) *Binding {
	t.Helper()
	b, err := p.Bind(in, out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noisePicture fills every visible sample with its own value, and pads.
func noisePicture(w, h int, seed uint64) *image.YCbCr {
	img := infer.NewPlanes(w, h, 16)
	noise := rand.New(rand.NewPCG(seed, 0))
	for _, plane := range [][]byte{img.Y, img.Cb, img.Cr} {
		for i := range plane {
			plane[i] = byte(noise.Uint32())
		}
	}
	infer.Pad(img)
	return img
}

// isPlusOne checks what the test predictor computes, over all memory, padding included.
func isPlusOne(t *testing.T, in, out *image.YCbCr) {
	t.Helper()
	for p, pair := range [][2][]byte{{in.Y, out.Y}, {in.Cb, out.Cb}, {in.Cr, out.Cr}} {
		for i, v := range pair[0] {
			if want := byte(min(int(v)+1, 255)); pair[1][i] != want {
				t.Errorf("plane %d, sample %d: expected %d, found %d", p, i, want, pair[1][i])
				return
			}
		}
	}
}
