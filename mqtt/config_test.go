package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// faults returns "key: text" of every fault.
func faults(c Config) []string {
	var list []string
	c.Validate(func(key, format string, args ...any) {
		list = append(list, key+": "+fmt.Sprintf(format, args...))
	})
	return list
}

func TestValidate(t *testing.T) {
	if f := faults(Default()); f != nil {
		t.Fatalf("the defaults are faulty: %q", f)
	}
	tests := []struct {
		change func(*Config)
		want   []string // beginnings, "" = no fault
	}{
		{func(c *Config) { c.Broker = "embedded" }, nil},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "[::1]:1883" }, nil},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "localhost:0" }, nil},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "0.0.0.0:1883" }, []string{`listen: "0.0.0.0:1883" is not a loopback address`}},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = ":1883" }, []string{`listen: ":1883" is not a loopback address`}},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "example.org:1883" }, []string{`listen: "example.org:1883" is not a loopback address`}},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "127.0.0.1" }, []string{`listen: "127.0.0.1" is not HOST:PORT`}},
		{func(c *Config) { c.Broker = "embedded"; c.Listen = "127.0.0.1:70000" }, []string{`listen: the port "70000"`}},
		{func(c *Config) { c.Listen = "0.0.0.0:1883" }, nil}, // not used
		{func(c *Config) { c.Broker = "embedded"; c.Username = "u"; c.CAFile = "f" }, []string{"username: has no meaning with broker: embedded", "ca_file: has no meaning"}},
		{func(c *Config) { c.Broker = "127.0.0.1:1883" }, []string{`broker: "127.0.0.1:1883" is not a URL; write mqtt://HOST`}},
		{func(c *Config) { c.CAFile, c.CertFile, c.KeyFile = "a", "b", "c" }, []string{"ca_file: has no meaning without TLS", "cert_file: has", "key_file: has"}},
		{func(c *Config) { c.Broker, c.CertFile = "mqtts://h", "b" }, []string{"cert_file: and key_file must be given together"}},
		{func(c *Config) { c.PasswordFile = "p" }, []string{"username: must be set when password_file is"}},
		{func(c *Config) { c.Username, c.ClientID = "a\nb", "\xff" }, []string{"username: must be UTF-8", "client_id: must be UTF-8"}},
		{func(c *Config) { c.MaxPacket, c.WriteTimeout, c.KeepAlive = 0, 0, 0 }, []string{"max_packet: must be 1024 to", "write_timeout: must be", "keep_alive: must be"}},
		{func(c *Config) { c.KeepAlive = 5500 * time.Millisecond }, []string{"keep_alive: must be whole seconds"}},
		{func(c *Config) { c.WriteTimeout = time.Minute }, []string{"write_timeout: must be 10ms to 30s, not 1m0s"}},
	}
	for i, test := range tests {
		c := Default()
		test.change(&c)
		got := faults(c)
		if len(got) != len(test.want) {
			t.Errorf("%d: faults %q, want %q", i, got, test.want)
			continue
		}
		for k := range got {
			if !strings.HasPrefix(got[k], test.want[k]) {
				t.Errorf("%d: fault %q, want %q", i, got[k], test.want[k])
			}
		}
	}
}

func TestParseBroker(t *testing.T) {
	tests := []struct{ url, host, err string }{
		{"mqtt://h", "h:1883", ""},
		{"tcp://10.0.0.1:1234", "10.0.0.1:1234", ""},
		{"MQTT://h/", "h:1883", ""},
		{"mqtts://h", "h:8883", ""},
		{"ssl://h:99", "h:99", ""},
		{"mqtt://[::1]", "[::1]:1883", ""},
		{"mqtts://[fe80::1]:5", "[fe80::1]:5", ""},
		{"", "", "is not a URL"},
		{"localhost", "", "is not a URL"},
		{"mqtt://", "", "names no host"},
		{"mqtt://:1883", "", "names no host"},
		{"mqtt://h:0", "", `the port "0"`},
		{"mqtt://h:65536", "", `the port "65536"`},
		{"mqtt://h:x", "", "is not a URL"},
		{"http://h", "", `the scheme "http"`},
		{"ws://h", "", `the scheme "ws"`},
		{"mqtt://h/topic", "", "has something after"},
		{"mqtt://h?x=1", "", "has something after"},
		{"mqtt://me:secret@h", "", "must not hold a user or password"},
	}
	for _, test := range tests {
		a, err := parseBroker(test.url)
		switch {
		case test.err == "" && (err != nil || a.host != test.host):
			t.Errorf("%s: %v, %v, want %s", test.url, a, err, test.host)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: error %v, want %q", test.url, err, test.err)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error shows the password: %v", test.url, err)
		}
	}
	if a, _ := parseBroker("mqtts://h:99"); !a.tls || a.name != "h" {
		t.Errorf("mqtts: %+v", a)
	}
}

func FuzzParseBroker(f *testing.F) {
	for _, s := range []string{"mqtt://h", "mqtts://[::1]:8883", "embedded", "ssl://u:p@h/x?y#z", "mqtt://h:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseBroker(s)
		if err == nil && (a.host == "" || a.name == "" || strings.ContainsAny(a.host, "/@")) {
			t.Errorf("%q gives %+v", s, a)
		}
	})
}
