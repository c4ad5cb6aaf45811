package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/tensorrt"
)

// pair loads networks for a swap, without their checks.
func pair(t testing.TB, predictor, denoiser string) *networks {
	t.Helper()
	load := func(path, kind string) *tensorrt.Model {
		if path == "" {
			return nil
		}
		m, err := tensorrt.LoadModel(path, kind)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return &networks{predictor: load(predictor, tensorrt.PredictorKind), denoiser: load(denoiser, tensorrt.DenoiserKind)}
}

const (
	plusOne      = "../tensorrt/testdata/predictor.onnx"
	plusOneDies  = "../tensorrt/testdata/dies.onnx"
	mixing       = "../tensorrt/testdata/denoiser.onnx"
	mixingDies   = "testdata/denoiser-dies.onnx"
	doingNothing = "../models/identity.onnx"
)

// numberOf is the frame's number in a published JPEG's comment.
func numberOf(t testing.TB, picture []byte) uint64 {
	t.Helper()
	i := bytes.Index(picture, []byte(`{"frame":`))
	if i < 0 {
		t.Fatal("a JPEG without its comment")
	}
	var tag struct{ Frame uint64 }
	if err := json.NewDecoder(bytes.NewReader(picture[i:])).Decode(&tag); err != nil {
		t.Fatal(err)
	}
	return tag.Frame
}

// A ledger checks that frames come out once each and in order, as they pass.
type ledger struct {
	t    testing.TB
	last atomic.Uint64
	gaps atomic.Uint64 // frames that never came
}

func (l *ledger) output(o *outbox) output {
	out := o.output()
	keep := out.publish
	out.publish = func(level string, qos byte, retained bool, payload []byte) (bool, error) {
		if level != "frame" {
			return keep(level, qos, retained, payload)
		}
		n, last := numberOf(l.t, payload), l.last.Load()
		if n <= last {
			l.t.Errorf("frame %d came after frame %d", n, last)
		}
		l.gaps.Add(n - last - 1)
		l.last.Store(n)
		return true, nil
	}
	return out
}

// swapped asks for a swap and waits for its outcome.
func swapped(ctx context.Context, p *pipeline, r swapRequest) error {
	done := make(chan error, 1)
	r.done = func(err error) { done <- err }
	p.swap(r)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func staged(n *networks) func() (*networks, error) {
	return func() (*networks, error) { return n, nil }
}

// started runs the pipeline in the background; the function it returns ends it
// and fails the test if a session was left open.
func started(t testing.TB, p *pipeline) (ctx context.Context, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	return ctx, func() {
		t.Helper()
		late := ctx.Err()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if late != nil {
			t.Error("not within two minutes")
		}
		noneLeftOpen(t)
	}
}

// TestFiftySwapsLoseNoFrame: between two predictors, while frames run as fast
// as they can and nothing may be dropped.
func TestFiftySwapsLoseNoFrame(t *testing.T) {
	l, o := &ledger{t: t}, &outbox{}
	p := testPipeline(t, testConfig(t), l.output(o))
	choice := []*networks{pair(t, plusOne, ""), p.networks()}
	ctx, end := started(t, p)
	eventually(t, "frames", func() bool { return l.last.Load() > 10 })
	for i := range 50 {
		want := choice[i%2]
		if err := swapped(ctx, p, swapRequest{stage: staged(want), why: "test"}); err != nil {
			t.Fatal(err)
		}
		if p.networks() != want {
			t.Fatalf("swap %d: other networks are in force", i)
		}
	}
	gaps := l.gaps.Load() // the end itself drops what is on its way
	end()
	in, out, drops := p.stats.in.Load(), p.stats.out.Load(), countsText(p.takeSnapshot(time.Now(), true).Drops, dropNames[:])
	if in-out > frameCount || in < 50*trialFrames || gaps != 0 {
		t.Errorf("%d frames in, %d out, %d missing in between; drops: %s", in, out, gaps, drops)
	}
	t.Logf("%d frames, %s dropped at the end", in, drops)
}

// shown is a camera that shows one grey value, live or not.
func shown(c capture.Config, size image.Point, luma *atomic.Uint32, pace time.Duration) *capture.Camera {
	n := uint64(0)
	return capture.New(capture.Camera{Config: c, Granted: capture.Format{Width: size.X, Height: size.Y}, Lossless: pace == 0},
		func(ctx context.Context, f *capture.Frame) error {
			time.Sleep(pace)
			n++
			f.Sequence, f.Time = n, time.Now()
			for i := range f.Image.Y {
				f.Image.Y[i] = byte(luma.Load())
			}
			return ctx.Err()
		}, func() error { return nil })
}

// showing makes the pipeline's camera one that shows luma.
func showing(p *pipeline, size image.Point, luma *atomic.Uint32, pace time.Duration) {
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		return shown(c, size, luma, pace), nil
	}
}

func lastInfo(t testing.TB, o *outbox) (i info) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if all := o.messages["info"]; len(all) > 0 {
		if err := json.Unmarshal(all[len(all)-1], &i); err != nil {
			t.Error(err)
		}
	}
	return i
}

