package infer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// faults is what Validate says of c, "key: text" each.
func faults(c Config) (out []string) {
	c.Validate(func(key, format string, args ...any) {
		out = append(out, key+": "+fmt.Sprintf(format, args...))
	})
	return out
}

func TestDefaultIsValid(t *testing.T) {
	if got := faults(Default()); got != nil {
		t.Error(got)
	}
	model := testSettings
	model.Steps, model.Samples, model.Seed = 0, 0, 0
	c := Default()
	if err := c.Settings(model).Check(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for _, c := range []struct {
		want   string // how the fault begins
		change func(*Config)
	}{
		{"steps: must be a whole number from 0 to 1000, not -1", func(c *Config) { c.Steps = -1 }},
		{"steps: must be a whole number from 0 to 1000, not 1001", func(c *Config) { c.Steps = 1001 }},
		{"samples: must be a whole number from 1 to 1000, not 0", func(c *Config) { c.Samples = 0 }},
		{"samples: must be a whole number from 1 to 1000, not 1001", func(c *Config) { c.Samples = 1001 }},
		{"threads: must be a whole number from 1 to 1024, not 0", func(c *Config) { c.Threads = 0 }},
		{"nice: must be a whole number from 0 to 19, not 20", func(c *Config) { c.Nice = 20 }},
		{"nice: must be a whole number from 0 to 19, not -1", func(c *Config) { c.Nice = -1 }},
		{`sampler: must be "ode", "ancestral", or empty for the model's own, not "heun"`, func(c *Config) { c.Sampler = "heun" }},
		{"budget: must not be negative (0 = no limit), not -1s", func(c *Config) { c.Budget = -time.Second }},
		{"sigma_min: must be a number from 0 (= the model's) to 10000, not -1", func(c *Config) { c.SigmaMin = -1 }},
		{"sigma_max: must be a number from 0 (= the model's) to 10000, not NaN", func(c *Config) { c.SigmaMax = math.NaN() }},
		{"sigma_max: must be a number from 0 (= the model's) to 10000, not +Inf", func(c *Config) { c.SigmaMax = math.Inf(1) }},
		{"rho: must be a number from 0 (= the model's) to 100, not 101", func(c *Config) { c.Rho = 101 }},
		{"sigma_min: must be below sigma_max (5), not 5", func(c *Config) { c.SigmaMin, c.SigmaMax = 5, 5 }},
		{"keyframes.every: must not be negative", func(c *Config) { c.Keyframes.Every = Interval{Frames: -1} }},
		{"keyframes.every: must be frames or a duration, not both 1 frames and 2s", func(c *Config) { c.Keyframes.Every.Frames = 1 }},
		{"keyframes.scene: must be a number of grey levels from 0 (= off) to 255, not 256", func(c *Config) { c.Keyframes.Scene = 256 }},
		{"keyframes.scene: must be a number of grey levels from 0 (= off) to 255, not NaN", func(c *Config) { c.Keyframes.Scene = math.NaN() }},
	} {
		conf := Default()
		c.change(&conf)
		if got := faults(conf); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	got := faults(Config{Steps: -1, Threads: 1, Nice: 30, Keyframes: Keyframes{Scene: -1}})
	if len(got) != 4 { // samples are 0, too
		t.Errorf("%d faults: %q", len(got), got)
	}
}

func TestValidateTakesWhatIsAllowed(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no refinement":      func(c *Config) { c.Steps = 0 },
		"own schedule":       func(c *Config) { c.SigmaMin, c.SigmaMax, c.Rho = 0.01, 5, 3 },
		"own lowest sigma":   func(c *Config) { c.SigmaMin = 0.1 },
		"own highest sigma":  func(c *Config) { c.SigmaMax = 10 },
		"ancestral":          func(c *Config) { c.Sampler = Ancestral },
		"never a keyframe":   func(c *Config) { c.Keyframes = Keyframes{} },
		"the largest values": func(c *Config) { c.Steps, c.Samples, c.Seed, c.Nice = 1000, 1000, math.MaxUint64, 19 },
	} {
		c := Default()
		change(&c)
		if got := faults(c); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSettingsComeFromTheModelWhereUnset(t *testing.T) {
	model := Settings{Steps: 99, Samples: 99, Seed: 99, Sampler: Ancestral, Schedule: testSchedule, Scale: Scale{10, 3}}
	c := Config{Steps: 4, Samples: 2, Seed: 5, SigmaMax: 11}
	want := Settings{Steps: 4, Samples: 2, Seed: 5, Sampler: Ancestral, Schedule: Schedule{0.02, 11, 7}, Scale: Scale{10, 3}}
	if got := c.Settings(model); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c = Config{Sampler: ODE, SigmaMin: 0.5, SigmaMax: 11, Rho: 3}
	want = Settings{Sampler: ODE, Schedule: Schedule{0.5, 11, 3}, Scale: Scale{10, 3}}
	if got := c.Settings(model); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The keys a user types, and that a file with all of them gives what it says.
func TestConfigKeys(t *testing.T) {
	const file = `steps: 4
samples: 2
seed: 18446744073709551615
sampler: ancestral
budget: 1.5s
sigma_min: 0.01
sigma_max: 10
rho: 3
threads: 2
nice: 5
keyframes:
  every: 30 frames
  scene: 7.5
  after_loss: true
`
	var c Config
	if err := yaml.Unmarshal([]byte(file), &c); err != nil {
		t.Fatal(err)
	}
	want := Config{
		Steps: 4, Samples: 2, Seed: math.MaxUint64, Sampler: Ancestral, Budget: 1500 * time.Millisecond,
		SigmaMin: 0.01, SigmaMax: 10, Rho: 3, Threads: 2, Nice: 5,
		Keyframes: Keyframes{Every: Interval{Frames: 30}, Scene: 7.5, AfterLoss: true},
	}
	if c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	back, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(s string) (out []string) {
		for _, line := range strings.Split(strings.TrimSpace(s), "\n") {
			key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			out = append(out, key)
		}
		return out
	}
	if got := keys(string(back)); !slices.Equal(got, keys(file)) {
		t.Errorf("keys %q, want %q", got, keys(file))
	}
}
