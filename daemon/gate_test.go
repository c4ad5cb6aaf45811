package main

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/mqtt"
)

// withPredictor gives the configuration the shipped predictor, at a size at
// which it is quick.
func withPredictor(c *Config) {
	c.Models.Predictor = "predictor-s.onnx"
	c.Camera.Width, c.Camera.Height = 320, 192
	c.Camera.Loop = false
}

// passed is what became of a frame.
type passed struct {
	skipped, unchanged bool
	itself             float64 // PSNR of the published picture to the camera's, dB
}

// testGate is a gate before an open session, and the configured camera.
func testGate(t *testing.T, c *Config) (*gatekeeper, *capture.Camera) {
	t.Helper()
	p := testPipeline(t, c, output{})
	camera, err := capture.Open(t.Context(), c.Camera)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { camera.Close() })
	if err := p.fit(camera); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return &gatekeeper{pipeline: p}, camera
}

// next leads the camera's next frame through the gate and the predictor. change
// may change it before, and says whether somebody asked for it.
func (g *gatekeeper) next(t *testing.T, camera *capture.Camera, change func(*frame) bool) (r passed) {
	t.Helper()
	f := g.nextFree(context.Background())
	if err := g.readFrame(t.Context(), camera, f, new(sequence)); err != nil {
		t.Fatal(err)
	}
	f.afterLoss = false
	before := g.stats.skipped.Load()
	f, err := g.predict(f, change(f))
	if err != nil {
		t.Fatal(err)
	}
	r.skipped, r.unchanged = g.stats.skipped.Load() > before, f.unchanged
	r.itself = infer.PSNR(f.picture(), f.Image)
	f.release()
	return r
}

// pass leads n frames of the configured camera, from number from on, through
// the gate and the predictor.
func pass(t *testing.T, c *Config, from, n int) (all []passed) {
	t.Helper()
	g, camera := testGate(t, c)
	for range from {
		f := g.nextFree(context.Background())
		if err := g.readFrame(t.Context(), camera, f, new(sequence)); err != nil {
			t.Fatal(err)
		}
		f.release()
	}
	for range n {
		all = append(all, g.next(t, camera, func(*frame) bool { return false }))
	}
	return all
}

// tally is the share of frames skipped, and the least PSNR of any published
// picture to the camera's, dB.
func tally(all []passed) (share, itself float64) {
	itself = math.Inf(1)
	for _, r := range all {
		if r.skipped {
			share += 1 / float64(len(all))
		}
		itself = min(itself, r.itself)
	}
	return share, itself
}

// A camera that rests and is sharp: nearly every frame is skipped, and none is
// changed by more than an error of two grey levels.
func TestRestingCameraIsLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"synthetic, noise 1.5": func(c *Config) {
			c.Camera.Synthetic = capture.SceneConfig{Seed: 1, Noise: 1.5, Rest: true}
		},
		"synthetic, noise 4": func(c *Config) {
			c.Camera.Synthetic = capture.SceneConfig{Seed: 2, Noise: 4, Rest: true}
		},
		"photograph": func(c *Config) { // from the clip: what it would have shown without shake
			c.Camera.Source, c.Camera.Loop = capture.File, true
			c.Camera.Path = alone(t, "../clips/sharp_0010.jpg")
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := pass(t, testConfig(t, withPredictor, change), 0, 100)
			share, itself := tally(all)
			t.Logf("%.0f %% skipped; published against the camera's own: at least %.1f dB", 100*share, itself)
			if n := slices.IndexFunc(all[4:], func(r passed) bool { return !r.unchanged }); n >= 0 {
				t.Errorf("frame %d is changed: the picture pulses", 4+n)
			}
			if share < 0.85 || itself < 42 {
				t.Errorf("%.2f skipped, %.1f dB to itself; want 0.85 and 42 dB at least", share, itself)
			}
		})
	}
}

// alone is a folder that holds a copy of the file and nothing else.
func alone(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, filepath.Base(file)), string(data))
	return dir
}

// A camera that shakes: hardly a frame is skipped, and none that is blurred by
// 2 px or more.
func TestShakenClipIsPredicted(t *testing.T) {
	c := testConfig(t, withPredictor, func(c *Config) {
		c.Camera.Source, c.Camera.Path = capture.File, "../clips/shake.avi"
	})
	const from = 96 // the clip's last scene: the others take their time
	skipped, blurred := 0, 0
	for i, r := range pass(t, c, from, len(shakeLengths)-from) {
		if r.skipped {
			skipped++
			if shakeLengths[from+i] >= 2 {
				blurred++
			}
		}
	}
	t.Logf("%d of %d skipped, %d of them blurred", skipped, len(shakeLengths)-from, blurred)
	if blurred > 0 {
		t.Errorf("%d blurred frames were skipped", blurred)
	}
}

