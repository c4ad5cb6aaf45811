package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

// testConfig is a small synthetic camera on the identity model.
func testConfig(t testing.TB, change ...func(*Config)) *Config {
	t.Helper()
	c, err := loadConfig("", func(c *Config) {
		c.Camera.Source, c.Camera.Width, c.Camera.Height = capture.Synthetic, 160, 96
		c.Camera.AsFastAsPossible = true
		c.Models.Predictor, c.Models.Denoiser = "identity.onnx", ""
		c.Runtime.Providers, c.Runtime.Threads = []string{"cpu"}, 1
		c.Refine.Keyframes = infer.Keyframes{}
		for _, f := range change {
			f(c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withDenoiser gives the configuration the shipped networks.
func withDenoiser(c *Config) {
	c.Models.Predictor, c.Models.Denoiser = "predictor-s.onnx", "denoiser-s.onnx"
}

var discard = slog.New(slog.DiscardHandler)

// An outbox is an output that remembers.
type outbox struct {
	mu       sync.Mutex
	messages map[string][][]byte
	closed   bool // refuse with mqtt.ErrOffline
	each     func(level string, n int)
}

func (o *outbox) output() output {
	return output{
		publish: func(level string, _ byte, _ bool, payload []byte) (bool, error) {
			o.add(level, payload)
			return true, nil
		},
		retain:   func(level string, payload []byte) error { o.add(level, payload); return nil },
		online:   func() bool { o.mu.Lock(); defer o.mu.Unlock(); return !o.closed },
		snapshot: func() mqtt.Snapshot { return mqtt.Snapshot{} },
	}
}

func (o *outbox) add(level string, payload []byte) {
	o.mu.Lock()
	if o.messages == nil {
		o.messages = map[string][][]byte{}
	}
	o.messages[level] = append(o.messages[level], slices.Clone(payload))
	n, each := len(o.messages[level]), o.each
	o.mu.Unlock()
	if each != nil {
		each(level, n)
	}
}

func (o *outbox) count(level string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages[level])
}

// left is what leftOpen said before the newest testPipeline: a test that
// freezes stages for good leaves their sessions open.
var left string

// leftOpen stops ONNX Runtime, or says what keeps it from stopping.
func leftOpen() string {
	if err := tensorrt.Stop(); err != nil {
		return err.Error()
	}
	return ""
}

// noneLeftOpen fails the test if a session of its pipeline was not closed.
func noneLeftOpen(t testing.TB) {
	t.Helper()
	if now := leftOpen(); now != left {
		t.Error(now)
	}
}

func testPipeline(t testing.TB, c *Config, out output) *pipeline {
	t.Helper()
	left = leftOpen()
	n, err := c.start(discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tensorrt.Stop() })
	return newPipeline(c, n, out, discard)
}

// until runs the pipeline until enough says so, at most a minute.
func until(t testing.TB, p *pipeline, enough func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	for !enough() && ctx.Err() == nil {
		select {
		case err := <-done:
			t.Fatalf("the pipeline ended early: %v", err)
		case <-time.After(2 * time.Millisecond):
		}
	}
	late := ctx.Err()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if late != nil {
		t.Fatal("the pipeline did not get there within a minute")
	}
}

// TestSteadyStateAllocatesNothing counts every allocation of the process
// while frames flow: camera, predictor, encoder and all hand-overs.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	for name, change := range map[string]func(*Config){
		"synthetic": func(*Config) {},
		"clip":      func(c *Config) { c.Camera.Source, c.Camera.Path = capture.File, "../clips/shake.avi" },
		"predictor": func(c *Config) { c.Models.Predictor = "predictor-s.onnx" },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t, change, func(c *Config) { c.Stats.Every = time.Hour })
			// The runtime itself allocates now and then: a window without any
			// allocation at all proves that frames need none.
			if least := slices.Min(allocationsPerWindow(t, c, 8, 30)); least > 0 {
				t.Errorf("at least %d allocations in 30 frames, want none", least)
			}
		})
	}
}

// allocationsPerWindow runs the pipeline and counts allocations in windows of
// so many frames, after a first window to warm up.
func allocationsPerWindow(t *testing.T, c *Config, windows, frames int) []uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	counts, last := make([]uint64, 0, windows+1), uint64(0)
	var memory runtime.MemStats
	n := 0
	out := (&outbox{}).output()
	out.publish = func(level string, _ byte, _ bool, _ []byte) (bool, error) {
		if n++; n%frames == 0 {
			runtime.ReadMemStats(&memory)
			if counts = append(counts, memory.Mallocs-last); len(counts) > windows {
				cancel()
			}
			last = memory.Mallocs
		}
		return true, nil
	}
	if err := testPipeline(t, c, out).run(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if len(counts) <= windows {
		t.Fatalf("%d frames in a minute", n)
	}
	return counts[1:]
}

