package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/board"
	"sharpend/capture"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

// expect checks a finding: its verdict, words of its detail, words of its advice.
// Anything but ok must say what to do, and ok must not.
func (f finding) expect(t *testing.T, what string, status verdict, detail, advice string) {
	t.Helper()
	if f.Status != status || !strings.Contains(f.Detail, detail) || !strings.Contains(f.Advice, advice) {
		t.Errorf("%s: %+v, want %s saying %q, advising %q", what, f, status, detail, advice)
	}
	if (f.Advice == "") != (f.Status == fine) || f.Name == "" || f.Detail == "" {
		t.Errorf("%s: %+v: advice belongs to what is not ok, and name and detail to all", what, f)
	}
}

func TestConfigFinding(t *testing.T) {
	configFinding("x.yaml", nil).expect(t, "valid", fine, "x.yaml is valid", "")
	configFinding("", nil).expect(t, "none", fine, "defaults", "")
	configFinding("x.yaml", errors.New("x.yaml:1:1: nmae: unknown key")).expect(t, "broken", fail, "unknown key", "every key")
}

func TestProvidersFinding(t *testing.T) {
	no := errors.New("not enabled in this build")
	attempts := func(trt, cuda, cpu error) []tensorrt.Attempt {
		return []tensorrt.Attempt{{Provider: "tensorrt", Err: trt}, {Provider: "cuda", Err: cuda}, {Provider: "cpu", Err: cpu}}
	}
	all := []string{"tensorrt", "cuda", "cpu"}
	for _, c := range []struct {
		name           string
		list           []string
		attempts       []tensorrt.Attempt
		gpu            bool
		status         verdict
		chosen         string
		detail, advice string
	}{
		{"the first", all, attempts(nil, nil, nil), true, fine, "tensorrt", "tensorrt runs", ""},
		{"the second", all, attempts(no, nil, nil), true, warn, "cuda", "tensorrt does not: not enabled", "runtime.library"},
		{"the CPU beside a GPU", all, attempts(no, no, nil), true, warn, "cpu", "cpu runs; tensorrt and cuda do not: not enabled in this build", "lies idle"},
		{"the CPU without a GPU", all, attempts(no, no, nil), false, fine, "cpu", "no NVIDIA GPU here", ""},
		{"the CPU by choice", []string{"cpu"}, attempts(no, no, nil), true, fine, "cpu", "cpu runs", ""},
		{"none", []string{"tensorrt"}, attempts(no, nil, nil), true, fail, "", "tensorrt does not", "add cpu"},
		{"another order", []string{"cpu", "cuda"}, attempts(no, nil, nil), true, fine, "cpu", "cpu runs", ""},
		{"a library without GPU", all, attempts(fmt.Errorf("Failed to load library /x/libonnxruntime_providers_shared.so: cannot open"), no, nil), true, warn, "cpu", "for the CPU only", ""},
		{"a library that is not installed", all, attempts(errors.New("Failed to load library /x/libonnxruntime_providers_tensorrt.so with error: libnvinfer.so.10: cannot open shared object file: No such file or directory"), nil, nil), true, warn, "cuda", "cuda runs; tensorrt does not: libonnxruntime_providers_tensorrt.so needs libnvinfer.so.10, which is not installed", ""},
	} {
		f, chosen := providersFinding(c.list, c.attempts, c.gpu)
		f.expect(t, c.name, c.status, c.detail, c.advice)
		if chosen != c.chosen {
			t.Errorf("%s: %q chosen, want %q", c.name, chosen, c.chosen)
		}
	}
}

