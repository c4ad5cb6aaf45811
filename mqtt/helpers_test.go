package mqtt

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sharpend/mqtt/mosquittotest"
)

// record is a log that a test can read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) count(s string) int { return strings.Count(r.String(), s) }

// logger returns a logger at info level and what it wrote.
func logger() (*slog.Logger, *record) {
	r := new(record)
	return slog.New(slog.NewTextHandler(r, nil)), r
}

// onBoth runs body against a real mosquitto and against the embedded broker.
func onBoth(t *testing.T, body func(t *testing.T, addr string)) {
	t.Run("mosquitto", func(t *testing.T) { body(t, mosquittotest.Start(t).Addr) })
	t.Run("embedded", func(t *testing.T) { body(t, listen(t).Addr()) })
}

func listen(t testing.TB) *Broker {
	t.Helper()
	log, _ := logger()
	b, err := Listen("127.0.0.1:0", 2_000_000, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// client makes an unconnected client named "cam"; the test's end closes it.
func client(t testing.TB, addr string, change ...func(*Config)) (*Client, *record) {
	t.Helper()
	config := Default()
	config.Broker = "mqtt://" + addr
	for _, f := range change {
		f(&config)
	}
	log, text := logger()
	c, err := New(config, "cam", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
		if t.Failed() {
			t.Logf("the client's log:\n%s", text)
		}
	})
	return c, text
}

// online is a client that has its connection.
func online(t testing.TB, addr string, change ...func(*Config)) (*Client, *record) {
	t.Helper()
	c, text := client(t, addr, change...)
	c.Connect()
	eventually(t, "online", c.Online)
	return c, text
}

// eventually polls for at most 10 s, which is generous for a busy machine, and logs the time taken.
func eventually(t testing.TB, what string, f func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !f() {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(begin)
	t.Logf("%s: after %v", what, took.Round(time.Millisecond))
	return took
}

// message is what a watcher saw.
type message struct {
	topic, payload string
	retained       bool
}

// watch subscribes to filter with a client of its own, which survives restarts of the broker.
func watch(t testing.TB, addr, filter string) <-chan message {
	t.Helper()
	seen := make(chan message, 10000)
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4)
	o.SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(100 * time.Millisecond)
	o.SetOnConnectHandler(func(p paho.Client) {
		p.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) {
			seen <- message{m.Topic(), string(m.Payload()), m.Retained()}
		})
	})
	subscribed := paho.NewClient(o)
	if token := subscribed.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("watcher: %v", token.Error())
	}
	t.Cleanup(func() { subscribed.Disconnect(10) })
	time.Sleep(50 * time.Millisecond) // for the SUBACK
	return seen
}

// next returns the next message, within 10 s.
func next(t testing.TB, seen <-chan message) message {
	t.Helper()
	select {
	case m := <-seen:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message within 10 s")
		panic("unreachable")
	}
}

// until skips messages up to the one wanted.
func until(t testing.TB, seen <-chan message, topic, payload string) message {
	t.Helper()
	for {
		if m := next(t, seen); m.topic == topic && m.payload == payload {
			return m
		}
	}
}

// send publishes one message as somebody else.
func send(t testing.TB, addr, topic, payload string, retained bool) {
	t.Helper()
	other := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4))
	if token := other.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("sender: %v", token.Error())
	}
	if token := other.Publish(topic, 1, retained, payload); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("sender: %v", token.Error())
	}
	other.Disconnect(100)
}

// awaitRetained waits until a new subscriber gets the topic's message as a
// retained one: a broker may acknowledge it before it has put it away.
func awaitRetained(t testing.TB, addr, topic string) {
	t.Helper()
	retained := make(chan struct{}, 100)
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetProtocolVersion(4))
	if token := c.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("looking for %s: %v", topic, token.Error())
	}
	defer c.Disconnect(100)
	for range 100 { // each subscription brings what is retained anew
		c.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) {
			if m.Retained() {
				retained <- struct{}{}
			}
		}).WaitTimeout(10 * time.Second)
		select {
		case <-retained:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not retained", topic)
}

func closeNow(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
