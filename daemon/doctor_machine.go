package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/board"
)

// checkMachine looks at what is around the daemon.
func (d *doctor) checkMachine() {
	t := d.board.Read()
	d.tell(boardFinding(t))
	d.tell(throttlingFinding(t))
	var clock unix.Timex
	state, err := unix.Adjtimex(&clock)
	d.tell(clockFinding(time.Now(), state, clock.Status, err))
	d.tell(diskFinding(volumes("/", "/var", os.TempDir(), os.Getenv("STATE_DIRECTORY"), os.Getenv("CACHE_DIRECTORY"))))
	d.tell(serviceFinding(units()))
}

func boardFinding(t board.Telemetry) finding {
	var parts []string
	if t.Model != "" {
		parts = append(parts, t.Model)
	}
	if t.PowerMode != "" {
		parts = append(parts, "power mode "+t.PowerMode)
	}
	if t.MemoryTotal != nil && t.MemoryUsed != nil {
		parts = append(parts, fmt.Sprintf("%.1f of %.1f GiB memory used", gibibytes(*t.MemoryUsed), gibibytes(*t.MemoryTotal)))
	}
	for _, v := range []struct {
		form  string
		value *float64
	}{{"GPU load %.0f %%", t.GPULoad}, {"GPU at %.0f MHz", t.GPUClock}, {"CPU at %.0f MHz", t.CPUClock}, {"memory at %.0f MHz", t.EMCClock}} {
		if v.value != nil {
			parts = append(parts, fmt.Sprintf(v.form, *v.value))
		}
	}
	for _, rail := range slices.Sorted(maps.Keys(t.Power)) {
		parts = append(parts, fmt.Sprintf("%s %.1f W", rail, t.Power[rail]/1000))
	}
	if parts == nil {
		parts = []string{"this machine tells nothing of itself"}
	}
	f := finding{"board", fine, strings.Join(parts, ", "), ""}
	if t.MemoryUsed != nil && *t.MemoryUsed > *t.MemoryTotal/20*19 {
		f.Status, f.Advice = warn, "memory is nearly full: end other programs, or the kernel will end some, perhaps this one"
	}
	return f
}

func gibibytes(n uint64) float64 { return float64(n) / (1 << 30) }

// throttlingFinding takes a reading that follows an earlier one, for events in between.
func throttlingFinding(t board.Telemetry) finding {
	f := finding{"throttling", fine, "this machine does not tell whether its clocks are held down", ""}
	if t.Throttled == nil {
		return f
	}
	f.Detail = "nothing holds the clocks down"
	if *t.Throttled {
		f.Status, f.Detail = warn, "the clocks are held down by "+strings.Join(t.Causes, ", ")
		f.Advice = throttlingAdvice(t.Causes)
	}
	if zone := hottest(t.Temperatures); zone != "" {
		f.Detail += fmt.Sprintf("; hottest is %s with %.1f °C", zone, t.Temperatures[zone])
	}
	for _, name := range slices.Sorted(maps.Keys(t.Overcurrent)) {
		if n := t.Overcurrent[name]; n > 0 {
			f.Detail += fmt.Sprintf("; %s %d times since the boot", name, n)
		}
	}
	return f
}

func throttlingAdvice(causes []string) string {
	electric := func(cause string) bool {
		return strings.HasPrefix(cause, "oc") || strings.HasPrefix(cause, "overcurrent")
	}
	if slices.ContainsFunc(causes, electric) {
		return "a stronger power supply or a shorter cable, or a lower power mode (sudo nvpmodel -q lists them)"
	}
	return "better cooling (is the fan free and running?), or a lower power mode (sudo nvpmodel -q lists them)"
}

func hottest(zones map[string]float64) (name string) {
	for _, zone := range slices.Sorted(maps.Keys(zones)) {
		if name == "" || zones[zone] > zones[name] {
			name = zone
		}
	}
	return name
}