// TestPredictorThatFailsAtOnceIsRolledBack: a few of its frames come out well,
// then its run fails. The frame in which it does still comes out.
func TestPredictorThatFailsAtOnceIsRolledBack(t *testing.T) {
	l, o := &ledger{t: t}, &outbox{}
	p := testPipeline(t, testConfig(t), l.output(o))
	var luma atomic.Uint32
	luma.Store(100)
	showing(p, image.Pt(64, 48), &luma, 0)
	before := p.networks()
	ctx, end := started(t, p)
	eventually(t, "frames", func() bool { return l.last.Load() > 10 })
	luma.Store(250)
	err := swapped(ctx, p, swapRequest{stage: staged(pair(t, plusOneDies, "")), why: "test"})
	var back *rolledBack
	if !errors.As(err, &back) || !strings.Contains(err.Error(), "dies.onnx") {
		t.Errorf("error %v, want one that says what failed and was rolled back", err)
	}
	if p.networks() != before {
		t.Error("the old networks are not in force")
	}
	n := l.last.Load()
	eventually(t, "frames of the old session", func() bool { return l.last.Load() > n+2*trialFrames })
	eventually(t, "info of the roll-back", func() bool {
		i := lastInfo(t, o)
		return i.Swap != nil && i.Swap.State == swapRolledBack && strings.Contains(i.Swap.Error, "dies.onnx") && i.Models.Predictor.Name == "identity"
	})
	if err := swapped(ctx, p, swapRequest{stage: staged(pair(t, plusOne, "")), why: "test"}); err != nil {
		t.Errorf("the next swap: %v", err)
	}
	if l.gaps.Load() != 0 {
		t.Errorf("%d frames are missing", l.gaps.Load())
	}
	end()
}

// A session that fails after its trial ends the process, as ever.
func TestPredictorThatFailsLaterEndsTheRun(t *testing.T) {
	p := testPipeline(t, testConfig(t), (&outbox{}).output())
	var luma atomic.Uint32
	luma.Store(100)
	showing(p, image.Pt(64, 48), &luma, 0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	if err := swapped(ctx, p, swapRequest{stage: staged(pair(t, plusOneDies, "")), why: "test"}); err != nil {
		t.Fatal(err)
	}
	luma.Store(250)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "dies.onnx") {
		t.Errorf("error %v, want the predictor's", err)
	}
	noneLeftOpen(t)
}

// keyframing makes every fifth frame a keyframe of one step.
func keyframing(c *Config) {
	c.Models.Predictor, c.Models.Denoiser = plusOne, mixing
	c.Refine.Steps, c.Refine.Keyframes.Every = 1, infer.Interval{Frames: 5}
}

// TestDenoiserNeverSeesAnotherPredictorsPicture swaps pairs, and reads what
// each keyframe says of itself.
func TestDenoiserNeverSeesAnotherPredictorsPicture(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, keyframing), (&ledger{t: t}).output(o))
	tests, shipped := p.networks(), pair(t, "../models/predictor-s.onnx", "../models/denoiser-s.onnx")
	names := map[string]string{tests.predictor.SHA256: tests.denoiser.SHA256, shipped.predictor.SHA256: shipped.denoiser.SHA256}
	ctx, end := started(t, p)
	for i := range 6 {
		want := []*networks{shipped, tests}[i%2]
		n := o.count("keyframe/meta")
		if err := swapped(ctx, p, swapRequest{stage: staged(want), why: "test"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "keyframes of the new pair", func() bool { return o.count("keyframe/meta") > n+2 })
	}
	end()
	seen := map[string]bool{}
	for _, text := range o.messages["keyframe/meta"] {
		var m keyframeMeta
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		seen[m.Predictor] = true
		if names[m.Predictor] != m.Denoiser || m.StepsDone != 1 {
			t.Errorf("keyframe %d: predictor %.8s, denoiser %.8s, %d steps", m.Frame, m.Predictor, m.Denoiser, m.StepsDone)
		}
	}
	if len(seen) != 2 {
		t.Errorf("keyframes of %d predictors, want both", len(seen))
	}
}

