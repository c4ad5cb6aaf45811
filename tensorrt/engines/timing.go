package engines

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// What TensorRT measures of its kernels serves every later build on the same
// machine: one that took 384 s took 42 s with it. A build works on a copy, and
// gives it back complete, so that no killed build can spoil it. A file whose
// hash beside it is not its own is not used: TensorRT would fail at it, and at
// every build from then on.

const sumSuffix = ".sha256"

// timingDir is the folder of one machine's measurements.
func (c *Cache) timingDir(m Machine) string {
	text, _ := json.Marshal(m) // cannot fail
	sum := sha256.Sum256(text)
	return filepath.Join(c.dir, "timing", hex.EncodeToString(sum[:8]))
}

// borrowTiming copies the machine's good measurements into a folder below staging.
func (c *Cache) borrowTiming(m Machine, staging string) (dir string, err error) {
	dir = filepath.Join(staging, "timing")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	shared := c.timingDir(m)
	entries, _ := os.ReadDir(shared) // the first build has none
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(shared, e.Name()))
		if err != nil || filepath.Ext(e.Name()) == sumSuffix {
			continue
		}
		sum, _ := os.ReadFile(filepath.Join(shared, e.Name()+sumSuffix))
		if string(sum) != digest(data) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), data, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// returnTiming keeps what a good build has measured. A failure costs the next
// build time, and nothing else.
func (c *Cache) returnTiming(m Machine, dir string) {
	entries, _ := os.ReadDir(dir)
	shared := c.timingDir(m)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || os.MkdirAll(shared, 0o700) != nil {
			return
		}
		to := filepath.Join(shared, e.Name())
		_ = errors.Join(
			os.Rename(filepath.Join(dir, e.Name()), to),
			os.WriteFile(to+sumSuffix, []byte(digest(data)), 0o600))
	}
}

func (c *Cache) dropTiming(m Machine) { os.RemoveAll(c.timingDir(m)) }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
