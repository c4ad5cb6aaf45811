package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// underJournal reports whether stderr goes to journald (systemd.exec(5)).
func underJournal() bool { return os.Getenv("JOURNAL_STREAM") != "" }

func logLevel(name string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return 0, fmt.Errorf("must be debug, info, warn or error, not %q", name)
	}
	return l, nil
}

// newLog writes text for people; under systemd each line starts with the
// priority that journald reads (sd-daemon(3)) and carries no time of its own.
func newLog(w io.Writer, level *slog.LevelVar) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if !underJournal() {
		return slog.New(slog.NewTextHandler(w, options))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	p := &prefixer{w: w}
	return slog.New(&journal{slog.NewTextHandler(p, options), p})
}

// A journal handler puts <N> before each line.
type journal struct {
	slog.Handler
	out *prefixer
}

func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	j.out.mu.Lock()
	defer j.out.mu.Unlock()
	j.out.priority = priority(r.Level)
	return j.Handler.Handle(ctx, r)
}

func (j *journal) WithAttrs(a []slog.Attr) slog.Handler {
	return &journal{j.Handler.WithAttrs(a), j.out}
}

func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{j.Handler.WithGroup(name), j.out}
}

// priority maps to syslog(3): err 3, warning 4, info 6, debug 7.
func priority(l slog.Level) byte {
	switch {
	case l >= slog.LevelError:
		return '3'
	case l >= slog.LevelWarn:
		return '4'
	case l >= slog.LevelInfo:
		return '6'
	}
	return '7'
}

// A prefixer writes the current priority before what it is given.
type prefixer struct {
	mu       sync.Mutex // held by the handler for a whole record
	w        io.Writer
	priority byte
	line     []byte
}

func (p *prefixer) Write(b []byte) (int, error) {
	p.line = append(append(p.line[:0], '<', p.priority, '>'), b...)
	_, err := p.w.Write(p.line)
	return len(b), err
}
