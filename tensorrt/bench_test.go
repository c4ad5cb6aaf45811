package tensorrt

import (
	"fmt"
	"testing"

	"sharpend/infer"
)

// shipped loads a model of the repository's models folder.
func shipped(b *testing.B, name, kind string) *Model {
	b.Helper()
	m, err := LoadModel("../models/"+name+".onnx", kind)
	if err != nil {
		b.Skip(err)
	}
	return m
}

var sizes = [][2]int{{640, 360}, {1280, 720}}

// BenchmarkIdentity is a frame's fixed price: a model that copies its input.
// 16x16 is the price of a call, without bytes.
func BenchmarkIdentity(b *testing.B) {
	for _, s := range append([][2]int{{16, 16}}, sizes...) {
		benchmarkPredictor(b, shipped(b, "identity", PredictorKind), s, 1)
	}
}

// BenchmarkCopy is the bytes alone, to hold BenchmarkIdentity against.
func BenchmarkCopy(b *testing.B) {
	for _, s := range sizes {
		in, out := noisePicture(s[0], s[1], 1), infer.NewPlanes(s[0], s[1], 16)
		b.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(b *testing.B) {
			for b.Loop() {
				infer.Copy(out, in)
			}
		})
	}
}

func BenchmarkPredictor(b *testing.B) {
	for _, s := range sizes {
		for _, threads := range []int{1, 2} {
			benchmarkPredictor(b, shipped(b, "predictor-s", PredictorKind), s, threads)
		}
	}
}

func benchmarkPredictor(b *testing.B, m *Model, size [2]int, threads int) {
	p, err := OpenPredictor(m, onCPU(threads), size[0], size[1])
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	binding := bind(b, p, noisePicture(size[0], size[1], 1), infer.NewPlanes(size[0], size[1], m.Multiple))
	b.Run(fmt.Sprintf("%dx%d/threads=%d", size[0], size[1], threads), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := binding.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDenoiserStep(b *testing.B) {
	m := shipped(b, "denoiser-s", DenoiserKind)
	for _, s := range sizes {
		for _, threads := range []int{1, 2} {
			d, err := OpenDenoiser(m, onCPU(threads), s[0], s[1])
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%dx%d/threads=%d", s[0], s[1], threads), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := d.Run(1); err != nil {
						b.Fatal(err)
					}
				}
			})
			d.Close()
		}
	}
}

// BenchmarkLoadModel is what the contract check adds to the start.
func BenchmarkLoadModel(b *testing.B) {
	for b.Loop() {
		shipped(b, "predictor-s", PredictorKind)
	}
}
