package tensorrt

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"testing"

	"sharpend/infer"
)

// goldenRun is what train/golden.py says about trajectory.f32.
type goldenRun struct {
	Width       int       `json:"width"`
	Height      int       `json:"height"`
	PredictorID string    `json:"predictor_id"`
	Denoiser    string    `json:"denoiser"`
	Sigmas      []float32 `json:"sigmas"`
}

// readTrajectory returns the states before the first and after each step, I420 order.
func readTrajectory(t *testing.T, g goldenRun) [][]float32 {
	t.Helper()
	const path = "../models/golden/trajectory.f32"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	samples := g.Width * g.Height * 3 / 2
	if len(data) != len(g.Sigmas)*samples*4 {
		t.Fatalf("%s has %d bytes: expected %d states of %dx%d", path, len(data), len(g.Sigmas), g.Width, g.Height)
	}
	states := make([][]float32, len(g.Sigmas))
	for i := range states {
		states[i] = make([]float32, samples)
		for j := range states[i] {
			states[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*(i*samples+j):]))
		}
	}
	return states
}

// openGolden opens the denoiser that the golden files are of, with their pictures in place.
func openGolden(t *testing.T, g goldenRun) (*Model, *Denoiser) {
	t.Helper()
	m, err := LoadModel("../models/"+g.Denoiser+".onnx", DenoiserKind)
	if err != nil {
		t.Fatal(err)
	}
	if m.PredictorID != g.PredictorID {
		t.Fatalf("the golden files are of predictor_id %s, %s has %s: write them anew (train/golden.py)", g.PredictorID, m.Path, m.PredictorID)
	}
	d, err := OpenDenoiser(m, onCPU(1), g.Width, g.Height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	infer.Copy(d.Blurred, readI420(t, "blurred", g.Width, g.Height))
	infer.Copy(d.Predicted, readI420(t, "sharpened", g.Width, g.Height))
	return m, d
}

// near compares states within 1e-4 of a state's unit, or of the state where it is larger.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	var worst float64
	for i, v := range got {
		e := math.Abs(float64(v)-float64(want[i])) / max(1, math.Abs(float64(want[i])))
		if !(e <= 1e-4) { // true for NaN too
			t.Fatalf("%s, sample %d: expected %v, found %v", what, i, want[i], v)
		}
		worst = max(worst, e)
	}
	t.Logf("%s: within %.1e", what, worst)
}

// The refinement that PyTorch computed: the schedule, every evaluation of the
// network, every step of the sampler.
func TestDenoiserTrajectoryMatchesPyTorch(t *testing.T) {
	data, err := os.ReadFile("../models/golden/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenRun
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	m, d := openGolden(t, g)
	sigmas := infer.Schedule{SigmaMin: m.SigmaMin, SigmaMax: m.SigmaMax, Rho: m.Rho}.Sigmas(nil, len(g.Sigmas)-1)
	near(t, "noise levels", sigmas, g.Sigmas)
	states := readTrajectory(t, g)
	copy(d.State, states[0])
	for i, want := range states[1:] {
		if err := d.Run(sigmas[i]); err != nil {
			t.Fatal(err)
		}
		infer.StepODE(d.State, d.Denoised, sigmas[i], sigmas[i+1])
		near(t, "state", d.State, want)
	}
}

// One evaluation, as the model file records it.
func TestDenoiserMatchesItsRecordedRun(t *testing.T) {
	m, err := LoadModel("../models/denoiser-s.onnx", DenoiserKind)
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Golden()
	if err != nil {
		t.Fatal(err)
	}
	d, err := OpenDenoiser(m, onCPU(1), g.Width, g.Height)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	copy(d.State, g.State)
	infer.Copy(d.Blurred, g.Blurred)
	infer.Copy(d.Predicted, g.Predicted)
	if err := d.Run(g.Sigma); err != nil {
		t.Fatal(err)
	}
	near(t, "denoised", d.Denoised, g.Denoised)
}
