package tensorrt

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"image"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// TestShippedModelsReturnWhatWasRecorded holds each file to PyTorch's own output.
func TestShippedModelsReturnWhatWasRecorded(t *testing.T) {
	for _, name := range []string{"identity.onnx", "predictor-s.onnx", "denoiser-s.onnx"} {
		m, err := LoadAny(filepath.Join("..", "models", name))
		if err != nil {
			t.Fatal(err)
		}
		db, err := m.CheckGolden()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: %.1f dB", name, db)
	}
}

// withMeta is the test model with further metadata: entries of field 14 of
// ONNX's ModelProto, which may stand anywhere.
func withMeta(t *testing.T, name, kind string, meta map[string]string) *Model {
	t.Helper()
	data := append([]byte{}, load(t, name, kind).Data...)
	field := func(b []byte, number int, value []byte) []byte {
		b = append(b, byte(number<<3|2))
		return append(binary.AppendUvarint(b, uint64(len(value))), value...)
	}
	for key, value := range meta {
		data = field(data, 14, field(field(nil, 1, []byte(key)), 2, []byte(value)))
	}
	m, err := parseModel(name, kind, data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func i420(img *image.YCbCr) []byte {
	return append(append(append([]byte{}, img.Y...), img.Cb...), img.Cr...)
}

func text(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// plusOneMeta is a golden run of the test predictor, off by so many grey levels.
func plusOneMeta(off byte) map[string]string {
	in := i420(noisePicture(32, 16, 3))
	in[0] = 250 // the model "dies" does
	out := make([]byte, len(in))
	for i, v := range in {
		out[i] = byte(max(0, min(int(v)+1, 255)-int(off)))
	}
	return map[string]string{goldenWidth: "32", goldenHeight: "16", goldenInput: text(in), goldenOutput: text(out)}
}

// mixMeta is one of the test denoiser, at another noise level than it says.
func mixMeta(off float32) map[string]string {
	const sigma = 0.5
	blurred, predicted := i420(noisePicture(16, 16, 1)), i420(noisePicture(16, 16, 2))
	var state, denoised []byte
	for i := range blurred {
		s := float32(i%7) - 3
		d := 0.5*s + 0.1*(sigma+off) + 0.01*(float32(predicted[i])-float32(blurred[i]))
		state = binary.LittleEndian.AppendUint32(state, math.Float32bits(s))
		denoised = binary.LittleEndian.AppendUint32(denoised, math.Float32bits(d))
	}
	return map[string]string{goldenWidth: "16", goldenHeight: "16", goldenSigma: "0.5",
		goldenInput: text(append(append(state, blurred...), predicted...)), goldenOutput: text(denoised)}
}

func TestGolden(t *testing.T) {
	cut := plusOneMeta(0)
	cut[goldenInput] = cut[goldenInput][:40]
	odd := plusOneMeta(0)
	odd[goldenWidth] = "33"
	for _, c := range []struct {
		about, name, kind string
		meta              map[string]string
		want              string // of the error; "" = none
	}{
		{"right", "predictor", PredictorKind, plusOneMeta(0), ""},
		{"three levels off", "predictor", PredictorKind, plusOneMeta(3), "found 38.6 dB"},
		{"right", "denoiser", DenoiserKind, mixMeta(0), ""},
		{"other noise", "denoiser", DenoiserKind, mixMeta(1), "dB: the file is damaged"},
		{"none", "predictor", PredictorKind, nil, ErrNoGolden.Error()},
		{"short", "predictor", PredictorKind, cut, "metadata golden_input: expected 768 bytes in base64, found 40 characters"},
		{"odd", "predictor", PredictorKind, odd, `metadata golden_width: expected a multiple of 16 up to 1024, found "33"`},
		{"dies", "dies", PredictorKind, plusOneMeta(0), "dies"},
	} {
		db, err := withMeta(t, c.name, c.kind, c.meta).CheckGolden()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %.1f dB, error %v, want %q", c.about, c.name, db, err, c.want)
		}
	}
}

func TestLoadAnyTellsTheKind(t *testing.T) {
	for name, kind := range map[string]string{"predictor": PredictorKind, "denoiser": DenoiserKind} {
		if m, err := LoadAny("testdata/" + name + ".onnx"); err != nil || m.Kind != kind {
			t.Errorf("%s: %v, want a %s", name, err, kind)
		}
	}
	var contract *ContractError
	if _, err := LoadAny("testdata/wrong-several.onnx"); !errors.As(err, &contract) || len(contract.Faults) < 2 {
		t.Errorf("error %v, want every fault", err)
	}
}
