package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const (
	// dialTimeout is short so that a broker whose machine was off is asked again, by a fresh SYN, at least every 2 s.
	dialTimeout = 3 * time.Second
	// handshakeTimeout covers the TLS handshake and the wait for CONNACK.
	handshakeTimeout = 10 * time.Second
	// patience is how long a connection may make no progress before it is given up.
	patience = 5 * time.Second
)

// dial opens the connection to the broker; Close ends the attempt at once.
func (c *Client) dial(secure *tls.Config) (*link, error) {
	dialer := net.Dialer{Timeout: dialTimeout, Control: tune(max(patience, 2*c.config.WriteTimeout))}
	conn, err := dialer.DialContext(c.soft, "tcp", c.address.host)
	if err != nil {
		return nil, err
	}
	if secure != nil {
		if conn, err = handshake(c.soft, conn, secure); err != nil {
			return nil, err
		}
	}
	l := &link{Conn: conn, limit: c.config.MaxPacket}
	l.release = context.AfterFunc(c.soft, func() { l.drop(errClosed) })
	return l, nil
}

func handshake(ctx context.Context, conn net.Conn, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	client := tls.Client(conn, secure)
	if err := client.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, explainTLS(err)
	}
	return client, nil
}

func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return fmt.Errorf("%w (mqtt.ca_file)", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

// tlsConfig reads the certificate files; nil without TLS. Errors name the key.
func (c *Client) tlsConfig() (*tls.Config, error) {
	if !c.address.tls {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.address.name, MinVersion: tls.VersionTLS12}
	if c.config.CAFile != "" {
		pem, err := os.ReadFile(c.config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("mqtt.ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("mqtt.ca_file: %s holds no PEM certificate", c.config.CAFile)
		}
	}
	if c.config.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.config.CertFile, c.config.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("mqtt.cert_file and mqtt.key_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// password is the first line of the password file, without its line end; "" without a file.
func (c *Client) password() (string, error) {
	if c.config.PasswordFile == "" {
		return "", nil
	}
	file, err := os.Open(c.config.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("mqtt.password_file: %w", err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Scan()
	if err := s.Err(); err != nil {
		return "", fmt.Errorf("mqtt.password_file: %s: %w", c.config.PasswordFile, err)
	}
	line := strings.TrimSuffix(s.Text(), "\r")
	if line == "" {
		return "", fmt.Errorf("mqtt.password_file: the first line of %s is empty", c.config.PasswordFile)
	}
	return line, nil
}
