package tensorrt

import (
	"encoding/json"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

func TestLoadModelReadsTheMetadata(t *testing.T) {
	m := load(t, "denoiser", DenoiserKind)
	if m.Name != "test-denoiser" || m.Multiple != 16 || m.PredictorID != "0123456789abcdef" || m.Meta["licence"] != "CC0-1.0" {
		t.Errorf("found %q, multiple %d, predictor_id %q, licence %q", m.Name, m.Multiple, m.PredictorID, m.Meta["licence"])
	}
	want := infer.Settings{
		Steps: 5, Sampler: infer.ODE,
		Schedule: infer.Schedule{SigmaMin: 0.01, SigmaMax: 20, Rho: 7}, Scale: infer.Scale{Luma: 4, Chroma: 2.5},
	}
	if got := m.Settings(); got != want {
		t.Errorf("settings: expected %+v, found %+v", want, got)
	}
	if len(m.SHA256) != 64 || m.SHA256 == load(t, "predictor", PredictorKind).SHA256 {
		t.Errorf("the hash %q says nothing", m.SHA256)
	}
}

// Each wrong file is refused with its name, what was expected and what was found.
func TestWrongModels(t *testing.T) {
	const y = "input y: expected uint8 [1,1,H,W], found "
	for _, c := range []struct {
		file, kind string
		want       []string
	}{
		{"wrong-names", PredictorKind, []string{y + "none of that name (there are: luma, cb, cr)", "input luma: expected no such input, found uint8 [1,1,any,any]"}},
		{"wrong-types", PredictorKind, []string{y + "float32 [1,1,any,any]"}},
		{"wrong-shapes", PredictorKind, []string{y + "uint8 [1,3,any,any]", "output y_sharp: expected uint8 [1,1,H,W], found uint8 [1,3,any,any]"}},
		{"wrong-fixed", PredictorKind, []string{y + "uint8 [1,1,360,640]", "output y_sharp: expected uint8 [1,1,H,W], found uint8 [1,1,360,640]"}},
		{"wrong-no-metadata", PredictorKind, []string{
			"metadata format: expected sharpend/1, found none", "metadata kind: expected predictor, found none",
			"metadata name: expected a name, found none", "metadata predictor_id: expected a hexadecimal number, found none",
			"metadata multiple: expected an even number from 2 to 1024, found none"}},
		{"wrong-format", PredictorKind, []string{`metadata format: expected sharpend/1, found "sharpend/2"`}},
		{"wrong-multiple", PredictorKind, []string{`metadata multiple: expected an even number from 2 to 1024, found "7"`}},
		{"wrong-several", PredictorKind, []string{y + "float32", "metadata predictor_id: expected a hexadecimal number, found none"}},
		{"wrong-schedule", DenoiserKind, []string{
			`metadata sigma_min: expected less than sigma_max (20), found "30"`, `metadata rho: expected a number above 0, found "seven"`,
			`metadata sampler: expected ode or ancestral, found "euler"`, "metadata steps: expected a number of steps from 0 to 1000, found none"}},
		{"denoiser", PredictorKind, []string{`metadata kind: expected predictor, found "denoiser"`}},
		{"predictor", DenoiserKind, []string{`metadata kind: expected denoiser, found "predictor"`}},
		{"wrong-not-onnx", PredictorKind, []string{"expected a predictor model (ONNX), found a file that ONNX Runtime cannot load"}},
		{"wrong-cut", PredictorKind, []string{"expected a predictor model (ONNX), found a file that ONNX Runtime cannot load"}},
		{"wrong-absent", PredictorKind, []string{"no such file"}},
	} {
		m, err := LoadModel(filepath.Join("testdata", c.file+".onnx"), c.kind)
		if err == nil {
			t.Errorf("%s is accepted as %s", c.file, m.Kind)
			continue
		}
		for _, want := range append(c.want, c.file+".onnx") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: expected %q in the error, found: %v", c.file, want, err)
			}
		}
		var contract *ContractError
		if errors.As(err, &contract) && len(contract.Faults) != len(c.want) {
			t.Errorf("%s: expected %d faults, found %d: %v", c.file, len(c.want), len(contract.Faults), err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is not one line: %q", c.file, err)
		}
	}
}

func TestEmptyModelFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.onnx")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadModel(path, PredictorKind); err == nil || !strings.Contains(err.Error(), "found an empty file") {
		t.Errorf("expected a word about an empty file, found %v", err)
	}
}

func TestMatch(t *testing.T) {
	predictor := load(t, "predictor", PredictorKind)
	if err := Match(predictor, load(t, "denoiser", DenoiserKind)); err != nil {
		t.Error(err)
	}
	err := Match(predictor, load(t, "denoiser-stranger", DenoiserKind))
	if err == nil {
		t.Fatal("another predictor's denoiser is accepted")
	}
	for _, want := range []string{"0123456789abcdef", "fedcba9876543210", "predictor.onnx", "denoiser-stranger.onnx"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q in %v", want, err)
		}
	}
	padded := *load(t, "denoiser", DenoiserKind)
	padded.Multiple = 32
	if err := Match(predictor, &padded); err == nil || !strings.Contains(err.Error(), "expected multiple 16") {
		t.Errorf("another multiple: found %v", err)
	}
}

