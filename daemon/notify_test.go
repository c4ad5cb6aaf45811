package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/capture"
	"sharpend/mqtt"
)

func TestAlive(t *testing.T) {
	const patience = 10 * time.Second
	short, long := time.Second, 11*time.Second
	for name, c := range map[string]struct {
		pulse pulse
		want  bool
	}{
		"frames flow":                            {pulse{reader: short, predictor: short, publisher: short}, true},
		"nothing to do":                          {pulse{}, true},
		"a lost camera, between attempts":        {pulse{reader: 0}, true},
		"a camera is slow to open":               {pulse{reader: long, opening: true}, true},
		"a camera never opens":                   {pulse{reader: openPatience, opening: true}, false},
		"a read does not return":                 {pulse{reader: long}, false},
		"an engine is built":                     {pulse{reader: time.Hour, building: true}, true},
		"an engine is built, publisher is stuck": {pulse{reader: time.Hour, building: true, publisher: long}, false},
		"the predictor is stuck":                 {pulse{reader: short, predictor: long}, false},
		"the publisher is stuck":                 {pulse{reader: short, publisher: long}, false},
		"exactly at the end of patience":         {pulse{predictor: patience}, false},
	} {
		if got := c.pulse.alive(patience); got != c.want {
			t.Errorf("%s: alive is %v", name, got)
		}
	}
}

// What the configuration allows a stage to wait is never a stuck stage.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   time.Duration
	}{
		{func(*Config) {}, 15 * time.Second},
		{func(c *Config) { c.Camera.Timeout = time.Minute }, 2 * time.Minute},
		{func(c *Config) { c.MQTT.WriteTimeout = 30 * time.Second }, time.Minute},
		{func(c *Config) { c.Camera.FPS = 0.1 }, 20 * time.Second},
	} {
		config := Default()
		c.change(config)
		if got := patience(config, 30*time.Second); got != c.want {
			t.Errorf("expected %v, found %v", c.want, got)
		}
	}
}

func TestActivity(t *testing.T) {
	var a activity
	if a.lasts() != 0 {
		t.Error("the zero value works")
	}
	a.begin()
	time.Sleep(5 * time.Millisecond)
	if d := a.lasts(); d < 5*time.Millisecond || d > time.Minute {
		t.Errorf("5 ms last %v", d)
	}
	a.end()
	if a.lasts() != 0 {
		t.Error("after the end it works")
	}
}

func TestStatusText(t *testing.T) {
	granted := &capture.Format{Pixel: "MJPG", Width: 640, Height: 480, FPS: 30}
	streams := statusReport{
		camera: cameraInfo{State: "streaming", Granted: granted}, in: 29.97, out: 14.99,
		latency: quantiles{P50: 34.4, N: 3}, steps: 4, provider: "cuda", online: true,
	}
	refused := streams
	refused.reload = &reloadInfo{Error: "mast.yaml:3:1: no\n  such key"}
	for want, r := range map[string]statusReport{
		"camera streams MJPG 640x480 at 30/s; 30.0 frames/s in, 15.0 out; latency 34 ms; cuda, keyframes with 4 steps; broker connected": streams,
		"camera streams MJPG 640x480 at 30/s; 30.0 frames/s in, 15.0 out; latency 34 ms; cuda, keyframes with 4 steps; broker connected; " +
			"the last reload was refused: mast.yaml:3:1: no such key": refused,
		"camera lost, trying again: no such device; cpu, keyframes with 0 steps; no broker: refused": {
			camera: cameraInfo{State: "lost", Error: "no such device"}, provider: "cpu", lastError: "refused"},
		"opening the predictor's session; building TensorRT's engine of the predictor at 640x480 for 3m10s of about 6m30s; no broker": {
			building: true, camera: cameraInfo{State: "opening"}, engines: "building TensorRT's engine of the predictor at 640x480 for 3m10s of about 6m30s"},
		"camera opening; no broker": {camera: cameraInfo{State: "opening"}},
	} {
		if got := r.text(); got != want {
			t.Errorf("expected %q, found %q", want, got)
		}
	}
}

// A manager is systemd's end of the notification socket.
type manager struct {
	mu    sync.Mutex
	lines []string
	times []time.Time
}

// newManager puts the process under a manager with a watchdog.
func newManager(t *testing.T, watchdog string) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	m := &manager{}
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			for line := range strings.Lines(string(b[:n])) {
				m.lines = append(m.lines, strings.TrimSpace(line))
				m.times = append(m.times, time.Now())
			}
			m.mu.Unlock()
		}
	}()
	return m
}

