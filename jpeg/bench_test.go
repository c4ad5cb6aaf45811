package jpeg

import (
	"bytes"
	"image"
	stdjpeg "image/jpeg"
	"math/rand/v2"
	"testing"
)

// photo is the 1280x720 scene with fine grain, so that it has a photograph's entropy (about 150 KB at quality 85).
func photo(ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	img, rng := averaged(scene(1280, 720), ratio), rand.New(rand.NewPCG(1, 2))
	for i, v := range img.Y {
		img.Y[i] = byte(min(max(int(v)+int(rng.NormFloat64()*4), 0), 255))
	}
	return img
}

func BenchmarkDecode422(b *testing.B) { benchmarkDecode(b, image.YCbCrSubsampleRatio422) }
func BenchmarkDecode420(b *testing.B) { benchmarkDecode(b, image.YCbCrSubsampleRatio420) }

func benchmarkDecode(b *testing.B, ratio image.YCbCrSubsampleRatio) {
	data, d, out := encoded(b, photo(ratio), 85), newDecoder(b), blank(1280, 720, 0)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(data, out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode422Standard(b *testing.B) {
	data := encoded(b, photo(image.YCbCrSubsampleRatio422), 85)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stdjpeg.Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	img, e := photo(image.YCbCrSubsampleRatio420), newEncoder(b)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _ = e.Encode(out, img, 85)
	}
	b.ReportMetric(float64(len(out)), "bytes")
}

func BenchmarkEncodeStandard(b *testing.B) {
	img, out := photo(image.YCbCrSubsampleRatio420), new(bytes.Buffer)
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := stdjpeg.Encode(out, img, &stdjpeg.Options{Quality: 85}); err != nil {
			b.Fatal(err)
		}
	}
}
