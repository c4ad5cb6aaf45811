package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sharpend/mqtt/mosquittotest"
)

// A lockedBuffer is an output that two goroutines may use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A running daemon, in this process.
type running struct {
	out, err lockedBuffer
	stop     context.CancelFunc
	status   chan int
}

// startDaemon runs `sharpend run` with a small synthetic camera.
func startDaemon(t *testing.T, broker, more string) (d *running, config string) {
	t.Helper()
	config = filepath.Join(t.TempDir(), "test.yaml")
	write(t, config, fmt.Sprintf(`name: test
camera: {source: synthetic, width: 160, height: 96, fps: 20}
models: {predictor: predictor-s.onnx, denoiser: denoiser-s.onnx}
runtime: {providers: [cpu], threads: 1}
refine: {steps: 1, keyframes: {every: 500ms}}
mqtt: {broker: "%s", write_timeout: 200ms}
stats: {every: 200ms}
%s`, broker, more))
	ctx, cancel := context.WithCancel(context.Background())
	d = &running{stop: cancel, status: make(chan int, 1)}
	go func() { d.status <- execute(ctx, environment{&d.out, &d.err}, []string{"run", "-c", config}) }()
	t.Cleanup(func() {
		d.end(t)
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", d.out.String(), d.err.String())
		}
	})
	return d, config
}

// end stops the daemon as Ctrl-C does, and returns how long that took.
func (d *running) end(t *testing.T) time.Duration {
	t.Helper()
	d.stop()
	begin := time.Now()
	select {
	case s := <-d.status:
		if s != 0 {
			t.Errorf("the daemon ended with status %d", s)
		}
		d.status <- s // for the next end
	case <-time.After(20 * time.Second):
		t.Fatal("the daemon does not end")
	}
	return time.Since(begin)
}

// A listener remembers the last message and the number of messages by topic.
type listener struct {
	mu     sync.Mutex
	last   map[string][]byte
	counts map[string]int
}

func subscribe(t *testing.T, addr string) *listener {
	t.Helper()
	l := &listener{last: map[string][]byte{}, counts: map[string]int{}}
	o := paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("listener").SetConnectRetry(true).
		SetConnectRetryInterval(100 * time.Millisecond).SetMaxReconnectInterval(200 * time.Millisecond)
	o.SetOnConnectHandler(func(c paho.Client) {
		c.Subscribe("sharpend/#", 1, func(_ paho.Client, m paho.Message) {
			l.mu.Lock()
			defer l.mu.Unlock()
			topic := strings.TrimPrefix(m.Topic(), "sharpend/test/")
			l.last[topic] = m.Payload()
			l.counts[topic]++
		})
	})
	c := paho.NewClient(o)
	c.Connect()
	t.Cleanup(func() { c.Disconnect(100) })
	return l
}

func (l *listener) get(topic string) []byte { l.mu.Lock(); defer l.mu.Unlock(); return l.last[topic] }
func (l *listener) count(topic string) int  { l.mu.Lock(); defer l.mu.Unlock(); return l.counts[topic] }

// eventually waits for a condition, with patience for a busy machine.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

func TestRunPublishesTheContract(t *testing.T) {
	broker := mosquittotest.Start(t)
	l := subscribe(t, broker.Addr)
	d, _ := startDaemon(t, "mqtt://"+broker.Addr, "")
	for _, topic := range []string{"status", "info", "stats", "frame", "keyframe", "keyframe/meta"} {
		eventually(t, topic, func() bool { return l.count(topic) > 0 })
	}
	if got := string(l.get("status")); got != "online" {
		t.Errorf("status is %q", got)
	}
	for _, topic := range []string{"frame", "keyframe"} {
		m, _, err := image.Decode(bytes.NewReader(l.get(topic)))
		if err != nil || m.Bounds().Size() != image.Pt(160, 96) {
			t.Errorf("%s: %v, want a picture of 160x96", topic, err)
		}
	}
	var i info
	eventually(t, "info with a refiner", func() bool {
		i = info{}
		return json.Unmarshal(l.get("info"), &i) == nil && i.Refiner != nil
	})
	if i.Predictor == nil || i.Predictor.Provider != "cpu" || i.Camera.Granted.Width != 160 || len(i.Models.Predictor.SHA256) != 64 {
		t.Errorf("info is %s", l.get("info"))
	}
	if took := d.end(t); took > 2*time.Second {
		t.Logf("the daemon took %v to end", took)
	}
	eventually(t, "offline", func() bool { return string(l.get("status")) == "offline" })
	if out := d.out.String(); !strings.Contains(out, "mosquitto_sub") || !strings.Contains(out, "keyframes refined") {
		t.Errorf("stdout lacks the mosquitto_sub line or the summary:\n%s", out)
	}
}

