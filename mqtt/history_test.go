package mqtt

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestPause(t *testing.T) {
	tests := []struct {
		failures int
		refused  bool
		want     time.Duration
	}{
		{1, false, 100 * time.Millisecond},
		{2, false, 200 * time.Millisecond},
		{4, false, 800 * time.Millisecond},
		{5, false, time.Second},
		{1000, false, time.Second},
		{1, true, time.Second},
		{3, true, 4 * time.Second},
		{5, true, 10 * time.Second},
		{1000, true, 10 * time.Second},
	}
	for _, test := range tests {
		if got := pause(test.failures, test.refused); got != test.want {
			t.Errorf("pause(%d, %v) = %v, want %v", test.failures, test.refused, got, test.want)
		}
	}
}

func TestExplain(t *testing.T) {
	c, _ := client(t, "127.0.0.1:1", func(c *Config) { c.Username = "me" })
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 54321}
	remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1883}
	reset := &net.OpError{Op: "read", Net: "tcp", Source: local, Addr: remote, Err: errors.New("reset")}
	tests := []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w : %w", packets.ErrorNetworkError, errors.New("inner")), "inner"},
		{fmt.Errorf("%w : %w", packets.ErrorNetworkError, reset), "read tcp 127.0.0.1:1883: reset"},
		{packets.ErrorRefusedNotAuthorised, `the broker refuses user "me", client_id "sharpend-cam": not Authorized (mqtt.username, mqtt.password_file)`},
	}
	for _, test := range tests {
		if got := c.explain(test.err).Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if !refused(c.explain(packets.ErrorRefusedIDRejected)) || refused(c.explain(reset)) {
		t.Error("refusals are not told from other errors")
	}
}

func TestUnanswered(t *testing.T) {
	plain, _ := client(t, "127.0.0.1:1")
	secure, _ := client(t, "", func(c *Config) { c.Broker = "mqtts://127.0.0.1" })
	late := fmt.Errorf("%w : %w", packets.ErrorNetworkError, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded})
	tests := []struct {
		client *Client
		err    error
		want   string
	}{
		{plain, late, "does not answer"},
		{plain, io.EOF, "mqtt.broker: mqtts://HOST"},
		{secure, syscall.ECONNRESET, "mqtt.cert_file"},
		{plain, packets.ErrorRefusedNotAuthorised, "mqtt.password_file"},
	}
	for _, test := range tests {
		if got := test.client.unanswered(test.err).Error(); !strings.Contains(got, test.want) {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// Two clients with one client_id throw each other out for ever: both must calm
// down, keep quiet, and say what is wrong.
func TestSameClientID(t *testing.T) {
	t.Parallel()
	b := listen(t)
	first, text := online(t, b.Addr())
	second, _ := client(t, b.Addr())
	second.Connect()
	time.Sleep(3 * time.Second)
	connects := first.Snapshot().Connects + second.Snapshot().Connects
	t.Logf("%d connections in 3 s", connects)
	if connects < 4 || connects > 40 {
		t.Errorf("%d connections in 3 s", connects)
	}
	if n := text.count("same mqtt.client_id"); n != 1 {
		t.Errorf("the hint is given %d times, want once", n)
	}
	if n := strings.Count(text.String(), "\n"); n > 10 {
		t.Errorf("%d log lines:\n%s", n, text)
	}
}
