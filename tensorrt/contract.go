package tensorrt

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"sharpend/infer"
)

// The kinds of model.
const (
	PredictorKind = "predictor"
	DenoiserKind  = "denoiser"
)

// Format is the model contract that this program speaks: planar 4:2:0 pictures,
// one at a time, height and width free.
const Format = "sharpend/1"

// ContractError lists everything that keeps a file from being the wanted model.
type ContractError struct {
	Path, Kind string
	Faults     []string // each "WHERE: expected X, found Y"
}

func (e *ContractError) Error() string {
	return fmt.Sprintf("%s is no %s model of format %s: %s", e.Path, e.Kind, Format, strings.Join(e.Faults, "; "))
}

// port is one input or output of a graph.
type port struct {
	name string
	kind ort.TensorElementDataType
	dims string
}

const (
	u8  = ort.TensorElementDataTypeUint8
	f32 = ort.TensorElementDataTypeFloat

	lumaDims   = "[1,1,H,W]"
	chromaDims = "[1,1,H/2,W/2]"
	sigmaDims  = "[1]"
)

// planes are the three ports of a picture or of a state.
func planes(prefix, suffix string, kind ort.TensorElementDataType) []port {
	return []port{
		{prefix + "y" + suffix, kind, lumaDims},
		{prefix + "cb" + suffix, kind, chromaDims},
		{prefix + "cr" + suffix, kind, chromaDims},
	}
}

var (
	predictorInputs  = planes("", "", u8)
	predictorOutputs = planes("", "_sharp", u8)
	denoiserInputs   = slices.Concat(planes("state_", "", f32), []port{{"sigma", f32, sigmaDims}},
		planes("blurred_", "", u8), planes("predicted_", "", u8))
	denoiserOutputs = planes("denoised_", "", f32)
)

func portsOf(kind string) (inputs, outputs []port) {
	if kind == DenoiserKind {
		return denoiserInputs, denoiserOutputs
	}
	return predictorInputs, predictorOutputs
}

func names(ports []port) []string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = p.name
	}
	return list
}

// checkPorts compares one side of the graph with the contract, by name: the order is free.
func checkPorts(side string, want []port, got []ort.InputOutputInfo) (faults []string) {
	for _, w := range want {
		i := slices.IndexFunc(got, func(g ort.InputOutputInfo) bool { return g.Name == w.name })
		if i < 0 {
			faults = append(faults, fmt.Sprintf("%s %s: expected %s, found none of that name (there are: %s)", side, w.name, w, foundNames(got)))
		} else if !w.fits(&got[i]) {
			faults = append(faults, fmt.Sprintf("%s %s: expected %s, found %s", side, w.name, w, found(&got[i])))
		}
	}
	for i := range got {
		if !slices.ContainsFunc(want, func(w port) bool { return w.name == got[i].Name }) {
			faults = append(faults, fmt.Sprintf("%s %s: expected no such %s, found %s", side, got[i].Name, side, found(&got[i])))
		}
	}
	return faults
}

func (p port) String() string { return typeName(p.kind) + " " + p.dims }

func (p port) fits(got *ort.InputOutputInfo) bool {
	want := ort.Shape{1, 1, -1, -1}
	if p.dims == sigmaDims {
		want = ort.Shape{1}
	}
	return got.OrtValueType == ort.ONNXTypeTensor && got.DataType == p.kind && got.Dimensions.Equals(want)
}

func found(got *ort.InputOutputInfo) string {
	if got.OrtValueType != ort.ONNXTypeTensor {
		return "no tensor"
	}
	dims := make([]string, len(got.Dimensions))
	for i, d := range got.Dimensions {
		dims[i] = strconv.FormatInt(d, 10)
		if d < 0 {
			dims[i] = "any"
		}
	}
	return typeName(got.DataType) + " [" + strings.Join(dims, ",") + "]"
}

func foundNames(got []ort.InputOutputInfo) string {
	list := make([]string, len(got))
	for i := range got {
		list[i] = got[i].Name
	}
	return strings.Join(list, ", ")
}

func typeName(t ort.TensorElementDataType) string {
	name := strings.ToLower(strings.TrimPrefix(t.String(), "ONNX_TENSOR_ELEMENT_DATA_TYPE_"))
	if name == "float" {
		return "float32"
	}
	return name
}

// metadata reads a model's custom metadata and gathers every fault in it.
type metadata struct {
	values map[string]string
	faults []string
}

func (m *metadata) fault(key, expected string) {
	value, ok := m.values[key]
	found := strconv.Quote(value)
	if !ok {
		found = "none"
	}
	m.faults = append(m.faults, fmt.Sprintf("metadata %s: expected %s, found %s", key, expected, found))
}

func (m *metadata) oneOf(key string, allowed ...string) string {
	if !slices.Contains(allowed, m.values[key]) {
		m.fault(key, strings.Join(allowed, " or "))
	}
	return m.values[key]
}

func (m *metadata) text(key, expected string, valid func(string) bool) string {
	if !valid(m.values[key]) {
		m.fault(key, expected)
	}
	return m.values[key]
}

func (m *metadata) integer(key string, low, high, step int, expected string) int {
	n, err := strconv.Atoi(m.values[key])
	if err != nil || n < low || n > high || n%step != 0 {
		m.fault(key, expected)
	}
	return n
}

func (m *metadata) positive(key string) float64 {
	f, err := strconv.ParseFloat(m.values[key], 64)
	if f32 := float64(float32(f)); err != nil || !(f32 > 0) || math.IsInf(f32, 0) { // the network computes in float32
		m.fault(key, "a number above 0")
	}
	return f
}

// read fills the model's fields from its metadata. What only informs (data, licence...) may be absent.
func (m *metadata) read(model *Model) {
	m.oneOf("format", Format)
	m.oneOf("kind", model.Kind)
	model.Name = m.text("name", "a name", func(s string) bool { return s != "" })
	model.PredictorID = m.text("predictor_id", "a hexadecimal number", isHex)
	model.Multiple = m.integer("multiple", 2, 1024, 2, "an even number from 2 to 1024")
	if model.Kind == DenoiserKind {
		m.readDenoiser(model)
	}
}

func (m *metadata) readDenoiser(model *Model) {
	model.Scale.Luma = float32(m.positive("residual_scale_luma"))
	model.Scale.Chroma = float32(m.positive("residual_scale_chroma"))
	model.SigmaMin, model.SigmaMax, model.Rho = m.positive("sigma_min"), m.positive("sigma_max"), m.positive("rho")
	if model.SigmaMax > 0 && model.SigmaMin >= model.SigmaMax {
		m.fault("sigma_min", "less than sigma_max ("+m.values["sigma_max"]+")")
	}
	model.Sampler = m.oneOf("sampler", string(infer.ODE), string(infer.Ancestral))
	model.Steps = m.integer("steps", 0, 1000, 1, "a number of steps from 0 to 1000")
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return s != "" && err == nil
}
