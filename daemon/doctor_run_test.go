package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sharpend/mqtt/mosquittotest"
)

// doctorConfig is a synthetic camera on the shipped models, with a broker.
func doctorConfig(t *testing.T, mqtt string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "doctor.yaml")
	write(t, file, fmt.Sprintf(`name: test
camera: {source: synthetic, width: 160, height: 96, fps: 20}
models: {predictor: predictor-s.onnx, denoiser: denoiser-s.onnx}
mqtt: {%s}
`, mqtt))
	return file
}

// examineJSON runs the doctor and returns its findings by name.
func examineJSON(t *testing.T, args ...string) (status int, overall verdict, byName map[string]finding) {
	t.Helper()
	status, stdout, stderr := sharpend(append([]string{"doctor", "--json"}, args...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v in %q; stderr %s", err, stdout, stderr)
	}
	byName = map[string]finding{}
	for _, f := range d.Findings {
		if _, twice := byName[f.Name]; twice {
			t.Errorf("two findings are called %s", f.Name)
		}
		byName[f.Name] = f
		f.expect(t, f.Name, f.Status, "", "")
	}
	t.Logf("status %d\n%s", status, stdout)
	return status, d.Status, byName
}

// TestDoctorOnABrokerWithALimit goes all the way: mosquitto, the shipped models, a synthetic camera.
func TestDoctorOnABrokerWithALimit(t *testing.T) {
	b := mosquittotest.Start(t, "allow_anonymous true", "max_packet_size 100000")
	file := doctorConfig(t, "broker: mqtt://"+b.Addr)
	status, overall, found := examineJSON(t, "-c", file)
	if status != 0 || overall != warn {
		t.Errorf("status %d, %s: want 0 for a warning", status, overall)
	}
	for name, want := range map[string]verdict{
		"config": fine, "onnxruntime": fine, "models": fine, "camera": fine, "broker": fine, "topics": fine, "packet_size": warn,
	} {
		if found[name].Status != want {
			t.Errorf("%s: %+v, want %s", name, found[name], want)
		}
	}
	for _, name := range []string{"providers", "gpu_software", "speed", "board", "throttling", "clock", "disk", "service"} {
		if _, ok := found[name]; !ok {
			t.Errorf("there is no finding %s", name)
		}
	}
	var rate float64
	_, detail, _ := strings.Cut(found["camera"].Detail, "; ")
	if _, err := fmt.Sscanf(detail, "%f frames/s measured, 20 promised", &rate); err != nil || rate < 2 || rate > 22 {
		t.Errorf("camera: %s, want about 20 frames/s", found["camera"].Detail)
	}
	if detail := found["models"].Detail; !strings.Contains(detail, "belong together") {
		t.Errorf("models: %s", detail)
	}
	if advice := found["packet_size"].Advice; !strings.Contains(advice, "mqtt.max_packet: 9") {
		t.Errorf("advice for a limit of 100000 bytes: %s", advice)
	}
	if status, _, stderr := sharpend("doctor", "-c", file, "--strict"); status != 1 || !strings.Contains(stderr, "warned of") {
		t.Errorf("--strict: status %d saying %q, want 1 for a warning", status, stderr)
	}
}

func TestDoctorOnAWrongAccount(t *testing.T) {
	accounts, password := filepath.Join(t.TempDir(), "accounts"), filepath.Join(t.TempDir(), "password")
	write(t, accounts, "")
	write(t, password, "wrong\n")
	if out, err := exec.Command("mosquitto_passwd", "-b", accounts, "cam", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := mosquittotest.Start(t, "allow_anonymous false", "password_file "+accounts)
	file := doctorConfig(t, "broker: mqtt://"+b.Addr+", username: cam, password_file: "+password)
	status, stdout, stderr := sharpend("doctor", "-c", file)
	if status != 1 || !strings.Contains(stdout, "\nfail  broker        the broker refuses user \"cam\"") || !strings.Contains(stderr, "1 failed") {
		t.Errorf("status %d, want 1 for a refusal\n%s%s", status, stdout, stderr)
	}
	if strings.Contains(stdout, "wrong") || strings.Contains(stdout, "topics") {
		t.Errorf("a password, or what cannot be known, is printed:\n%s", stdout)
	}
}

func TestDoctorOnABadConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	write(t, file, "nmae: x\ncamera: {width: -1}\n")
	status, overall, found := examineJSON(t, "-c", file)
	if status != 1 || overall != fail || !strings.Contains(found["config"].Detail, "did you mean name?") || !strings.Contains(found["config"].Detail, "width") {
		t.Errorf("status %d: %+v, want every fault", status, found["config"])
	}
	if _, ok := found["broker"]; ok || len(found) < 5 {
		t.Errorf("%v: want what does not depend on a configuration", slices.Sorted(maps.Keys(found)))
	}
}

// TestDoctorOnMissingThings: what is missing fails by name, and nothing after it is hidden.
func TestDoctorOnMissingThings(t *testing.T) {
	t.Setenv("SHARPEND_ONNXRUNTIME", "/nowhere/libonnxruntime.so.1")
	file := filepath.Join(t.TempDir(), "missing.yaml")
	write(t, file, "camera: {source: file, path: /nowhere.avi}\nmqtt: {broker: embedded, listen: 127.0.0.1:0}\n")
	status, _, found := examineJSON(t, "-c", file)
	if status != 1 || found["onnxruntime"].Status != fail || found["camera"].Status != fail || found["broker"].Status != fine {
		t.Errorf("status %d: %+v, %+v, %+v", status, found["onnxruntime"], found["camera"], found["broker"])
	}
}

func TestDoctorUsage(t *testing.T) {
	if status, _, stderr := sharpend("doctor", "extra"); status != 2 || !strings.Contains(stderr, "extra") {
		t.Errorf("status %d saying %q", status, stderr)
	}
	if status, stdout, _ := sharpend("help", "doctor"); status != 0 || !strings.Contains(stdout, "--strict") || !strings.Contains(stdout, "--json") {
		t.Errorf("status %d saying %q", status, stdout)
	}
}
