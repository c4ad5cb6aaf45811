package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Scratch is the level that Probe publishes on, never retained.
const Scratch = "doctor"

// Findings is what Probe found out about a broker.
type Findings struct {
	Broker  string        // HOST:PORT
	Connect time.Duration // until the broker's yes: TCP, TLS, account
	// Err says why there is no connection; nothing below is known then. Refused:
	// the broker answered, and said no to the account.
	Err     error
	Refused bool
	// Denied are the subscriptions that the broker refuses.
	Denied []string
	// RoundTrip is the time of a small message to the scratch topic and back; Lost
	// says why none came back. Nothing below is known then.
	RoundTrip time.Duration
	Lost      error
	// Largest is the largest packet that came back, bytes, up to max_packet.
	// TooLarge is the smallest that did not, 0 if all did, and Reaction what the
	// broker did with it.
	Largest, TooLarge int
	Reaction          error
}

// What a broker does with a packet that is too large for it.
var (
	ErrHangsUp  = errors.New("closes the connection")
	ErrSwallows = errors.New("acknowledges it and drops it without a word")
)

// Probe connects as a Client of that configuration and name would, as
// <client_id>-doctor and without a will, so that a running daemon is not
// disturbed. It subscribes to what the daemon subscribes to, and publishes
// growing messages on the scratch topic, which it reads back: the broker
// disconnects some of these attempts, or drops them. Subscribers to
// sharpend/<name>/# see them. Takes seconds; ctx ends it early.
func Probe(ctx context.Context, c Config, name string) Findings {
	client, err := New(c, name, slog.New(slog.DiscardHandler))
	if err != nil {
		return Findings{Err: err}
	}
	defer client.Close(context.Background())
	defer context.AfterFunc(ctx, client.stop)()
	client.guest = true
	client.config.ClientID += "-doctor"
	p := prober{client: client, came: make(chan []byte, 16), found: Findings{Broker: client.address.host}}
	defer p.leave()
	p.run(ctx)
	return p.found
}

type prober struct {
	client  *Client
	session *session // nil: not connected
	came    chan []byte
	found   Findings
	slowest time.Duration // round trip so far
	hangups int           // in a row
}

func (p *prober) run(ctx context.Context) {
	begin := time.Now()
	if p.found.Err = p.connect(ctx); p.found.Err != nil {
		p.found.Refused = refused(p.found.Err)
		return
	}
	p.found.Connect = time.Since(begin)
	if slices.Contains(p.found.Denied, p.client.Topic(Scratch)) {
		p.found.Lost = fmt.Errorf("the broker refuses the subscription to %s, so nothing can be read back", p.client.Topic(Scratch))
		return
	}
	begin = time.Now()
	if err := p.try(ctx, smallest); err != nil {
		p.found.Lost = p.explainLost(err)
		return
	}
	p.found.RoundTrip = time.Since(begin)
	p.search(ctx)
}

func (p *prober) explainLost(err error) error {
	topic := p.client.Topic(Scratch)
	switch {
	case errors.Is(err, ErrSwallows):
		return fmt.Errorf("the broker acknowledges a message on %s and does not deliver it: it denies writing or reading there", topic)
	case errors.Is(err, ErrHangsUp):
		return fmt.Errorf("the broker closes the connection at the first message on %s: it denies writing there", topic)
	}
	return err
}

// connect opens a connection and makes the daemon's subscriptions and our own.
// After a hang-up it waits first, longer each time.
func (p *prober) connect(ctx context.Context) error {
	wait := time.NewTimer(p.backoff())
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	c := p.client
	s, err := c.connect()
	if err != nil {
		return err
	}
	p.session = s
	topics := map[string]byte{c.Topic("status"): 1, c.Topic("keyframe/request"): 1, c.Topic(Scratch): 1}
	token := s.paho.SubscribeMultiple(topics, func(_ paho.Client, m paho.Message) {
		if m.Topic() == c.Topic(Scratch) && !m.Retained() {
			select {
			case p.came <- m.Payload():
			default: // nobody waits for it any more
			}
		}
	})
	if err := await(ctx, token); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	p.found.Denied = nil
	for topic, code := range token.(*paho.SubscribeToken).Result() {
		if code == 0x80 {
			p.found.Denied = append(p.found.Denied, topic)
		}
	}
	slices.Sort(p.found.Denied)
	return nil
}

