//go:build go1.25

package capture

import (
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A reader that is slower than the clip gets the newest picture, and the count of those it missed.
func TestPace(t *testing.T) {
	path := write(t, "clip.mjpeg", slices.Concat(shades(t, 20)...))
	synctest.Test(t, func(t *testing.T) {
		c := fastConfig(path)
		c.AsFastAsPossible, c.FPS, c.Loop = false, 10, true
		camera, f := open(t, c)
		start := time.Now()
		for _, step := range []struct {
			pause         time.Duration // before the read
			sequence      uint64
			skipped       int
			arrives       time.Duration // when the read returns
			level, capted int           // level of the picture; capture time in ms
		}{
			{0, 0, 0, 0, 10, 0},
			{0, 1, 0, 100 * time.Millisecond, 20, 100},
			{20 * time.Millisecond, 2, 0, 200 * time.Millisecond, 30, 200},
			{350 * time.Millisecond, 5, 2, 550 * time.Millisecond, 60, 500},
			{0, 6, 0, 600 * time.Millisecond, 70, 600},
			{1450 * time.Millisecond, 20, 13, 2050 * time.Millisecond, 10, 2000}, // round the loop
			{time.Hour, 21, 0, time.Hour + 2050*time.Millisecond, 20, 3602050},   // asleep: nothing was missed
			{0, 22, 0, time.Hour + 2150*time.Millisecond, 30, 3602150},
		} {
			time.Sleep(step.pause)
			if err := camera.Read(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			if f.Sequence != step.sequence || f.Skipped != step.skipped || nearest(f.Image) != step.level {
				t.Errorf("got frame %d, skipped %d, level %d; want %+v", f.Sequence, f.Skipped, nearest(f.Image), step)
			}
			if got := time.Since(start); got != step.arrives {
				t.Errorf("frame %d came after %v, want %v", f.Sequence, got, step.arrives)
			}
			if got := f.Time.Sub(start).Milliseconds(); got != int64(step.capted) {
				t.Errorf("frame %d was captured after %d ms, want %d", f.Sequence, got, step.capted)
			}
		}
	})
}

func TestSlowReaderStillGetsTheLastPicture(t *testing.T) {
	path := write(t, "clip.mjpeg", slices.Concat(shades(t, 5)...))
	synctest.Test(t, func(t *testing.T) {
		c := fastConfig(path)
		c.AsFastAsPossible = false
		camera, f := open(t, c)
		camera.Read(t.Context(), f)
		time.Sleep(3 * time.Second)
		if err := camera.Read(t.Context(), f); err != nil || f.Sequence != 4 || f.Skipped != 3 {
			t.Errorf("frame %d, skipped %d, %v", f.Sequence, f.Skipped, err)
		}
		if err := camera.Read(t.Context(), f); err != io.EOF {
			t.Errorf("then %v", err)
		}
	})
}

func TestReadHonoursItsContext(t *testing.T) {
	path := write(t, "clip.mjpeg", slices.Concat(shades(t, 2)...))
	synctest.Test(t, func(t *testing.T) {
		c := fastConfig(path)
		c.AsFastAsPossible, c.FPS = false, 0.1
		camera, f := open(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := camera.Read(ctx, f); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := camera.Read(ctx, f); err != context.DeadlineExceeded || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := camera.Read(ctx, f); err != context.DeadlineExceeded {
			t.Errorf("a dead context: %v", err)
		}
		if err := camera.Read(t.Context(), f); err != nil || f.Sequence != 1 {
			t.Errorf("afterwards: frame %d, %v", f.Sequence, err)
		}
	})
}

func TestSceneKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Default()
		c.Source, c.Width, c.Height, c.FPS = Synthetic, 64, 48, 10
		camera, f := open(t, c)
		start := time.Now()
		for _, want := range []struct {
			pause    time.Duration
			sequence uint64
			skipped  int
		}{{0, 0, 0}, {0, 1, 0}, {450 * time.Millisecond, 5, 3}, {0, 6, 0}} {
			time.Sleep(want.pause)
			if err := camera.Read(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			if f.Sequence != want.sequence || f.Skipped != want.skipped || f.Time.Sub(start) != time.Duration(want.sequence)*100*time.Millisecond {
				t.Errorf("frame %d of %v, skipped %d; want %+v", f.Sequence, f.Time.Sub(start), f.Skipped, want)
			}
		}
	})
}

// At rates whose periods are no whole nanoseconds every frame still comes once.
func TestOddRatesMissNothing(t *testing.T) {
	path := write(t, "clip.mjpeg", slices.Concat(shades(t, 2)...))
	for _, fps := range []float64{30000.0 / 1001, 7, 3, 0.7} {
		synctest.Test(t, func(t *testing.T) {
			c := fastConfig(path)
			c.AsFastAsPossible, c.FPS, c.Loop = false, fps, true
			camera, f := open(t, c)
			for n := range uint64(100) {
				if err := camera.Read(t.Context(), f); err != nil || f.Sequence != n || f.Skipped != 0 {
					t.Fatalf("%g/s: frame %d came as %d, skipped %d, %v", fps, n, f.Sequence, f.Skipped, err)
				}
			}
		})
	}
}
