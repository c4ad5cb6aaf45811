package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Build is one engine to be built.
type Build struct {
	Inputs Inputs
	About  About
	// Run lets TensorRT write its files into dir, and what it measures into
	// timing. It is called twice, the second time to load what the first wrote:
	// a library that writes half a file onto a full disk does not always say so.
	Run func(dir, timing string) error
	// Wait is called if another process has the lock; may be nil.
	Wait func()
}

// Build builds an engine unless it is there. Of several processes one builds
// and the others wait, then use it. Nothing is seen of a build before it is
// complete and on the disk. built tells whether this call did it.
func (c *Cache) Build(ctx context.Context, b Build) (m *Manifest, built bool, err error) {
	key, err := b.Inputs.Key()
	if err != nil {
		return nil, false, err
	}
	if e, err := c.Acquire(key); err == nil {
		e.Close()
		return e.Manifest, false, nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("the cache of engines: %w", err)
	}
	wait := b.Wait
	if wait == nil {
		wait = func() {}
	}
	held, err := waitLock(ctx, c.path(key, lockSuffix), wait)
	if err != nil {
		return nil, false, err
	}
	defer held.release()
	m, err = c.verify(key)
	if errors.As(err, new(*CorruptError)) {
		if moved := c.quarantineHeld(key, err); moved != err {
			return nil, false, moved
		}
		err = ErrMissing
	}
	if !errors.Is(err, ErrMissing) {
		return m, false, err
	}
	// One build at a time: each takes all the memory that TensorRT may have.
	turn, err := waitLock(ctx, filepath.Join(c.dir, "build"+lockSuffix), wait)
	if err != nil {
		return nil, false, err
	}
	defer turn.release()
	m, err = c.build(key, b)
	return m, err == nil, err
}

// build is Build by the one who has the locks.
func (c *Cache) build(key string, b Build) (*Manifest, error) {
	staging := c.path(key, stagingSuffix)
	if err := fresh(staging); err != nil { // a builder that was killed leaves one
		return nil, err
	}
	defer os.RemoveAll(staging) // gone by then if all went well
	timing, err := c.borrowTiming(b.Inputs.Machine, staging)
	if err != nil {
		return nil, err
	}
	begin, dir := time.Now(), filepath.Join(staging, "engine")
	files, err := runTwice(dir, timing, b.Run)
	if err != nil {
		c.dropTiming(b.Inputs.Machine) // it may be to blame: the next try begins without
		return nil, err
	}
	m := &Manifest{Key: key, Inputs: b.Inputs, About: b.About, Built: begin.UTC().Truncate(time.Second), Seconds: time.Since(begin).Seconds(), Files: files}
	if err := seal(dir, m); err != nil {
		return nil, err
	}
	if err := os.Rename(dir, c.path(key, "")); err != nil {
		return nil, err
	}
	c.returnTiming(b.Inputs.Machine, timing)
	return m, syncDir(c.dir)
}

// Abandon removes what this process's build has written so far, before the
// process ends in the middle of it.
func (c *Cache) Abandon(key string) { os.RemoveAll(c.path(key, stagingSuffix)) }

// runTwice builds, then loads what was built from the folder dir, where it was
// not built, as later from its place in the cache. Loading must not change it.
func runTwice(dir, timing string, run func(dir, timing string) error) ([]File, error) {
	first := dir + "-new"
	if err := os.Mkdir(first, 0o700); err != nil {
		return nil, err
	}
	if err := run(first, timing); err != nil {
		return nil, err
	}
	if err := os.Rename(first, dir); err != nil {
		return nil, err
	}
	files, err := filesIn(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("the build wrote no engine")
	}
	if err := run(dir, timing); err != nil {
		return nil, fmt.Errorf("what was built does not load: %w", err)
	}
	again, err := filesIn(dir)
	if err != nil {
		return nil, err
	}
	if problem := compare(files, again); problem != "" {
		return nil, fmt.Errorf("what was built is not used when it is loaded, but built again: %s", problem)
	}
	return files, nil
}

// seal writes the manifest, and everything onto the disk.
func seal(dir string, m *Manifest) error {
	text, err := m.text()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), text, 0o600); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := syncFile(filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	if err := syncFile(filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func syncDir(path string) error {
	err := syncFile(path)
	if errors.Is(err, unix.EINVAL) { // a file system that knows no sync of folders
		return nil
	}
	return err
}

func fresh(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}
