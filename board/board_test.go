package board

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// orin is the whole reading of testdata/orin as it goes over the wire. That
// every zone, rail and cooling device that must be left out is left out shows here.
const orin = `{"model":"NVIDIA Jetson AGX Orin Developer Kit","l4t":"36.4.0","jetpack":"6.1","nvpmodel":"MODE_30W",` +
	`"gpu_load_percent":47.3,"gpu_mhz":612,"gpu_max_mhz":1300.5,"cpu_mhz":1728,"cpu_max_mhz":2188.8,"emc_mhz":3199,` +
	`"temperatures_c":{"cpu":51.562,"gpu":48.718,"soc0":49.062,"soc1":47.906,"soc2":48.312,"tboard":38.5,"tdiode":41,"tj":51.562},` +
	`"power_mw":{"VDDQ_VDD2_1V8AO":995.68,"VDD_CPU_CV":2398.704,"VDD_GPU_SOC":4797.408,"VIN_SYS_5V0":3195.264},` +
	`"throttled":false,"overcurrent_events":{"oc1":0,"oc2":15,"oc3":37},` +
	`"memory_used_bytes":8939732992,"memory_total_bytes":65886662656,"swap_used_bytes":1048576,"swap_total_bytes":32943325184}`

const pc = `{"model":"Dell Inc. OptiPlex 7080","cpu_mhz":3000,"cpu_max_mhz":4700,` +
	`"temperatures_c":{"acpitz":27.8,"acpitz-2":29.8,"x86_pkg_temp":44},"throttled":true,"throttle_causes":["Processor-2"],` +
	`"memory_used_bytes":4325933056,"memory_total_bytes":16660332544,"swap_used_bytes":0,"swap_total_bytes":0}`

func TestRead(t *testing.T) {
	for _, c := range []struct{ root, want string }{
		{"testdata/orin", orin}, {"testdata/pc", pc}, {t.TempDir(), "{}"}, {"/nowhere", "{}"},
	} {
		reading := Read(c.root)
		got, err := json.Marshal(reading)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", c.root, err, got, c.want)
		}
		if reading.Empty() != (c.want == "{}") {
			t.Errorf("%s: Empty is %v", c.root, reading.Empty())
		}
	}
}

// TestThisMachine only proves that a real tree does no harm.
func TestThisMachine(t *testing.T) {
	begin := time.Now()
	reading := Read("/")
	text, err := json.Marshal(reading)
	if err != nil {
		t.Fatal(err)
	}
	if reading.MemoryTotal == nil || *reading.MemoryUsed > *reading.MemoryTotal {
		t.Errorf("no memory, or more used than there is: %s", text)
	}
	t.Logf("%v: %s", time.Since(begin), text)
}

// tree copies testdata/orin, for a test to change.
func copyTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/orin")); err != nil {
		t.Fatal(err)
	}
	return root
}