func (p *prober) backoff() time.Duration {
	if p.hangups == 0 {
		return 0
	}
	return min(100*time.Millisecond<<min(p.hangups, 4), time.Second)
}

// leave says goodbye.
func (p *prober) leave() {
	if p.session != nil {
		p.session.paho.Disconnect(100)
	}
}

const (
	smallest = 256     // bytes of the first packet
	growth   = 4       // from one size to the next
	exact    = 32      // the search ends within 1/32 of the limit
	grain    = 1 << 10 // or within this many bytes
)

// search grows packets up to max_packet, and then halves the gap between the
// largest that came back and the smallest that did not.
func (p *prober) search(ctx context.Context) {
	most := p.client.config.MaxPacket
	p.found.Largest = smallest
	for p.found.Largest < most && p.found.TooLarge == 0 {
		if !p.step(ctx, min(p.found.Largest*growth, most)) {
			return
		}
	}
	for p.found.TooLarge > 0 && p.found.TooLarge-p.found.Largest > max(grain, p.found.Largest/exact) {
		if !p.step(ctx, (p.found.Largest+p.found.TooLarge)/2) {
			return
		}
	}
}

// step tries one size; false ends the search, with what is known so far.
func (p *prober) step(ctx context.Context, size int) bool {
	err := p.try(ctx, size)
	if errors.Is(err, ErrHangsUp) && p.found.TooLarge == 0 {
		err = p.try(ctx, size) // the network may have failed just now
	}
	switch {
	case err == nil:
		p.found.Largest = size
	case errors.Is(err, ErrHangsUp) || errors.Is(err, ErrSwallows):
		p.found.TooLarge, p.found.Reaction = size, err
	default:
		p.found.Err = err
		return false
	}
	return true
}

// try sends a packet of size bytes and waits until it comes back.
func (p *prober) try(ctx context.Context, size int) error {
	if p.session == nil {
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	payload := p.payload(size)
	begin := time.Now()
	token := p.session.paho.Publish(p.client.Topic(Scratch), 1, false, payload)
	err := p.await(ctx, token, payload)
	switch {
	case err == nil:
		p.slowest, p.hangups = max(p.slowest, time.Since(begin)), 0
	case errors.Is(err, ErrHangsUp):
		p.session, p.hangups = nil, p.hangups+1
	}
	return err
}

// payload makes a packet of size bytes by the count of Client.tooLarge, with a
// beginning that no other has.
func (p *prober) payload(size int) []byte {
	payload := make([]byte, size-packetOverhead-len(p.client.Topic(Scratch)))
	copy(payload, fmt.Sprintf("sharpend doctor %016x", rand.Uint64()))
	return payload
}

// await waits for the payload's return. Once it is acknowledged that should take little
// longer than before: no packet is more than growth times as large as one that came back.
func (p *prober) await(ctx context.Context, token paho.Token, payload []byte) error {
	const poor = time.Second / 50_000 // a byte on a poor radio link
	late := time.NewTimer(answerTimeout + time.Duration(len(payload))*poor)
	defer late.Stop()
	acknowledged := token.Done()
	for {
		select {
		case m := <-p.came:
			if bytes.Equal(m, payload) {
				return nil
			}
		case <-p.session.lost:
			return ErrHangsUp
		case <-acknowledged:
			if token.Error() != nil {
				return p.hungUp(token.Error())
			}
			acknowledged = nil
			late.Reset(p.patience())
		case <-late.C:
			if acknowledged == nil {
				return ErrSwallows
			}
			p.session.abandon(errStalled)
			return ErrHangsUp
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// patience is how long an acknowledged message may stay away. The first that
// does not come gets more: a false alarm there would be a wrong limit.
func (p *prober) patience() time.Duration {
	if p.found.TooLarge == 0 {
		return answerTimeout
	}
	return time.Second + 2*growth*p.slowest
}

// hungUp waits for the connection's end, which a failed Publish announces.
func (p *prober) hungUp(err error) error {
	select {
	case <-p.session.lost:
		return ErrHangsUp
	case <-time.After(answerTimeout):
		p.session.abandon(io.ErrUnexpectedEOF)
		return fmt.Errorf("publishing on %s: %w", p.client.Topic(Scratch), err)
	}
}
