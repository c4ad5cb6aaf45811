package tensorrt

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

func faultsOf(c Config) (keys []string) {
	c.Validate(func(key, format string, args ...any) {
		keys = append(keys, key+": "+fmt.Sprintf(format, args...))
	})
	return keys
}

func TestDefaultIsValid(t *testing.T) {
	if faults := faultsOf(Default()); faults != nil {
		t.Error(faults)
	}
	c := Default()
	c.Providers[0] = "changed"
	if Default().Providers[0] != TensorRT {
		t.Error("a change of one default changes all")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"providers: []", []string{"providers: is empty: name at least one of tensorrt, cuda, cpu"}},
		{"providers: [gpu, cpu, cpu]", []string{`providers: "gpu" is no provider: use tensorrt, cuda, cpu`, "providers: cpu is named twice"}},
		{"threads: -1", []string{"threads: must be 0 (all cores) to 1024, not -1"}},
		{"{threads: 5000, device: -2}", []string{"threads: must be 0 (all cores) to 1024, not 5000", "device: must be a GPU's number from 0, not -2"}},
		{"options: {cpu: {a: b}}", []string{"options.cpu: takes no options: only tensorrt and cuda do"}},
		{"options: {cuda: {device_id: 1}}", []string{"options.cuda.device_id: is set by the key runtime.device"}},
		{"options: {tensorrt: {trt_fp16_enable: true, trt_builder_optimization_level: 5}}", nil},
	} {
		config := Default()
		if err := yaml.Unmarshal([]byte(c.text), &config); err != nil {
			t.Fatal(err)
		}
		if got := faultsOf(config); !slices.Equal(got, c.want) {
			t.Errorf("%s: expected %q, found %q", c.text, c.want, got)
		}
	}
}

func TestThreads(t *testing.T) {
	c := Default()
	if c.threads() != runtime.NumCPU() {
		t.Errorf("0 threads: expected every core, found %d", c.threads())
	}
	c.Threads = 3
	if c.threads() != 3 {
		t.Errorf("3 threads: found %d", c.threads())
	}
}