// clockFinding judges adjtimex(2): capture times are worth as much as the clock.
func clockFinding(now time.Time, state int, status int32, err error) finding {
	f := finding{"clock", fine, "synchronised, " + now.UTC().Format("2006-01-02 15:04:05 UTC"), ""}
	const advice = "sudo timedatectl set-ntp true, or install chrony; a board without a battery starts in the past"
	switch {
	case now.Year() < 2025:
		f.Status, f.Detail, f.Advice = fail, "it is "+now.UTC().Format("2006-01-02")+" by this machine's clock: certificates and capture times are wrong", advice
	case err != nil:
		f.Status, f.Detail, f.Advice = warn, "whether it is synchronised cannot be told: "+err.Error(), "timedatectl says more"
	case state == unix.TIME_ERROR || status&unix.STA_UNSYNC != 0:
		f.Status, f.Detail, f.Advice = warn, "not synchronised: the frames' capture times are this machine's own guess", advice
	}
	return f
}

// A volume is a file system that something is written to.
type volume struct {
	path        string
	free, total uint64 // bytes
}

// volumes asks for the file systems of folders, each once.
func volumes(folders ...string) (list []volume) {
	var seen []unix.Fsid
	for _, folder := range folders {
		var s unix.Statfs_t
		if folder == "" || unix.Statfs(folder, &s) != nil || s.Blocks == 0 || slices.Contains(seen, s.Fsid) {
			continue
		}
		seen = append(seen, s.Fsid)
		list = append(list, volume{folder, s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize)})
	}
	return list
}

// diskFinding: a full disk stops the journal, upgrades and engine building, not the frames.
func diskFinding(list []volume) finding {
	const scarce, none = 1 << 29, 1 << 26 // bytes
	f := finding{Name: "disk", Status: fine}
	var parts []string
	for _, v := range list {
		parts = append(parts, fmt.Sprintf("%s has %.1f of %.1f GiB free", v.path, gibibytes(v.free), gibibytes(v.total)))
		switch {
		case v.free < none:
			f.Status = fail
		case v.free < scarce && f.Status == fine:
			f.Status = warn
		}
	}
	if f.Status != fine {
		f.Advice = "make room: sudo journalctl --vacuum-size=100M, sudo apt-get clean"
	}
	f.Detail = strings.Join(parts, "; ")
	return f
}

// errNoSystemd: another init, or a container.
var errNoSystemd = errors.New("there is no systemd here")

// units asks systemd for our services, as blocks of Key=Value lines.
func units() (string, error) {
	if !exists("/run/systemd/system") {
		return "", errNoSystemd
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "sharpend.service", "sharpend@*.service", "--no-pager",
		"--property=Id,LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,StatusText").Output()
	return string(out), err
}

// serviceFinding reads what systemctl show says.
func serviceFinding(text string, err error) finding {
	f := finding{Name: "service", Status: fine}
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	var parts []string
	for _, u := range parseUnits(text) {
		if u["LoadState"] == "not-found" {
			continue
		}
		parts = append(parts, u.text())
		switch {
		case u["ActiveState"] == "failed" || u["LoadState"] == "error" || u["LoadState"] == "bad-setting":
			f.Status, f.Advice = fail, "journalctl -u "+u["Id"]+" says why; then sudo systemctl restart "+u["Id"]
		case u.restarts() && f.Status == fine:
			f.Status, f.Advice = warn, "journalctl -u "+u["Id"]+" says why it was restarted"
		}
	}
	if f.Detail = strings.Join(parts, "; "); parts == nil {
		f.Detail = "not installed as a service of systemd"
	}
	return f
}

// A unit is a service's properties by name.
type unit map[string]string

func (u unit) text() string {
	text := fmt.Sprintf("%s is %s (%s)", u["Id"], u["ActiveState"], u["SubState"])
	if u["UnitFileState"] != "" {
		text += ", " + u["UnitFileState"]
	}
	if u.restarts() {
		text += ", restarted " + u["NRestarts"] + " times"
	}
	if u["ActiveState"] == "failed" {
		text += ", result " + u["Result"]
	}
	if u["StatusText"] != "" {
		text += ": " + u["StatusText"]
	}
	return text
}

func (u unit) restarts() bool { return u["NRestarts"] != "" && u["NRestarts"] != "0" }

// parseUnits splits blocks at empty lines; a unit that is named twice counts once.
func parseUnits(text string) (list []unit) {
	u := unit{}
	end := func() {
		same := func(other unit) bool { return maps.Equal(u, other) }
		if len(u) > 0 && !slices.ContainsFunc(list, same) {
			list = append(list, u)
		}
		u = unit{}
	}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		key, value, ok := strings.Cut(s.Text(), "=")
		if !ok {
			end()
			continue
		}
		u[key] = value
	}
	end()
	return list
}
