package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestStatsCarryTheBoard: what the machine tells is in stats, and the machine that the tests run on has memory at least.
func TestStatsCarryTheBoard(t *testing.T) {
	o := &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Stats.Every = 100 * time.Millisecond }), o.output())
	until(t, p, func() bool { return o.count("stats") >= 3 })
	last := string(o.messages["stats"][2])
	var s struct {
		Board struct {
			Memory uint64 `json:"memory_total_bytes"`
		} `json:"board"`
	}
	if err := json.Unmarshal([]byte(last), &s); err != nil || s.Board.Memory < 1<<20 {
		t.Errorf("no board in %s: %v", last, err)
	}
}

func TestStatsWithoutABoard(t *testing.T) {
	text, err := json.Marshal(snapshot{})
	if err != nil || strings.Contains(string(text), "board") {
		t.Errorf("%s: %v, want no board where there is nothing to tell", text, err)
	}
}
