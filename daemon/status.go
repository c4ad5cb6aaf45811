package main

import (
	"fmt"
	"strings"
	"time"
)

// A statusReport is what `systemctl status` says of the daemon.
type statusReport struct {
	camera    cameraInfo
	building  bool
	in, out   float64   // frames a second
	latency   quantiles // of the frames since the last statistics
	steps     int
	provider  string
	online    bool
	lastError string // of the broker
	reload    *reloadInfo
	engines   string // what is built, or was not
	degraded  []string
}

// report gathers the present state without closing the interval of /stats.
func (n *notifier) report(now time.Time) statusReport {
	was, is := n.counted, counted{at: now, in: n.stats.in.Load(), out: n.stats.out.Load()}
	n.counted = is
	seconds := max(is.at.Sub(was.at).Seconds(), 1e-9)
	latency := n.stats.times[stageLatency].window.peek()
	if latency.N == 0 {
		latency = n.stats.times[stageLatency].total.peek()
	}
	broker := n.out.snapshot()
	r := statusReport{
		building: n.vitals.building.Load(),
		in:       float64(is.in-was.in) / seconds, out: float64(is.out-was.out) / seconds,
		latency: latency, steps: n.settings().Steps,
		online: broker.Connected, lastError: broker.LastError,
		engines: n.engines.status(now),
	}
	n.state.mu.Lock()
	defer n.state.mu.Unlock()
	r.camera, r.reload, r.degraded = n.state.camera, n.state.reload, n.degraded()
	if n.state.predictor != nil {
		r.provider = n.state.predictor.Provider
	}
	return r
}

// text is one line for a person.
func (r statusReport) text() string {
	var parts []string
	if r.degraded != nil {
		parts = append(parts, "DEGRADED: "+strings.Join(r.degraded, ", "))
	}
	parts = append(parts, r.cameraText())
	if r.camera.State == "streaming" && !r.building {
		parts = append(parts, fmt.Sprintf("%.1f frames/s in, %.1f out", r.in, r.out))
		if r.latency.N > 0 {
			parts = append(parts, fmt.Sprintf("latency %.0f ms", r.latency.P50))
		}
	}
	if r.provider != "" {
		parts = append(parts, fmt.Sprintf("%s, keyframes with %d steps", r.provider, r.steps))
	}
	if r.engines != "" {
		parts = append(parts, r.engines)
	}
	parts = append(parts, r.brokerText())
	if r.reload != nil && r.reload.Error != "" {
		parts = append(parts, "the last reload was refused: "+r.reload.Error)
	}
	return oneLine(strings.Join(parts, "; "))
}

func (r statusReport) cameraText() string {
	switch {
	case r.building:
		return "opening the predictor's session"
	case r.camera.State == "streaming" && r.camera.Granted != nil:
		return fmt.Sprintf("camera streams %s", r.camera.Granted)
	case r.camera.Error != "":
		return "camera " + r.camera.State + ", trying again: " + r.camera.Error
	}
	return "camera " + r.camera.State
}

func (r statusReport) brokerText() string {
	switch {
	case r.online:
		return "broker connected"
	case r.lastError != "":
		return "no broker: " + r.lastError
	}
	return "no broker"
}

func stopText(cause error) string {
	if cause == nil {
		return "stopping"
	}
	return "stopping: " + cause.Error()
}

// oneLine keeps an error of several lines from becoming several variables of
// a message to systemd.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
