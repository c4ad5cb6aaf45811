package mqtt

import (
	"fmt"
	"testing"

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
			for b.Loop() {
				if reusable, err := c.Publish("frame", qos, false, frame); err != nil || !reusable {
					b.Fatal(reusable, err)
				}
			}
		})
	}
}