func TestEveryFrameOfALosslessClipComesOut(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, func(c *Config) {
		c.Camera.Source, c.Camera.Path, c.Camera.Loop = capture.File, "../clips/shake.avi", false
	})
	p := testPipeline(t, c, o.output())
	if err := p.run(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	s := p.takeSnapshot(time.Now(), true)
	if s.In == 0 || s.In != s.Out || o.count("frame") != int(s.In) {
		t.Errorf("%d frames in, %d out, %d published, want all the same", s.In, s.Out, o.count("frame"))
	}
	if lost := countsText(s.Drops, dropNames[:]); lost != "none" {
		t.Errorf("drops: %s", lost)
	}
}

func TestKeyframesAreRefinedBesideTheStream(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, withDenoiser, func(c *Config) {
		c.Refine.Steps, c.Refine.Samples = 2, 2
		c.Refine.Keyframes.Every = infer.Interval{Frames: 5}
	})
	p := testPipeline(t, c, o.output())
	until(t, p, func() bool { return o.count("keyframe/meta") >= 3 })
	s := p.takeSnapshot(time.Now(), true)
	if s.Keyframes.Asked < 3 || s.PSNR["camera"] == 0 {
		t.Errorf("keyframes %+v, PSNR %v: want at least 3 and a figure", s.Keyframes, s.PSNR)
	}
	for _, want := range []string{`"steps_asked":2`, `"steps_done":2`, `"samples":2`, `"sampler":"`, `"denoiser_sha256":"` + p.networks().denoiser.SHA256} {
		if meta := string(o.messages["keyframe/meta"][0]); !strings.Contains(meta, want) {
			t.Errorf("the keyframe's metadata lacks %s: %s", want, meta)
		}
	}
	if got := s.Keyframes.Done + s.Drops["refine"]; s.Keyframes.Asked-got > 3 {
		t.Errorf("%d keyframes asked, %d done or displaced: the rest is uncounted", s.Keyframes.Asked, got)
	}
}

func TestBudgetShortensARefinement(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, withDenoiser, func(c *Config) {
		c.Refine.Steps, c.Refine.Budget = 50, time.Millisecond
		c.Refine.Keyframes.Every = infer.Interval{Frames: 5}
	})
	p := testPipeline(t, c, o.output())
	until(t, p, func() bool { return o.count("keyframe/meta") >= 2 })
	// The first keyframe teaches what a step costs; the second keeps to it.
	if meta := string(o.messages["keyframe/meta"][1]); !strings.Contains(meta, `"steps_asked":50,"steps_done":1,`) {
		t.Errorf("want 1 of 50 steps within 1 ms, got %s", meta)
	}
}

// A file played as fast as possible waits for its broker's first answer.
func TestLosslessFileWaitsForTheBroker(t *testing.T) {
	o := &outbox{closed: true}
	c := testConfig(t, func(c *Config) {
		c.Camera.Source, c.Camera.Path, c.Camera.Loop = capture.File, "../clips/shake.avi", false
	})
	p := testPipeline(t, c, o.output())
	time.AfterFunc(300*time.Millisecond, func() { o.mu.Lock(); o.closed = false; o.mu.Unlock() })
	if err := p.run(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if in, out := p.stats.in.Load(), p.stats.out.Load(); in == 0 || in != out {
		t.Errorf("%d frames in, %d out, want all", in, out)
	}
}

func TestOfflineCostsCountedDropsOnly(t *testing.T) {
	o := &outbox{closed: true}
	c := testConfig(t, func(c *Config) { c.Camera.AsFastAsPossible, c.Camera.FPS = false, 500 })
	p := testPipeline(t, c, o.output())
	until(t, p, func() bool { return p.stats.drops[dropOffline].Load() > 100 })
	if o.count("frame") != 0 || p.stats.out.Load() != 0 {
		t.Errorf("%d frames published while offline", o.count("frame"))
	}
}

func TestFrameRateLimit(t *testing.T) {
	w := &publisher{pipeline: &pipeline{}}
	w.config.Store(&Config{Publish: Publish{FrameRate: 10}})
	start, sent := time.Now(), 0
	for i := range 300 { // ten seconds at 30 frames/s
		if w.admit(start.Add(time.Duration(i) * time.Second / 30)) {
			sent++
		}
	}
	if sent < 95 || sent > 105 {
		t.Errorf("%d frames in ten seconds at 10 frames/s", sent)
	}
}

// A flaky camera is lost after every third frame and comes back, twice in
// another size.
func TestCameraLossIsLivedThrough(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, func(c *Config) {
		c.Camera.Source = capture.V4L2
		c.Refine.Keyframes.AfterLoss = true
	})
	p := testPipeline(t, c, o.output())
	opened := 0
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		if opened++; opened%2 == 0 {
			return nil, errors.New("not there yet")
		}
		width := 64 + 32*(opened/4%2)
		n := uint64(0)
		return capture.New(capture.Camera{Config: c, Granted: capture.Format{Width: width, Height: 48}},
			func(ctx context.Context, f *capture.Frame) error {
				if n++; n > 3 {
					return errors.New("unplugged")
				}
				if n == 2 {
					n++
					return &capture.Damage{Kind: capture.Truncated, Err: io.ErrUnexpectedEOF}
				}
				f.Sequence, f.Time = n, time.Now()
				return ctx.Err()
			}, func() error { return nil }), nil
	}
	until(t, p, func() bool { return p.stats.losses.Load() >= 6 })
	s := p.takeSnapshot(time.Now(), true)
	if s.Damaged[capture.Truncated] < 3 || s.Drops["camera"] != 0 {
		t.Errorf("damaged %v, drops %v: want truncated frames counted once, as damage", s.Damaged, s.Drops)
	}
	if o.count("frame") == 0 || p.stats.asked.Load() == 0 {
		t.Errorf("%d frames and %d keyframes came out, want some", o.count("frame"), p.stats.asked.Load())
	}
	if info := string(o.messages["info"][len(o.messages["info"])-1]); !strings.Contains(info, `"camera":{"state":"`) {
		t.Errorf("info says nothing of the camera: %s", info)
	}
}

