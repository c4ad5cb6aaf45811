package tensorrt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What to do when less runs than runtime.require asks for.
const (
	OnLessExit     = "exit"
	OnLessDegraded = "degraded"
)

// rank is higher for the better provider.
func rank(provider string) int { return len(known) - slices.Index(known, provider) }

// Insists says whether a session that needs this provider must wait for it
// (while an engine is built, for instance): nothing less may serve.
func (c *Config) Insists(provider string) bool {
	return c.Require == provider && c.OnLess == OnLessExit
}

// Demanded is c without the providers that runtime.require and on_less: exit
// rule out.
func (c Config) Demanded() Config {
	if c.Require == "" || c.OnLess != OnLessExit {
		return c
	}
	enough := func(list []string) (kept []string) {
		for _, p := range list {
			if rank(p) >= rank(c.Require) {
				kept = append(kept, p)
			}
		}
		return kept
	}
	c.Providers, c.DenoiserProviders = enough(c.Providers), enough(c.DenoiserProviders)
	return c
}

// Less says in what a session falls short of runtime.require, "" if in nothing.
// skipped holds why other providers do not run it.
func (c *Config) Less(provider string, skipped map[string]string) string {
	if c.Require == "" || rank(provider) >= rank(c.Require) {
		return ""
	}
	return fmt.Sprintf("runs on %s, runtime.require is %s: %s", provider, c.Require, cmp.Or(skipped[c.Require], "it is not in its list of providers"))
}

func (c *Config) validateRequire(fault func(key, format string, args ...any)) {
	if c.OnLess != OnLessExit && c.OnLess != OnLessDegraded {
		fault("on_less", "must be %s or %s, not %q", OnLessExit, OnLessDegraded, c.OnLess)
	}
	if c.Require == "" {
		return
	}
	if !slices.Contains(known, c.Require) {
		fault("require", "%q is no provider: use %s, or \"\"", c.Require, strings.Join(known, ", "))
		return
	}
	for _, kind := range []string{PredictorKind, DenoiserKind} {
		if !slices.ContainsFunc(c.ProvidersFor(kind), func(p string) bool { return rank(p) >= rank(c.Require) }) {
			fault("require", "is %s, and the %s's providers are %s", c.Require, kind, strings.Join(c.ProvidersFor(kind), ", "))
			return
		}
	}
}
