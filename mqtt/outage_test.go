package mqtt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

// flow publishes frames like the daemon until the test ends and counts what happens.
type flow struct {
	mu      sync.Mutex
	sent    int
	errors  map[error]int
	longest time.Duration
	stop    chan struct{}
	done    chan struct{}
}

// start publishes frames of size bytes at about 100 per second. A frame consists
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
			// 250 ms for the scheduler of a busy machine.
			if limit := c.config.WriteTimeout + 250*time.Millisecond; f.longest > limit {
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

// sluggish is a broker that answers the handshake and then reads only when told to.
type sluggish struct {
	net.Listener
	conn  chan net.Conn
	ended chan struct{}
}

func startSluggish(t *testing.T) *sluggish {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sluggish{Listener: l, conn: make(chan net.Conn, 10), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			s.greet(conn)
			s.conn <- conn
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-s.ended })
	return s
}

// greet acknowledges CONNECT, SUBSCRIBE and the status.
func (s *sluggish) greet(conn net.Conn) {
	_, _, _ = readPacket(conn)
	_, _ = conn.Write([]byte{0x20, 2, 0, 0})
	_, body, _ := readPacket(conn)
	_, _ = conn.Write([]byte{0x90, 3, body[0], body[1], 1})
	_, body, _ = readPacket(conn)
	id := body[2+int(binary.BigEndian.Uint16(body)):]
	_, _ = conn.Write([]byte{0x40, 2, id[0], id[1]})
}

func readPacket(r io.Reader) (kind byte, body []byte, err error) {
	var b [1]byte
	if _, err = io.ReadFull(r, b[:]); err != nil {
		return 0, nil, err
	}
	kind = b[0]
	length := 0
	for shift := 0; ; shift += 7 {
		if _, err = io.ReadFull(r, b[:]); err != nil {
			return 0, nil, err
		}
		length |= int(b[0]&0x7f) << shift
		if b[0]&0x80 == 0 {
			break
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// A slow link is not a dead one: Publish gives up, but the message in progress
// arrives whole, its buffer is not given back, and the connection lives.
func TestSlowLink(t *testing.T) {
	s := startSluggish(t)
	c, _ := online(t, s.Addr().String(), func(c *Config) { c.WriteTimeout = 100 * time.Millisecond; c.MaxPacket = 50_000_000 })
	conn := <-s.conn
	defer conn.Close()
	frame := bytes.Repeat([]byte{7}, 2_000_000) // more than the kernel takes
	reusable, err := c.Publish("frame", 0, false, frame)
	if reusable || err != ErrTimeout {
		t.Fatalf("%v, %v, want ErrTimeout and a buffer that is not reusable", reusable, err)
	}
	if reusable, err = c.Publish("frame", 0, false, []byte("x")); !reusable || err != ErrTimeout {
		t.Errorf("behind it: %v, %v, want ErrTimeout, reusable", reusable, err)
	}
	got := make(chan []byte)
	go func() {
		_, body, _ := readPacket(&throttled{conn, 16 << 10, 10 * time.Millisecond})
		got <- body
	}()
	body := <-got
	topic := 2 + len("sharpend/cam/frame")
	if len(body) != topic+len(frame) || bytes.Count(body[topic:], []byte{7}) != len(frame) {
		t.Errorf("the message of the slow link is damaged: %d bytes", len(body))
	}
	eventually(t, "free again", func() bool { _, err := c.Publish("frame", 0, false, []byte("x")); return err == nil })
	if n := c.Snapshot().Disconnects; n != 0 {
		t.Errorf("%d connections lost", n)
	}
}

// throttled reads at most size bytes per wait.
type throttled struct {
	net.Conn
	size int
	wait time.Duration
}

func (r *throttled) Read(b []byte) (int, error) {
	time.Sleep(r.wait)
	return r.Conn.Read(b[:min(len(b), r.size)])
}

// At QoS 1 the acknowledgement counts: without it the buffer stays with paho.
func TestMissingAcknowledgement(t *testing.T) {
	s := startSluggish(t)
	c, _ := online(t, s.Addr().String(), func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	conn := <-s.conn
	defer conn.Close()
	if reusable, err := c.Publish("keyframe", 1, true, []byte("k")); reusable || err != ErrTimeout {
		t.Fatalf("%v, %v, want ErrTimeout, not reusable", reusable, err)
	}
	begin := time.Now()
	if reusable, err := c.Publish("frame", 0, false, []byte("f")); !reusable || err != ErrTimeout || time.Since(begin) > 20*time.Millisecond {
		t.Errorf("%v, %v after %v, want ErrTimeout at once", reusable, err, time.Since(begin))
	}
	_, body, _ := readPacket(conn)
	id := body[2+len("sharpend/cam/keyframe"):]
	_, _ = conn.Write([]byte{0x40, 2, id[0], id[1]})
	eventually(t, "free again", func() bool { _, err := c.Publish("frame", 0, false, []byte("f")); return err == nil })
	s2 := c.live.Load()
	if reusable, _ := c.Publish("keyframe", 1, true, []byte("k")); reusable {
		t.Fatal("reusable without acknowledgement")
	}
	c.publishing.Lock()
	s2.pendingSince = time.Now().Add(-ackTimeout - time.Second) // as if 10 s had passed
	c.publishing.Unlock()
	_, _ = c.Publish("frame", 0, false, []byte("f"))
	eventually(t, "given up", func() bool { return c.Snapshot().Disconnects == 1 })
	if text := c.Snapshot().LastError; text != "no acknowledgement for 10s" {
		t.Errorf("last error %q", text)
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
