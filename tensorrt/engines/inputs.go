// Package engines keeps TensorRT's built engines: a folder for each, named by
// the hash of everything that the engine depends on, with a manifest beside the
// files. An engine is used only if every byte is as it was written, by the same
// versions, for the same network, options, size and GPU; otherwise it is built
// anew. The package knows files, locks and versions; what a build does, its
// caller says. It does not know ONNX Runtime.
package engines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Inputs is everything that an engine depends on. No field may be empty.
type Inputs struct {
	Kind    string            `json:"kind"`    // of model, such as predictor
	Model   string            `json:"model"`   // SHA-256 of the model's file, hexadecimal
	Options map[string]string `json:"options"` // the provider's, as it gets them, without folders of caches
	Width   int               `json:"width"`   // pixels, padded: the one size that the engine takes
	Height  int               `json:"height"`
	ONNX    string            `json:"onnxruntime"` // version
	Machine
}

// A Machine is what TensorRT, CUDA and the GPU say of themselves. An engine
// is tied to the model of the GPU, not to the one piece: two boards of a kind
// may share it.
type Machine struct {
	TensorRT        string `json:"tensorrt"` // version
	CUDA            string `json:"cuda"`     // version of the runtime
	Driver          string `json:"driver"`   // the CUDA version that it knows, and its release where it tells
	GPU             string `json:"gpu"`      // name; every Jetson Orin says "Orin", hence the number below
	Capability      string `json:"compute_capability"`
	Multiprocessors int    `json:"multiprocessors"` // in service now: a Jetson's power mode may switch some off
}

// layout counts the changes of how a key is made or a folder is laid out.
const layout = 1

// Key is the SHA-256 of the inputs, 64 hexadecimal digits. The error names
// what is missing: a key that leaves something out would fit a stale engine.
func (in Inputs) Key() (string, error) {
	for _, f := range in.fields() {
		if f.value == "" || f.value == "0" {
			return "", fmt.Errorf("no engine can be named: %s is not known", f.name)
		}
	}
	if len(in.Options) == 0 {
		return "", fmt.Errorf("no engine can be named: the provider's options are not known")
	}
	text, err := json.Marshal(struct { // maps are written in the order of their keys
		Layout int `json:"layout"`
		Inputs
	}{layout, in})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

type field struct{ name, value string }

// fields are the inputs but for the options, for people.
func (in Inputs) fields() []field {
	return []field{
		{"kind of model", in.Kind},
		{"model", in.Model},
		{"width", fmt.Sprint(in.Width)},
		{"height", fmt.Sprint(in.Height)},
		{"ONNX Runtime", in.ONNX},
		{"TensorRT", in.TensorRT},
		{"CUDA", in.CUDA},
		{"driver", in.Driver},
		{"GPU", in.GPU},
		{"compute capability", in.Capability},
		{"number of multiprocessors", fmt.Sprint(in.Multiprocessors)},
	}
}

// Differences says for people what keeps an engine of these inputs from being
// one of now's: each "NAME was A, is B". None: the keys are equal.
func (in Inputs) Differences(now Inputs) (list []string) {
	is := now.fields()
	for i, was := range in.fields() {
		if was.value != is[i].value {
			list = append(list, fmt.Sprintf("%s was %s, is %s", was.name, short(was.value), short(is[i].value)))
		}
	}
	for _, name := range optionNames(in.Options, now.Options) {
		was, had := in.Options[name]
		is, has := now.Options[name]
		if was != is || had != has {
			list = append(list, fmt.Sprintf("%s was %s, is %s", name, optionText(was, had), optionText(is, has)))
		}
	}
	return list
}

func optionNames(a, b map[string]string) (names []string) {
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func optionText(value string, set bool) string {
	if !set {
		return "not set"
	}
	return short(value)
}

// short cuts what nobody reads to its end: hashes and shapes.
func short(s string) string {
	if len(s) > 40 {
		return s[:12] + "…"
	}
	if s == "" {
		return `""`
	}
	return s
}
