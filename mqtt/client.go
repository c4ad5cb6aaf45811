// Package mqtt is the one keeper of paho.mqtt.golang: it publishes frames and
// retained state, receives keyframe requests, and lives through every loss of
// the broker.
//
// A Client makes a fresh paho client for every connection instead of using
// paho's reconnection, which loses, keeps or replays messages behind one's back
// and waits up to ten minutes. What is published while there is no connection is
// refused at once with ErrOffline, so nothing piles up and nothing stale is
// ever sent. The state that a newcomer needs (info, status) is remembered here and
// sent again at every connect, status last. The broker's will, "offline", is
// corrected when it arrives late, after a reconnect.
//
// Topics are sharpend/<name>/<level>.
//
// Listen starts the embedded broker, github.com/mochi-mqtt/server. It is a
// convenience for demonstrations and tests, on loopback only, without accounts,
// TLS or persistence: never the product. Mochi was preferred to nats-server,
// which needs a store folder and a server name for retained messages; that mochi
// has had no release since early 2025 is acceptable for something that only this
// machine can reach.
package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Payloads of the retained topic sharpend/<name>/status.
const (
	Online  = "online"
	Offline = "offline"
)

// Errors of Publish; compare with errors.Is.
var (
	ErrOffline  = errors.New("mqtt: not connected to the broker")
	ErrTimeout  = errors.New("mqtt: the broker takes no more messages")
	ErrTooLarge = errors.New("mqtt: the message is larger than mqtt.max_packet")
)

var errClosed = errors.New("mqtt: the client is closed")

// Client is a connection to one broker that is made again whenever it is lost.
// Make one with New. Its methods may be called from any goroutine, but Publish
// calls wait for each other, so one goroutine should do all of them.
type Client struct {
	// OnRequest, when set before Connect, receives the valid messages on
	// sharpend/<name>/keyframe/request; retained ones are ignored. It runs on a
	// goroutine of its own, possibly several at once, and must not block for long.
	OnRequest func(Request)

	config  Config
	address address
	prefix  string // of every topic, with the last slash
	log     *slog.Logger

	start      sync.Once
	soft, hard context.Context // ended by Close: at once, and when its patience ends
	stop, kill context.CancelFunc
	done       chan struct{} // closed when run has returned
	changed    chan struct{} // a retained state waits to be sent
	live       atomic.Pointer[session]
	complained atomic.Int64 // UnixNano of the last log line about a bad request
	history    history      // of run
	guest      bool         // of Probe: a lost connection must not say that the daemon is offline

	mu       sync.Mutex // guards what follows
	snapshot Snapshot
	retained []state

	publishing sync.Mutex // guards what follows
	topics     map[string]string
	timer      *time.Timer
}

// state is a remembered retained message.
type state struct {
	topic   string
	payload []byte // never written to again: paho may hold it
	sent    bool   // over the present connection
}

// Snapshot says how the connection fares, for logs and statistics.
type Snapshot struct {
	Connected   bool
	Since       time.Time // of the last change of Connected; zero before the first connection
	Connects    uint64    // connections made
	Disconnects uint64    // connections lost
	Failures    uint64    // attempts to connect that failed
	LastError   string    // why the last connection or attempt failed; "" if none did
}

// New checks the config and its files and returns a client that is not connected
// yet. name is one level of the topics. Errors name the key.
func New(c Config, name string, log *slog.Logger) (*Client, error) {
	if err := errors.Join(checkName(name), c.check()); err != nil {
		return nil, err
	}
	if c.ClientID == "" {
		// Always the same, so that the broker replaces a dead connection of ours
		// instead of sending its will minutes later.
		c.ClientID = "sharpend-" + name
	}
	client := &Client{
		config: c, prefix: "sharpend/" + name + "/", log: log,
		done: make(chan struct{}), changed: make(chan struct{}, 1),
		topics: map[string]string{}, timer: time.NewTimer(time.Hour),
	}
	client.hard, client.kill = context.WithCancel(context.Background())
	client.soft, client.stop = context.WithCancel(client.hard)
	var err error
	if client.address, err = c.address(); err != nil {
		return nil, err
	}
	_, noTLS := client.tlsConfig()
	_, noPassword := client.password()
	return client, errors.Join(noTLS, noPassword)
}