func TestSoftwareFinding(t *testing.T) {
	all := []string{"CUDA 12.6.68", "cuDNN 9.3.0", "TensorRT 10.3.0"}
	for _, c := range []struct {
		name           string
		s              software
		status         verdict
		detail, advice string
	}{
		{"JetPack 6.1", software{board.Identity{JetPack: "6.1", L4T: "36.4.0"}, true, true, all, nil}, fine, "JetPack 6.1, L4T 36.4.0, CUDA 12.6.68, cuDNN 9.3.0, TensorRT 10.3.0", ""},
		{"JetPack 7", software{board.Identity{JetPack: "7.0"}, true, true, all, nil}, fine, "JetPack 7.0", ""},
		{"JetPack 6.0", software{board.Identity{JetPack: "6.0", L4T: "36.3.0"}, true, true, all, nil}, fail, "no ONNX Runtime", "JetPack 6.1"},
		{"JetPack 5", software{board.Identity{JetPack: "5.1.3"}, true, true, all, nil}, fail, "no ONNX Runtime", "JetPack 6.1"},
		{"JetPack 5 on the CPU", software{board.Identity{JetPack: "5.1.3"}, true, false, all, nil}, fine, "5.1.3", ""},
		{"only L4T is known, old", software{board.Identity{L4T: "35.4.1"}, true, true, all, nil}, fail, "35.4.1", "JetPack 6.1"},
		{"only L4T is known, new", software{board.Identity{L4T: "36.4.3"}, true, true, all, nil}, fine, "36.4.3", ""},
		{"another cuDNN", software{board.Identity{JetPack: "6.1"}, true, true, all, []string{"a.so needs libcudnn.so.8"}}, warn, "a.so needs libcudnn.so.8", "install the versions"},
		{"no TensorRT", software{board.Identity{JetPack: "6.1"}, true, true, all[:2], nil}, warn, "not all", "nvidia-jetpack"},
		{"a PC", software{}, fine, "the CPU computes", ""},
		{"a PC that hopes", software{wanted: true}, fine, "the CPU computes", ""},
	} {
		c.s.finding().expect(t, c.name, c.status, c.detail, c.advice)
	}
}

// TestMissingFor looks at real libraries: ours, and one made to need cuDNN as the CUDA provider does.
func TestMissingFor(t *testing.T) {
	dir, library := t.TempDir(), os.Getenv("SHARPEND_ONNXRUNTIME")
	if list := needs(library); !slices.Contains(list, "libc.so.6") {
		t.Errorf("%s needs %v, want libc among them", library, list)
	}
	if missing := missingFor(library, nil); missing != nil {
		t.Errorf("%v are missing for the CPU", missing)
	}
	if list := needs(filepath.Join(dir, "none.so")); list != nil {
		t.Errorf("an absent file needs %v", list)
	}
	provider := filepath.Join(dir, "libonnxruntime_providers_cuda.so")
	build(t, filepath.Join(dir, "libcudnn.so.9"), "-Wl,-soname,libcudnn.so.9")
	build(t, provider, "-Wl,--no-as-needed", "-L"+dir, "-l:libcudnn.so.9")
	link := filepath.Join(t.TempDir(), "libonnxruntime.so.1") // the providers lie beside the real file
	write(t, filepath.Join(dir, "libonnxruntime.so.1"), "")
	if err := os.Symlink(filepath.Join(dir, "libonnxruntime.so.1"), link); err != nil {
		t.Fatal(err)
	}
	want := []string{"libonnxruntime_providers_cuda.so needs libcudnn.so.9"} // and libc, which is no business of ours
	if missing := missingFor(link, board.Libraries{"libcudnn.so.8": ""}); !slices.Equal(missing, want) {
		t.Errorf("%v are missing, want %v", missing, want)
	}
	if missing := missingFor(link, board.Libraries{"libcudnn.so.9.3.0": ""}); missing != nil {
		t.Errorf("%v are missing where cuDNN 9 is", missing)
	}
	write(t, provider, "no ELF")
	if missing := missingFor(filepath.Join(dir, "libonnxruntime.so.1"), nil); missing != nil {
		t.Errorf("a file that is no library misses %v", missing)
	}
}

