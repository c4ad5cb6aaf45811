//go:build vm

package guest

import (
	"testing"
	"time"
)

const mosquitto = "mosquitto.service"

// A broker that comes back has the daemon back, with status and info, and frames flow on: nothing is restarted.
func TestBroker(t *testing.T) {
	impatient(t)
	smallBuffers(t)
	plug(t, 0, "A1")
	t.Cleanup(func() { shell("systemctl kill -s CONT %s; systemctl start %s", mosquitto, mosquitto) })
	i := start(t, "front", "camera: {device: "+idName("A1")+", format: MJPG, width: 320, height: 240}", exact(0))
	same := i.sameProcess()
	back := func(t *testing.T) {
		t.Helper()
		i.use(t)
		began := time.Now()
		i.awaitFrames(5)
		frames := time.Since(began)
		i.awaitStatus("online")
		i.awaitCamera("streaming")
		t.Logf("frames after %v, status and info after %v", frames, time.Since(began))
		same()
		accounted(t, i.counters())
		t.Logf("drops %v", i.counters().Drops)
	}
	forget := func() { i.read(func() { i.statuses, i.infos, i.info, i.stats = nil, nil, info{}, stats{} }) }
	t.Run("stopped", func(t *testing.T) {
		sh(t, "systemctl stop %s", mosquitto)
		time.Sleep(3 * time.Second)
		forget()
		sh(t, "systemctl start %s", mosquitto)
		back(t)
		if i.counters().Drops["offline"] == 0 {
			t.Error("no frame is counted as dropped without a broker")
		}
	})
	t.Run("killed", func(t *testing.T) {
		sh(t, "systemctl kill -s KILL %s", mosquitto)
		sh(t, "systemctl stop %s; rm -f /var/lib/mosquitto/mosquitto.db", mosquitto) // it has forgotten what was retained
		forget()
		sh(t, "systemctl start %s", mosquitto)
		back(t)
	})
	t.Run("frozen", func(t *testing.T) {
		before := i.counters().Drops
		sh(t, "systemctl kill -s STOP %s", mosquitto)
		time.Sleep(6 * time.Second)
		sh(t, "systemctl kill -s CONT %s", mosquitto)
		back(t)
		if after := i.counters().Drops; after["timeout"]+after["offline"] == before["timeout"]+before["offline"] {
			t.Errorf("no frame is counted as dropped: before %v, after %v", before, after)
		}
	})
	i.use(t)
}

// smallBuffers keeps the kernel from taking all that is sent to a frozen broker for many seconds.
func smallBuffers(t *testing.T) {
	t.Helper()
	for _, name := range []string{"net.ipv4.tcp_wmem", "net.ipv4.tcp_rmem"} {
		before := sh(t, "sysctl -n %s", name)
		sh(t, "sysctl -qw %s='4096 16384 65536'", name)
		t.Cleanup(func() { shell("sysctl -qw %s='%s'", name, before) })
	}
}

// accounted: every frame that came in went out, was dropped and counted, or is on its way.
func accounted(t *testing.T, s stats) {
	t.Helper()
	left := int(s.In) - int(s.Out)
	for _, reason := range []string{"predict", "publish", "offline", "timeout", "too_large", "limited"} {
		left -= int(s.Drops[reason])
	}
	if left < 0 || left > 5 {
		t.Errorf("of %d frames %d were published, and the drops leave %d unexplained: %v", s.In, s.Out, left, s.Drops)
	}
}

func TestBrokerStartsLate(t *testing.T) {
	plug(t, 0, "A1")
	t.Cleanup(func() { shell("systemctl start %s", mosquitto) })
	sh(t, "systemctl stop %s", mosquitto)
	i := prepare(t, "front", small("A1"), exact(0))
	sh(t, "systemctl start %s", i.unit) // the broker is not needed for it
	same := i.sameProcess()
	time.Sleep(2 * time.Second)
	sh(t, "systemctl start %s", mosquitto)
	i.awaitFrames(5)
	i.awaitStatus("online")
	i.awaitCamera("streaming")
	same()
}
