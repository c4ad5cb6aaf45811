package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notify tells systemd how the daemon is (sd_notify(3)): ready with the first
// predicted frame, a status line, a watchdog beat while frames move, and more
// time to start while a camera is waited for or an engine is built. It runs
// on a goroutine of its own, since a write to a busy systemd blocks, and does
// nothing outside systemd.
func (p *pipeline) notify(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	n := newNotifier(p)
	tick := time.NewTicker(n.turn)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			n.send(daemon.SdNotifyStopping, "STATUS="+oneLine(stopText(context.Cause(ctx))))
			return
		case now := <-tick.C:
			n.send(n.news(now)...)
		}
	}
}

const (
	startPatience = 30 * time.Second // what systemd is asked for at a time while starting
	openPatience  = 2 * time.Minute  // opening a dying USB camera: each of its controls takes the kernel 5 s to give up
	statusEvery   = 2 * time.Second
)

// A notifier remembers what systemd has been told; one goroutine uses it.
type notifier struct {
	*pipeline
	watchdog time.Duration // 0: systemd watches nothing
	patience time.Duration // the longest that one frame may take in a stage
	turn     time.Duration
	beat     time.Time // the last of each
	asked    time.Time
	said     time.Time
	status   string
	counted  counted
}

// counted is what the rates of a status line are differences of.
type counted struct {
	at      time.Time
	in, out uint64
}

func newNotifier(p *pipeline) *notifier {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		p.log.Warn("no watchdog", "error", err)
	}
	n := &notifier{pipeline: p, watchdog: watchdog, turn: 250 * time.Millisecond, counted: counted{at: time.Now()}}
	if watchdog > 0 {
		n.turn = min(n.turn, watchdog/4)
	}
	n.patience = patience(p.config.Load(), watchdog)
	return n
}

// patience is the longest that a stage may be at one frame: what the
// configuration allows it to wait must never look like a stuck pipeline.
func patience(c *Config, watchdog time.Duration) time.Duration {
	longest := max(watchdog/2, 2*c.Camera.Timeout, 2*c.MQTT.WriteTimeout)
	if c.Camera.FPS > 0 {
		longest = max(longest, time.Duration(2/c.Camera.FPS*float64(time.Second)))
	}
	return longest
}

// news is what systemd should hear now: lines of one message, often none.
func (n *notifier) news(now time.Time) (lines []string) {
	alive := n.vitals.pulse().alive(n.patience)
	starting := !n.vitals.ready.Load()
	switch {
	case starting && n.vitals.predicted.Load() > 0:
		n.vitals.ready.Store(true)
		lines = append(lines, daemon.SdNotifyReady)
	case starting && alive && now.Sub(n.asked) > startPatience/4:
		n.asked = now
		lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", startPatience.Microseconds()))
	}
	if n.watchdog > 0 && alive && now.Sub(n.beat) >= n.watchdog/4 {
		n.beat = now
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	if now.Sub(n.said) >= statusEvery || lines != nil && lines[0] == daemon.SdNotifyReady {
		n.said = now
		if status := n.report(now).text(); status != n.status {
			n.status = status
			lines = append(lines, "STATUS="+status)
		}
	}
	return lines
}

func (p *pipeline) send(lines ...string) {
	if len(lines) == 0 {
		return
	}
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		p.log.Debug("systemd was not told", "error", err)
	}
}

// reloadTold reloads between the two messages by which systemd knows it; in
// the second, READY would be a lie before the first frame.
func (p *pipeline) reloadTold() {
	told := p.vitals.ready.Load()
	if told {
		var now unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail
		p.send(daemon.SdNotifyReloading, fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
	}
	p.reload()
	if told {
		p.send(daemon.SdNotifyReady)
	}
}

// A pulse is how long each stage has been at its present piece of work; 0
// means that it waits for some.
type pulse struct {
	reader, predictor, publisher time.Duration
	opening                      bool // the reader opens a camera
	building                     bool // the reader builds a session: an engine may take an hour
}

// alive reports whether frames move, or would if there were any. A lost camera
// that is opened again, a stalled one whose read times out, and an absent or
// frozen broker are alive: each piece of work ends. A stage that is stuck on
// one frame, or a read that does not return, is not.
func (p pulse) alive(patience time.Duration) bool {
	reader := patience
	if p.opening {
		reader = max(patience, openPatience)
	}
	return (p.building || p.reader < reader) && p.predictor < patience && p.publisher < patience
}

// Vitals are the pipeline's signs of life. The zero value is ready; safe for
// concurrent use.
type vitals struct {
	reader, predictor, publisher activity
	opening, building            atomic.Bool
	predicted                    atomic.Uint64 // frames
	ready                        atomic.Bool   // systemd has been told
}

func (v *vitals) pulse() pulse {
	return pulse{
		reader: v.reader.lasts(), predictor: v.predictor.lasts(), publisher: v.publisher.lasts(),
		opening: v.opening.Load(), building: v.building.Load(),
	}
}

// An activity is since when a stage has been at its present piece of work, in
// nanoseconds after epoch; 0 while it waits.
type activity struct{ since atomic.Int64 }

var epoch = time.Now().Add(-time.Second) // monotonic: the clock may jump

// begin marks new work, or the next piece of it.
func (a *activity) begin() { a.since.Store(int64(time.Since(epoch))) }

func (a *activity) end() { a.since.Store(0) }

func (a *activity) lasts() time.Duration {
	if since := a.since.Load(); since > 0 {
		return time.Since(epoch) - time.Duration(since)
	}
	return 0
}

// freezer is for debugging only: SHARPEND_DEBUG_FREEZE=DURATION makes the
// predictor stop for ever so long after the start, for a test of the watchdog.
func freezer(log *slog.Logger) func() {
	after, err := time.ParseDuration(os.Getenv("SHARPEND_DEBUG_FREEZE"))
	if err != nil {
		return func() {}
	}
	log.Warn("the predictor will freeze: SHARPEND_DEBUG_FREEZE is set", "after", after)
	at := time.Now().Add(after)
	return func() {
		if time.Now().After(at) {
			select {}
		}
	}
}