// Connect returns at once; the connection is made, and made again, until Close.
func (c *Client) Connect() { c.start.Do(func() { go c.run() }) }

// Close says "offline" and disconnects. When ctx ends first, or the broker
// does not answer, the connection is cut, and the broker's will says it.
func (c *Client) Close(ctx context.Context) error {
	c.stop()
	defer c.kill()
	c.start.Do(func() { close(c.done) })
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	c.kill()
	<-c.done
	return ctx.Err()
}

// Topic returns sharpend/<name>/level.
func (c *Client) Topic(level string) string { return c.prefix + level }

// Online reports whether a message published now has a connection to go to.
func (c *Client) Online() bool {
	s := c.live.Load()
	return s != nil && s.paho.IsConnectionOpen()
}

// Snapshot returns the counters.
func (c *Client) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot
}

// SetRetained remembers a copy of a small retained message and sends it, at QoS
// 1, now or as soon as there is a connection, and again at every connect. It
// does not wait. The error is ErrTooLarge or nil.
func (c *Client) SetRetained(level string, payload []byte) error {
	next := state{topic: c.Topic(level), payload: slices.Clone(payload)}
	if c.tooLarge(next.topic, payload) {
		return ErrTooLarge
	}
	c.mu.Lock()
	i := slices.IndexFunc(c.retained, func(s state) bool { return s.topic == next.topic })
	if i < 0 {
		c.retained = append(c.retained, next)
	} else {
		c.retained[i] = next
	}
	c.mu.Unlock()
	select {
	case c.changed <- struct{}{}:
	default: // run has not looked since the last change and will see this one too
	}
	return nil
}

// Publish sends one message at QoS 0 or 1, blocking at most config.WriteTimeout:
// until the bytes are with the kernel, or at QoS 1 until the broker
// acknowledges them. It never queues: without a connection it fails with
// ErrOffline, while an earlier message is still stuck with ErrTimeout, both at once.
//
// reusable tells whether payload belongs to the caller again. False (only with
// ErrTimeout) means that paho may still read it, and may still deliver it: take a
// fresh buffer and never touch the old one.
func (c *Client) Publish(level string, qos byte, retained bool, payload []byte) (reusable bool, err error) {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	topic := c.topic(level)
	if c.tooLarge(topic, payload) {
		return true, ErrTooLarge
	}
	s := c.live.Load()
	if s == nil {
		return true, ErrOffline
	}
	if s.busy(c.config.WriteTimeout) {
		return true, ErrTimeout
	}
	c.timer.Reset(c.config.WriteTimeout)
	defer c.timer.Stop()
	token := s.paho.Publish(topic, min(qos, 1), retained, payload)
	select {
	case <-token.Done():
		return true, publishError(token.Error())
	case <-c.timer.C:
		s.pending, s.pendingSince = token, time.Now()
		return false, ErrTimeout
	}
}

// topic is Topic without an allocation per message.
func (c *Client) topic(level string) string {
	topic, ok := c.topics[level]
	if !ok {
		topic = c.Topic(level)
		c.topics[level] = topic
	}
	return topic
}

// packetOverhead is a header, its length, the topic's length and a packet identifier.
const packetOverhead = 1 + 4 + 2 + 2

// tooLarge counts the whole packet: header, topic, packet identifier, payload.
func (c *Client) tooLarge(topic string, payload []byte) bool {
	return packetOverhead+len(topic)+len(payload) > c.config.MaxPacket
}

// publishError sorts paho's errors.
func publishError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errStalled), err.Error() == "publish was broken by timeout":
		return ErrTimeout
	}
	return ErrOffline
}
