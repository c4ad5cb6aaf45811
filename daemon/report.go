package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// line is the status of one interval for a person.
func (s snapshot) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  in %.1f/s  out %.1f/s", s.Camera, s.RateIn, s.RateOut)
	if s.Skipped > 0 {
		fmt.Fprintf(&b, "  skipped %d", s.Skipped)
	}
	fmt.Fprintf(&b, "  latency %s ms", quantileText(s.Times["latency"]))
	fmt.Fprintf(&b, "  keyframes %d/%d (%d steps", s.Keyframes.Done, s.Keyframes.Asked, s.Steps)
	if s.Samples > 1 {
		fmt.Fprintf(&b, " x %d", s.Samples)
	}
	fmt.Fprintf(&b, ", age %s ms)", quantileText(s.Times["keyframe_age"]))
	fmt.Fprintf(&b, "  drops %s  %s", countsText(s.Drops, dropNames[:]), s.Provider)
	if s.Degraded {
		b.WriteString("  DEGRADED")
	}
	if len(s.Damaged) > 0 {
		fmt.Fprintf(&b, "  damaged %v", s.Damaged)
	}
	if len(s.PSNR) > 0 {
		fmt.Fprintf(&b, "  PSNR %.1f -> %.1f dB", s.PSNR["camera"], s.PSNR["predicted"])
	}
	if !s.Broker.Connected {
		b.WriteString("  NO BROKER")
	}
	return b.String()
}

// summary is the whole run for a person.
func (s snapshot) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nRan %.1f s on %s: %d frames in, %d out (%.1f/s), %d of %d keyframes refined with %d steps.\n",
		s.Uptime, s.Provider, s.In, s.Out, s.RateOut, s.Keyframes.Done, s.Keyframes.Asked, s.Steps)
	if s.Skipped > 0 {
		fmt.Fprintf(&b, "%d frames were sharp as they came, and were not predicted (predict.skip_sharp).\n", s.Skipped)
	}
	fmt.Fprintf(&b, "Drops: %s. Camera lost %d times.\n", countsText(s.Drops, dropNames[:]), s.Losses)
	fmt.Fprintf(&b, "Memory: %.0f MB resident, %.0f MB of them library and models.\n", float64(s.Memory)/1e6, float64(s.Ready)/1e6)
	for _, name := range stageNames {
		if q, ok := s.Times[name]; ok {
			fmt.Fprintf(&b, "  %-13s p50 %8.2f  p99 %8.2f  max %8.2f ms  (%d)\n", name, q.P50, q.P99, q.Max, q.N)
		}
	}
	return b.String()
}

func quantileText(q quantiles) string {
	if q.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f/%.0f", q.P50, q.P99)
}

// countsText lists what is not zero, in the order of names.
func countsText(counts map[string]uint64, names []string) string {
	var parts []string
	for _, n := range names {
		if counts[n] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", n, counts[n]))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// residentBytes is the process's resident memory; see proc(5), statm.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize())
}
