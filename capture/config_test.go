package capture

import (
	"math"
	"slices"
	"testing"
	"time"
)

func faultsOf(c Config) []string {
	var keys []string
	c.Validate(func(key, format string, args ...any) { keys = append(keys, key) })
	return keys
}

func TestDefaultIsValid(t *testing.T) {
	if keys := faultsOf(Default()); keys != nil {
		t.Errorf("faults in %v", keys)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	tests := []struct {
		change func(c *Config)
		want   []string
	}{
		{func(c *Config) { c.Source = "usb" }, []string{"source"}},
		{func(c *Config) { c.Source = File }, []string{"path"}},
		{func(c *Config) { c.Source, c.Path = File, "clip.avi" }, nil},
		{func(c *Config) { c.Format = "mjpg" }, []string{"format"}},
		{func(c *Config) { c.Format = "GREY" }, nil},
		{func(c *Config) { c.Range = "tv" }, []string{"range"}},
		{func(c *Config) { c.Width = 640 }, []string{"width"}},
		{func(c *Config) { c.Width, c.Height = 641, 479 }, nil},
		{func(c *Config) { c.Width, c.Height = -2, -2 }, []string{"width", "height"}},
		{func(c *Config) { c.FPS = -1 }, []string{"fps"}},
		{func(c *Config) { c.FPS = math.NaN() }, []string{"fps"}},
		{func(c *Config) { c.Buffers = 1 }, []string{"buffers"}},
		{func(c *Config) { c.Timeout = time.Millisecond }, []string{"timeout"}},
		{func(c *Config) { c.Synthetic.Blur = -1; c.Synthetic.Noise = math.Inf(1) }, []string{"synthetic.blur", "synthetic.noise"}},
	}
	for i, tt := range tests {
		c := Default()
		tt.change(&c)
		if got := faultsOf(c); !slices.Equal(got, tt.want) {
			t.Errorf("%d: faults in %q, want %q", i, got, tt.want)
		}
	}
}
