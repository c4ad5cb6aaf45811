package tensorrt

import (
	"slices"
	"testing"
)

func TestDemandedLeavesOutWhatIsLess(t *testing.T) {
	for _, c := range []struct {
		require, onLess string
		want            []string
	}{
		{"", OnLessExit, known},
		{TensorRT, OnLessExit, []string{TensorRT}},
		{CUDA, OnLessExit, []string{TensorRT, CUDA}},
		{CPU, OnLessExit, known},
		{TensorRT, OnLessDegraded, known},
	} {
		config := Default()
		config.Require, config.OnLess = c.require, c.onLess
		if got := config.Demanded().Providers; !slices.Equal(got, c.want) {
			t.Errorf("require %q, on less %s: %v, want %v", c.require, c.onLess, got, c.want)
		}
		if insists := config.Insists(TensorRT); insists != (c.require == TensorRT && c.onLess == OnLessExit) {
			t.Errorf("require %q, on less %s: insists is %v", c.require, c.onLess, insists)
		}
	}
}

func TestLessSaysWhy(t *testing.T) {
	c := Default()
	skipped := map[string]string{TensorRT: "no GPU", CUDA: "no CUDA"}
	for require, want := range map[string]string{
		"": "", CPU: "",
		CUDA:     "runs on cpu, runtime.require is cuda: no CUDA",
		TensorRT: "runs on cpu, runtime.require is tensorrt: no GPU",
	} {
		c.Require = require
		if got := c.Less(CPU, skipped); got != want {
			t.Errorf("require %q: %q, want %q", require, got, want)
		}
	}
	c.Require = CUDA
	if got := c.Less(TensorRT, nil); got != "" {
		t.Errorf("tensorrt where cuda is required: %q", got)
	}
}
