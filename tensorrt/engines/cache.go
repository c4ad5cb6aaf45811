package engines

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Cache is a folder of engines:
//
//	KEY/             an engine's files and manifest.json; appears by one rename, complete
//	KEY.lock         who builds or removes it holds it alone, who opens it shares it
//	KEY.building/    what a build has written so far
//	KEY.bad/         an engine that was not as it was built, kept to look at, with why.txt
//	timing/          what TensorRT has measured of its kernels, by machine
//
// It belongs to one user: an engine holds code. Safe for concurrent use, also
// by other processes.
type Cache struct{ dir string }

// ErrMissing is an engine that nobody has built.
var ErrMissing = errors.New("it is not built yet")

// A CorruptError is an engine that is not as it was built.
type CorruptError struct{ Key, Problem string }

func (e *CorruptError) Error() string {
	return fmt.Sprintf("engine %.12s is not as it was built: %s", e.Key, e.Problem)
}

// OpenCache opens a cache, whose folder need not be there: only Build makes it,
// so that who merely looks leaves nothing behind that is not the service's.
func OpenCache(dir string) (*Cache, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &Cache{dir}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the cache of engines: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("the cache of engines: everyone may write to %s, and an engine holds code: chmod o-w it, or name another folder", dir)
	}
	return &Cache{dir}, nil
}

// Dir is the cache's folder.
func (c *Cache) Dir() string { return c.dir }

func (c *Cache) path(key, suffix string) string { return filepath.Join(c.dir, key+suffix) }

const (
	lockSuffix    = ".lock"
	stagingSuffix = ".building"
	badSuffix     = ".bad"
)

// An Engine is a built one whose every byte was checked. Until it is closed,
// nobody removes it.
type Engine struct {
	Dir      string
	Manifest *Manifest
	lock     *lock
}

// Close lets others remove the engine; a session that was opened from it has
// read it by then.
func (e *Engine) Close() {
	if e != nil {
		e.lock.release()
	}
}

// Acquire checks an engine and holds it: ErrMissing, ErrBusy, or a
// *CorruptError, after which it is out of the way and can be built anew. It
// reads all files once (245 MB/s on a busy x86-64 core).
func (c *Cache) Acquire(key string) (*Engine, error) {
	if !there(c.path(key, "")) && !there(c.path(key, lockSuffix)) {
		return nil, ErrMissing
	}
	held, err := tryLock(c.path(key, lockSuffix), false)
	if err != nil {
		return nil, err
	}
	m, err := c.verify(key)
	if err == nil {
		return &Engine{Dir: c.path(key, ""), Manifest: m, lock: held}, nil
	}
	held.release()
	if errors.As(err, new(*CorruptError)) {
		err = c.quarantine(key, err)
	}
	return nil, err
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// quarantine puts a corrupt engine out of the way, unless somebody has built
// it anew meanwhile.
func (c *Cache) quarantine(key string, found error) error {
	held, err := tryLock(c.path(key, lockSuffix), true)
	if err != nil {
		return err
	}
	defer held.release()
	return c.quarantineHeld(key, found)
}

// quarantineHeld is quarantine by the one who has the lock. It returns found.
func (c *Cache) quarantineHeld(key string, found error) error {
	bad := c.path(key, badSuffix)
	if err := os.RemoveAll(bad); err != nil {
		return err
	}
	if err := os.Rename(c.path(key, ""), bad); err != nil {
		return err
	}
	_ = os.WriteFile(filepath.Join(bad, "why.txt"), []byte(found.Error()+"\n"), 0o600) // only for people
	return found
}

// verify reads an engine's manifest and all its files. Only with a lock.
func (c *Cache) verify(key string) (*Manifest, error) {
	dir := c.path(key, "")
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	corrupt := func(format string, args ...any) (*Manifest, error) {
		return nil, &CorruptError{key, fmt.Sprintf(format, args...)}
	}
	if !info.IsDir() {
		return corrupt("%s is no folder", dir)
	}
	m, err := readManifest(dir)
	if err != nil {
		return corrupt("%v", err)
	}
	if m.Key != key {
		return corrupt("its manifest is that of %.12s", m.Key)
	}
	files, err := filesIn(dir)
	if err != nil {
		return corrupt("%v", err)
	}
	if problem := compare(m.Files, files); problem != "" {
		return corrupt("%s", problem)
	}
	return m, nil
}

func readManifest(dir string) (*Manifest, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, manifestMost+1))
	if err != nil {
		return nil, err
	}
	if len(data) > manifestMost {
		return nil, fmt.Errorf("%s has more than %d bytes", manifestName, manifestMost)
	}
	return parseManifest(data)
}

// filesIn lists an engine's files, but for the manifest, with their hashes.
func filesIn(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var files []File
	for _, e := range entries {
		if e.Name() == manifestName {
			continue
		}
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%s is no plain file", e.Name())
		}
		f, err := hashFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func hashFile(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return File{Name: filepath.Base(path), Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// compare says how what is there differs from what was built; "" if it does not.
func compare(built, found []File) string {
	named := func(files []File, name string) int {
		return slices.IndexFunc(files, func(f File) bool { return f.Name == name })
	}
	var problems []string
	for _, b := range built {
		i := named(found, b.Name)
		switch {
		case i < 0:
			problems = append(problems, b.Name+" is missing")
		case found[i].Size != b.Size:
			problems = append(problems, fmt.Sprintf("%s has %d bytes instead of %d", b.Name, found[i].Size, b.Size))
		case found[i].SHA256 != b.SHA256:
			problems = append(problems, b.Name+" has other bytes")
		}
	}
	for _, f := range found {
		if named(built, f.Name) < 0 {
			problems = append(problems, f.Name+" does not belong here")
		}
	}
	return strings.Join(problems, ", ")
}