// build makes an empty shared library.
func build(t *testing.T, path string, flags ...string) {
	t.Helper()
	args := append([]string{"-shared", "-x", "c", "/dev/null", "-x", "none", "-o", path}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
}

func TestSpeedFinding(t *testing.T) {
	speedFinding("cpu", 10*time.Millisecond, 30).expect(t, "fast", fine, "up to 100.0 frames/s", "")
	speedFinding("cpu", 100*time.Millisecond, 30).expect(t, "slow", warn, "up to 10.0 frames/s", "camera.width")
}

func TestDevicesFinding(t *testing.T) {
	device := capture.Device{Path: "/dev/video0", Names: []string{"/dev/v4l/by-id/cam"}, Card: "Cam", Formats: []capture.Mode{
		{Pixel: "MJPG", Width: 640, Height: 480}, {Pixel: "MJPG", Width: 1280, Height: 720, Rates: []float64{30}}, {Pixel: "YUYV", Width: 640, Height: 480}, {Pixel: "H264"}, {Pixel: "Y16\xa0"}}}
	devicesFinding([]capture.Device{device}, nil).expect(t, "one", fine, "/dev/v4l/by-id/cam (Cam): MJPG 1280x720 30, YUYV 640x480, 2 formats that sharpend does not read", "")
	devicesFinding(nil, nil).expect(t, "none", fail, "no video capture device", "v4l2loopback")
	devicesFinding(nil, errors.New("no sysfs")).expect(t, "no sysfs", fail, "no video capture device", "")
	device.Formats = device.Formats[3:]
	devicesFinding([]capture.Device{device}, nil).expect(t, "a strange one", warn, "(Cam): 2 formats that sharpend does not read", "MJPG, YUYV")
	device.Problem = "permission denied"
	devicesFinding([]capture.Device{device}, nil).expect(t, "forbidden", warn, "permission denied", "video")
}

// TestReadable holds the doctor's list to what camera.format takes.
func TestReadable(t *testing.T) {
	c, said := capture.Config{Format: "none"}, ""
	c.Validate(func(key, format string, args ...any) {
		if key == "format" {
			said = fmt.Sprintf(format, args...)
		}
	})
	if want := "auto, " + strings.Join(readable, ", ") + ","; !strings.Contains(said, want) {
		t.Errorf("camera.format %s; the doctor reads %s", said, readable)
	}
}

func TestCameraTrouble(t *testing.T) {
	v4l2 := capture.Config{Source: capture.V4L2}
	for _, c := range []struct {
		err    string
		status verdict
		advice string
	}{
		{"camera /dev/video0: permission denied", fail, "usermod"},
		{"camera /dev/video0: setting the format: device or resource busy", warn, "systemctl stop"},
		{"camera.device /dev/v4l/by-id/x: not plugged in: no such file", fail, "plug it in"},
		{"camera.device is empty and there are 2 cameras: name one of a, b", fail, "camera.device"},
		{"context deadline exceeded", fail, "streams no frame"},
		{"something else", fail, "sharpend devices"},
	} {
		cameraTrouble(v4l2, errors.New(c.err)).expect(t, c.err, c.status, c.err, c.advice)
	}
	cameraTrouble(capture.Config{Source: capture.File}, fs.ErrNotExist).expect(t, "no clip", fail, "not exist", "camera.path")
}

func TestRateFinding(t *testing.T) {
	camera := func(source string, fps float64, notes ...string) *capture.Camera {
		return &capture.Camera{Name: "cam", Config: capture.Config{Source: source}, Granted: capture.Format{Pixel: "MJPG", Width: 640, Height: 480, FPS: fps}, Notes: notes}
	}
	rateFinding(camera(capture.V4L2, 30), sighting{frames: 60, rate: 29.9}).expect(t, "as promised", fine, "cam: MJPG 640x480; 29.9 frames/s measured, 30 promised", "")
	rateFinding(camera(capture.V4L2, 0), sighting{frames: 60, rate: 12}).expect(t, "nothing promised", fine, "12.0 frames/s", "")
	rateFinding(camera(capture.V4L2, 30), sighting{frames: 30, rate: 15}).expect(t, "in the dark", warn, "15.0", "light")
	rateFinding(camera(capture.V4L2, 30), sighting{frames: 40, rate: 20, lost: 20}).expect(t, "a busy machine", warn, "20 lost", "too busy")
	rateFinding(camera(capture.Synthetic, 30), sighting{frames: 30, rate: 15}).expect(t, "a slow machine", warn, "15.0", "too slow")
	rateFinding(camera(capture.V4L2, 30, "size 1x1 was asked for"), sighting{frames: 60, rate: 30, lost: 3, damaged: map[string]int{"truncated": 9}}).
		expect(t, "broken", warn, "9 truncated; 3 lost; size 1x1 was asked for", "check_end")
}

func TestBrokerFindings(t *testing.T) {
	c := Default()
	c.Name, c.MQTT.Username = "mast", "cam"
	ok := mqtt.Findings{Broker: "h:1883", Connect: time.Millisecond, RoundTrip: time.Millisecond, Largest: 2_000_000}
	change := func(f func(*mqtt.Findings)) []finding {
		found := ok
		f(&found)
		return brokerFindings(c, found)
	}
	list := brokerFindings(c, ok)
	list[0].expect(t, "broker", fine, `h:1883 answers in 1.0 ms, and accepts user "cam"`, "")
	list[1].expect(t, "topics", fine, "sharpend/mast/doctor came back", "")
	list[2].expect(t, "packet", fine, "as much as mqtt.max_packet", "")
	list = change(func(f *mqtt.Findings) { f.Err, f.RoundTrip = errors.New("connection refused"), 0 })
	list[0].expect(t, "absent", fail, "connection refused", "mqtt.broker")
	if len(list) != 1 {
		t.Errorf("%v is said of a broker that is not there", list[1:])
	}
	change(func(f *mqtt.Findings) { f.Err, f.RoundTrip, f.Refused = errors.New("not authorised"), 0, true })[0].
		expect(t, "refused", fail, "not authorised", "mqtt.password_file")
	list = change(func(f *mqtt.Findings) { f.Lost = errors.New("it denies writing") })
	list[1].expect(t, "silent", fail, "denies writing", "sharpend/mast/#")
	if len(list) != 2 {
		t.Errorf("%v is said where nothing comes back", list[2:])
	}
	change(func(f *mqtt.Findings) { f.Denied = []string{"sharpend/mast/status"} })[1].expect(t, "denied", warn, "sharpend/mast/status", "sharpend/mast/#")
	change(func(f *mqtt.Findings) { f.Denied, f.Lost = []string{"x"}, errors.New("nothing back") })[1].expect(t, "both", fail, "nothing back", "")
	change(func(f *mqtt.Findings) { f.Largest, f.TooLarge, f.Reaction = 99_000, 100_000, mqtt.ErrHangsUp })[2].
		expect(t, "limit", warn, "takes 99000 bytes; at 100000 it closes the connection", "mqtt.max_packet: 99000")
	change(func(f *mqtt.Findings) { f.Largest, f.TooLarge, f.Reaction = 99_000, 100_000, mqtt.ErrSwallows })[2].
		expect(t, "silent limit", warn, "drops it without a word", "message_size_limit")
	change(func(f *mqtt.Findings) { f.Largest, f.TooLarge, f.Reaction = 256, 1024, mqtt.ErrSwallows })[2].
		expect(t, "tiny limit", fail, "no more than 256 bytes", "no picture fits")
	change(func(f *mqtt.Findings) { f.Largest, f.Err = 4096, errors.New("cut off") })[2].expect(t, "cut off", warn, "cut off", "again")
}

func TestBoardAndThrottlingFindings(t *testing.T) {
	orin := board.Read("../board/testdata/orin")
	boardFinding(orin).expect(t, "orin", fine, "AGX Orin Developer Kit, power mode MODE_30W, 8.3 of 61.4 GiB memory used, GPU load 47 %, GPU at 612 MHz, CPU at 1728 MHz, memory at 3199 MHz, VDDQ_VDD2_1V8AO 1.0 W, VDD_CPU_CV 2.4 W", "")
	throttlingFinding(orin).expect(t, "cool", fine, "nothing holds the clocks down; hottest is cpu with 51.6 °C; oc2 15 times since the boot", "")
	boardFinding(board.Telemetry{}).expect(t, "nothing", fine, "tells nothing", "")
	throttlingFinding(board.Telemetry{}).expect(t, "nothing", fine, "does not tell", "")
	yes := true
	orin.Throttled, orin.Causes = &yes, []string{"gpu-throttle-alert"}
	throttlingFinding(orin).expect(t, "hot", warn, "held down by gpu-throttle-alert", "cooling")
	orin.Causes = []string{"gpu-throttle-alert", "oc3"}
	throttlingFinding(orin).expect(t, "weak supply", warn, "oc3", "power supply")
	*orin.MemoryUsed = *orin.MemoryTotal - 1
	boardFinding(orin).expect(t, "full", warn, "61.4 of 61.4", "memory")
}

func TestClockFinding(t *testing.T) {
	now := time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
	clockFinding(now, unix.TIME_OK, unix.STA_PLL, nil).expect(t, "right", fine, "2026-11-23 17:00:00", "")
	clockFinding(now, unix.TIME_ERROR, unix.STA_UNSYNC, nil).expect(t, "free", warn, "not synchronised", "set-ntp")
	clockFinding(now, unix.TIME_OK, unix.STA_UNSYNC, nil).expect(t, "free by flag", warn, "not synchronised", "set-ntp")
	clockFinding(now, 0, 0, unix.ENOSYS).expect(t, "unknown", warn, "not implemented", "timedatectl")
	clockFinding(time.Unix(0, 0), unix.TIME_OK, 0, nil).expect(t, "1970", fail, "1970-01-01", "set-ntp")
}

func TestDiskFinding(t *testing.T) {
	const gib = 1 << 30
	diskFinding([]volume{{"/", 9 * gib, 10 * gib}}).expect(t, "room", fine, "/ has 9.0 of 10.0 GiB free", "")
	diskFinding([]volume{{"/", gib / 4, 10 * gib}, {"/var", 9 * gib, 10 * gib}}).expect(t, "little", warn, "/ has 0.2", "room")
	diskFinding([]volume{{"/", 0, 10 * gib}, {"/var", gib / 4, 10 * gib}}).expect(t, "full", fail, "/ has 0.0", "room")
	if list := volumes("/", "/", "", "/nowhere", t.TempDir()); len(list) == 0 || list[0].path != "/" || list[0].total == 0 || len(list) > 2 {
		t.Errorf("volumes %+v", list)
	}
}

func TestServiceFinding(t *testing.T) {
	const (
		running = "Id=sharpend.service\nLoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\nStatusText=streaming at 30/s\n"
		absent  = "Id=sharpend.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nNRestarts=0\n"
		failed  = "Id=sharpend@a.service\nLoadState=loaded\nUnitFileState=enabled\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=5\nStatusText=\n"
	)
	serviceFinding(running, nil).expect(t, "running", fine, "sharpend.service is active (running), enabled: streaming at 30/s", "")
	serviceFinding(absent, nil).expect(t, "absent", fine, "not installed", "")
	serviceFinding("", nil).expect(t, "nothing", fine, "not installed", "")
	serviceFinding("", errNoSystemd).expect(t, "no systemd", fine, "no systemd", "")
	serviceFinding(running+"\n"+failed+"\n"+failed, nil).expect(t, "failed", fail, "sharpend@a.service is failed (failed), enabled, restarted 5 times, result watchdog", "journalctl -u sharpend@a.service")
	if f := serviceFinding(running+"\n"+failed+"\n"+failed, nil); strings.Count(f.Detail, "sharpend@a") != 1 {
		t.Errorf("a unit is named twice: %s", f.Detail)
	}
	serviceFinding(strings.Replace(running, "NRestarts=0", "NRestarts=3", 1), nil).expect(t, "restarted", warn, "restarted 3 times", "journalctl")
}

func TestJudge(t *testing.T) {
	ok, dubious, bad := finding{Status: fine}, finding{Status: warn}, finding{Status: fail}
	for _, c := range []struct {
		all    []finding
		strict bool
		worst  verdict
		fails  bool
	}{
		{nil, true, fine, false}, {[]finding{ok}, true, fine, false},
		{[]finding{ok, dubious}, false, warn, false}, {[]finding{ok, dubious}, true, warn, true},
		{[]finding{bad, dubious, ok}, false, fail, true},
	} {
		if worst(c.all) != c.worst || (judge(c.all, c.strict) != nil) != c.fails {
			t.Errorf("%+v: worst %s, error %v", c, worst(c.all), judge(c.all, c.strict))
		}
	}
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	finding{"packet_size", warn, strings.Repeat("word ", 30), "do\nthis"}.print(&b)
	want := "warn  packet size   " + strings.TrimSpace(strings.Repeat("word ", 18)) + "\n" +
		"                    " + strings.TrimSpace(strings.Repeat("word ", 12)) + "\n" +
		"                    -> do\n                       this\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestDoctorHoldsProvidersToRequire(t *testing.T) {
	attempts := []tensorrt.Attempt{{Provider: tensorrt.TensorRT, Err: errors.New("no libnvinfer")}, {Provider: tensorrt.CPU}}
	for _, c := range []struct {
		require, onLess string
		want            verdict
	}{
		{"", tensorrt.OnLessExit, fine}, {tensorrt.CPU, tensorrt.OnLessExit, fine},
		{tensorrt.TensorRT, tensorrt.OnLessExit, fail}, {tensorrt.TensorRT, tensorrt.OnLessDegraded, warn},
	} {
		config := tensorrt.Default()
		config.Require, config.OnLess = c.require, c.onLess
		f := finding{Status: fine, Detail: "cpu runs"}
		f.require(&config, tensorrt.CPU, attempts)
		if f.Status != c.want || (c.want != fine) != strings.Contains(f.Detail, "no libnvinfer") {
			t.Errorf("require %q, on less %s: %v, %s", c.require, c.onLess, f.Status, f.Detail)
		}
	}
}
