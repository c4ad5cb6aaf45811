package mqtt

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

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
	t.Parallel()
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
