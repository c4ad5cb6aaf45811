package tensorrt

import (
	"fmt"
	"image"
	"maps"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// addProvider puts a provider into the session's options. A GPU provider must
// run the whole graph: ONNX Runtime would otherwise leave parts, or all of it,
// to the CPU without a word.
func addProvider(o *ort.SessionOptions, c *Config, provider string, ports []port, size image.Point) (note string, err error) {
	switch provider {
	case CPU:
		return "", nil
	case CUDA:
		err = addCUDA(o, c)
	case TensorRT:
		if err = addTensorRT(o, c, ports, size); err != nil {
			return "", err
		}
		// For the nodes that TensorRT leaves over.
		if spare := addCUDA(o, c); spare != nil {
			note = "without cuda for what tensorrt leaves over: " + spare.Error()
		}
	default:
		return "", fmt.Errorf("runtime.providers: %q is no provider", provider)
	}
	if err != nil {
		return "", err
	}
	return note, o.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1")
}

func addCUDA(o *ort.SessionOptions, c *Config) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	if err := cuda.Update(optionsOf(c, CUDA, nil)); err != nil {
		return err
	}
	return o.AppendExecutionProviderCUDA(cuda)
}

func addTensorRT(o *ort.SessionOptions, c *Config, ports []port, size image.Point) error {
	trt, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer trt.Destroy()
	if err := trt.Update(optionsOf(c, TensorRT, profile(ports, size))); err != nil {
		return err
	}
	return o.AppendExecutionProviderTensorRT(trt)
}

// optionsOf always names the device: without it a missing GPU shows only at the session's creation.
func optionsOf(c *Config, provider string, defaults map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, defaults)
	maps.Copy(all, c.Options[provider])
	all["device_id"] = strconv.Itoa(c.Device)
	return all
}

// profile fixes the one size that the engine is built for: any other would be
// built on the way, in the middle of the stream.
func profile(ports []port, size image.Point) map[string]string {
	shapes := make([]string, len(ports))
	for i, p := range ports {
		w, h := size.X, size.Y
		switch p.dims {
		case chromaDims:
			w, h = w/2, h/2
			fallthrough
		case lumaDims:
			shapes[i] = fmt.Sprintf("%s:1x1x%dx%d", p.name, h, w)
		default:
			shapes[i] = p.name + ":1"
		}
	}
	all := strings.Join(shapes, ",")
	return map[string]string{"trt_profile_min_shapes": all, "trt_profile_opt_shapes": all, "trt_profile_max_shapes": all}
}
