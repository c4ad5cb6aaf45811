package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"sharpend/tensorrt"
)

func TestFloors(t *testing.T) {
	p := peakOf("NVIDIA H100 80GB HBM3")
	run := networkRun{Precision: tensorrt.FP32, GFLOP: 494.7, Gigabytes: 6.7}
	if a, b := p.floors(&run); math.Abs(a-1) > 1e-9 || math.Abs(b-2) > 1e-9 {
		t.Errorf("float32: expected 1 and 2 ms, found %g and %g", a, b)
	}
	run.Precision = tensorrt.FP16
	if a, b := p.floors(&run); math.Abs(a-0.5) > 1e-9 || math.Abs(b-1) > 1e-9 {
		t.Errorf("float16: expected 0.5 and 1 ms, found %g and %g", a, b)
	}
	if peakOf("NVIDIA GeForce GTX 9") != nil || peakOf("") != nil {
		t.Error("an unknown GPU has floors")
	}
}

func TestNetworksTable(t *testing.T) {
	r := networksResult{Version: "v1", ONNX: "1.29.0", GPU: "NVIDIA H200", Peak: peakOf("NVIDIA H200"), Runs: []networkRun{
		{Network: "d", Kind: "denoiser", Size: "1280x720", Provider: "cuda", Precision: "fp32", Run: quantiles{P50: 2, P99: 3}, GFLOP: 27.8, Gigabytes: 4.8, Cold: 4, Warm: 1, Difference: "0.0004 of the state from the cpu (rms)", Nodes: "cuda 88 nodes (100 %)"},
		{Network: "p", Kind: "predictor", Size: "640x480", Provider: "cpu", Precision: "fp32", Run: quantiles{P50: 40, P99: 55}, GFLOP: 10.8, Gigabytes: 1},
		{Network: "p", Kind: "predictor", Size: "640x480", Provider: "tensorrt", Precision: "fp32", Error: "no library"},
		{Network: "p", Kind: "predictor", Size: "640x480", Provider: "tensorrt", Precision: "fp16", Error: "no library"},
	}}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{
		"sharpend v1, ONNX Runtime 1.29.0, NVIDIA H200\n\n`p`, a frame:\n",
		"\n| 640x480 | cpu | fp32 | 40.00 | 55.00 | 0.27 | - | - | 0.0 | 0.0 | - |  |\n",
		"\nNot measured: tensorrt fp32 640x480, tensorrt fp16 640x480: no library\n\n`d`, a refinement step:\n",
		"\n| 1280x720 | cuda | fp32 | 2.00 | 3.00 | 13.90 | 0.056 | 1.000 | 4.0 | 1.0 | 0.0004 of the state from the cpu (rms) | cuda 88 nodes (100 %) |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// The real networks at a small size, on the CPU and on what is not there.
func TestBenchNetworks(t *testing.T) {
	var out, log bytes.Buffer
	args := []string{"bench", "networks", "--providers", "cuda,cpu", "--sizes", "64x48", "--seconds", "0.05", "--json"}
	if status := execute(context.Background(), environment{&out, &log}, args); status != 0 {
		t.Fatalf("status %d: %s", status, log.String())
	}
	var r networksResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 4 {
		t.Fatalf("expected 2 networks on 2 providers, found %s", out.String())
	}
	for _, n := range r.Runs {
		failed := n.Error != ""
		if failed != (n.Provider == tensorrt.CUDA) || !failed && (n.Run.N < 5 || n.Run.P50 <= 0 || n.Cold <= 0 || n.Warm <= 0) {
			t.Errorf("found %+v", n)
		}
		// Some tens of GFLOP at 1280x720, which has 300 times as many pixels; each layer moves its pictures.
		if n.GFLOP < 0.01 || n.GFLOP > 5 || n.Gigabytes < 0.001 || n.Gigabytes > 0.1 {
			t.Errorf("%s: %g GFLOP and %g GB", n.Network, n.GFLOP, n.Gigabytes)
		}
		if !failed && (!strings.HasPrefix(n.Nodes, "cpu ") || !strings.HasSuffix(n.Nodes, " nodes (100 %)")) {
			t.Errorf("%s is run by %q", n.Network, n.Nodes)
		}
		if strings.Contains(n.Error, "works") {
			t.Errorf("the reason is not the provider's own: %s", n.Error)
		}
	}
}

func TestBenchNetworksRefuses(t *testing.T) {
	for _, args := range [][]string{{"--sizes", "640"}, {"--sizes", "640x480x3"}, {"--sizes", "0x5"}, {"--seconds", "0"}, {"x"}, {"--providers", "tpu"}} {
		var out, log bytes.Buffer
		if status := execute(context.Background(), environment{&out, &log}, append([]string{"bench", "networks"}, args...)); status == 0 {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestSharesText(t *testing.T) {
	got := sharesText([]tensorrt.NodeShare{{Provider: "tensorrt", Nodes: 2, Time: 97 * time.Millisecond}, {Provider: "cuda", Nodes: 3, Time: 3 * time.Millisecond}})
	if want := "tensorrt 2 nodes (97 %), cuda 3 nodes (3 %)"; got != want {
		t.Errorf("expected %q, found %q", want, got)
	}
	if got := sharesText([]tensorrt.NodeShare{{Provider: "cpu", Nodes: 1}}); got != "cpu 1 nodes (0 %)" {
		t.Errorf("without times: %q", got)
	}
}

func TestReasonOf(t *testing.T) {
	err := errors.New("/m.onnx: none of runtime.providers works: cuda: no GPU")
	if got := reasonOf(err, "cuda"); got != "no GPU" {
		t.Errorf("found %q", got)
	}
	if got := reasonOf(os.ErrClosed, "cuda"); got != os.ErrClosed.Error() {
		t.Errorf("found %q", got)
	}
}
