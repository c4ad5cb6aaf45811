package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// writesPending is how many messages a slow subscriber may have waiting; mochi's
// default of 8192 lets one hold hundreds of megabytes.
const writesPending = 32

// Broker is the embedded MQTT broker. Make one with Listen.
type Broker struct {
	server   *mochi.Server
	listener net.Listener
	once     sync.Once
}

// Listen starts the embedded broker on addr, HOST:PORT on loopback; port 0 takes a
// free one. Packets above maxPacket bytes close their sender's connection.
// Errors are one line and name mqtt.listen.
func Listen(addr string, maxPacket int, log *slog.Logger) (*Broker, error) {
	if err := checkListen(addr); err != nil {
		return nil, fmt.Errorf("mqtt.listen: %w", err)
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("mqtt.listen: %s is taken by another program (choose another port, or use that one with mqtt.broker)", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("mqtt.listen: %w", err)
	}
	limits := mochi.NewDefaultServerCapabilities()
	limits.MaximumClientWritesPending = writesPending
	limits.MaximumPacketSize = uint32(maxPacket)
	server := mochi.New(&mochi.Options{Capabilities: limits, Logger: slog.New(quiet{log.Handler()})})
	b := &Broker{server: server, listener: listener}
	err = errors.Join(
		server.AddHook(new(everybody), nil),
		server.AddListener(listeners.NewNet("sharpend", listener)),
		server.Serve())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mqtt.listen: embedded broker: %w", err), b.Close())
	}
	return b, nil
}

// Addr returns HOST:PORT as bound.
func (b *Broker) Addr() string { return b.listener.Addr().String() }

// Close disconnects everybody; what was retained is forgotten.
func (b *Broker) Close() (err error) {
	b.once.Do(func() { err = b.server.Close() })
	return err
}

// everybody is mochi's hook that lets everybody on this machine do everything.
type everybody struct{ mochi.HookBase }

func (everybody) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (everybody) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (everybody) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

// quiet passes mochi's warnings on without the packets that it attaches (whole
// JPEGs), and without the line that it writes for every client that goes away.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "" {
		return nil
	}
	short := slog.NewRecord(r.Time, r.Level, "embedded MQTT broker: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" || a.Key == "client" {
			short.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, short)
}

// WithAttrs and WithGroup keep the wrapper; mochi adds only its listener's and hook's names.
func (q quiet) WithAttrs([]slog.Attr) slog.Handler { return q }
func (q quiet) WithGroup(string) slog.Handler      { return q }
