package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sharpend/tensorrt"
)

// requiring asks for CUDA, which the test library does not have.
func requiring(onLess string) func(*Config) {
	return func(c *Config) {
		c.Runtime.Providers = []string{tensorrt.CUDA, tensorrt.CPU}
		c.Runtime.Require, c.Runtime.OnLess = tensorrt.CUDA, onLess
	}
}

func TestRequireEndsTheRunOnLess(t *testing.T) {
	p := testPipeline(t, testConfig(t, requiring(tensorrt.OnLessExit)), (&outbox{}).output())
	err := p.run(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "runtime.require is cuda") || !strings.Contains(err.Error(), "libonnxruntime_providers_shared.so") {
		t.Errorf("error %v, want one that names the key and the library's reason", err)
	}
	noneLeftOpen(t)
}

func TestRequireOfTheDenoiserEndsTheRun(t *testing.T) {
	p := testPipeline(t, testConfig(t, keyframing, func(c *Config) {
		c.Runtime.Require, c.Runtime.DenoiserProviders = tensorrt.CPU, []string{tensorrt.CUDA}
	}), (&outbox{}).output())
	if err := p.run(context.Background(), nil); err == nil || !strings.HasPrefix(err.Error(), "refiner: runtime.require") {
		t.Errorf("error %v, want the refiner's", err)
	}
}

func TestDegradedServesAndSaysSo(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, keyframing, requiring(tensorrt.OnLessDegraded)), o.output())
	_, end := started(t, p)
	eventually(t, "a refined keyframe and info of both", func() bool { return o.count("keyframe/meta") > 1 && len(lastInfo(t, o).Degraded) == 2 })
	eventually(t, "stats", func() bool { return o.count("stats") > 1 })
	n := newNotifier(p)
	status := n.report(n.counted.at).text()
	end()
	i := lastInfo(t, o)
	for k, kind := range []string{"the predictor runs on cpu, runtime.require is cuda: ", "the denoiser runs on cpu, runtime.require is cuda: "} {
		if !strings.HasPrefix(i.Degraded[k], kind) || !strings.Contains(i.Degraded[k], "libonnxruntime_providers_shared.so") {
			t.Errorf("degraded says %q, want it to begin with %q and give the library's reason", i.Degraded[k], kind)
		}
	}
	if !strings.HasPrefix(status, "DEGRADED: the predictor runs on cpu") {
		t.Errorf("the status is %q", status)
	}
	var s snapshot
	if err := json.Unmarshal(slices.Concat(o.messages["stats"][o.count("stats")-1]), &s); err != nil || !s.Degraded || !strings.Contains(s.line(), "DEGRADED") {
		t.Errorf("error %v; the statistics say %q", err, s.line())
	}
}

func TestNothingIsDegradedWithoutRequire(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Runtime.Providers = []string{tensorrt.CUDA, tensorrt.CPU} }), o.output())
	until(t, p, func() bool { return o.count("frame") > 3 })
	if i := lastInfo(t, o); i.Degraded != nil || i.Predictor.Provider != tensorrt.CPU {
		t.Errorf("provider %s, degraded %v", i.Predictor.Provider, i.Degraded)
	}
}