// The models that ship keep the contract too. (They are trained elsewhere: no file, no check.)
func TestShippedModels(t *testing.T) {
	files, err := filepath.Glob("../models/*.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		kind := PredictorKind
		if strings.HasPrefix(filepath.Base(file), "denoiser") {
			kind = DenoiserKind
		}
		if _, err := LoadModel(file, kind); err != nil {
			t.Error(err)
		}
	}
}

// Any metadata is read without a panic, and gives a usable model or a fault.
func FuzzMetadata(f *testing.F) {
	f.Add("16", "abcd", "4", "0.01", "20", "7", "ode", "5")
	f.Add("16", "abcd", "4", "0.01", "Inf", "7", "ode", "5")
	f.Add("16", "abcd", "1e39", "0.01", "20", "7", "ode", "5")
	f.Add("16", "abcd", "1e-60", "0.01", "20", "7", "ode", "5")
	f.Add("-16", "xyz", "NaN", "1e-400", "Inf", "-0", "", "1e3")
	f.Add("0x10", "", "1e39", "1", "1", "+7", "ODE", "99999999999999999999")
	f.Fuzz(func(t *testing.T, multiple, id, scale, low, high, rho, sampler, steps string) {
		meta := metadata{values: map[string]string{
			"format": Format, "kind": DenoiserKind, "name": "n", "multiple": multiple, "predictor_id": id,
			"residual_scale_luma": scale, "residual_scale_chroma": scale,
			"sigma_min": low, "sigma_max": high, "rho": rho, "sampler": sampler, "steps": steps,
		}}
		m := &Model{Kind: DenoiserKind}
		meta.read(m)
		if len(meta.faults) > 0 {
			return
		}
		s := m.Settings()
		s.Samples = 1
		if err := s.Check(); err != nil {
			t.Errorf("accepted: %v", err)
		}
		if _, err := m.Padded(640, 360); err != nil {
			t.Errorf("accepted: %v", err)
		}
	})
}

func TestPortsInAnyOrder(t *testing.T) {
	free := ort.NewShape(1, 1, -1, -1)
	got := []ort.InputOutputInfo{}
	for _, name := range []string{"cr", "y", "cb"} {
		got = append(got, ort.InputOutputInfo{Name: name, OrtValueType: ort.ONNXTypeTensor, Dimensions: free, DataType: u8})
	}
	if faults := checkPorts("input", predictorInputs, got); faults != nil {
		t.Errorf("the order matters: %v", faults)
	}
	got[1].OrtValueType = ort.ONNXTypeSequence
	if faults := checkPorts("input", predictorInputs, got); len(faults) != 1 || !strings.Contains(faults[0], "found no tensor") {
		t.Errorf("a sequence in a tensor's place: %v", faults)
	}
}

// The shipped predictor paints here what its training program painted.
func TestGoldenPicture(t *testing.T) {
	var golden struct {
		Width, Height int
		Predictor     string
		PredictorID   string `json:"predictor_id"`
	}
	data, err := os.ReadFile("../models/golden/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel("../models/"+golden.Predictor+".onnx", PredictorKind)
	if err != nil {
		t.Fatal(err)
	}
	if m.PredictorID != golden.PredictorID {
		t.Fatalf("the golden pictures are of predictor_id %s, %s has %s: write them anew (train/golden.py)", golden.PredictorID, m.Path, m.PredictorID)
	}
	p, err := OpenPredictor(m, onCPU(1), golden.Width, golden.Height)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	in, want := readI420(t, "blurred", golden.Width, golden.Height), readI420(t, "sharpened", golden.Width, golden.Height)
	out := infer.NewPlanes(golden.Width, golden.Height, m.Multiple)
	if err := bind(t, p, in, out).Run(); err != nil {
		t.Fatal(err)
	}
	for plane, pair := range map[string][2][]byte{"y": {want.Y, out.Y}, "cb": {want.Cb, out.Cb}, "cr": {want.Cr, out.Cr}} {
		for i, v := range pair[0] {
			if d := int(v) - int(pair[1][i]); d < -1 || d > 1 {
				t.Fatalf("%s, sample %d: expected %d, found %d", plane, i, v, pair[1][i])
			}
		}
	}
}

// readI420 reads a golden picture, whose size is a multiple of 16.
func readI420(t *testing.T, name string, w, h int) *image.YCbCr {
	t.Helper()
	data, err := os.ReadFile("../models/golden/" + name + ".i420")
	if err != nil {
		t.Fatal(err)
	}
	img := infer.NewPlanes(w, h, 16)
	if len(data) != w*h*3/2 || len(img.Y) != w*h {
		t.Fatalf("%s.i420 has %d bytes: no picture of %dx%d", name, len(data), w, h)
	}
	copy(img.Y, data)
	copy(img.Cb, data[w*h:])
	copy(img.Cr, data[w*h*5/4:])
	return img
}