// The end interrupts the refinement, and the keyframe that waits for the next
// one does not begin.
func TestEndDoesNotWaitForRefinement(t *testing.T) {
	c := testConfig(t, withDenoiser, func(c *Config) {
		c.Camera.Width, c.Camera.Height = 64, 48
		c.Refine.Steps, c.Refine.Samples = 50, 8
		c.Refine.Keyframes.Every = infer.Interval{Frames: 1}
	})
	p := testPipeline(t, c, (&outbox{}).output())
	evaluations := func() uint32 { return p.takeSnapshot(time.Now(), true).Times["refine_step"].N }
	before := uint32(0)
	until(t, p, func() bool {
		before = evaluations()
		return before > 0 && len(p.toRefine.slot) > 0
	})
	if after := evaluations(); after > before+10 {
		t.Errorf("%d evaluations before the end and %d after it, of %d for each keyframe", before, after-before, 50*8)
	}
}

// A stalled camera can be opened again and again, and sends nothing: it is
// lost all the while, which is logged once.
func TestStalledCameraStaysLost(t *testing.T) {
	o, log := &outbox{}, &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Camera.Source = capture.V4L2 }), o.output())
	p.log = slog.New(slog.NewTextHandler(log, nil))
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		return capture.New(capture.Camera{Config: c, Granted: capture.Format{Width: 64, Height: 48}},
			func(context.Context, *capture.Frame) error { return errors.New("no frame") }, func() error { return nil }), nil
	}
	until(t, p, func() bool { return p.stats.losses.Load() >= 3 })
	for _, info := range o.messages["info"] {
		if strings.Contains(string(info), "streaming") {
			t.Errorf("info says %s", info)
		}
	}
	said := string(slices.Concat(log.messages["log"]...))
	if strings.Count(said, "camera lost") != 1 || strings.Contains(said, "camera streams") {
		t.Errorf("the log says:\n%s", said)
	}
}

func (o *outbox) Write(line []byte) (int, error) {
	o.add("log", line)
	return len(line), nil
}

func TestMissingFileEndsTheRun(t *testing.T) {
	c := testConfig(t, func(c *Config) { c.Camera.Source, c.Camera.Path = capture.File, "/nowhere.avi" })
	err := testPipeline(t, c, (&outbox{}).output()).run(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "/nowhere.avi") {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestReloadChangesLiveKeysAndKeepsTheRest(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, withDenoiser, func(c *Config) {
		c.Refine.Steps = 1
		c.Refine.Keyframes.Every = infer.Interval{Frames: 3}
	})
	p := testPipeline(t, c, o.output())
	signals := make(chan os.Signal, 1)
	fresh := *c
	fresh.Refine.Steps, fresh.Camera.Buffers, fresh.Log.Level = 3, 7, "warn"
	load := func() (*Config, error) { return &fresh, nil }
	p.reload = func() { p.reloadFrom(load, new(slog.LevelVar)) }
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, signals) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			if ctx.Err() != nil {
				t.Fatalf("%s: not within a minute", what)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	last := func(level string) string {
		o.mu.Lock()
		defer o.mu.Unlock()
		if m := o.messages[level]; len(m) > 0 {
			return string(m[len(m)-1])
		}
		return ""
	}
	wait("first keyframe", func() bool { return strings.Contains(last("keyframe/meta"), `"steps_done":1,`) })
	signals <- unix.SIGHUP
	wait("keyframe of 3 steps", func() bool { return strings.Contains(last("keyframe/meta"), `"steps_done":3,`) })
	wait("info", func() bool { return strings.Contains(last("info"), `"needs_restart":["camera.buffers"]`) })
	if p.config.Load().Camera.Buffers != c.Camera.Buffers {
		t.Error("a key that needs a restart was taken over")
	}
	load = func() (*Config, error) { return nil, errors.New("x.yaml:3:1: bad") }
	signals <- unix.SIGHUP
	wait("the error in info", func() bool { return strings.Contains(last("info"), "x.yaml:3:1: bad") })
	if p.config.Load().Refine.Steps != 3 {
		t.Error("a bad reload changed the configuration")
	}
	signals <- unix.SIGUSR1
	wait("keyframe on request", func() bool {
		return strings.Contains(last("keyframe/meta"), `"reason":"request","transaction":"SIGUSR1","unchanged":false,"steps_asked":3,`)
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
