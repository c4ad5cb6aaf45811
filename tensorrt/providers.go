package tensorrt

import (
	"errors"
	"fmt"
	"image"
	"regexp"

	ort "github.com/yalue/onnxruntime_go"
)

// addProvider puts a provider into the session's options. A GPU provider must
// run the whole graph: ONNX Runtime would otherwise leave parts, or all of it,
// to the CPU without a word.
func addProvider(o *ort.SessionOptions, c *Config, provider, kind string, size image.Point) (note string, err error) {
	switch provider {
	case CPU:
		return "", nil
	case CUDA:
		err = addCUDA(o, c, kind, size)
	case TensorRT:
		if err = addTensorRT(o, c, kind, size); err != nil {
			return "", err
		}
		// For the nodes that TensorRT leaves over.
		if spare := addCUDA(o, c, kind, size); spare != nil {
			note = "without cuda for what tensorrt leaves over: " + plain(spare).Error()
		}
	default:
		return "", fmt.Errorf("runtime.providers: %q is no provider", provider)
	}
	if err != nil {
		return "", err
	}
	return note, o.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1")
}

func addCUDA(o *ort.SessionOptions, c *Config, kind string, size image.Point) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	if err := cuda.Update(c.sessionOptions(CUDA, kind, size)); err != nil {
		return c.blame(CUDA, err)
	}
	return o.AppendExecutionProviderCUDA(cuda)
}

func addTensorRT(o *ort.SessionOptions, c *Config, kind string, size image.Point) error {
	trt, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	defer trt.Destroy()
	if err := trt.Update(c.sessionOptions(TensorRT, kind, size)); err != nil {
		return c.blame(TensorRT, err)
	}
	return o.AppendExecutionProviderTensorRT(trt)
}

var optionNamed = regexp.MustCompile(`(Unknown|Failed to parse) provider option:? "([^"]+)"`)

// blame puts the configuration's key before ONNX Runtime's complaint about one
// of its own, which names the first that it does not know or cannot read.
func (c *Config) blame(provider string, err error) error {
	m := optionNamed.FindStringSubmatch(err.Error())
	if m == nil || m[2] == "device_id" {
		return err
	}
	key := "runtime.options." + provider + "." + m[2]
	if _, raw := c.Options[provider][m[2]]; !raw {
		key = setBy(provider, m[2])
	}
	if m[1] == "Unknown" {
		return fmt.Errorf("%s: ONNX Runtime %s does not know this option of %s: %w", key, ort.GetVersion(), provider, plain(err))
	}
	return fmt.Errorf("%s: %s does not take this value: %w", key, provider, plain(err))
}

var (
	inSource = regexp.MustCompile(`\S+\.(cc|h):\d+ .*?\[ONNXRuntimeError\] : \d+ : \w+ : `)
	inHeader = regexp.MustCompile(`\w+\.h:\d+ \w+ `)
	atHost   = regexp.MustCompile(` ?; GPU=-?\d+ ; hostname=.*`)
)

// plain takes the place in ONNX Runtime's source, and the machine's name, out
// of its message: the words stay.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	short := inSource.ReplaceAllString(text, "")
	short = inHeader.ReplaceAllString(short, "")
	short = atHost.ReplaceAllString(short, "")
	if short != text {
		return errors.New(short)
	}
	return err
}