// TestDenoiserThatFailsAtOnceIsRolledBack: the keyframe in which it does shows
// the predicted picture, and both networks go back.
func TestDenoiserThatFailsAtOnceIsRolledBack(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, keyframing), (&ledger{t: t}).output(o))
	var luma atomic.Uint32
	luma.Store(250)
	showing(p, image.Pt(64, 48), &luma, 0)
	before := p.networks()
	_, end := started(t, p)
	eventually(t, "keyframes", func() bool { return o.count("keyframe/meta") > 2 })
	p.swap(swapRequest{stage: staged(pair(t, plusOne, mixingDies)), why: "test"})
	eventually(t, "the roll-back", func() bool {
		i := lastInfo(t, o)
		return i.Swap != nil && i.Swap.State == swapRolledBack && strings.Contains(i.Swap.Error, "denoiser-dies.onnx")
	})
	if p.networks() != before {
		t.Error("the old networks are not in force")
	}
	n := o.count("keyframe/meta")
	eventually(t, "keyframes of the old denoiser", func() bool { return o.count("keyframe/meta") > n+3 })
	end()
	done := map[int]int{}
	for _, text := range o.messages["keyframe/meta"] {
		var m keyframeMeta
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		done[m.StepsDone]++
	}
	if done[0] == 0 || done[1] < 4 {
		t.Errorf("keyframes by steps: %v, want a few without any, and the rest with one", done)
	}
}

// TestReopenedDenoiserIsUsed: the same denoiser, opened anew beside the old one.
func TestReopenedDenoiserIsUsed(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, keyframing), (&ledger{t: t}).output(o))
	ctx, end := started(t, p)
	for range 5 {
		n := o.count("keyframe/meta")
		eventually(t, "keyframes", func() bool { return o.count("keyframe/meta") > n+1 })
		if err := swapped(ctx, p, swapRequest{denoiser: true, why: "engine ready"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the refiner takes it", func() bool { return p.prepared.Load() == nil })
	}
	end()
}

// TestSwapsMeetEverythingElse: sizes that change, cameras that go, sessions
// that fail and the end, all at once and at random moments.
func TestSwapsMeetEverythingElse(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { swapStorm(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func swapStorm(t *testing.T, dice *rand.Rand) {
	l, o := &ledger{t: t}, &outbox{}
	p := testPipeline(t, testConfig(t, keyframing, func(c *Config) { c.Camera.Source = capture.V4L2 }), l.output(o))
	choice := []*networks{p.networks(), pair(t, plusOne, ""), pair(t, plusOneDies, mixing), pair(t, plusOne, mixingDies), pair(t, doingNothing, "")}
	var luma atomic.Uint32
	luma.Store(250) // "dies" does, with its first frame or keyframe
	opened, sizes := 0, rand.New(rand.NewPCG(dice.Uint64(), 2))
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		if opened++; opened%4 == 0 {
			return nil, errors.New("not there")
		}
		camera, left := shown(c, image.Pt(32+16*sizes.IntN(3), 32), &luma, time.Millisecond), sizes.IntN(80)
		return capture.New(capture.Camera{Config: c, Granted: camera.Granted}, func(ctx context.Context, f *capture.Frame) error {
			if left--; left < 0 {
				return errors.New("unplugged")
			}
			return camera.Read(ctx, f)
		}, camera.Close), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(500+dice.IntN(1500))*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, nil) }()
	asked := 0
	for ctx.Err() == nil {
		r := swapRequest{predictor: dice.IntN(2) == 0, denoiser: dice.IntN(2) == 0, why: "storm"}
		if dice.IntN(3) > 0 {
			r.stage = staged(choice[dice.IntN(len(choice))])
		}
		asked++
		p.swap(r)
		time.Sleep(time.Duration(dice.IntN(40)) * time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	noneLeftOpen(t)
	t.Logf("%d swaps asked, %d frames, %d camera losses, the last: %+v", asked, p.stats.in.Load(), p.stats.losses.Load(), lastInfo(t, o).Swap)
}

// TestTrialBeginsAnewAtAnotherSize: the camera comes back with another size
// while new networks are on trial, and there they fail.
func TestTrialBeginsAnewAtAnotherSize(t *testing.T) {
	l, o := &ledger{t: t}, &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Camera.Source = capture.V4L2 }), l.output(o))
	var luma atomic.Uint32
	var unplug atomic.Bool
	luma.Store(100)
	var size image.Point
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		if size.X == 0 {
			size = image.Pt(32, 32)
		} else {
			size = image.Pt(64, 48)
			luma.Store(250)
		}
		camera := shown(c, size, &luma, 100*time.Millisecond) // the trial takes 3 s
		return capture.New(capture.Camera{Config: c, Granted: camera.Granted}, func(ctx context.Context, f *capture.Frame) error {
			if unplug.CompareAndSwap(true, false) {
				return errors.New("unplugged")
			}
			return camera.Read(ctx, f)
		}, camera.Close), nil
	}
	before := p.networks()
	_, end := started(t, p)
	eventually(t, "frames", func() bool { return l.last.Load() > 3 })
	p.swap(swapRequest{stage: staged(pair(t, plusOneDies, "")), why: "test"})
	state := func(s string) func() bool {
		return func() bool { i := lastInfo(t, o); return i.Swap != nil && i.Swap.State == s }
	}
	eventually(t, "the trial", state(swapOnTrial))
	unplug.Store(true)
	eventually(t, "the roll-back", state(swapRolledBack))
	n := l.last.Load()
	eventually(t, "frames of the new size", func() bool { return l.last.Load() > n+3 && p.current.Load().size == image.Pt(64, 48) })
	if p.networks() != before {
		t.Error("the old networks are not in force")
	}
	end()
}

