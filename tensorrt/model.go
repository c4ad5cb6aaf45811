package tensorrt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// Model is a model file that keeps the contract. Its fields are read-only.
type Model struct {
	Path, Kind, Name string
	SHA256           string // of the file, hexadecimal
	PredictorID      string // of the predictor itself, or of the one a denoiser was trained on
	Multiple         int    // pictures are padded to a multiple of so many pixels
	Data             []byte // the file's bytes
	Meta             map[string]string

	// Of denoisers only: grey levels per unit of state, and the defaults of the noise schedule.
	Scale                   infer.Scale
	SigmaMin, SigmaMax, Rho float64
	Sampler                 string // "ode" or "ancestral"
	Steps                   int
}

// LoadModel reads a model file and checks it against the contract: the names,
// types and shapes of its inputs and outputs, and its metadata. kind is
// PredictorKind or DenoiserKind. Needs Start before it. The error names the
// file; a *ContractError lists every fault at once.
func LoadModel(path, kind string) (*Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s model: %w", kind, err)
	}
	return parseModel(path, kind, data)
}

func parseModel(path, kind string, data []byte) (*Model, error) {
	if kind != PredictorKind && kind != DenoiserKind {
		return nil, fmt.Errorf("%s: %q is no kind of model", path, kind)
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: expected a %s model (ONNX), found an empty file", path, kind)
	}
	sum := sha256.Sum256(data)
	m := &Model{Path: path, Kind: kind, SHA256: hex.EncodeToString(sum[:]), Data: data}
	var inputs, outputs []ort.InputOutputInfo
	err := exclusive(func() (err error) {
		if inputs, outputs, err = ort.GetInputOutputInfoWithONNXData(data); err == nil {
			m.Meta, err = readMetadata(data)
		}
		return err
	})
	if err == errNotStarted {
		return nil, fmt.Errorf("%s: %w", path, err)
	} else if err != nil {
		return nil, fmt.Errorf("%s: expected a %s model (ONNX), found a file that ONNX Runtime cannot load: %w", path, kind, err)
	}
	if err := m.check(inputs, outputs); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Model) check(inputs, outputs []ort.InputOutputInfo) error {
	meta := metadata{values: m.Meta}
	other := meta.values["kind"]
	if other != m.Kind && (other == PredictorKind || other == DenoiserKind) {
		// Nothing else can fit, so that this one line says more than all the faults.
		meta.oneOf("kind", m.Kind)
		return &ContractError{m.Path, m.Kind, meta.faults}
	}
	wantIn, wantOut := portsOf(m.Kind)
	faults := checkPorts("input", wantIn, inputs)
	faults = append(faults, checkPorts("output", wantOut, outputs)...)
	meta.read(m)
	if faults = append(faults, meta.faults...); len(faults) > 0 {
		return &ContractError{m.Path, m.Kind, faults}
	}
	return nil
}

// Settings is what a denoiser's metadata says of a refinement; Samples and Seed are left to the caller.
func (m *Model) Settings() infer.Settings {
	return infer.Settings{
		Steps:    m.Steps,
		Sampler:  infer.Sampler(m.Sampler),
		Schedule: infer.Schedule{SigmaMin: m.SigmaMin, SigmaMax: m.SigmaMax, Rho: m.Rho},
		Scale:    m.Scale,
	}
}

// readMetadata opens the model once more, as cheaply as can be: the binding
// gives the ports of a session of its own only.
func readMetadata(data []byte) (map[string]string, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer o.Destroy()
	if err := errors.Join(
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll),
		o.SetIntraOpNumThreads(1),
		o.AddSessionConfigEntry("session.disable_prepacking", "1"),
	); err != nil {
		return nil, err
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(data, nil, nil, o)
	if err != nil {
		return nil, err
	}
	defer session.Destroy()
	m, err := session.GetModelMetadata()
	if err != nil {
		return nil, err
	}
	defer m.Destroy()
	return customMap(m)
}

func customMap(m *ort.ModelMetadata) (map[string]string, error) {
	keys, err := m.GetCustomMetadataMapKeys()
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(keys))
	for _, k := range keys {
		if values[k], _, err = m.LookupCustomMetadataMap(k); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Match says whether the denoiser was trained on this predictor's pictures, and
// both pad alike; the error names both files.
func Match(predictor, denoiser *Model) error {
	if denoiser.PredictorID != predictor.PredictorID {
		return fmt.Errorf("%s was trained on another predictor: expected predictor_id %s (of %s), found %s",
			denoiser.Path, predictor.PredictorID, predictor.Path, denoiser.PredictorID)
	}
	if denoiser.Multiple != predictor.Multiple {
		return fmt.Errorf("%s pads to another size: expected multiple %d (of %s), found %d",
			denoiser.Path, predictor.Multiple, predictor.Path, denoiser.Multiple)
	}
	return nil
}
