package mqtt

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

// slack is for the scheduler of a busy machine.
const slack = time.Second

// flow publishes frames like the daemon until the test ends and counts what happens.
type flow struct {
	mu      sync.Mutex
	sent    int
	errors  map[error]int
	longest time.Duration
	stop    chan struct{}
	done    chan struct{}
}

// startFlow publishes frames of size bytes at about 100 per second. A frame consists
// of one repeated byte; a reusable buffer is at once filled with another.
func startFlow(t *testing.T, c *Client, size int) *flow {
	f := &flow{errors: map[error]int{}, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		frame := make([]byte, size)
		for fill := byte(0); ; fill++ {
			for i := range frame {
				frame[i] = fill
			}
			begin := time.Now()
			reusable, err := c.Publish("frame", 0, false, frame)
			f.count(err, time.Since(begin))
			if !reusable {
				frame = make([]byte, size)
			}
			select {
			case <-f.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(f.end)
	return f
}

func (f *flow) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	<-f.done
}

func (f *flow) count(err error, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.longest = max(f.longest, took)
	if err == nil {
		f.sent++
	}
	f.errors[err]++
}

func (f *flow) number() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// checkWhole fails when a frame is not one repeated byte.
func checkWhole(t *testing.T, frames <-chan message, size int) {
	t.Helper()
	n := 0
	for ; len(frames) > 0; n++ {
		m := <-frames
		if len(m.payload) != size || bytes.Count([]byte(m.payload), []byte{m.payload[0]}) != size {
			t.Fatalf("frame %d is damaged (%d bytes)", n, len(m.payload))
		}
	}
	t.Logf("%d frames arrived whole", n)
}

// TestOutages breaks the broker in every way while frames are published. The
// time to the first frame after its return is logged; the goal is 2 s.
func TestOutages(t *testing.T) {
	t.Parallel()
	const size = 100_000
	outages := map[string]func(b *mosquittotest.Broker, c *Client){
		"restart at once": func(b *mosquittotest.Broker, _ *Client) { b.Restart() },
		"dead for 3 s":    func(b *mosquittotest.Broker, _ *Client) { b.Kill(); time.Sleep(3 * time.Second); b.Restart() },
		"frozen for 1 s":  func(b *mosquittotest.Broker, _ *Client) { b.Freeze(); time.Sleep(time.Second); b.Thaw() },
		"frozen for 8 s":  func(b *mosquittotest.Broker, _ *Client) { b.Freeze(); time.Sleep(8 * time.Second); b.Thaw() },
		"frozen, then killed": func(b *mosquittotest.Broker, _ *Client) {
			b.Freeze()
			time.Sleep(7 * time.Second)
			b.Restart()
		},
	}
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mosquittotest.Start(t)
			c, _ := online(t, b.Addr)
			_ = c.SetRetained("info", []byte("info"))
			frames := watch(t, b.Addr, "sharpend/cam/frame")
			f := startFlow(t, c, size)
			eventually(t, "frames flow", func() bool { return f.number() > 20 })
			outage(b, c)
			eventually(t, "the broker is back: first frame", func(before int) func() bool {
				return func() bool { return f.number() > before }
			}(f.number()))
			eventually(t, "and 20 more", func(before int) func() bool {
				return func() bool { return f.number() > before+20 }
			}(f.number()))
			f.end()
			f.mu.Lock()
			t.Logf("longest Publish %v, errors %v", f.longest, f.errors)
			if limit := c.config.WriteTimeout + slack; f.longest > limit {
				t.Errorf("a Publish took %v, limit %v", f.longest, limit)
			}
			for err := range f.errors {
				if err != nil && err != ErrOffline && err != ErrTimeout {
					t.Errorf("unexpected error %v", err)
				}
			}
			f.mu.Unlock()
			eventually(t, "connected", c.Online)
			late := watch(t, b.Addr, "sharpend/cam/+")
			until(t, late, "sharpend/cam/info", "info")
			status := watch(t, b.Addr, "sharpend/cam/status")
			if m := next(t, status); m.payload != "online" || !m.retained {
				t.Errorf("status %v, want online retained", m)
			}
			checkWhole(t, frames, size)
		})
	}
}

func TestBrokerAbsentAtStart(t *testing.T) {
	t.Parallel()
	b := mosquittotest.New(t)
	c, text := client(t, b.Addr)
	_ = c.SetRetained("info", []byte("info"))
	c.Connect()
	time.Sleep(3 * time.Second) // the pauses between attempts reach their longest
	if s := c.Snapshot(); s.Connected || s.Failures < 3 || s.LastError == "" {
		t.Errorf("snapshot %+v", s)
	}
	if n := text.count("connection refused"); n != 1 {
		t.Errorf("the failure is logged %d times, want once:\n%s", n, text)
	}
	b.Restart()
	eventually(t, "online", c.Online)
	until(t, watch(t, b.Addr, "sharpend/cam/info"), "sharpend/cam/info", "info")
}

// In a freeze one call waits for its timeout; all others fail at once.
func TestFrozenBrokerFailsFast(t *testing.T) {
	t.Parallel()
	b := mosquittotest.Start(t)
	c, _ := online(t, b.Addr)
	b.Freeze()
	frame := make([]byte, 1_000_000)
	var waited, fast int
	for begin := time.Now(); time.Since(begin) < 7*time.Second; {
		call := time.Now()
		reusable, err := c.Publish("frame", 0, false, frame)
		took := time.Since(call)
		switch {
		case err == nil: // the kernel's buffers take the first ones
			continue
		case took > c.config.WriteTimeout/2:
			waited++
		default:
			fast++
		}
		if !reusable {
			frame = make([]byte, len(frame))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%d calls waited, %d failed at once", waited, fast)
	// The kernel may take the rest of one message late, and then one more call waits.
	if waited < 1 || waited > 3 || fast < 100 {
		t.Errorf("%d calls waited, want 1 to 3; %d failed at once", waited, fast)
	}
	if s := c.Snapshot(); s.Connected {
		t.Errorf("the freeze is not detected: %+v", s)
	}
}

// A buffer given back as reusable is written to at once while the frames fly;
// under -race this also shows that paho does not read it any more.
func TestReusableBuffersAreFree(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, _ := online(t, addr)
		frames := watch(t, addr, "sharpend/cam/frame")
		const size = 50_000
		frame := make([]byte, size)
		for i := range 300 {
			for k := range frame {
				frame[k] = byte(i)
			}
			reusable, err := c.Publish("frame", byte(i%2), false, frame)
			if err != nil && !errors.Is(err, ErrTimeout) {
				t.Fatal(err)
			}
			if !reusable {
				frame = make([]byte, size)
			}
			if i%16 == 15 {
				time.Sleep(5 * time.Millisecond) // the embedded broker drops what a subscriber does not take
			}
		}
		time.Sleep(200 * time.Millisecond)
		if len(frames) < 200 {
			t.Errorf("only %d of 300 frames arrived", len(frames))
		}
		checkWhole(t, frames, size)
	})
}

// A crash of the broker in the middle of Close must not hang it.
func TestCloseWithDeadBroker(t *testing.T) {
	b := mosquittotest.Start(t)
	c, _ := online(t, b.Addr)
	b.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}
