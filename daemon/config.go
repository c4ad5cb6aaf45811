package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"sharpend/capture"
	"sharpend/config"
	"sharpend/infer"
	"sharpend/mqtt"
	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// Config is the whole configuration, the sum of the packages' own. A key
// tagged live takes effect on SIGHUP; any other needs a restart.
type Config struct {
	Name    string           `yaml:"name"`
	Camera  capture.Config   `yaml:"camera"`
	Models  Models           `yaml:"models" live:"true"`
	Runtime tensorrt.Config  `yaml:"runtime"`
	Engines engines.Config   `yaml:"engines"`
	Predict infer.Prediction `yaml:"predict" live:"true"`
	Refine  infer.Config     `yaml:"refine"`
	MQTT    mqtt.Config      `yaml:"mqtt"`
	Publish Publish          `yaml:"publish" live:"true"`
	Stats   Stats            `yaml:"stats" live:"true"`
	Log     Log              `yaml:"log" live:"true"`
}

// Models names the networks' files. A bare file name is a shipped model.
type Models struct {
	Predictor string `yaml:"predictor"`
	Denoiser  string `yaml:"denoiser"` // "" = keyframes show the predicted picture
	Golden    string `yaml:"golden"`   // what a reload asks of a new model: required, optional
}

// Publish says how frames are sent.
type Publish struct {
	FrameRate float64 `yaml:"frame_rate"` // frames a second; 0 = all
	Quality   int     `yaml:"quality"`    // JPEG, 1 to 100
}

// Stats says how often statistics are published.
type Stats struct {
	Every time.Duration `yaml:"every"`
}

// Log says what is logged.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn, error
}

// Default is the configuration of an empty file.
func Default() *Config {
	return &Config{
		Name:    "camera",
		Camera:  capture.Default(),
		Models:  Models{Predictor: "predictor-s.onnx", Denoiser: "denoiser-s.onnx", Golden: goldenRequired},
		Runtime: tensorrt.Default(),
		Engines: engines.Default(),
		Predict: infer.DefaultPrediction(),
		Refine:  infer.Default(),
		MQTT:    mqtt.Default(),
		Publish: Publish{Quality: 85},
		Stats:   Stats{Every: time.Second},
		Log:     Log{Level: "info"},
	}
}

// loadConfig reads and validates a file: defaults, then the file, then
// override (flags). The error lists every fault with its place in the file.
func loadConfig(file string, override func(*Config)) (*Config, error) {
	c := Default()
	var at config.Positions
	var faults config.Faults
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		at, err = config.Decode(file, data, c)
		if err != nil && !errors.As(err, &faults) {
			return nil, err
		}
	}
	if override != nil {
		override(c)
	}
	c.validate(func(section string) func(key, format string, args ...any) {
		return at.Section(section, &faults)
	})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	c.resolve(filepath.Dir(file))
	return c, nil
}

func (c *Config) validate(in func(section string) func(key, format string, args ...any)) {
	fault := in("")
	if c.Name == "" || strings.ContainsAny(c.Name, "/+#\x00") {
		fault("name", "must be a single topic level without / + or #, not %q", c.Name)
	}
	if c.Models.Predictor == "" {
		fault("models.predictor", "must name a file")
	}
	if g := c.Models.Golden; g != goldenRequired && g != goldenOptional {
		fault("models.golden", "must be %s or %s, not %q", goldenRequired, goldenOptional, g)
	}
	if c.Publish.FrameRate < 0 {
		fault("publish.frame_rate", "must be 0 (every frame) or more, not %g", c.Publish.FrameRate)
	}
	if c.Publish.Quality < 1 || c.Publish.Quality > 100 {
		fault("publish.quality", "must be between 1 and 100, not %d", c.Publish.Quality)
	}
	if c.Stats.Every < 100*time.Millisecond || c.Stats.Every > time.Hour {
		fault("stats.every", "must be between 100ms and 1h, not %v", c.Stats.Every)
	}
	if _, err := logLevel(c.Log.Level); err != nil {
		fault("log.level", "%v", err)
	}
	c.Camera.Validate(in("camera"))
	c.Runtime.Validate(in("runtime"))
	c.Predict.Validate(in("predict"))
	c.Refine.Validate(in("refine"))
	c.MQTT.Validate(in("mqtt"))
}

// resolve makes paths absolute in meaning: relative ones start at the config
// file's folder, and a bare model name is looked up among the shipped models.
func (c *Config) resolve(folder string) {
	for _, path := range []*string{
		&c.Camera.Path, &c.Runtime.Library, &c.Engines.Cache,
		&c.Runtime.TensorRT.Calibration, &c.Runtime.TensorRT.DenoiserCalibration, &c.Runtime.TensorRT.TimingCachePath,
		&c.MQTT.PasswordFile, &c.MQTT.CAFile, &c.MQTT.CertFile, &c.MQTT.KeyFile,
	} {
		*path = absolutePath(folder, *path)
	}
	c.Models.Predictor = modelPath(folder, c.Models.Predictor)
	c.Models.Denoiser = modelPath(folder, c.Models.Denoiser)
}

// absolutePath starts relative paths at folder, and those below the literal
// ${CREDENTIALS_DIRECTORY}/ at the folder of systemd's LoadCredential=. Outside
// systemd these stay as they are, so that the error of opening them names it.
func absolutePath(folder, path string) string {
	const variable = "CREDENTIALS_DIRECTORY"
	name, isCredential := strings.CutPrefix(path, "${"+variable+"}/")
	secrets := os.Getenv(variable)
	switch {
	case isCredential && secrets != "":
		return filepath.Join(secrets, name)
	case isCredential, path == "", filepath.IsAbs(path):
		return path
	}
	return filepath.Join(folder, path)
}

func modelPath(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	beside := filepath.Join(folder, path)
	if strings.ContainsRune(path, filepath.Separator) {
		return beside
	}
	for _, dir := range append([]string{folder}, modelFolders()...) {
		if full := filepath.Join(dir, path); exists(full) {
			return full
		}
	}
	return beside
}

// modelFolders is where the shipped models lie: where the environment says, in
// the source tree, below a prefix, or where the package puts them.
func modelFolders() []string {
	dirs := filepath.SplitList(os.Getenv("SHARPEND_MODELS"))
	if exe, err := os.Executable(); err == nil {
		up := filepath.Dir(filepath.Dir(exe))
		dirs = append(dirs, filepath.Join(up, "models"), filepath.Join(up, "share", "sharpend", "models"))
	}
	return append(dirs, "/usr/share/sharpend/models")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// with is c as it is in force: with the networks that serve.
func (c Config) with(n *networks) *Config {
	c.Models.Predictor, c.Models.Denoiser = n.paths()
	return &c
}

// public is the configuration as /info shows it, without the user's name.
func (c *Config) public() (settings map[string]any) {
	d := *c
	d.MQTT.Username = ""
	text, err := config.Effective(&d)
	if err == nil {
		err = yaml.Unmarshal(text, &settings)
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return settings
}
