package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	// answerTimeout bounds the wait for the broker's answer to what a session itself says.
	answerTimeout = 5 * time.Second
	// ackTimeout is how long a message may stay without acknowledgement before the connection is given up.
	ackTimeout = 10 * time.Second
)

// session is one connection to the broker.
type session struct {
	paho    paho.Client
	link    *link
	lost    chan error    // why the connection was lost, once
	restate chan struct{} // somebody said "offline" in our name

	// The message that Publish gave up waiting for; guarded by Client.publishing.
	pending      paho.Token
	pendingSince time.Time
}

// busy reports whether a message stands in the way, so that another would only wait for its timeout.
func (s *session) busy(timeout time.Duration) bool {
	if s.pending == nil {
		return s.link.stuck(timeout)
	}
	select {
	case <-s.pending.Done():
		s.pending = nil
		return false
	default:
	}
	if time.Since(s.pendingSince) > ackTimeout && (s.link.since.Load() == 0 || s.link.stuck(ackTimeout)) {
		s.link.drop(fmt.Errorf("no acknowledgement for %v", ackTimeout))
	}
	return true
}

// run makes one connection after another until Close.
func (c *Client) run() {
	defer close(c.done)
	for failures := 1; ; failures++ {
		begin := time.Now()
		err := c.attempt()
		lasted := time.Since(begin)
		if lasted > stable {
			failures = 1
		}
		wait := time.NewTimer(max(50*time.Millisecond, pause(failures, refused(err))-lasted))
		select {
		case <-c.soft.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// attempt is one connection from dial to loss.
func (c *Client) attempt() error {
	s, err := c.connect()
	if err == nil {
		if err = c.announce(s); err != nil {
			s.abandon(err)
		}
	}
	if err != nil {
		if c.soft.Err() == nil {
			c.failed(err)
		}
		return err
	}
	c.connected()
	c.live.Store(s)
	err = c.serve(s)
	c.live.Store(nil)
	c.lost(err)
	return err
}

// connect opens the connection and waits for the broker's yes or no.
func (c *Client) connect() (*session, error) {
	secure, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	s := &session{lost: make(chan error, 1), restate: make(chan struct{}, 1)}
	o := c.options(password)
	o.SetConnectionLostHandler(func(_ paho.Client, err error) { s.lost <- err })
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		l, err := c.dial(secure)
		if err != nil {
			return nil, err // not l: a nil *link in an interface is not nil
		}
		s.link = l
		return l, nil
	})
	s.paho = paho.NewClient(o)
	token := s.paho.Connect()
	<-token.Done()
	if s.link != nil {
		s.link.release()
	}
	if err := token.Error(); err != nil {
		return nil, c.unanswered(err)
	}
	return s, nil
}

// options of a paho client that serves one connection only.
func (c *Client) options(password string) *paho.ClientOptions {
	o := paho.NewClientOptions().AddBroker("tcp://" + c.address.host) // the scheme is not used
	o.SetClientID(c.config.ClientID).SetUsername(c.config.Username).SetPassword(password)
	o.SetProtocolVersion(4) // explicit: no second attempt with 3.1 after a refusal
	o.SetCleanSession(true)
	o.SetOrderMatters(false) // a handler must not hold up acknowledgements and pings
	o.SetAutoReconnect(false).SetConnectRetry(false)
	o.SetConnectTimeout(handshakeTimeout)
	o.SetWriteTimeout(c.config.WriteTimeout)
	o.SetKeepAlive(c.config.KeepAlive).SetPingTimeout(min(10*time.Second, c.config.KeepAlive))
	if !c.guest {
		o.SetWill(c.Topic("status"), Offline, 1, true)
	}
	return o
}

// announce subscribes, sends all retained state, and "online" last.
func (c *Client) announce(s *session) error {
	topics := map[string]byte{c.Topic("status"): 1}
	if c.OnRequest != nil {
		topics[c.Topic("keyframe/request")] = 1
	}
	token := s.paho.SubscribeMultiple(topics, func(_ paho.Client, m paho.Message) { c.receive(s, m) })
	if err := await(c.soft, token); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	for topic, code := range token.(*paho.SubscribeToken).Result() {
		if code == 0x80 {
			c.log.Warn("the broker refuses a subscription", "topic", topic)
		}
	}
	c.mu.Lock()
	for i := range c.retained {
		c.retained[i].sent = false
	}
	c.mu.Unlock()
	if err := c.flush(s); err != nil {
		return err
	}
	return c.say(c.soft, s, Online)
}

// serve does what a connected session has to do beside Publish, until it is lost or closed.
func (c *Client) serve(s *session) error {
	for {
		var err error
		select {
		case err := <-s.lost:
			return c.explain(err)
		case <-s.restate:
			err = c.say(c.soft, s, Online)
		case <-c.changed:
			err = c.flush(s)
		case <-c.soft.Done():
			c.leave(s)
			return errClosed
		}
		if err != nil && c.soft.Err() == nil {
			s.abandon(err)
			return err
		}
	}
}

// leave says "offline" and goodbye; without an answer it cuts the connection.
func (c *Client) leave(s *session) {
	c.live.Store(nil)
	if err := c.say(c.hard, s, Offline); err != nil {
		s.abandon(err)
		return
	}
	s.paho.Disconnect(250)
}

// abandon cuts the connection and waits until paho has noticed.
func (s *session) abandon(reason error) {
	s.link.drop(reason)
	select {
	case <-s.lost:
	case <-time.After(answerTimeout):
	}
}

// say publishes our retained status.
func (c *Client) say(ctx context.Context, s *session, status string) error {
	if err := await(ctx, s.paho.Publish(c.Topic("status"), 1, true, status)); err != nil {
		return fmt.Errorf("publishing status %s: %w", status, err)
	}
	return nil
}

// flush sends the retained state that this connection has not seen yet.
func (c *Client) flush(s *session) error {
	for {
		next, ok := c.unsent()
		if !ok {
			return nil
		}
		if err := await(c.soft, s.paho.Publish(next.topic, 1, true, next.payload)); err != nil {
			return fmt.Errorf("publishing %s: %w", next.topic, err)
		}
	}
}

// unsent takes the next state to send and marks it as sent.
func (c *Client) unsent() (state, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.retained {
		if !c.retained[i].sent {
			c.retained[i].sent = true
			return c.retained[i], true
		}
	}
	return state{}, false
}

// await waits for the broker's answer, at most answerTimeout.
func await(ctx context.Context, token paho.Token) error {
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return errors.New("no answer from the broker")
	}
}

// receive handles a message on one of our subscriptions.
func (c *Client) receive(s *session, m paho.Message) {
	switch {
	case m.Retained():
		// A retained request would come again at every connect, and a retained status is from before us.
	case m.Topic() == c.Topic("keyframe/request"):
		c.request(m.Payload())
	case string(m.Payload()) != Online:
		// The will of a connection of ours that the broker buried late.
		select {
		case s.restate <- struct{}{}:
		default:
		}
	}
}

func (c *Client) request(payload []byte) {
	r, err := ParseRequest(payload)
	if err == nil {
		c.OnRequest(r)
		return
	}
	// One line a second at most: the payload comes from anybody.
	now := time.Now().UnixNano()
	if last := c.complained.Load(); now-last > int64(time.Second) && c.complained.CompareAndSwap(last, now) {
		c.log.Warn("bad message ignored", "topic", c.Topic("keyframe/request"), "error", err)
	}
}
