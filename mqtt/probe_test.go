package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"

	"sharpend/mqtt/mosquittotest"
)

// probe asks a broker as the daemon named cam would.
func probe(t *testing.T, addr string, change ...func(*Config)) Findings {
	t.Helper()
	config := Default()
	config.Broker = "mqtt://" + addr
	for _, f := range change {
		f(&config)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now()
	found := Probe(ctx, config, "cam")
	t.Logf("%v: %+v", time.Since(begin).Round(time.Millisecond), found)
	return found
}

func TestProbe(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		seen := watch(t, addr, "sharpend/#")
		found := probe(t, addr)
		if found.Err != nil || found.Lost != nil || found.Denied != nil || found.RoundTrip <= 0 || found.Connect <= 0 || found.Broker != addr {
			t.Errorf("%+v, want a connection and a round trip", found)
		}
		if found.Largest != Default().MaxPacket || found.TooLarge != 0 || found.Reaction != nil {
			t.Errorf("largest %d, too large %d (%v), want max_packet to pass", found.Largest, found.TooLarge, found.Reaction)
		}
		for {
			m := next(t, seen)
			if m.topic != "sharpend/cam/doctor" || m.retained {
				t.Fatalf("a message on %s, retained %v: want only unretained ones on the scratch topic", m.topic, m.retained)
			}
			if len(m.payload)+len(m.topic)+packetOverhead == Default().MaxPacket {
				break // the last one
			}
		}
		left := watch(t, addr, "sharpend/#") // a newcomer gets what is retained
		select {
		case m := <-left:
			t.Errorf("%s is left behind", m.topic)
		case <-time.After(200 * time.Millisecond):
		}
	})
}

// limited checks what a size limit of the broker looks like from here.
func limited(t *testing.T, found Findings, limit int, reaction error) {
	t.Helper()
	if found.Lost != nil || found.Err != nil || !errors.Is(found.Reaction, reaction) {
		t.Errorf("%+v, want that the broker %v", found, reaction)
	}
	if found.Largest > limit || found.Largest < limit*9/10 || found.TooLarge <= found.Largest || found.TooLarge > limit*11/10 {
		t.Errorf("%d passes and %d does not, want both near %d", found.Largest, found.TooLarge, limit)
	}
}

func TestProbeFindsThePacketLimit(t *testing.T) {
	t.Run("max_packet_size", func(t *testing.T) {
		b := mosquittotest.Start(t, "allow_anonymous true", "max_packet_size 300000")
		seen := watch(t, b.Addr, "sharpend/cam/status")
		limited(t, probe(t, b.Addr), 300_000, ErrHangsUp)
		select {
		case m := <-seen:
			t.Errorf("the probe's lost connections say %q on %s, where the daemon's status stands", m.payload, m.topic)
		case <-time.After(200 * time.Millisecond):
		}
	})
	t.Run("message_size_limit", func(t *testing.T) {
		b := mosquittotest.Start(t, "allow_anonymous true", "message_size_limit 50000")
		limited(t, probe(t, b.Addr), 50_000, ErrSwallows)
	})
	t.Run("embedded", func(t *testing.T) {
		log, _ := logger()
		b, err := Listen("127.0.0.1:0", 100_000, log)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		limited(t, probe(t, b.Addr()), 100_000, ErrHangsUp)
	})
}

func TestProbeTellsWhoIsRefused(t *testing.T) {
	b := accounts(t)
	wrong := write(t, filepath.Join(t.TempDir(), "wrong"), "wrong\n")
	right := write(t, filepath.Join(t.TempDir(), "right"), "right\n")
	found := probe(t, b.Addr, func(c *Config) { c.Username, c.PasswordFile = "cam", wrong })
	if !found.Refused || found.Err == nil || !strings.Contains(found.Err.Error(), "mqtt.password_file") {
		t.Errorf("wrong password: %+v, want a refusal that names the key", found)
	}
	if found := probe(t, b.Addr); !found.Refused {
		t.Errorf("no account: %+v, want a refusal", found)
	}
	if found := probe(t, b.Addr, func(c *Config) { c.Username, c.PasswordFile = "cam", right }); found.Err != nil || found.Largest != Default().MaxPacket {
		t.Errorf("right password: %+v", found)
	}
	found = probe(t, b.Addr, func(c *Config) { c.Username, c.PasswordFile = "cam", "/missing" })
	if found.Refused || found.Err == nil || !strings.Contains(found.Err.Error(), "mqtt.password_file") {
		t.Errorf("no password file: %+v, want an error that names the key, and no refusal", found)
	}
}

