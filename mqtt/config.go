package mqtt

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Embedded is the value of Config.Broker that asks for the built-in broker.
const Embedded = "embedded"

// Config is the mqtt section of the configuration file. Every key needs a restart.
type Config struct {
	Broker       string        `yaml:"broker"`        // mqtt://HOST[:PORT], mqtts://HOST[:PORT] or "embedded"
	Listen       string        `yaml:"listen"`        // HOST:PORT of the embedded broker, loopback only
	ClientID     string        `yaml:"client_id"`     // "" = sharpend-<name>
	Username     string        `yaml:"username"`      // "" = anonymous
	PasswordFile string        `yaml:"password_file"` // its first line is the password, read at every connect
	CAFile       string        `yaml:"ca_file"`       // PEM; "" = the system's authorities
	CertFile     string        `yaml:"cert_file"`     // PEM, the client's certificate
	KeyFile      string        `yaml:"key_file"`      // PEM, the key of cert_file
	MaxPacket    int           `yaml:"max_packet"`    // bytes; larger messages are never sent
	WriteTimeout time.Duration `yaml:"write_timeout"` // the longest that one Publish may block
	KeepAlive    time.Duration `yaml:"keep_alive"`    // a silent connection is probed this often
}

// Default returns the settings for a broker without accounts on this machine.
func Default() Config {
	return Config{
		Broker: "mqtt://127.0.0.1:1883",
		Listen: "127.0.0.1:1883",
		// Mosquitto 2.1 closes the connection of whoever sends more than this.
		MaxPacket:    2_000_000,
		WriteTimeout: 500 * time.Millisecond,
		KeepAlive:    20 * time.Second,
	}
}

// Validate reports every fault of the section; key is relative to it. Files are not opened here but by New.
func (c *Config) Validate(fault func(key, format string, args ...any)) {
	c.validateBroker(fault)
	if c.Broker == Embedded {
		if err := checkListen(c.Listen); err != nil {
			fault("listen", "%v", err)
		}
	}
	if c.PasswordFile != "" && c.Username == "" {
		fault("username", "must be set when password_file is")
	}
	if !validText(c.Username) {
		fault("username", "must be UTF-8 text without control characters, at most 65535 bytes")
	}
	if !validText(c.ClientID) {
		fault("client_id", "must be UTF-8 text without control characters, at most 65535 bytes")
	}
	c.validateNumbers(fault)
}

func (c *Config) validateBroker(fault func(key, format string, args ...any)) {
	if c.Broker == Embedded {
		c.needless(fault, "with broker: embedded, which has neither accounts nor TLS", "username", "password_file", "ca_file", "cert_file", "key_file")
		return
	}
	a, err := parseBroker(c.Broker)
	if err != nil {
		fault("broker", "%v", err)
		return
	}
	if !a.tls {
		c.needless(fault, "without TLS; write broker: mqtts://HOST", "ca_file", "cert_file", "key_file")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		fault("cert_file", "and key_file must be given together")
	}
}

// needless reports those of keys that have a value but no meaning.
func (c *Config) needless(fault func(key, format string, args ...any), why string, keys ...string) {
	values := map[string]string{"username": c.Username, "password_file": c.PasswordFile, "ca_file": c.CAFile, "cert_file": c.CertFile, "key_file": c.KeyFile}
	for _, key := range keys {
		if values[key] != "" {
			fault(key, "has no meaning %s", why)
		}
	}
}

func (c *Config) validateNumbers(fault func(key, format string, args ...any)) {
	// 268435455 is what the four length bytes of an MQTT packet can say.
	if c.MaxPacket < 1024 || c.MaxPacket > 268_435_455 {
		fault("max_packet", "must be 1024 to 268435455 bytes, not %d", c.MaxPacket)
	}
	if c.WriteTimeout < 10*time.Millisecond || c.WriteTimeout > 30*time.Second {
		fault("write_timeout", "must be 10ms to 30s, not %v", c.WriteTimeout)
	}
	if c.KeepAlive < 5*time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		fault("keep_alive", "must be whole seconds from 5s to 65535s, not %v", c.KeepAlive)
	}
}

// check turns the faults of Validate into one error that names the full keys.
func (c *Config) check() error {
	var faults []error
	c.Validate(func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("mqtt.%s: %s", key, fmt.Sprintf(format, args...)))
	})
	return errors.Join(faults...)
}

// address is where the broker listens.
type address struct {
	host string // HOST:PORT
	name string // HOST, for the certificate
	tls  bool
}

// address of the broker; only for a config that Validate accepts.
func (c *Config) address() (address, error) {
	if c.Broker == Embedded {
		return address{host: c.Listen}, nil
	}
	return parseBroker(c.Broker)
}

const brokerForm = `write mqtt://HOST[:PORT], mqtts://HOST[:PORT] or "embedded"`

func parseBroker(s string) (address, error) {
	if !strings.Contains(s, "://") {
		return address{}, fmt.Errorf("%q is not a URL; %s", s, brokerForm)
	}
	u, err := url.Parse(s)
	if err != nil {
		return address{}, fmt.Errorf("%q is not a URL (%v); %s", s, errors.Unwrap(err), brokerForm)
	}
	a := address{name: u.Hostname(), tls: slices.Contains([]string{"mqtts", "ssl"}, u.Scheme)}
	switch {
	case !a.tls && u.Scheme != "mqtt" && u.Scheme != "tcp":
		return a, fmt.Errorf("the scheme %q is none of mqtt, mqtts, tcp, ssl; %s", u.Scheme, brokerForm)
	case u.User != nil: // never repeat the URL: it may hold a password
		return a, errors.New("must not hold a user or password; use username and password_file")
	case a.name == "":
		return a, fmt.Errorf("%q names no host; %s", s, brokerForm)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return a, fmt.Errorf("%q has something after HOST[:PORT]; %s", s, brokerForm)
	}
	a.host, err = hostPort(u, a.tls)
	return a, err
}

func hostPort(u *url.URL, tls bool) (string, error) {
	port := u.Port()
	switch {
	case port == "" && tls:
		port = "8883"
	case port == "":
		port = "1883"
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return "", fmt.Errorf("the port %q is not 1 to 65535", port)
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// checkListen refuses whatever could be reached from outside: the embedded broker knows no passwords.
func checkListen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address; the embedded broker has no passwords and serves this machine only (127.0.0.1:PORT)", addr)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("the port %q is not 0 to 65535", port)
	}
	return nil
}

// validText reports whether s may stand in an MQTT string field (MQTT 3.1.1, 1.5.3).
func validText(s string) bool {
	control := func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }
	return len(s) <= 65535 && utf8.ValidString(s) && !strings.ContainsFunc(s, control)
}

// checkName refuses names that cannot be one level of a topic.
func checkName(name string) error {
	if name == "" || len(name) > 256 || strings.ContainsAny(name, "/+#") || !validText(name) {
		return fmt.Errorf("name: %q cannot be one level of an MQTT topic; use 1 to 256 bytes of text without '/', '+' and '#'", name)
	}
	return nil
}

// Address is where the broker listens; only for a config that Validate accepts.
func (c *Config) Address() (host, port string) {
	a, err := c.address()
	if err == nil {
		host, port, _ = net.SplitHostPort(a.host)
	}
	return host, port
}
