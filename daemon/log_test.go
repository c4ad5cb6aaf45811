package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLogUnderTheJournalHasPriorities(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1")
	var b bytes.Buffer
	level := new(slog.LevelVar)
	level.Set(slog.LevelDebug)
	log := newLog(&b, level).With("camera", "mast")
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d", "error", errors.New("lost"))
	want := "<7>msg=a camera=mast\n<6>msg=b camera=mast\n<4>msg=c camera=mast\n<3>msg=d camera=mast error=lost\n"
	if b.String() != want {
		t.Errorf("the journal gets\n%swant\n%s", b.String(), want)
	}
}

func TestLogForPeopleAndItsLevel(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	var b bytes.Buffer
	level := new(slog.LevelVar)
	log := newLog(&b, level)
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("shown")
	if out := b.String(); strings.Contains(out, "hidden") || !strings.Contains(out, "level=DEBUG msg=shown") || !strings.HasPrefix(out, "time=") {
		t.Errorf("the log reads %q", out)
	}
}