func (m *manager) count(prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.lines {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// order fails unless the lines came in this order.
func (m *manager) order(t *testing.T, prefixes ...string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.lines
	for _, p := range prefixes {
		i := slices.IndexFunc(rest, func(line string) bool { return strings.HasPrefix(line, p) })
		if i < 0 {
			t.Fatalf("no %q in its place; systemd heard:\n%s", p, strings.Join(m.lines, "\n"))
		}
		rest = rest[i+1:]
	}
}

func TestNotifiesSystemd(t *testing.T) {
	m := newManager(t, "1000000")
	d, _ := startDaemon(t, "mqtt://127.0.0.1:1", "") // no broker is no reason not to be ready
	eventually(t, "the watchdog is fed", func() bool { return m.count("WATCHDOG=1") > 3 })
	eventually(t, "a status with rates", func() bool { return m.count("STATUS=camera streams") > 0 })
	if err := unix.Kill(unix.Getpid(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the reload", func() bool { return m.count("READY=1") == 2 })
	d.end(t)
	eventually(t, "the end", func() bool { return m.count("STOPPING=1") == 1 })
	m.order(t, "READY=1", "STATUS=camera streams", "RELOADING=1", "MONOTONIC_USEC=", "READY=1", "STOPPING=1", "STATUS=stopping")
}

// A stage that hangs on one piece of work is no longer fed for.
func TestStuckStageStarvesTheWatchdog(t *testing.T) {
	for stage, jam := range map[string]func(t *testing.T, p *pipeline, after func() bool){
		"predictor": func(t *testing.T, _ *pipeline, _ func() bool) { t.Setenv("SHARPEND_DEBUG_FREEZE", "2s") },
		"publisher": func(_ *testing.T, p *pipeline, after func() bool) {
			p.out.publish = func(string, byte, bool, []byte) (bool, error) { stopAfter(after); return true, nil }
		},
		"reader": func(_ *testing.T, p *pipeline, after func() bool) {
			p.open = func(ctx context.Context, c capture.Config) (*capture.Camera, error) {
				camera, err := capture.Open(ctx, c)
				if err != nil {
					return nil, err
				}
				return capture.New(*camera, func(ctx context.Context, f *capture.Frame) error {
					stopAfter(after)
					return camera.Read(ctx, f)
				}, camera.Close), nil
			}
		},
	} {
		t.Run(stage, func(t *testing.T) {
			m := newManager(t, "400000")
			p, ctx := watched(t, &outbox{})
			jam(t, p, func() bool { return m.count("WATCHDOG=1") > 3 })
			go p.run(ctx, nil) // it never returns: that is the point
			eventually(t, "readiness", func() bool { return m.count("READY=1") == 1 })
			eventually(t, "a starved watchdog", m.starved)
		})
	}
}

// What only goes badly is fed for, longer than the patience for one frame.
func TestTroubleKeepsTheWatchdogFed(t *testing.T) {
	for trouble, cause := range map[string]func(p *pipeline, o *outbox){
		"none":             func(*pipeline, *outbox) {},
		"no broker":        func(_ *pipeline, o *outbox) { o.closed = true },
		"a camera is lost": func(p *pipeline, _ *outbox) { p.open = losing(15) },
	} {
		t.Run(trouble, func(t *testing.T) {
			m, o := newManager(t, "400000"), &outbox{}
			p, ctx := watched(t, o)
			cause(p, o)
			done := make(chan error, 1)
			go func() { done <- p.run(ctx, nil) }()
			eventually(t, "readiness", func() bool { return m.count("READY=1") == 1 })
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				fed := m.count("WATCHDOG=1")
				eventually(t, "the next beat", func() bool { return m.count("WATCHDOG=1") > fed })
			}
			select {
			case err := <-done:
				t.Fatal("the pipeline ended:", err)
			default:
			}
		})
	}
}

// losing opens synthetic cameras that are lost after so many frames.
func losing(frames int) func(context.Context, capture.Config) (*capture.Camera, error) {
	return func(ctx context.Context, c capture.Config) (*capture.Camera, error) {
		c.Source = capture.Synthetic
		camera, err := capture.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		left, about := frames, *camera
		about.Config.Source = capture.V4L2 // these are opened again
		return capture.New(about, func(ctx context.Context, f *capture.Frame) error {
			if left--; left < 0 {
				return errors.New("no such device")
			}
			return camera.Read(ctx, f)
		}, camera.Close), nil
	}
}

// watched is a small pipeline with patience for 200 ms, under a watchdog of 400 ms.
func watched(t *testing.T, o *outbox) (*pipeline, context.Context) {
	t.Helper()
	c := testConfig(t, func(c *Config) {
		c.Camera.AsFastAsPossible, c.Camera.Timeout, c.MQTT.WriteTimeout = false, 100*time.Millisecond, 100*time.Millisecond
	})
	n, err := c.start(discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return newPipeline(c, n, o.output(), discard), ctx
}

func stopAfter(condition func() bool) {
	if condition() {
		select {}
	}
}

// starved is when systemd would have waited for five times the watchdog's time.
func (m *manager) starved() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.lines) - 1; i >= 0; i-- {
		if m.lines[i] == "WATCHDOG=1" {
			return time.Since(m.times[i]) > 2*time.Second
		}
	}
	return false
}

func TestAbsentCameraIsWaitedFor(t *testing.T) {
	m := newManager(t, "400000")
	c := testConfig(t, func(c *Config) { c.Camera.Source = capture.V4L2 })
	p := newPipeline(c, &networks{}, output{snapshot: func() mqtt.Snapshot { return mqtt.Snapshot{} }, online: func() bool { return false }}, discard)
	p.fail = func(err error) { t.Error(err) }
	p.open = func(context.Context, capture.Config) (*capture.Camera, error) {
		return nil, errors.New("there is no camera")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stages sync.WaitGroup
	for _, stage := range []func(context.Context){p.read, p.notify} {
		stages.Add(1)
		go func() { defer stages.Done(); stage(ctx) }()
	}
	eventually(t, "more time to start", func() bool { return m.count("EXTEND_TIMEOUT_USEC=30000000") > 0 })
	eventually(t, "the reason", func() bool { return m.count("STATUS=camera lost, trying again: there is no camera") > 0 })
	eventually(t, "a fed watchdog", func() bool { return m.count("WATCHDOG=1") > 5 })
	cancel()
	stages.Wait()
	if m.count("READY=1") != 0 {
		t.Error("ready without a frame")
	}
}