// shakeLengths is how far the picture moved during the exposure of each frame
// of clips/shake.avi, px, as train/clip.py made it.
var shakeLengths = [...]float64{
	1.1, 1.5, 2.6, 5.1, 3.3, 5.6, 9.6, 9.4, 13.8, 12.9, 9, 12.1, 9.8, 12.9, 13, 11.6, 7.3, 11.1, 5.2, 4.6, 3.4, 6.1, 1.9, 2.4,
	1.9, 2.4, 1.3, 2, 1.6, 3, 3.2, 3.7, 3.5, 5, 8.6, 6.6, 16.5, 13.2, 6, 12.9, 11.3, 7.4, 9.7, 9.4, 9.1, 8.3, 6.1, 3.6,
	3.8, 3.4, 3, 3.5, 2.9, 1.8, 1.5, 1.4, 0.3, 1.9, 4, 4.5, 6.3, 9.1, 7.3, 5.7, 12.9, 11.8, 15.2, 12, 11.2, 6.5, 9.3, 13.2,
	12.2, 7, 4.1, 5.6, 3.9, 2.5, 1.6, 2.4, 2, 1.5, 0.9, 2.2, 1.6, 3.9, 4, 3, 6.1, 7.7, 10.2, 11.5, 9.9, 5.4, 13.3, 14.2,
	14.5, 15.4, 9.2, 11.5, 9, 4.7, 3.9, 1.6, 1.8, 1.8, 2.6, 0.6, 1.3, 0.4, 1, 2.6, 2.8, 3.4, 7.6, 5.9, 3.4, 1.2, 4.2, 10.9,
	15.9, 10, 8.6, 11.3, 9.7, 12.1, 6.6, 8.8, 12.1, 10.5, 2.1, 1.8, 1, 1.5, 1.1, 3.1, 3.6, 2.4, 1.5, 2.4, 1.5, 3.4, 6.6, 9.8,
}

// A camera that has always been blurred: no frame is skipped because of that,
// also where the blur hardly changes from frame to frame.
func TestBlurredCameraIsPredicted(t *testing.T) {
	for _, blur := range []float64{4, 12} {
		for _, rest := range []bool{false, true} {
			c := testConfig(t, withPredictor, func(c *Config) {
				c.Camera.Synthetic = capture.SceneConfig{Seed: uint64(blur), Blur: blur, Noise: 1.5, Rest: rest}
			})
			share, _ := tally(pass(t, c, 0, 40))
			if share > 0 {
				t.Errorf("blur %g, at rest %v: %.2f of the frames skipped", blur, rest, share)
			}
		}
	}
}

// A keyframe of a sharp, resting scene is the camera's picture, and costs no
// refinement; one that somebody asks for is predicted and refined all the same.
func TestKeyframesOfASharpScene(t *testing.T) {
	o := &outbox{}
	c := testConfig(t, withDenoiser, func(c *Config) {
		c.Camera.Synthetic = capture.SceneConfig{Seed: 1, Noise: 1, Rest: true}
		c.Refine.Steps = 2
		c.Refine.Keyframes.Every = infer.Interval{Frames: 10}
	})
	p := testPipeline(t, c, o.output())
	said := func(text string) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.ContainsFunc(o.messages["keyframe/meta"], func(b []byte) bool { return bytes.Contains(b, []byte(text)) })
	}
	asked := false
	until(t, p, func() bool {
		if !asked && said(`"unchanged":true,"steps_asked":2,"steps_done":0,`) {
			p.request.Store(&mqtt.Request{Steps: 3, Transaction: "mine"})
			asked = true
		}
		return said(`"reason":"request","transaction":"mine","unchanged":false,"steps_asked":3,"steps_done":3,`)
	})
	if s := p.takeSnapshot(time.Now(), true); s.Skipped == 0 || !strings.Contains(s.summary(), "sharp as they came") {
		t.Errorf("%d frames skipped, and the summary says:%s", s.Skipped, s.summary())
	}
	marked := slices.ContainsFunc(o.messages["frame"], func(b []byte) bool { return bytes.Contains(b, []byte(`,"unchanged":true}`)) })
	if !marked {
		t.Error("no frame says that it is unchanged")
	}
}

// A threshold of 0 predicts everything, and reload opens the gate.
func TestGateFollowsReload(t *testing.T) {
	c := testConfig(t, func(c *Config) {
		c.Camera.Synthetic = capture.SceneConfig{Seed: 1, Rest: true}
		c.Predict.SkipSharp = 0
	})
	p := testPipeline(t, c, (&outbox{}).output())
	until(t, p, func() bool {
		n := p.stats.out.Load()
		switch skipped := p.stats.skipped.Load(); {
		case n > 60 && p.config.Load().Predict.SkipSharp == 0:
			if skipped > 0 {
				t.Fatalf("%d frames skipped with a threshold of 0", skipped)
			}
			fresh := *c
			fresh.Predict.SkipSharp = 0.9
			p.reloadFrom(func() (*Config, error) { return &fresh, nil }, new(slog.LevelVar))
		case skipped > 0:
			return true
		}
		return false
	})
}

// What must be predicted is predicted, though the gate is open.
func TestGateLetsNothingByThatMustBePredicted(t *testing.T) {
	c := testConfig(t, func(c *Config) { c.Camera.Synthetic = capture.SceneConfig{Seed: 1, Noise: 1, Rest: true} })
	for name, change := range map[string]func(f *frame) (requested bool){
		"nothing":               func(*frame) bool { return false },
		"a request":             func(*frame) bool { return true },
		"a camera that is back": func(f *frame) bool { f.afterLoss = true; return false },
		"a session on trial": func(f *frame) bool {
			f.set.trial = &trial{old: f.set, left: 9, verdict: make(chan error, 1)}
			return false
		},
	} {
		g, camera := testGate(t, c)
		for range 6 {
			g.next(t, camera, func(*frame) bool { return false })
		}
		before := g.stats.skipped.Load()
		g.next(t, camera, change)
		if skipped := g.stats.skipped.Load() > before; skipped != (name == "nothing") {
			t.Errorf("%s: skipped %v", name, skipped)
		}
	}
}

// Skipping allocates no more than predicting does.
func TestSkippingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	c := testConfig(t, func(c *Config) {
		c.Camera.Synthetic = capture.SceneConfig{Seed: 1, Noise: 1, Rest: true}
		c.Stats.Every = time.Hour
	})
	if least := slices.Min(allocationsPerWindow(t, c, 8, 30)); least > 0 {
		t.Errorf("at least %d allocations in 30 frames, want none", least)
	}
}