// TestSwapBeforeTheCamera changes what the first session will be opened with.
func TestSwapBeforeTheCamera(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Camera.Source = capture.V4L2 }), o.output())
	var there atomic.Bool
	var luma atomic.Uint32
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		if !there.Load() {
			return nil, errors.New("not there yet")
		}
		return shown(c, image.Pt(64, 48), &luma, time.Millisecond), nil
	}
	ctx, end := started(t, p)
	if err := swapped(ctx, p, swapRequest{stage: staged(pair(t, plusOne, "")), why: "test"}); err != nil {
		t.Fatal(err)
	}
	there.Store(true)
	eventually(t, "frames", func() bool { return o.count("frame") > 3 })
	if i := lastInfo(t, o); i.Models.Predictor.Name != "test-predictor" {
		t.Errorf("%s is in force", i.Models.Predictor.Name)
	}
	end()
}

// TestServingDoesNotNoticeASession: while sessions of a large network are opened
// beside it, the reader of a live camera never waits for one, and no more
// frames are dropped than without.
func TestServingDoesNotNoticeASession(t *testing.T) {
	p := testPipeline(t, testConfig(t), (&outbox{}).output())
	var mu sync.Mutex
	var gaps []time.Duration // between two reads
	returned := time.Time{}
	var luma atomic.Uint32
	p.open = func(_ context.Context, c capture.Config) (*capture.Camera, error) {
		camera := shown(c, image.Pt(160, 96), &luma, 20*time.Millisecond)
		return capture.New(capture.Camera{Config: c, Granted: camera.Granted}, func(ctx context.Context, f *capture.Frame) error {
			mu.Lock()
			gaps = append(gaps, time.Since(returned))
			mu.Unlock()
			err := camera.Read(ctx, f)
			returned = time.Now()
			return err
		}, camera.Close), nil
	}
	lost := func() uint64 { return p.stats.drops[dropPredict].Load() + p.stats.drops[dropPublish].Load() }
	longest := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		defer func() { gaps = gaps[:0] }()
		return slices.Max(gaps)
	}
	large := pair(t, "../models/predictor-s.onnx", "")
	var opening []time.Duration
	opened := func() (*networks, error) {
		begin := time.Now()
		session, err := p.openPredictor(large, image.Pt(1280, 720))
		if err == nil {
			session.Close()
		}
		opening = append(opening, time.Since(begin))
		return p.networks(), err
	}
	ctx, end := started(t, p)
	eventually(t, "frames", func() bool { return p.stats.out.Load() > 5 })
	longest()
	time.Sleep(3 * time.Second)
	quiet, before := longest(), lost()
	frames := p.stats.in.Load()
	for range 4 {
		if err := swapped(ctx, p, swapRequest{predictor: true, stage: opened, why: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	busy, after := longest(), lost()
	frames = p.stats.in.Load() - frames
	end()
	t.Logf("longest time between two reads: %v without swaps, %v with; opening took %v; %d frames dropped before, %d of %d while swapping",
		quiet, busy, opening, before, after-before, frames)
	if least := slices.Min(opening); busy > least/2 {
		t.Errorf("the reader waited up to %v, and opening a session takes %v", busy, least)
	}
	if after-before > frames/20 {
		t.Errorf("%d of %d frames were dropped while swapping", after-before, frames)
	}
}
