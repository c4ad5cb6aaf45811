package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is an engine that another process builds or removes right now.
var ErrBusy = errors.New("another process is at work on this engine")

// A lock is held on a file, in the kernel: the process that dies lets it go.
// Many may share it, or one has it alone.
type lock struct{ file *os.File }

const retryLock = 100 * time.Millisecond

// tryLock takes a lock, or gives ErrBusy.
func tryLock(path string, alone bool) (*lock, error) {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = flock(f, how|unix.LOCK_NB)
		if err == nil && isStill(f, path) {
			return &lock{f}, nil
		}
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		} // else it was removed while we opened it
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

func isStill(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(held, now)
}

// waitLock takes a lock alone, however long another has it; wait is called
// once if so.
func waitLock(ctx context.Context, path string, wait func()) (*lock, error) {
	tick := time.NewTicker(retryLock)
	defer tick.Stop()
	for first := true; ; first = false {
		l, err := tryLock(path, true)
		if !errors.Is(err, ErrBusy) {
			return l, err
		}
		if first {
			wait()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// release gives the lock back. Its file stays, for others may wait for it.
func (l *lock) release() {
	if l != nil && l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