// TestRunLivesWithoutItsBroker: absent, then there, frozen, thawed, killed and
// back. Frames keep being read; nothing but counted drops is lost.
func TestRunLivesWithoutItsBroker(t *testing.T) {
	broker := mosquittotest.New(t)
	l := subscribe(t, broker.Addr)
	d, _ := startDaemon(t, "mqtt://"+broker.Addr, "")
	eventually(t, "frames without a broker", func() bool { return strings.Contains(d.out.String(), "offline") })
	more := func(what string) {
		t.Helper()
		n := l.count("frame")
		t.Logf("%s: frames again after %v", what, eventually(t, what, func() bool { return l.count("frame") > n+2 }))
	}
	broker.Restart()
	more("broker started late")
	broker.Freeze()
	time.Sleep(1500 * time.Millisecond)
	broker.Thaw()
	more("broker thawed")
	broker.Kill()
	time.Sleep(500 * time.Millisecond)
	broker.Restart()
	more("broker killed and restarted")
	eventually(t, "info after the restart", func() bool { return l.count("info") > 0 && string(l.get("status")) == "online" })
	var s snapshot
	eventually(t, "stats", func() bool { return json.Unmarshal(l.get("stats"), &s) == nil && s.Out > 0 })
	lost := uint64(0)
	for _, n := range s.Drops {
		lost += n
	}
	// What is on its way at this moment is in neither count.
	if s.In < s.Out || s.In-s.Out > lost+frameCount {
		t.Errorf("%d in, %d out, drops %v: frames are unaccounted for", s.In, s.Out, s.Drops)
	}
}

func TestRunTakesRequestsForKeyframes(t *testing.T) {
	broker := mosquittotest.Start(t)
	l := subscribe(t, broker.Addr)
	startDaemon(t, "mqtt://"+broker.Addr, "")
	eventually(t, "frame", func() bool { return l.count("frame") > 0 })
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + broker.Addr).SetClientID("asker"))
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer c.Disconnect(100)
	asked := time.Time{}
	eventually(t, "the keyframe asked for", func() bool {
		if time.Since(asked) > 2*time.Second { // again: on a busy machine the answer may be dropped on its way
			asked = time.Now()
			c.Publish("sharpend/test/keyframe/request", 1, false, `{"steps":2,"transaction":"t1"}`).Wait()
		}
		meta := string(l.get("keyframe/meta"))
		return strings.Contains(meta, `"transaction":"t1"`) && strings.Contains(meta, `"steps_done":2,`)
	})
}

func TestEmbeddedBrokerAndATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "taken.yaml")
	write(t, file, "camera: {source: synthetic}\nmodels: {predictor: identity.onnx, denoiser: \"\"}\nruntime: {providers: [cpu]}\n"+
		"mqtt: {broker: embedded, listen: \""+taken.Addr().String()+"\"}\n")
	status, _, stderr := sharpend("run", "-c", file)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if last := lines[len(lines)-1]; status != 1 || !strings.Contains(last, "mqtt.listen") {
		t.Errorf("status %d saying %q, want 1 naming mqtt.listen", status, last)
	}
}

func TestMissingLibraryNamesItsKey(t *testing.T) {
	t.Setenv("SHARPEND_ONNXRUNTIME", "")
	os.Unsetenv("SHARPEND_ONNXRUNTIME")
	file := filepath.Join(t.TempDir(), "nolib.yaml")
	write(t, file, "camera: {source: synthetic}\nruntime: {library: /nowhere/libonnxruntime.so.1}\n")
	status, _, stderr := sharpend("run", "-c", file)
	if status != 1 || !strings.Contains(stderr, "runtime.library") || strings.Count(strings.TrimSpace(stderr), "\n") > 0 {
		t.Errorf("status %d saying %q, want one line naming runtime.library", status, stderr)
	}
}
