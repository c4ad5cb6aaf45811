package engines

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

// Config is the `engines` section. Every key needs a restart.
type Config struct {
	Cache      string `yaml:"cache"`      // folder; "" = systemd's CacheDirectory=, else sharpend in the user's cache
	Background bool   `yaml:"background"` // build what is missing while the next provider serves
}

// Default is systemd's or the user's cache, and building in the background.
func Default() Config { return Config{Background: true} }

// Open opens the cache that the configuration, systemd or the user's
// environment names, in this order.
func (c Config) Open() (*Cache, error) {
	dir, err := c.folder()
	if err != nil {
		return nil, err
	}
	return OpenCache(filepath.Join(dir, "engines"))
}

func (c Config) folder() (string, error) {
	// A unit may have several folders: the first is the service's own.
	given := filepath.SplitList(os.Getenv("CACHE_DIRECTORY"))
	if dir := cmp.Or(append([]string{c.Cache}, given...)...); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("engines.cache is not set, and the user has no folder for caches: %w", err)
	}
	return filepath.Join(dir, "sharpend"), nil
}
