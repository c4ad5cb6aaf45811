package board

import (
	"slices"
	"strconv"
	"strings"
)

const (
	devfreq = "sys/class/devfreq"
	cpufreq = "sys/devices/system/cpu/cpufreq"
	thermal = "sys/class/thermal"
	hwmon   = "sys/class/hwmon"

	// channels is how many rails one chip may have: an INA3221 has three.
	channels = 8
)

// layout is where a machine's values stand; "" and nil for what it has not.
type layout struct {
	gpuClock, gpuLimit, gpuLoad, emcClock string
	clusters                              []cluster
	zones, cooling, alarms, events        []sensor
	rails                                 []rail
}

type sensor struct{ name, path string }

type cluster struct{ clock, limit string }

// A rail has either a power (microwatts) or a voltage (millivolts) and a current (milliamperes).
type rail struct{ name, power, voltage, current string }

// find looks a machine over, by names, types and labels.
func (t *tree) find() layout {
	var l layout
	t.findClocks(&l)
	for _, dir := range t.with(cpufreq, "policy") {
		l.clusters = append(l.clusters, cluster{dir + "/scaling_cur_freq", dir + "/scaling_max_freq"})
	}
	for _, dir := range t.with(thermal, "thermal_zone") {
		add(&l.zones, zoneName(t.text(dir+"/type")), dir+"/temp")
	}
	for _, dir := range t.with(thermal, "cooling_device") {
		if kind := t.text(dir + "/type"); slows(kind) {
			add(&l.cooling, kind, dir+"/cur_state")
		}
	}
	for _, dir := range t.with(hwmon, "hwmon") {
		t.findRails(&l, dir, t.names(dir))
	}
	return l
}

// add gives a second sensor of a name the name with -2; a nameless one is left out.
func add(list *[]sensor, name, path string) {
	if name == "" {
		return
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(*list, func(s sensor) bool { return s.name == name })
	}
	unique := name
	for i := 2; taken(unique); i++ {
		unique = name + "-" + strconv.Itoa(i)
	}
	*list = append(*list, sensor{unique, path})
}

func (t *tree) findClocks(l *layout) {
	for _, dir := range t.with(devfreq, "") {
		name := dir[len(devfreq)+1:]
		switch {
		case isMemory(name) && l.emcClock == "":
			l.emcClock = dir + "/cur_freq"
		case l.gpuClock == "" && t.isGPU(dir, name):
			l.gpuClock, l.gpuLimit = dir+"/cur_freq", dir+"/max_freq"
			l.gpuLoad = t.existing(dir + "/device/load")
		}
	}
	if l.emcClock == "" {
		l.emcClock = t.existing("sys/kernel/debug/bpmp/debug/clk/emc/rate")
	}
	if l.gpuLoad == "" {
		l.gpuLoad = t.existing("sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load")
	}
}

// isMemory knows the memory controller's clock by the names it has had.
func isMemory(name string) bool {
	return strings.Contains(name, "bwmgr") || strings.Contains(name, "emc") || strings.Contains(name, "dmc")
}

// isGPU knows a GPU by its name (17000000.gpu, gpu-gpc-0) or, where it is called
// 17000000.ga10b, by the load that only NVIDIA's GPU driver has.
func (t *tree) isGPU(dir, name string) bool {
	return strings.Contains(name, "gpu") || t.existing(dir+"/device/load") != ""
}

// zoneName makes GPU-therm of one L4T and gpu-thermal of the next the same.
func zoneName(kind string) string {
	name := strings.ToLower(kind)
	for _, suffix := range []string{"-thermal", "_thermal", "-therm"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// slows leaves out fans, and hot-surface-alert, which only warns.
func slows(kind string) bool {
	kind = strings.ToLower(kind)
	for _, part := range []string{"throttle", "cpufreq", "devfreq"} {
		if strings.Contains(kind, part) {
			return true
		}
	}
	return kind == "processor" || kind == "intel_powerclamp" // of ordinary PCs
}

// findRails looks a chip over for labelled rails, their alarms, and counters of
// overcurrent events. NC is a channel that is not connected.
func (t *tree) findRails(l *layout, dir string, files []string) {
	for i := 1; i <= channels; i++ {
		n := strconv.Itoa(i)
		power, voltage, current, alarm := "power"+n+"_input", "in"+n+"_input", "curr"+n+"_input", "curr"+n+"_crit_alarm"
		if slices.Contains(files, power) {
			l.addRail(rail{name: t.text(dir + "/power" + n + "_label"), power: dir + "/" + power})
		} else if name := t.text(dir + "/in" + n + "_label"); slices.Contains(files, current) && l.addRail(rail{name: name, voltage: dir + "/" + voltage, current: dir + "/" + current}) {
			if slices.Contains(files, alarm) {
				add(&l.alarms, "overcurrent "+name, dir+"/"+alarm)
			}
		}
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f, "_event_cnt"); ok && strings.HasPrefix(name, "oc") {
			add(&l.events, name, dir+"/"+f)
		}
	}
}

// addRail reports whether the rail is one.
func (l *layout) addRail(r rail) bool {
	taken := slices.ContainsFunc(l.rails, func(other rail) bool { return other.name == r.name })
	if r.name == "" || r.name == "NC" || taken {
		return false
	}
	l.rails = append(l.rails, r)
	return true
}
