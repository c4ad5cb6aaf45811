package tensorrt

import (
	"strings"
	"testing"
)

func TestMemoryTexts(t *testing.T) {
	for text, want := range map[string]Memory{
		"0": 0, "1 GiB": 1 << 30, "1.5 GiB": 3 << 29, "512MiB": 512 << 20, " 64 KiB ": 64 << 10, "1000 B": 1000, "2048 MiB": 2 << 30, "0 MiB": 0,
	} {
		var m Memory
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%q: expected %d, found %d (%v)", text, want, m, err)
		}
	}
	for m, want := range map[Memory]string{0: "0", 1 << 30: "1 GiB", 3 << 29: "1536 MiB", 1000: "1000 B", 1<<20 + 1: "1048577 B"} {
		if got := m.String(); got != want {
			t.Errorf("%d: expected %q, found %q", uint64(m), want, got)
		}
	}
}

func TestMemoryFaults(t *testing.T) {
	for text, want := range map[string]string{
		"": "needs a unit", "1024": "needs a unit", "1 GB": `unknown unit "GB"`, "lots": "unknown unit", "-1 GiB": "not an amount",
		"1e3 B": "not an amount", "1.2.3 GiB": "not an amount", "9000000000 GiB": "too much",
	} {
		m := Memory(7)
		err := m.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "512 MiB") || m != 7 {
			t.Errorf("%q: expected %q, found %v (value %d)", text, want, err, m)
		}
	}
}

func FuzzMemory(f *testing.F) {
	for _, text := range []string{"0", "1 GiB", "1.5GiB", "64 KiB", "3 B", "1e400 GiB", "..GiB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m, again Memory
		if m.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(m.String())); err != nil || again != m {
			t.Errorf("%q is %d, printed as %q, read as %d (%v)", text, m, m, again, err)
		}
	})
}
