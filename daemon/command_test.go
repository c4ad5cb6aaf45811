package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// sharpend runs one command and returns what it printed.
func sharpend(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = execute(context.Background(), environment{&out, &err}, args)
	return status, out.String(), err.String()
}

func TestExitStatus(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	write(t, bad, "nmae: x\n")
	noModel := filepath.Join(t.TempDir(), "nomodel.yaml")
	write(t, noModel, "models: {predictor: ./none.onnx}\n")
	for _, c := range []struct {
		args   string
		status int
		says   string // on stdout for status 0, else on stderr
	}{
		{"", 2, "Commands:"},
		{"help", 0, "bench"},
		{"--help", 0, "bench"},
		{"help run", 0, "--config"},
		{"version", 0, "sharpend devel"},
		{"--version", 0, "sharpend devel"},
		{"rum", 2, `no command "rum"`},
		{"run", 2, "--config FILE is missing"},
		{"run --config", 2, "flag needs an argument"},
		{"run --stepps 3", 2, "unknown flag: --stepps"},
		{"run -c x.yaml extra", 2, `unexpected argument "extra"`},
		{"run -c none.yaml", 1, "none.yaml: no such file"},
		{"check -c " + bad, 1, bad + ":1:1: nmae: unknown key; did you mean name?"},
		{"check -c " + noModel, 1, "models.predictor"},
		{"check -c ../configs/demo.yaml", 0, "steps: 2"},
		{"check -c ../configs/demo.yaml --steps 7", 0, "steps: 7"},
		{"check -c ../configs/demo.yaml --steps -7", 1, "refine.steps"},
		{"image one", 2, "want IN and OUT"},
		{"image none.png out.png", 1, "none.png: no such file"},
		{"bench", 2, "--config FILE is missing"},
		{"devices", 0, "cpu       works"},
	} {
		status, stdout, stderr := sharpend(strings.Fields(c.args)...)
		said := stderr
		if c.status == 0 {
			said = stdout
		}
		if status != c.status || !strings.Contains(said, c.says) {
			t.Errorf("sharpend %s: status %d, want %d saying %q; said %q", c.args, status, c.status, c.says, said)
		}
	}
}
