package tensorrt

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNodesOnTheCPU(t *testing.T) {
	for _, m := range []*Model{load(t, "predictor", PredictorKind), load(t, "denoiser", DenoiserKind)} {
		list, err := Nodes(m, onCPU(1), CPU, 640, 360)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].Provider != CPU || list[0].Nodes < 10 || list[0].Time <= 0 || list[0].Bytes < 2*640*368 {
			t.Errorf("%s: expected 10 nodes or more, all on the cpu, found %+v", m.Kind, list)
		}
	}
	if _, err := Nodes(load(t, "predictor", PredictorKind), Default(), "tpu", 64, 48); err == nil || !strings.Contains(err.Error(), `"tpu" is no provider`) {
		t.Errorf("another provider: %v", err)
	}
	if _, err := Nodes(load(t, "predictor", PredictorKind), Default(), CPU, 0, 48); err == nil {
		t.Error("an empty picture has nodes")
	}
	if n := len(environment.open); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// As ONNX Runtime 1.27 writes it; the second run of a node counts.
const profileText = `[
{"cat":"Session","pid":1,"tid":1,"dur":900,"ts":1,"ph":"X","name":"model_loading_array","args":{}},
{"cat":"Node","pid":1,"tid":1,"dur":0,"ts":5,"ph":"X","name":"conv_fence_before","args":{"op_name":"Conv"}},
{"cat":"Node","pid":1,"tid":1,"dur":900,"ts":5,"ph":"X","name":"conv_kernel_time","args":{"op_name":"Conv","provider":"CUDAExecutionProvider","node_index":"3","output_size":"100","activation_size":"20","parameter_size":"3","thread_scheduling_stats":"","output_type_shape":[{"uint8":[1,1,48,64]}]}},
{"cat":"Node","pid":1,"tid":1,"dur":70,"ts":9,"ph":"X","name":"conv_kernel_time","args":{"provider":"CUDAExecutionProvider","node_index":"3","output_size":"100","activation_size":"20","parameter_size":"3"}},
{"cat":"Node","pid":1,"tid":1,"dur":30,"ts":9,"ph":"X","name":"relu_kernel_time","args":{"provider":"CUDAExecutionProvider","node_index":"4","output_size":"7","activation_size":"x","parameter_size":"-5"}},
{"cat":"Node","pid":1,"tid":1,"dur":2,"ts":9,"ph":"X","name":"shape_kernel_time","args":{"provider":"CPUExecutionProvider","node_index":"5"}},
{"cat":"Node","pid":1,"tid":1,"dur":4,"ts":9,"ph":"X","name":"all_kernel_time","args":{"provider":"TensorrtExecutionProvider","node_index":"6"}},
{"cat":"Node","pid":1,"tid":1,"dur":5,"ts":9,"ph":"X","name":"x_kernel_time","args":{"provider":"XnnpackExecutionProvider","node_index":"7"}}
]`

func TestParseProfile(t *testing.T) {
	want := []NodeShare{
		{CUDA, 2, 100 * time.Microsecond, 130}, {"XnnpackExecutionProvider", 1, 5 * time.Microsecond, 0},
		{CPU, 1, 2 * time.Microsecond, 0}, {TensorRT, 1, 4 * time.Microsecond, 0},
	}
	got, err := parseProfile([]byte(profileText))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("expected %v,\nfound %v (%v)", want, got, err)
	}
	for text, want := range map[string]string{
		"":   "ONNX Runtime's profile: unexpected end",
		"{}": "ONNX Runtime's profile: json",
		`[]`: "names no node",
		`[{"cat":"Node","name":"a_kernel_time","args":{"provider":3}}]`: "a_kernel_time: json",
	} {
		if _, err := parseProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected %q, found %v", text, want, err)
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte(profileText))
	f.Add([]byte(`[{"cat":"Node","name":"a_kernel_time","args":null}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseProfile(data)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%d shares, error %v", len(list), err)
		}
		for _, s := range list {
			if s.Nodes < 1 {
				t.Errorf("a share of nothing: %+v", s)
			}
		}
	})
}
