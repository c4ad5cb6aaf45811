package mqtt

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"sharpend/mqtt/mosquittotest"
)

// BenchmarkPublish is the cost of one frame of 100 KB to a real mosquitto without subscribers.
func BenchmarkPublish(b *testing.B) {
	for qos := range byte(2) {
		b.Run(fmt.Sprintf("QoS%d", qos), func(b *testing.B) {
			c, _ := online(b, mosquittotest.Start(b).Addr)
			frame := make([]byte, 100_000)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			b.ResetTimer()
			begin := cpu()
			for b.Loop() {
				if reusable, err := c.Publish("frame", qos, false, frame); err != nil || !reusable {
					b.Fatal(reusable, err)
				}
			}
			b.ReportMetric(float64(cpu()-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpu is the processor time of this process so far, user and system; mosquitto's is not in it.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
