package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sharpend/config"
)

const shipped = "../configs/sharpend.yaml"

func TestShippedConfigHoldsEveryDefault(t *testing.T) {
	data, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	var c Config // without defaults: what the file leaves out would differ
	if _, err := config.Decode(shipped, data, &c); err != nil {
		t.Fatal(err)
	}
	live, restart := config.Changed(Default(), &c)
	if all := append(live, restart...); len(all) > 0 {
		t.Errorf("%s differs from the defaults in %v", shipped, all)
	}
}

// TestShippedConfigSaysWhatIsLive compares each key's comment with its tag.
func TestShippedConfigSaysWhatIsLive(t *testing.T) {
	data, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	at, err := config.Decode(shipped, data, Default())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	keys, live := config.Keys(Default())
	for _, key := range keys {
		p, ok := at.At(key)
		if !ok {
			t.Errorf("%s does not show %s", shipped, key)
			continue
		}
		if said := strings.Contains(lines[p.Line-1], "# (live)"); said != live[key] {
			t.Errorf("%s:%d: %s: the comment says live %v, the program %v", shipped, p.Line, key, said, live[key])
		}
	}
}

func TestShippedConfigsLoad(t *testing.T) {
	files, err := filepath.Glob("../configs/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if _, err := loadConfig(f, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigReportsAllFaultsWithTheirPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	write(t, file, `name: a/b
camera:
  source: film
  widht: 3
refine:
  steps: 1.5
publish: {quality: 101}
log: {level: loud}
`)
	_, err := loadConfig(file, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`:1:7: name: `, `:3:11: camera.source: `, `:4:3: camera.widht: .*width`, `:6:10: refine.steps: `, `:7:20: publish.quality: `, `:8:14: log.level: `,
	} {
		if !regexp.MustCompile(regexp.QuoteMeta(file) + want).MatchString(err.Error()) {
			t.Errorf("no fault matches %s in\n%v", want, err)
		}
	}
}

func TestRelativePathsStartAtTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	write(t, file, "camera: {source: file, path: clip.avi}\nmodels: {predictor: nets/p.onnx, denoiser: \"\"}\n")
	c, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "clip.avi"); c.Camera.Path != want {
		t.Errorf("camera.path is %s, want %s", c.Camera.Path, want)
	}
	if want := filepath.Join(dir, "nets/p.onnx"); c.Models.Predictor != want {
		t.Errorf("models.predictor is %s, want %s", c.Models.Predictor, want)
	}
	if c.Models.Denoiser != "" {
		t.Errorf("models.denoiser is %q, want none", c.Models.Denoiser)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialPaths(t *testing.T) {
	for _, c := range []struct{ path, secrets, want string }{
		{"${CREDENTIALS_DIRECTORY}/mqtt-password", "/run/credentials/s.service", "/run/credentials/s.service/mqtt-password"},
		{"${CREDENTIALS_DIRECTORY}/mqtt-password", "", "${CREDENTIALS_DIRECTORY}/mqtt-password"},
		{"password", "/run/credentials/s.service", "/etc/sharpend/password"},
		{"/elsewhere", "", "/elsewhere"},
		{"", "/run/credentials/s.service", ""},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", c.secrets)
		if got := absolutePath("/etc/sharpend", c.path); got != c.want {
			t.Errorf("%q with %q: expected %q, found %q", c.path, c.secrets, c.want, got)
		}
	}
}
