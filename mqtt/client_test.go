package mqtt

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

func TestStatusAndInfo(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, _ := client(t, addr)
		info := []byte(`{"version":1}`)
		if err := c.SetRetained("info", info); err != nil {
			t.Fatal(err)
		}
		info[2] = 'X' // the client has its own copy
		live := watch(t, addr, "sharpend/#")
		c.Connect()
		if m := next(t, live); m.topic != "sharpend/cam/info" || m.payload != `{"version":1}` {
			t.Errorf("first message %v, want info", m)
		}
		if m := next(t, live); m != (message{"sharpend/cam/status", "online", false}) {
			t.Errorf("second message %v, want status online", m)
		}
		eventually(t, "online", c.Online)
		if err := c.SetRetained("info", []byte("second")); err != nil {
			t.Fatal(err)
		}
		until(t, live, "sharpend/cam/info", "second")
		late := watch(t, addr, "sharpend/cam/info")
		if m := next(t, late); m != (message{"sharpend/cam/info", "second", true}) {
			t.Errorf("a newcomer gets %v, want the retained info", m)
		}
		closeNow(t, c)
		until(t, live, "sharpend/cam/status", "offline")
		if m := next(t, watch(t, addr, "sharpend/cam/status")); m != (message{"sharpend/cam/status", "offline", true}) {
			t.Errorf("a newcomer gets %v, want the retained offline", m)
		}
		if s := c.Snapshot(); s.Connected || s.Connects != 1 || s.Disconnects != 0 || s.LastError != "" {
			t.Errorf("snapshot %+v", s)
		}
	})
}

// A connection cut without goodbye makes the broker say offline; back, we say online again.
func TestWill(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, text := online(t, addr)
		status := watch(t, addr, "sharpend/cam/status")
		until(t, status, "sharpend/cam/status", "online")
		l := c.live.Load().link
		_ = l.Conn.(*net.TCPConn).SetLinger(0) // RST, as after a crash
		l.drop(errors.New("cut by the test"))
		if m := next(t, status); m != (message{"sharpend/cam/status", "offline", false}) {
			t.Errorf("after the cut %v, want offline", m)
		}
		until(t, status, "sharpend/cam/status", "online")
		eventually(t, "online again", c.Online)
		s := c.Snapshot()
		if s.Connects != 2 || s.Disconnects != 1 || s.LastError != "cut by the test" {
			t.Errorf("snapshot %+v", s)
		}
		if n := text.count("cut by the test"); n != 1 {
			t.Errorf("the loss is logged %d times, want once:\n%s", n, text)
		}
	})
}

// A will that the broker sends after our return must not be the last word.
func TestLateWillIsCorrected(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		online(t, addr)
		status := watch(t, addr, "sharpend/cam/status")
		until(t, status, "sharpend/cam/status", "online")
		send(t, addr, "sharpend/cam/status", "offline", true)
		until(t, status, "sharpend/cam/status", "offline")
		until(t, status, "sharpend/cam/status", "online")
		late := watch(t, addr, "sharpend/cam/status")
		if m := next(t, late); m != (message{"sharpend/cam/status", "online", true}) {
			t.Errorf("retained %v, want online", m)
		}
	})
}

// When Close runs out of time, the will says it.
func TestCloseWithoutTimeLeavesTheWill(t *testing.T) {
	b := mosquittotest.Start(t)
	c, _ := online(t, b.Addr)
	status := watch(t, b.Addr, "sharpend/cam/status")
	until(t, status, "sharpend/cam/status", "online")
	l := c.live.Load().link
	b.Freeze()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want deadline exceeded", err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	if _, err := l.Conn.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is still open after Close: %v", err)
	}
	b.Thaw()
	until(t, status, "sharpend/cam/status", "offline")
}

func TestTooLarge(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, _ := online(t, addr, func(c *Config) { c.MaxPacket = 10_000 })
		frames := watch(t, addr, "sharpend/cam/frame")
		topic := len("sharpend/cam/frame")
		for _, size := range []int{10_000, 10_000 - 9 - topic + 1} {
			if reusable, err := c.Publish("frame", 0, false, make([]byte, size)); err != ErrTooLarge || !reusable {
				t.Errorf("%d bytes: %v, %v, want ErrTooLarge, reusable", size, reusable, err)
			}
		}
		if err := c.SetRetained("info", make([]byte, 10_000)); err != ErrTooLarge {
			t.Errorf("SetRetained: %v", err)
		}
		fits := make([]byte, 10_000-9-topic)
		if _, err := c.Publish("frame", 1, false, fits); err != nil {
			t.Fatal(err)
		}
		if m := next(t, frames); len(m.payload) != len(fits) {
			t.Errorf("got %d bytes, want %d", len(m.payload), len(fits))
		}
		if s := c.Snapshot(); s.Disconnects != 0 {
			t.Errorf("connection lost: %+v", s)
		}
	})
}

func TestPublishOfflineIsRefusedAndKeepsNothing(t *testing.T) {
	b := mosquittotest.New(t) // not started
	c, _ := client(t, b.Addr)
	c.Connect()
	frame := make([]byte, 200<<10)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for i := range 1000 {
		if reusable, err := c.Publish("frame", byte(i%2), false, frame); err != ErrOffline || !reusable {
			t.Fatalf("%v, %v, want ErrOffline, reusable", reusable, err)
		}
	}
	took := time.Since(begin)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if took > time.Second {
		t.Errorf("1000 refusals took %v", took)
	}
	b.Restart()
	eventually(t, "online", c.Online)
	live := watch(t, b.Addr, "sharpend/cam/frame")
	select {
	case m := <-live:
		t.Errorf("a stale frame of %d bytes arrived", len(m.payload))
	case <-time.After(300 * time.Millisecond):
	}
}

func TestRefusedOfflineAllocatesNothing(t *testing.T) {
	c, _ := client(t, "127.0.0.1:1")
	frame := make([]byte, 1000)
	_, _ = c.Publish("frame", 0, false, frame)
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Publish("frame", 0, false, frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	b := mosquittotest.Start(t)
	before := runtime.NumGoroutine()
	for i := range 5 {
		c, _ := client(t, b.Addr)
		c.OnRequest = func(Request) {}
		c.Connect()
		c.Connect() // once is enough
		eventually(t, "online", c.Online)
		if i%2 == 1 {
			c.live.Load().link.drop(errors.New("cut by the test"))
			eventually(t, "reconnected", func() bool { return c.Snapshot().Connects == 2 })
		}
		closeNow(t, c)
		closeNow(t, c) // twice is harmless
	}
	never, _ := client(t, "127.0.0.1:1")
	closeNow(t, never) // never connected
	if _, err := never.Publish("frame", 0, false, nil); err != ErrOffline {
		t.Errorf("after Close: %v", err)
	}
	absent, _ := client(t, "127.0.0.1:1")
	absent.Connect()
	time.Sleep(20 * time.Millisecond)
	closeNow(t, absent)
	eventually(t, "all goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

// A broker that accepts but never answers must not hold up Close.
func TestCloseDuringHandshake(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	c, _ := client(t, mute.Addr().String())
	c.Connect()
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	closeNow(t, c)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestNewRefusesBadNames(t *testing.T) {
	log, _ := logger()
	for _, name := range []string{"", "a/b", "a+", "#", "a\x00b", "\xff", strings.Repeat("x", 257)} {
		if _, err := New(Default(), name, log); err == nil || !strings.HasPrefix(err.Error(), "name: ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := New(Default(), "Kamera Süd", log); err != nil {
		t.Error(err)
	}
}
