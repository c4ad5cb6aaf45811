package capture

import (
	"slices"
	"strings"
	"time"
)

// The sources of frames.
const (
	V4L2      = "v4l2"
	File      = "file"
	Synthetic = "synthetic"
)

// pixelFormats are the names that Config.Format takes besides "auto", the preferred raw format first.
var pixelFormats = []string{"MJPG", "YUYV", "UYVY", "NV12", "YU12", "GREY"}

// Config is the camera section of the configuration. Every key needs a restart.
type Config struct {
	Source           string         `yaml:"source"`              // v4l2, file or synthetic
	Device           string         `yaml:"device"`              // v4l2: by-id or by-path name; "" = the only camera there is
	Path             string         `yaml:"path"`                // file: a folder of pictures, an .avi, an .mjpeg
	Format           string         `yaml:"format"`              // auto or a pixel format
	Width            int            `yaml:"width"`               // pixels; 0 = the camera's choice
	Height           int            `yaml:"height"`              // pixels; 0 = the camera's choice
	FPS              float64        `yaml:"fps"`                 // frames a second; 0 = the camera's choice
	Range            string         `yaml:"range"`               // v4l2, raw formats: auto (as the driver says), limited, full
	Controls         map[string]int `yaml:"controls"`            // v4l2: by name as v4l2-ctl shows it, or by id
	Buffers          int            `yaml:"buffers"`             // v4l2: frames that the kernel may hold
	Timeout          time.Duration  `yaml:"timeout"`             // no frame for so long means that the camera is lost
	Loop             bool           `yaml:"loop"`                // file: start again at the end
	AsFastAsPossible bool           `yaml:"as_fast_as_possible"` // file, synthetic: wait for the pipeline, not for the clock
	CheckEnd         bool           `yaml:"check_end"`           // drop MJPEG frames that do not end in FFD9
	Synthetic        SceneConfig    `yaml:"synthetic"`
}

// SceneConfig describes the synthetic scene.
type SceneConfig struct {
	Seed  uint64  `yaml:"seed"`
	Blur  float64 `yaml:"blur"`  // mean length of the motion path, pixels
	Noise float64 `yaml:"noise"` // standard deviation, grey levels
	Rest  bool    `yaml:"rest"`  // the camera does not pan; with blur 0 it rests
}

// Default is the configuration of an empty camera section.
func Default() Config {
	return Config{
		Source: V4L2, Format: "auto", Range: "auto", Buffers: 4, Timeout: 2 * time.Second, Loop: true, CheckEnd: true,
		Synthetic: SceneConfig{Seed: 1, Blur: 9, Noise: 1.5},
	}
}

// Validate reports every fault by its key, relative to the camera section.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	oneOf(fault, "source", c.Source, V4L2, File, Synthetic)
	oneOf(fault, "format", c.Format, append([]string{"auto"}, pixelFormats...)...)
	oneOf(fault, "range", c.Range, "auto", "limited", "full")
	if c.Source == File && c.Path == "" {
		fault("path", "must name a folder, an .avi or an .mjpeg file when source is file")
	}
	within(fault, "width", float64(c.Width), 0, 16384)
	within(fault, "height", float64(c.Height), 0, 16384)
	if (c.Width == 0) != (c.Height == 0) {
		fault("width", "and height must both be given, or neither (have %d and %d)", c.Width, c.Height)
	}
	within(fault, "fps", c.FPS, 0, 1000)
	within(fault, "buffers", float64(c.Buffers), 2, 32)
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Hour {
		fault("timeout", "must be between 100ms and 1h, not %v", c.Timeout)
	}
	within(fault, "synthetic.blur", c.Synthetic.Blur, 0, 100)
	within(fault, "synthetic.noise", c.Synthetic.Noise, 0, 100)
}

func oneOf(fault func(key, format string, args ...any), key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		fault(key, "must be one of %s, not %q", strings.Join(allowed, ", "), value)
	}
}

// within is written so that NaN is a fault too.
func within(fault func(key, format string, args ...any), key string, value, low, high float64) {
	if !(value >= low && value <= high) {
		fault(key, "must be between %g and %g, not %g", low, high, value)
	}
}
