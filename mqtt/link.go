package mqtt

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// chunk is what one system call is given, so that the progress of a slow link can be seen.
const chunk = 256 << 10

// unsent bytes are all that the kernel takes before Write blocks. Its usual
// buffers hold megabytes: after a freeze or on a slow link subscribers would get
// frames that are seconds old.
const unsent = 128 << 10

var errStalled = errors.New("the broker takes no more bytes")

// link is the connection under paho. It closes three holes there: a connection
// closed by ourselves is never reported as lost, a deadline lifted by one
// goroutine leaves another's write without any, and a peer can make the client
// allocate 256 MB.
//
// That a frozen or vanished broker ends a Write is left to the kernel
// (TCP_USER_TIMEOUT), which alone knows whether bytes still move.
type link struct {
	net.Conn
	limit   int          // bytes, the largest packet accepted from the broker
	since   atomic.Int64 // UnixNano of the last progress of the Write in progress, 0 = none
	reason  atomic.Pointer[error]
	inbound framing
	release func() bool // ends the watch for Close during the handshake
}

// tune sets the socket options of a link: a connection whose peer acknowledges nothing for patience is broken.
func tune(patience time.Duration) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds())),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent))
		})
		return errors.Join(failed, err)
	}
}

func (l *link) Write(b []byte) (n int, err error) {
	defer l.since.Store(0)
	for n < len(b) && err == nil {
		l.since.Store(time.Now().UnixNano())
		var m int
		m, err = l.Conn.Write(b[n:min(n+chunk, len(b))])
		n += m
	}
	return n, l.cause(err)
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err == nil {
		if err = l.inbound.check(b[:n], l.limit); err != nil {
			n = 0 // io.ReadFull forgets an error that comes with enough bytes
		}
	}
	return n, l.cause(err)
}

// SetWriteDeadline does nothing. paho sets one for a whole message, which would cut slow links off.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// drop closes the connection without a goodbye, so that the broker sends the
// will; paho then reports reason as the cause of the loss.
func (l *link) drop(reason error) {
	l.reason.CompareAndSwap(nil, &reason)
	_ = l.Conn.Close()
}

// cause replaces "use of closed network connection", which paho swallows, by the reason of drop.
func (l *link) cause(err error) error {
	reason := l.reason.Load()
	switch {
	case err == nil:
		return nil
	case reason != nil:
		return *reason
	case errors.Is(err, syscall.ETIMEDOUT):
		return errStalled
	}
	return err
}

// stuck reports whether a Write has moved nothing for at least d.
func (l *link) stuck(d time.Duration) bool {
	since := l.since.Load()
	return since != 0 && time.Now().UnixNano()-since > int64(d)
}

// framing follows the packet boundaries of an MQTT stream. The zero value
// expects the first byte of a packet.
type framing struct {
	length int  // of the packet, as far as its length bytes are read
	shift  uint // of the next length byte
	inside bool // the length bytes come next
	left   int  // bytes of the body still to come
}

// check fails when b announces a packet whose body is longer than limit bytes.
func (f *framing) check(b []byte, limit int) error {
	for len(b) > 0 {
		switch {
		case f.left > 0:
			n := min(f.left, len(b))
			f.left -= n
			b = b[n:]
		case !f.inside:
			*f = framing{inside: true}
			b = b[1:]
		default:
			f.length |= int(b[0]&0x7f) << f.shift
			f.shift += 7
			if f.length > limit || f.shift > 28 {
				return fmt.Errorf("the broker sends a packet of more than %d bytes (mqtt.max_packet); is a foreign message retained under our topics?", limit)
			}
			if b[0]&0x80 == 0 {
				f.inside, f.left = false, f.length
			}
			b = b[1:]
		}
	}
	return nil
}