func TestProbeTellsWhatIsDenied(t *testing.T) {
	run := func(rules string) Findings {
		acl := write(t, filepath.Join(t.TempDir(), "acl"), rules)
		return probe(t, mosquittotest.Start(t, "allow_anonymous true", "acl_file "+acl).Addr)
	}
	if found := run("topic readwrite sharpend/cam/#\n"); found.Denied != nil || found.Lost != nil || found.Largest != Default().MaxPacket {
		t.Errorf("everything allowed: %+v", found)
	}
	found := run("topic read sharpend/cam/#\n")
	if found.Denied != nil || found.Lost == nil || !strings.Contains(found.Lost.Error(), "denies writing") {
		t.Errorf("writing denied: %+v", found)
	}
	if found := besideAnother(t); found.Lost == nil {
		t.Errorf("writing denied, but another writes there: %+v, want that its messages count for nothing", found)
	}
	// Mosquitto grants a subscription and then delivers nothing.
	if found := run("topic write sharpend/cam/#\n"); found.Lost == nil || !strings.Contains(found.Lost.Error(), "or reading") {
		t.Errorf("reading denied: %+v", found)
	}
}

// besideAnother probes where only another client may write, and does.
func besideAnother(t *testing.T) Findings {
	acl := write(t, filepath.Join(t.TempDir(), "acl"), "topic read sharpend/cam/#\nuser other\ntopic write sharpend/cam/#\n")
	b := mosquittotest.Start(t, "allow_anonymous true", "acl_file "+acl)
	other := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + b.Addr).SetProtocolVersion(4).SetUsername("other"))
	if token := other.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		t.Fatalf("the other client: %v", token.Error())
	}
	defer other.Disconnect(10)
	seen, done, ended := watch(t, b.Addr, "sharpend/cam/doctor"), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				other.Publish("sharpend/cam/doctor", 0, false, make([]byte, 100))
			}
		}
	}()
	next(t, seen)
	found := probe(t, b.Addr)
	close(done)
	<-ended
	return found
}

// choosy is a hook of mochi that lets clients do only what it is asked for.
type choosy struct {
	everybody
	allows func(topic string, write bool) bool
}

func (c *choosy) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	return c.allows(topic, write)
}

// TestProbeNamesRefusedSubscriptions needs a broker that says no to a subscription.
func TestProbeNamesRefusedSubscriptions(t *testing.T) {
	run := func(allows func(topic string, write bool) bool) Findings {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
		if err := errors.Join(server.AddHook(&choosy{allows: allows}, nil), server.AddListener(listeners.NewNet("test", listener)), server.Serve()); err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		return probe(t, listener.Addr().String())
	}
	found := run(func(topic string, write bool) bool { return write })
	all := []string{"sharpend/cam/doctor", "sharpend/cam/keyframe/request", "sharpend/cam/status"}
	if found.Lost == nil || !strings.Contains(found.Lost.Error(), "refuses the subscription") || !slices.Equal(found.Denied, all) {
		t.Errorf("every subscription refused: %+v, want %v denied", found, all)
	}
	found = run(func(topic string, write bool) bool { return topic != "sharpend/cam/keyframe/request" })
	if found.Lost != nil || !slices.Equal(found.Denied, all[1:2]) || found.Largest != Default().MaxPacket {
		t.Errorf("one refused: %+v, want %v denied", found, all[1:2])
	}
	found = run(func(topic string, write bool) bool { return !write })
	if found.Lost == nil || !strings.Contains(found.Lost.Error(), "denies writing") {
		t.Errorf("writing refused: %+v", found)
	}
}

func TestProbeWithoutABroker(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := silent.Addr().String()
	silent.Close()
	if found := probe(t, addr); found.Err == nil || found.Refused || !strings.Contains(found.Err.Error(), "refused") {
		t.Errorf("nobody listens: %+v", found)
	}
	if found := Probe(context.Background(), Config{Broker: "nonsense"}, "cam"); found.Err == nil || !strings.Contains(found.Err.Error(), "mqtt.broker") {
		t.Errorf("no address: %+v", found)
	}
}

// TestProbeEndsEarly: a broker that says nothing costs no more than the context allows.
func TestProbeEndsEarly(t *testing.T) {
	b := mosquittotest.Start(t)
	b.Freeze()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	config := Default()
	config.Broker = "mqtt://" + b.Addr
	begin := time.Now()
	found := Probe(ctx, config, "cam")
	if took := time.Since(begin); found.Err == nil || took > 3*time.Second {
		t.Errorf("%+v after %v", found, took)
	}
	b.Thaw()
}

// TestProbeIsPatient: a message that comes seconds after its acknowledgement, on a machine that is busy, is not lost.
func TestProbeIsPatient(t *testing.T) {
	log, _ := logger()
	client, err := New(Default(), "cam", log)
	if err != nil {
		t.Fatal(err)
	}
	p := prober{client: client, session: &session{lost: make(chan error)}, came: make(chan []byte, 1)}
	payload := p.payload(1024)
	time.AfterFunc(2*time.Second, func() { p.came <- payload })
	if err := p.await(context.Background(), &paho.DummyToken{}, payload); err != nil {
		t.Error(err)
	}
}

// TestProbeLeavesTheDaemonAlone: a client of the same configuration stays connected and online.
func TestProbeLeavesTheDaemonAlone(t *testing.T) {
	b := mosquittotest.Start(t, "allow_anonymous true", "max_packet_size 20000")
	c, _ := online(t, b.Addr)
	probe(t, b.Addr)
	if s := c.Snapshot(); s.Disconnects != 0 || !c.Online() {
		t.Errorf("the daemon's connection: %+v", s)
	}
}