func write(t testing.TB, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestThrottling(t *testing.T) {
	root := copyTree(t)
	r := NewReader(root)
	expect := func(what string, causes ...string) {
		t.Helper()
		got := r.Read()
		if got.Throttled == nil || *got.Throttled != (len(causes) > 0) || !reflect.DeepEqual(got.Causes, causes) {
			t.Errorf("%s: %v, want %q", what, got.Causes, causes)
		}
	}
	expect("nothing: a fan and a warm surface slow nothing down")
	write(t, root, "sys/class/hwmon/hwmon3/oc3_event_cnt", "38\n")
	expect("an event since the last reading", "oc3")
	expect("no further event")
	write(t, root, "sys/class/thermal/cooling_device6/cur_state", "1\n")
	write(t, root, "sys/class/thermal/cooling_device4/cur_state", "3\n")
	write(t, root, "sys/class/hwmon/hwmon1/curr1_crit_alarm", "1\n")
	write(t, root, "sys/class/hwmon/hwmon2/curr1_crit_alarm", "1\n") // a channel without a rail
	expect("a hot GPU and a rail", "devfreq-17000000.gpu", "gpu-throttle-alert", "overcurrent VDD_GPU_SOC")
}

// TestOtherLayouts: the same values in the places and forms of other releases.
func TestOtherLayouts(t *testing.T) {
	load := func(r Telemetry) any { return value(r.GPULoad) }
	gpu := func(r Telemetry) any { return value(r.GPUClock) }
	emc := func(r Telemetry) any { return value(r.EMCClock) }
	power := func(r Telemetry) any { return value(at(r.Power, "VDD_IN")) }
	mode := func(r Telemetry) any { return r.PowerMode }
	for _, c := range []struct {
		name  string
		files map[string]string
		get   func(Telemetry) any
		want  any
	}{
		{"a GPU by another name", map[string]string{devfreq + "/17000000.ga10b/cur_freq": "306000000\n", devfreq + "/17000000.ga10b/device/load": "0\n"}, gpu, 306.0},
		{"two domains, no load", map[string]string{devfreq + "/gpu-nvd-0/cur_freq": "1692000000", devfreq + "/gpu-gpc-0/cur_freq": "1575000000"}, gpu, 1575.0},
		{"no load is no 0", map[string]string{devfreq + "/gpu-gpc-0/cur_freq": "1575000000"}, load, nil},
		{"load without devfreq", map[string]string{"sys/devices/gpu.0/load": "999"}, load, 99.9},
		{"memory by devfreq", map[string]string{devfreq + "/bwmgr/cur_freq": "4266000000"}, emc, 4266.0},
		{"watts from the chip", map[string]string{hwmon + "/hwmon0/power1_input": "7250000", hwmon + "/hwmon0/power1_label": "VDD_IN"}, power, 7250.0},
		{"a mode without a name", map[string]string{"var/lib/nvpmodel/status": "pmode:0003\n"}, mode, "3"},
		{"mode 0", map[string]string{"var/lib/nvpmodel/status": "pmode:0000 fmode:quiet\n"}, mode, "0"},
		{"a zone without a type", map[string]string{thermal + "/thermal_zone0/temp": "40500"}, func(r Telemetry) any { return len(r.Temperatures) }, 0},
		{"old zone names", map[string]string{thermal + "/thermal_zone0/type": "GPU-therm", thermal + "/thermal_zone0/temp": "40500"}, func(r Telemetry) any { return value(at(r.Temperatures, "gpu")) }, 40.5},
		{"L4T by its package", map[string]string{"var/lib/dpkg/status": "Package: nvidia-l4t-core\nStatus: install ok installed\nVersion: 38.2.0-20250821174705\n"}, func(r Telemetry) any { return r.L4T }, "38.2.0"},
		{"JetPack by its runtime", map[string]string{"var/lib/dpkg/status": "Package: nvidia-jetpack-runtime\nStatus: install ok installed\nVersion: 7.0-b128\n"}, func(r Telemetry) any { return r.JetPack }, "7.0"},
		{"JetPack removed", map[string]string{"var/lib/dpkg/status": "Package: nvidia-jetpack\nStatus: deinstall ok config-files\nVersion: 6.1+b123\n"}, func(r Telemetry) any { return r.JetPack }, ""},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			write(t, root, path, text)
		}
		if got := c.get(Read(root)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func value(p *float64) any {
	if p == nil {
		return nil
	}
	return *p
}

func at(m map[string]float64, key string) *float64 {
	if v, ok := m[key]; ok {
		return &v
	}
	return nil
}

// TestLateDriver: what appears after the first reading is found within lifetime readings.
func TestLateDriver(t *testing.T) {
	root := t.TempDir()
	r := NewReader(root)
	write(t, root, devfreq+"/gpu-gpc-0/cur_freq", "1575000000")
	for i := range lifetime + 1 {
		if got := r.Read().GPUClock; got != nil {
			t.Logf("found after %d readings", i)
			return
		}
	}
	t.Errorf("not found after %d readings", lifetime+1)
}

// malformed are contents that no file should have.
var malformed = []string{
	"", "\n", "\x00", "-", "NaN", "inf", "1e400", "0x10", "1_0", "99999999999999999999", "12 34", "\xff\xfe", "12abc",
	strings.Repeat("9", 5000), strings.Repeat("x", 5000), "-256000", "\x1b[2J", "MemTotal: -1 kB", "pmode:", "pmode:x",
	"# R (release), REVISION: , x", "< POWER_MODEL ID= NAME= >",
}

// TestMalformedContents writes nonsense into each file of the tree in turn:
// whatever comes out must be in range and fit into JSON.
func TestMalformedContents(t *testing.T) {
	root, done := copyTree(t), map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := strings.Map(func(r rune) rune { // one zone is like another
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, strings.TrimPrefix(path, root))
		if done[kind] {
			return nil
		}
		done[kind] = true
		original, err := os.ReadFile(path)
		for _, text := range malformed {
			write(t, "", path, text)
			checkSane(t, root, path+" holding "+text[:min(len(text), 30)])
		}
		write(t, "", path, string(original))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := json.Marshal(Read(root)); string(got) != orin {
		t.Errorf("the tree is not restored: %s", got)
	}
}

// TestNoFiles: a folder where a file belongs, and the reverse.
func TestNoFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, hwmon, "")
	write(t, root, thermal+"/thermal_zone0/type/x", "")
	write(t, root, "proc/meminfo/x", "")
	write(t, root, "etc/nvpmodel.conf/x", "")
	if r := Read(root); !r.Empty() {
		t.Errorf("%+v", r)
	}
}

func checkSane(t testing.TB, root, what string) {
	t.Helper()
	r := Read(root)
	if _, err := json.Marshal(r); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	texts := append([]string{r.Model, r.L4T, r.JetPack, r.PowerMode}, r.Causes...)
	texts = slices.AppendSeq(texts, maps.Keys(r.Temperatures))
	texts = slices.AppendSeq(texts, maps.Keys(r.Power))
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || len(text) > 300 {
			t.Errorf("%s: %q is no text for people", what, text)
		}
	}
	if r.GPULoad != nil && (*r.GPULoad < 0 || *r.GPULoad > 100) {
		t.Errorf("%s: a GPU load of %v %%", what, *r.GPULoad)
	}
	for zone, c := range r.Temperatures {
		if c < -100 || c > 250 {
			t.Errorf("%s: %s is at %v degrees", what, zone, c)
		}
	}
	if r.MemoryUsed != nil && *r.MemoryUsed > *r.MemoryTotal {
		t.Errorf("%s: more memory used than there is", what)
	}
}

// FuzzRead gives one content to every kind of file.
func FuzzRead(f *testing.F) {
	for _, text := range malformed {
		f.Add(text)
	}
	f.Add("# R36 (release), REVISION: 4.0, GCID: 1")
	f.Add("MemTotal: 1 kB\nMemAvailable: 2 kB\n")
	f.Add("< POWER_MODEL ID=1 NAME=x >\n")
	root := f.TempDir()
	paths := []string{
		"proc/meminfo", "proc/device-tree/model", "etc/nv_tegra_release", "etc/nvpmodel.conf", "var/lib/nvpmodel/status", "var/lib/dpkg/status",
		devfreq + "/1.gpu/cur_freq", devfreq + "/1.gpu/device/load", cpufreq + "/policy0/scaling_cur_freq",
		thermal + "/thermal_zone0/type", thermal + "/thermal_zone0/temp", thermal + "/cooling_device0/type", thermal + "/cooling_device0/cur_state",
		hwmon + "/hwmon0/in1_label", hwmon + "/hwmon0/in1_input", hwmon + "/hwmon0/curr1_input", hwmon + "/hwmon0/oc1_event_cnt",
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range paths {
			write(t, root, p, text)
		}
		checkSane(t, root, "every file holding "+text)
	})
}

