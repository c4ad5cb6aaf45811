package tensorrt

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Memory is an amount of memory in bytes, written "512 MiB" or "1.5 GiB"; 0 says "no limit".
type Memory uint64

var memoryUnits = []struct {
	name string
	size float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String is m as UnmarshalText reads it.
func (m Memory) String() string {
	if m == 0 {
		return "0"
	}
	for _, u := range memoryUnits {
		if n := float64(m) / u.size; n >= 1 && n == math.Trunc(n) {
			return strconv.FormatFloat(n, 'f', -1, 64) + " " + u.name
		}
	}
	return strconv.FormatUint(uint64(m), 10) + " B"
}

// MarshalText is String.
func (m Memory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads "512 MiB", "1.5GiB", "65536 B", and 0. On an error m is unchanged.
func (m *Memory) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	bytes, err := parseMemory(s)
	if err != nil {
		return fmt.Errorf("%q: %w; write an amount such as 512 MiB or 2 GiB, or 0 for no limit", s, err)
	}
	*m = bytes
	return nil
}

func parseMemory(s string) (Memory, error) {
	if s == "0" {
		return 0, nil
	}
	end := strings.LastIndexAny(s, "0123456789.") + 1
	size, err := unitSize(strings.TrimSpace(s[end:]))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	switch {
	case err != nil || strings.Trim(s[:end], "0123456789.") != "":
		return 0, errors.New("not an amount of memory")
	case n*size >= 1<<53:
		return 0, errors.New("too much memory")
	}
	return Memory(n * size), nil
}

func unitSize(unit string) (float64, error) {
	switch unit {
	case "":
		return 0, errors.New("an amount of memory needs a unit")
	case "B":
		return 1, nil
	}
	for _, u := range memoryUnits {
		if u.name == unit {
			return u.size, nil
		}
	}
	return 0, fmt.Errorf("unknown unit %q", unit)
}
