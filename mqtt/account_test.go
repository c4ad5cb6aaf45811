package mqtt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// accounts starts a mosquitto that knows the user cam with the password right.
func accounts(t *testing.T) *mosquittotest.Broker {
	t.Helper()
	file := filepath.Join(t.TempDir(), "accounts")
	write(t, file, "")
	if out, err := exec.Command("mosquitto_passwd", "-b", file, "cam", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd (apt-get install mosquitto): %v: %s", err, out)
	}
	return mosquittotest.Start(t, "allow_anonymous false", "password_file "+file)
}

// A wrong password is said once, tried on slowly, and cured by an edit of the file.
func TestCredentials(t *testing.T) {
	t.Parallel()
	b := accounts(t)
	file := write(t, filepath.Join(t.TempDir(), "password"), "wrong\n")
	c, text := client(t, b.Addr, func(c *Config) { c.Username, c.PasswordFile = "cam", file })
	c.Connect()
	time.Sleep(2500 * time.Millisecond)
	want := `the broker refuses user \"cam\", client_id \"sharpend-cam\": not Authorized (mqtt.username, mqtt.password_file)`
	if n := text.count(want); n != 1 {
		t.Errorf("the refusal is logged %d times, want once:\n%s", n, text)
	}
	// Attempts at 0 s and 1 s, the next one at 3 s; no second one with MQTT 3.1.
	if n := strings.Count(b.Log(), "disconnected, not authorised"); n != 2 {
		t.Errorf("%d attempts in 2.5 s, want 2:\n%s", n, b.Log())
	}
	write(t, file, "right\r\nsecond line\n")
	eventually(t, "online with the right password", c.Online)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	eventually(t, "the missing file is reported", func() bool {
		return strings.HasPrefix(c.Snapshot().LastError, "mqtt.password_file: open ")
	})
}

func TestMissingFilesAreNamed(t *testing.T) {
	log, _ := logger()
	empty := write(t, filepath.Join(t.TempDir(), "empty"), "\nsecond\n")
	tests := []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Username, c.PasswordFile = "u", "/missing" }, "mqtt.password_file: open /missing: "},
		{func(c *Config) { c.Username, c.PasswordFile = "u", empty }, "mqtt.password_file: the first line of " + empty + " is empty"},
		{func(c *Config) { c.Broker, c.CAFile = "mqtts://h", "/missing" }, "mqtt.ca_file: open /missing: "},
		{func(c *Config) { c.Broker, c.CAFile = "mqtts://h", empty }, "mqtt.ca_file: " + empty + " holds no PEM certificate"},
		{func(c *Config) { c.Broker, c.CertFile, c.KeyFile = "mqtts://h", "/missing", "/missing" }, "mqtt.cert_file and mqtt.key_file: open /missing: "},
		{func(c *Config) { c.Broker = "nonsense" }, "mqtt.broker: "},
	}
	for _, test := range tests {
		c := Default()
		test.change(&c)
		if _, err := New(c, "cam", log); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// certificates writes an authority and a certificate for 127.0.0.1, server and client, by it.
func certificates(t testing.TB) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leafKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	file := func(name, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	ca = file("ca.pem", "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, caKey)
	cert = file("cert.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(leafKey)
	return ca, cert, file("key.pem", "PRIVATE KEY", der, err)
}

func TestTLS(t *testing.T) {
	ca, cert, key := certificates(t)
	b := mosquittotest.Start(t, "allow_anonymous true", "require_certificate true", fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s", ca, cert, key))
	secure := func(c *Config) { c.Broker, c.CAFile, c.CertFile, c.KeyFile = "mqtts://"+b.Addr, ca, cert, key }
	c, _ := online(t, b.Addr, secure)
	if reusable, err := c.Publish("frame", 1, false, make([]byte, 500_000)); err != nil || !reusable {
		t.Errorf("%v, %v", reusable, err)
	}
	closeNow(t, c)
	faulty := []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { secure(c); c.CAFile = "" }, "x509: certificate signed by unknown authority (mqtt.ca_file)"},
		{func(c *Config) { secure(c); c.CertFile, c.KeyFile = "", "" }, "certificate"},
		{func(c *Config) { c.Broker = "mqtt://" + b.Addr }, "(if it expects TLS: mqtt.broker: mqtts://HOST)"},
	}
	for _, test := range faulty {
		c, _ := client(t, b.Addr, test.change)
		c.Connect()
		eventually(t, "refused", func() bool { return c.Snapshot().Failures > 0 })
		text := c.Snapshot().LastError
		t.Log(text)
		if c.Online() || !strings.Contains(text, test.want) {
			t.Errorf("last error %q, want %q", text, test.want)
		}
	}
}

// A frozen broker under TLS costs the same and no more.
func TestTLSFreeze(t *testing.T) {
	t.Parallel()
	ca, cert, key := certificates(t)
	b := mosquittotest.Start(t, "allow_anonymous true", fmt.Sprintf("certfile %s\nkeyfile %s", cert, key))
	c, _ := online(t, b.Addr, func(c *Config) { c.Broker, c.CAFile = "mqtts://"+b.Addr, ca })
	f := startFlow(t, c, 100_000)
	eventually(t, "frames flow", func() bool { return f.number() > 20 })
	b.Freeze()
	time.Sleep(7 * time.Second)
	if c.Online() {
		t.Error("the freeze is not detected")
	}
	before := f.number()
	b.Thaw()
	eventually(t, "thawed: first frame", func() bool { return f.number() > before })
	f.end()
	if limit := c.config.WriteTimeout + slack; f.longest > limit {
		t.Errorf("a Publish took %v", f.longest)
	}
}