func TestLibraries(t *testing.T) {
	l := FindLibraries("testdata/orin")
	for stem, want := range map[string]string{"libnvinfer": "10.3.0", "libcudnn": "9.3.0", "libcudart": "12.6.68", "libcublas": "12.6.1.4", "libcuda": ""} {
		if got := l.Version(stem); got != want {
			t.Errorf("%s is %q, want %q", stem, got, want)
		}
	}
	for soname, want := range map[string]bool{"libnvinfer.so.10": true, "libnvinfer.so.1": false, "libcudart.so.12": true, "libcublas.so.13": false} {
		if l.Has(soname) != want {
			t.Errorf("Has(%s) is %v", soname, !want)
		}
	}
	if len(FindLibraries(t.TempDir())) > 0 || Libraries(nil).Has("libcudnn.so.9") {
		t.Error("libraries out of nothing")
	}
	if !Concerns("libcublasLt.so.12") || Concerns("libc.so.6") {
		t.Error("Concerns does not tell CUDA's libraries from others")
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version, minimum string
		want             bool
	}{{"6.1", "6.1", true}, {"6.0", "6.1", false}, {"5.1.3", "6.1", false}, {"7", "6.1", true}, {"6.10", "6.2", true}, {"", "6.1", false}} {
		if AtLeast(c.version, c.minimum) != c.want {
			t.Errorf("AtLeast(%q, %q) is %v", c.version, c.minimum, !c.want)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	r := NewReader("testdata/orin")
	b.ReportAllocs()
	for range b.N {
		r.Read()
	}
}
