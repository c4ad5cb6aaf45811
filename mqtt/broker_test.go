package mqtt

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestListenErrors(t *testing.T) {
	log, _ := logger()
	taken := listen(t).Addr()
	tests := []struct{ addr, want string }{
		{taken, "mqtt.listen: " + taken + " is taken by another program"},
		{"0.0.0.0:0", `mqtt.listen: "0.0.0.0:0" is not a loopback address`},
		{"[::]:0", `mqtt.listen: "[::]:0" is not a loopback address`},
		{"192.168.1.1:0", `mqtt.listen: "192.168.1.1:0" is not a loopback address`},
		{"nonsense", `mqtt.listen: "nonsense" is not HOST:PORT`},
	}
	for _, test := range tests {
		b, err := Listen(test.addr, 1000, log)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q on one line", test.addr, err, test.want)
		}
		if b != nil {
			_ = b.Close()
		}
	}
}

// The daemon's own way: broker: embedded with the address of Listen.
func TestEmbeddedEndToEnd(t *testing.T) {
	b := listen(t)
	c, _ := online(t, "unused", func(c *Config) { c.Broker, c.Listen = Embedded, b.Addr() })
	frames := watch(t, b.Addr(), "sharpend/cam/frame")
	if _, err := c.Publish("frame", 0, false, []byte("jpeg")); err != nil {
		t.Fatal(err)
	}
	if m := next(t, frames); m != (message{"sharpend/cam/frame", "jpeg", false}) {
		t.Errorf("got %v", m)
	}
	closeNow(t, c)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := net.Dial("tcp", b.Addr()); err == nil {
		t.Error("the port is still open after Close")
	}
}

// A subscriber that stops reading must neither hold memory nor anybody up.
func TestEmbeddedSlowSubscriber(t *testing.T) {
	b := listen(t)
	slow, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_, _ = slow.Write([]byte("\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04slow"))
	_, _ = slow.Write([]byte("\x82\x0f\x00\x01\x00\x0asharpend/#\x00"))
	if _, err := io.ReadFull(slow, make([]byte, 4+5)); err != nil {
		t.Fatal(err)
	}
	c, _ := online(t, b.Addr())
	frame := make([]byte, 500_000)
	begin := time.Now()
	for range 200 {
		if _, err := c.Publish("frame", 0, false, frame); err != nil {
			t.Fatal(err)
		}
	}
	dropped := atomic.LoadInt64(&b.server.Info.MessagesDropped)
	t.Logf("100 MB past a sleeping subscriber: %v, dropped %d", time.Since(begin), dropped)
	if dropped < 100 {
		t.Errorf("only %d messages dropped", dropped)
	}
}

// An oversize packet ends its sender, and the warning does not carry the packet.
func TestEmbeddedLogIsShort(t *testing.T) {
	log, text := logger()
	b, err := Listen("127.0.0.1:0", 2_000_000, log)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.server.Log.Info("not a warning")
	b.server.Log.Warn("", "error", io.EOF)
	b.server.Log.With("listener", "x").Warn("bad packet", "pk", strings.Repeat("x", 100_000), "error", io.EOF)
	got := text.String()
	if !strings.Contains(got, `level=WARN msg="embedded MQTT broker: bad packet" error=EOF`) || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %.500q", got)
	}
	if b.server.Log.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("mochi formats records below warn")
	}
}
