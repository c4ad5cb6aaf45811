package mqtt

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// stable is how long a connection must last to count as good.
const stable = 10 * time.Second

// pause is the time between the starts of two attempts. It stays short, so that
// frames flow again within 2 s of the broker's return, unless the broker
// answers and says no.
func pause(failures int, refused bool) time.Duration {
	first, most := 100*time.Millisecond, time.Second
	if refused {
		first, most = time.Second, 10*time.Second
	}
	return min(first<<min(failures-1, 10), most)
}

// refusals are the broker's answers that only a changed config or account cures, with the keys to look at.
var refusals = []struct {
	err  error
	keys string
}{
	{packets.ErrorRefusedNotAuthorised, "mqtt.username, mqtt.password_file"},
	{packets.ErrorRefusedBadUsernameOrPassword, "mqtt.username, mqtt.password_file"},
	{packets.ErrorRefusedIDRejected, "mqtt.client_id"},
	{packets.ErrorRefusedBadProtocolVersion, "the broker must speak MQTT 3.1.1"},
}

func refused(err error) bool {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return true
		}
	}
	return false
}

// explain makes paho's errors speak: which key to look at, no ephemeral port (so
// that equal errors have equal texts), no "network Error :" in front.
func (c *Client) explain(err error) error {
	if both, ok := err.(interface{ Unwrap() []error }); ok {
		err = both.Unwrap()[len(both.Unwrap())-1]
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return fmt.Errorf("the broker refuses user %q, client_id %q: %w (%s)", c.config.Username, c.config.ClientID, err, r.keys)
		}
	}
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the broker closes the connection")
	case errors.As(err, &op) && op.Source != nil:
		plain := *op
		plain.Source = nil
		return &plain
	}
	return err
}

// unanswered explains a failed handshake. A broker that expects TLS, or a
// certificate from us, just hangs up.
func (c *Client) unanswered(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the broker accepts the connection but does not answer")
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return c.explain(err)
	}
	if c.address.tls {
		return errors.New("the broker hangs up during the handshake (if it wants a certificate: mqtt.cert_file, mqtt.key_file)")
	}
	return errors.New("the broker hangs up during the handshake (if it expects TLS: mqtt.broker: mqtts://HOST)")
}

// history is what run remembers in order to log every trouble once.
type history struct {
	said  string // the last failure logged
	flaps int    // connections in a row that did not last
}

// failed records an attempt that led to no connection.
func (c *Client) failed(err error) {
	c.mu.Lock()
	c.snapshot.Failures++
	c.snapshot.LastError = err.Error()
	c.mu.Unlock()
	level := slog.LevelWarn
	if err.Error() == c.history.said {
		level = slog.LevelDebug
	}
	c.history.said = err.Error()
	c.log.Log(c.soft, level, "no connection to the MQTT broker, trying on", "broker", c.address.host, "error", err)
}

func (c *Client) connected() {
	c.mu.Lock()
	c.snapshot.Connected, c.snapshot.Since = true, time.Now()
	c.snapshot.Connects++
	c.mu.Unlock()
	c.history.said = ""
	c.log.Log(c.soft, c.history.level(slog.LevelInfo), "connected to the MQTT broker", "broker", c.address.host, "client_id", c.config.ClientID)
}

// lost records the end of a connection.
func (c *Client) lost(err error) {
	c.mu.Lock()
	lasted := time.Since(c.snapshot.Since)
	c.snapshot.Connected, c.snapshot.Since = false, time.Now()
	if err == errClosed {
		c.mu.Unlock()
		return
	}
	c.snapshot.Disconnects++
	c.snapshot.LastError = err.Error()
	c.mu.Unlock()
	switch c.history.flaps++; {
	case lasted > stable:
		c.history.flaps = 0
	case c.history.flaps == flapping:
		c.log.Warn("the MQTT connection is lost again and again right after it is made: does another client use the same mqtt.client_id?",
			"broker", c.address.host, "client_id", c.config.ClientID, "error", err)
	}
	c.log.Log(c.soft, c.history.level(slog.LevelWarn), "connection to the MQTT broker lost", "broker", c.address.host, "lasted", lasted.Round(time.Millisecond), "error", err)
}

// flapping is the number of short connections after which single ones are no news.
const flapping = 3

func (h *history) level(usual slog.Level) slog.Level {
	if h.flaps >= flapping {
		return slog.LevelDebug
	}
	return usual
}
