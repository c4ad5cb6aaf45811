package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSetText(t *testing.T) {
	for _, c := range []struct{ about, text, value, want string }{
		{"empty", "", "a.onnx", "models:\n  predictor: a.onnx\n"},
		{"comments only", "# nothing\n", "a.onnx", "# nothing\nmodels:\n  predictor: a.onnx\n"},
		{"no section", "name: x # y", "a.onnx", "name: x # y\nmodels:\n  predictor: a.onnx\n"},
		{"empty section", "models: # here\nname: x\n", "a.onnx", "models: # here\n  predictor: a.onnx\nname: x\n"},
		{"block", "models:\n    # the one\n    predictor:  old.onnx   # why\n    denoiser: d\n", "/m/a.onnx", "models:\n    # the one\n    predictor:  /m/a.onnx   # why\n    denoiser: d\n"},
		{"other key only", "models:\n   denoiser: \"\" # off\n", "a.onnx", "models:\n   predictor: a.onnx\n   denoiser: \"\" # off\n"},
		{"flow", "models: {predictor: p.onnx, denoiser: \"\"} # short\n", "a.onnx", "models: {predictor: a.onnx, denoiser: \"\"} # short\n"},
		{"flow without", "models: {denoiser: \"\"}\n", "a.onnx", "models: {predictor: a.onnx, denoiser: \"\"}\n"},
		{"empty flow", "models: {}\n", "a.onnx", "models: {predictor: a.onnx}\n"},
		{"single quotes", "models: {predictor: 'it''s.onnx'}\n", "a.onnx", "models: {predictor: a.onnx}\n"},
		{"double quotes", "models: {predictor: \"a\\\"b\"} # \"\n", "a.onnx", "models: {predictor: a.onnx} # \"\n"},
		{"nothing", "models:\n  predictor: x\n", "", "models:\n  predictor: \"\"\n"},
		{"no value", "models:\n  predictor:\n  denoiser: d\n", "a.onnx", "models:\n  predictor: a.onnx\n  denoiser: d\n"},
		{"needs quotes", "models: {predictor: x}\n", "a, b: {c}", "models: {predictor: \"a, b: {c}\"}\n"},
		{"umlauts before it", "name: ä\nmodels: {denoiser: \"öü\", predictor: x}\n", "a.onnx", "name: ä\nmodels: {denoiser: \"öü\", predictor: a.onnx}\n"},
	} {
		got, err := SetText([]byte(c.text), "models", "predictor", c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, error %v, want %q", c.about, got, err, c.want)
		}
	}
}

func TestSetTextRefusesWhatItWouldBreak(t *testing.T) {
	for _, text := range []string{
		"- a\n", "{name: x}\n", "models: 3\n", "models: [a]\n",
		"a: &m {predictor: x}\nmodels: *m\n",
		"models:\n  predictor: &p x\n  denoiser: *p\n",
		"models:\n  predictor: |\n    x\n",
		"models: {predictor: \"a\n  b\"}\n",
		"models: {predictor: a\n  b}\n",
	} {
		if got, err := SetText([]byte(text), "models", "predictor", "a.onnx"); err == nil || !strings.Contains(err.Error(), "by hand") {
			t.Errorf("%q became %q, error %v, want one that asks for the user's hand", text, got, err)
		}
	}
}

// FuzzSetText: whatever the file, the result says the same but for one value.
func FuzzSetText(f *testing.F) {
	f.Add("models: {predictor: 'x'}\n", "a.onnx")
	f.Add("# c\nmodels:\n  denoiser: d\n", "")
	f.Fuzz(func(t *testing.T, text, value string) {
		edited, err := SetText([]byte(text), "models", "predictor", value)
		if err != nil {
			return
		}
		var got struct{ Models struct{ Predictor string } }
		if err := yaml.Unmarshal(edited, &got); err != nil || got.Models.Predictor != value {
			t.Errorf("%q became %q: %q, error %v", text, edited, got.Models.Predictor, err)
		}
		again, err := SetText(edited, "models", "predictor", value)
		if err != nil || string(again) != string(edited) {
			t.Errorf("%q became %q the second time, error %v", edited, again, err)
		}
	})
}
