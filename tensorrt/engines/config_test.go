package engines

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFolder(t *testing.T) {
	for _, c := range []struct{ config, systemd, xdg, home, want string }{
		{"/a", "/b:/c", "/d", "/e", "/a/engines"},
		{"", "/b:/c", "/d", "/e", "/b/engines"},
		{"", "", "/d", "/e", "/d/sharpend/engines"},
		{"", "", "", "/e", "/e/.cache/sharpend/engines"},
	} {
		root := t.TempDir()
		under := func(list string) string {
			if list == "" {
				return ""
			}
			return root + strings.ReplaceAll(list, ":", ":"+root)
		}
		t.Setenv("CACHE_DIRECTORY", under(c.systemd))
		t.Setenv("XDG_CACHE_HOME", under(c.xdg))
		t.Setenv("HOME", under(c.home))
		cache, err := Config{Cache: under(c.config)}.Open()
		if err != nil || cache.Dir() != filepath.Join(root, c.want) {
			t.Errorf("%+v: found %v, %v", c, cache, err)
		}
	}
	for _, name := range []string{"CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	if _, err := Default().Open(); err == nil || !strings.Contains(err.Error(), "engines.cache is not set") {
		t.Errorf("found %v", err)
	}
}
