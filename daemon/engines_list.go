package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

const whereHelp = "configuration `FILE` that names the folder; default: the user's own"

func enginesListCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", whereHelp)
	asJSON := flags.Bool("json", false, "print the manifests as JSON")
	return func(args []string) error {
		cache, list, err := listEngines(args, *file, false)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(env.stdout)
			e.SetIndent("", "  ")
			return e.Encode(append([]engines.Entry{}, list...))
		}
		if len(list) == 0 {
			fmt.Fprintf(env.stdout, "No engines in %s.\n", cache.Dir())
			return nil
		}
		return printEngines(env, list)
	}
}

func enginesVerifyCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", whereHelp)
	return func(args []string) error {
		cache, list, err := listEngines(args, *file, true)
		if err != nil {
			return err
		}
		bad := 0
		for _, e := range list {
			if e.State == engines.Corrupt {
				bad++
				fmt.Fprintf(env.stdout, "%s  corrupt: %s\n", title(e), e.Problem)
			} else {
				fmt.Fprintf(env.stdout, "%s  %s\n", title(e), e.State)
			}
		}
		if bad > 0 {
			return fmt.Errorf("%d of %d engines in %s are not as they were built; none is used, `sharpend engines prune` removes them", bad, len(list), cache.Dir())
		}
		return nil
	}
}

func listEngines(args []string, file string, check bool) (*engines.Cache, []engines.Entry, error) {
	if err := noArguments(args); err != nil {
		return nil, nil, err
	}
	c, err := loadConfig(file, nil)
	if err != nil {
		return nil, nil, err
	}
	cache, err := c.Engines.Open()
	if err != nil {
		return nil, nil, err
	}
	list, err := cache.List(check)
	return cache, list, err
}

func printEngines(env environment, list []engines.Entry) error {
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tMODEL\tSIZE\tSTATE\tMB\tBUILT\tTOOK\tFOR")
	for _, e := range list {
		name, size, took, what := "?", "?", "", e.Problem
		if m := e.Manifest; m != nil {
			name, size = m.About.Name, sizeText(image.Pt(m.Inputs.Width, m.Inputs.Height))
			took = (time.Duration(m.Seconds) * time.Second).String()
			if what == "" {
				what = fmt.Sprintf("TensorRT %s, CUDA %s, driver %s, %s", m.Inputs.TensorRT, m.Inputs.CUDA, m.Inputs.Driver, m.Inputs.GPU)
			}
		}
		fmt.Fprintf(w, "%.12s\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n", e.Key, name, size, e.State, float64(e.Bytes)/1e6, e.Changed.Local().Format("2006-01-02 15:04"), took, what)
	}
	return w.Flush()
}

// title names an engine in a line.
func title(e engines.Entry) string {
	if e.Manifest == nil {
		return e.Key[:12]
	}
	return fmt.Sprintf("%.12s  %s at %dx%d", e.Key, e.Manifest.About.Name, e.Manifest.Inputs.Width, e.Manifest.Inputs.Height)
}

func enginesPruneCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	files := flags.StringArrayP("config", "c", nil, "configuration `FILE`; repeat it for all that share the cache: what none of them can use goes")
	keep := flags.Int("keep", 0, "of what can be used, keep the `N` newest")
	older := flags.String("older", "", "of what can be used, remove what was built longer ago than `AGE`, such as 30d or 12h")
	all := flags.Bool("all", false, "remove everything")
	dry := flags.Bool("dry-run", false, "only say what would go, and why")
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		policy, err := pruningPolicy(*all, *keep, *older)
		if err != nil {
			return err
		}
		return prune(env, *files, policy, *dry)
	}
}

func pruningPolicy(all bool, keep int, older string) (engines.Policy, error) {
	p := engines.Policy{All: all, Keep: keep}
	if keep < 0 {
		return p, usagef("--keep is a number of engines, not %d", keep)
	}
	if older == "" {
		return p, nil
	}
	days, isDays := strings.CutSuffix(older, "d")
	if n, err := strconv.Atoi(days); isDays && err == nil && n > 0 && n < 36500 {
		p.Older = time.Duration(n) * 24 * time.Hour
		return p, nil
	}
	age, err := time.ParseDuration(older)
	if err != nil || age <= 0 {
		return p, usagef("--older is an age such as 30d or 12h, not %q", older)
	}
	p.Older = age
	return p, nil
}

// prune removes engines and says why each goes or stays.
func prune(env environment, files []string, policy engines.Policy, dry bool) error {
	configs, err := loadAll(files)
	if err != nil {
		return err
	}
	cache, err := configs[0].Engines.Open()
	if err != nil {
		return err
	}
	list, err := cache.List(true)
	if err != nil {
		return err
	}
	want := func(engines.Inputs) string { return "" }
	if len(files) > 0 && !policy.All && len(list) > 0 {
		if want, err = usableBy(configs); err != nil {
			fmt.Fprintf(env.stderr, "What can be used here is not known, so that only what is damaged goes: %v\n", err)
			want = func(engines.Inputs) string { return "" }
		}
	}
	var failed []error
	for _, d := range engines.Decide(list, want, policy, time.Now()) {
		verb := "stays"
		if d.Remove {
			verb = "goes"
			if !dry {
				failed = append(failed, cache.Remove(d.Entry))
			}
		}
		fmt.Fprintf(env.stdout, "%s  %s: %s\n", title(d.Entry), verb, d.Why)
	}
	return errors.Join(failed...)
}

func loadAll(files []string) (configs []*Config, err error) {
	if len(files) == 0 {
		files = []string{""}
	}
	for _, file := range files {
		c, err := loadConfig(file, nil)
		if err != nil {
			return nil, err
		}
		configs = append(configs, c)
	}
	return configs, nil
}

// A user is a model that a configuration runs on TensorRT.
type user struct {
	config *Config
	kind   string
	sha256 string
	source *engineSource
}

// usableBy makes the question whether any of the configurations can use an
// engine; the answer is "", or why the closest of them cannot.
func usableBy(configs []*Config) (func(engines.Inputs) string, error) {
	var users []user
	for _, c := range configs {
		more, err := c.users()
		if err != nil {
			return nil, err
		}
		users = append(users, more...)
	}
	return func(in engines.Inputs) string { return whyUnusable(in, users) }, nil
}

// users are the models of one configuration.
func (c *Config) users() (list []user, err error) {
	if err := c.startRuntime(slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	defer tensorrt.Stop()
	source, err := c.engineSource()
	if err != nil {
		return nil, err
	}
	for kind, path := range c.onTensorRT() {
		m, err := tensorrt.LoadModel(path, kind)
		if err != nil {
			return nil, err
		}
		list = append(list, user{c, kind, m.SHA256, source})
	}
	return list, nil
}

// whyUnusable takes an engine's own size: which one a camera gives, nobody knows.
func whyUnusable(in engines.Inputs, users []user) string {
	var closest []string
	for _, u := range users {
		if u.kind != in.Kind {
			continue
		}
		now, err := u.source.inputs(&u.config.Runtime, u.kind, u.sha256, image.Pt(in.Width, in.Height))
		if err != nil {
			return "" // a calibration table that cannot be read may come back
		}
		differences := in.Differences(now)
		if len(differences) == 0 {
			return ""
		}
		if closest == nil || len(differences) < len(closest) {
			closest = differences
		}
	}
	if closest == nil {
		return "no " + in.Kind + " runs on TensorRT"
	}
	return strings.Join(closest, ", ")
}
