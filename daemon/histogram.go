package main

import (
	"math/bits"
	"sync"
	"time"
)

// A histogram counts durations in buckets of 3 % width, from 1 us to over an
// hour, in fixed memory. The zero value is ready; safe for concurrent use.
type histogram struct {
	mu     sync.Mutex
	counts [buckets]uint32
	n      uint32
	max    time.Duration
}

const (
	subBits = 5 // 32 buckets for each power of two
	buckets = (33 - subBits) << subBits
)

// bucket maps microseconds to an index that grows with their logarithm.
func bucket(us uint64) int {
	shift := bits.Len64(us) - subBits - 1
	if shift <= 0 {
		return int(us)
	}
	return min(shift<<subBits+int(us>>shift), buckets-1)
}

// middle is the duration that stands for a bucket.
func middle(i int) time.Duration {
	shift := i>>subBits - 1
	if shift <= 0 {
		return time.Duration(i) * time.Microsecond
	}
	low := uint64(i-shift<<subBits) << shift
	return time.Duration(low+1<<shift/2) * time.Microsecond
}

func (h *histogram) add(d time.Duration) {
	h.mu.Lock()
	h.counts[bucket(uint64(max(d, 0).Microseconds()))]++
	h.n++
	h.max = max(h.max, d)
	h.mu.Unlock()
}

// Quantiles of a set of durations, in milliseconds.
type quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	N   uint32  `json:"n"`
}

// take returns the quantiles of what was added since the last take.
func (h *histogram) take() quantiles {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := h.quantiles()
	h.counts, h.n, h.max = [buckets]uint32{}, 0, 0
	return q
}

// peek returns them and keeps what was added.
func (h *histogram) peek() quantiles {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quantiles()
}

// quantiles is for callers that hold the lock.
func (h *histogram) quantiles() quantiles {
	return quantiles{P50: h.rank(0.50), P99: h.rank(0.99), Max: milliseconds(h.max), N: h.n}
}

// rank is the duration below which the share p of the values lies.
func (h *histogram) rank(p float64) float64 {
	need, seen := uint32(p*float64(h.n)+0.5), uint32(0)
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= need {
			return milliseconds(min(middle(i), h.max))
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
