package engines

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The states of an entry.
const (
	Good     = "good"
	Corrupt  = "corrupt"
	Building = "building" // by a process that lives
	Left     = "left"     // by a build that was killed
	Set      = "set aside"
)

// An Entry is one engine in the cache, whatever its state.
type Entry struct {
	Key      string    `json:"key"`
	State    string    `json:"state"`
	Problem  string    `json:"problem,omitempty"`  // of what is not good
	Manifest *Manifest `json:"manifest,omitempty"` // nil where it cannot be read
	Bytes    int64     `json:"bytes"`              // on the disk
	Changed  time.Time `json:"changed"`            // its folder; of a good one: when it was built
	folder   string
}

// List describes every engine, good ones first, newest first. With check, every
// file is read and compared; without, only manifests are.
func (c *Cache) List(check bool) ([]Entry, error) {
	folders, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []Entry
	for _, f := range folders {
		key, suffix := split(f.Name())
		if f.IsDir() && isKey(key) && (suffix == "" || suffix == stagingSuffix || suffix == badSuffix) {
			list = append(list, c.entry(key, suffix, check))
		}
	}
	slices.SortStableFunc(list, func(a, b Entry) int {
		if (a.State == Good) != (b.State == Good) {
			return map[bool]int{true: -1, false: 1}[a.State == Good]
		}
		return b.Changed.Compare(a.Changed)
	})
	return list, nil
}

func split(name string) (key, suffix string) {
	if i := strings.IndexByte(name, '.'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

func isKey(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

func (c *Cache) entry(key, suffix string, check bool) Entry {
	dir := c.path(key, suffix)
	e := Entry{Key: key, State: Good, folder: dir, Bytes: sizeOf(dir)}
	if info, err := os.Stat(dir); err == nil {
		e.Changed = info.ModTime()
	}
	switch suffix {
	case stagingSuffix:
		e.State, e.Problem = c.staged(key)
		return e
	case badSuffix:
		e.State, e.Problem = Set, "it was not as it was built"
		if why, err := os.ReadFile(filepath.Join(dir, "why.txt")); err == nil {
			e.Problem = strings.TrimSpace(string(why))
		}
		e.Manifest, _ = readManifest(dir)
		return e
	}
	m, err := readManifest(dir)
	e.Manifest = m
	if check && err == nil {
		_, err = c.verify(key)
	} else if err == nil && m.Key != key {
		err = fmt.Errorf("its manifest is that of %.12s", m.Key)
	}
	if err != nil {
		e.State, e.Problem = Corrupt, err.Error()
	} else {
		e.Changed = m.Built
	}
	return e
}

// staged tells a build that runs from one that was killed.
func (c *Cache) staged(key string) (state, problem string) {
	held, err := tryLock(c.path(key, lockSuffix), false)
	if errors.Is(err, ErrBusy) {
		return Building, ""
	}
	held.release()
	return Left, "its build was killed"
}

func sizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				bytes += info.Size()
			}
		}
		return nil
	})
	return bytes
}

// Remove deletes an entry of List, unless a process builds or opens it: ErrBusy.
func (c *Cache) Remove(e Entry) error {
	path := c.path(e.Key, lockSuffix)
	held, err := tryLock(path, true)
	if err != nil {
		return err
	}
	defer held.release()
	if err := os.RemoveAll(e.folder); err != nil {
		return err
	}
	for _, suffix := range []string{"", stagingSuffix, badSuffix} {
		if _, err := os.Lstat(c.path(e.Key, suffix)); err == nil {
			return nil
		}
	}
	return os.Remove(path) // whoever waits for it sees that it is gone, and makes a new one
}
