package infer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Interval is a distance between frames: so many frames or so much time, never
// both. The zero value means never.
type Interval struct {
	Frames   int
	Duration time.Duration
}

func (i Interval) check() error {
	switch {
	case i.Frames < 0 || i.Duration < 0:
		return errors.New("must not be negative")
	case i.Frames > 0 && i.Duration > 0:
		return fmt.Errorf("must be frames or a duration, not both %d frames and %v", i.Frames, i.Duration)
	}
	return nil
}

// String is i as UnmarshalText reads it: "off", "2s", "30 frames".
func (i Interval) String() string {
	switch {
	case i.Frames == 1:
		return "1 frame"
	case i.Frames != 0:
		return strconv.Itoa(i.Frames) + " frames"
	case i.Duration != 0:
		return i.Duration.String()
	}
	return "off"
}

// MarshalText is String; it fails for an interval that UnmarshalText cannot give.
func (i Interval) MarshalText() ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("interval: %w", err)
	}
	return []byte(i.String()), nil
}

// UnmarshalText reads "2s" (Go's durations), "30 frames" or just "30", and "off"
// or "0" for never. On an error i is unchanged.
func (i *Interval) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	parsed, err := parseInterval(s)
	if err != nil {
		return fmt.Errorf(`interval %q: %w; write a duration such as 2s or 500ms, a count such as "30 frames", or off`, s, err)
	}
	*i = parsed
	return nil
}

func parseInterval(s string) (Interval, error) {
	if s == "off" {
		return Interval{}, nil
	}
	count, unit, _ := strings.Cut(s, " ")
	unit = strings.TrimSpace(unit)
	if unit == "" || unit == "frame" || unit == "frames" {
		n, err := strconv.Atoi(count)
		switch {
		case err == nil:
			i := Interval{Frames: n}
			return i, i.check()
		case errors.Is(err, strconv.ErrRange):
			return Interval{}, errors.New("too many frames")
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		i := Interval{Duration: d}
		return i, i.check()
	}
	return Interval{}, describe(count, unit)
}

// describe says what is wrong with a text that is no interval, cut at its first space.
func describe(count, unit string) error {
	_, err := strconv.ParseFloat(count, 64)
	switch {
	case err != nil:
		return errors.New("not an interval")
	case unit == "" || strings.HasPrefix(unit, "frame"):
		return errors.New("not a whole number of frames")
	}
	return fmt.Errorf("unknown unit %q", unit)
}
