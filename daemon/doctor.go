package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"sharpend/board"
	"sharpend/capture"
	"sharpend/tensorrt"
)

// A finding is the outcome of one check: what was found, and for anything but ok
// what to do about it.
type finding struct {
	Name   string  `json:"name"`
	Status verdict `json:"status"`
	Detail string  `json:"detail"`
	Advice string  `json:"advice,omitempty"`
}

// A verdict is ok, warn (the daemon runs, but worse than it could) or fail.
type verdict string

const (
	fine verdict = "ok"
	warn verdict = "warn"
	fail verdict = "fail"
)

// A doctor examines this machine for one configuration. What one check learns,
// later ones use.
type doctor struct {
	config  *Config
	tell    func(finding) // called for each finding, in order
	board   *board.Reader
	library string          // ONNX Runtime's, "" without
	chosen  string          // the provider that will run, "" without
	model   *tensorrt.Model // the predictor, nil without
	granted capture.Format  // the camera's, zero without
	rate    float64         // of the camera, frames a second
}

func doctorCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file; without it the defaults are checked")
	asJSON := flags.Bool("json", false, "print JSON")
	strict := flags.Bool("strict", false, "end with status 1 for warnings too")
	o := newOverrides(flags)
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		var all []finding
		tell := func(f finding) {
			all = append(all, f)
			if !*asJSON {
				f.print(env.stdout)
			}
		}
		d := &doctor{tell: tell, board: board.NewReader("/")}
		d.examine(ctx, *file, o.apply)
		if err := ctx.Err(); err != nil {
			return err
		}
		if *asJSON {
			return writeDiagnosis(env.stdout, all, *strict)
		}
		err := judge(all, *strict)
		fmt.Fprintf(env.stdout, "\n%s\n", summaryOf(all))
		return err
	}
}

// examine makes every check. Those of camera, models and broker need a valid configuration.
func (d *doctor) examine(ctx context.Context, file string, override func(*Config)) {
	c, err := loadConfig(file, override)
	d.tell(configFinding(file, err))
	d.board.Read() // so that the last check sees overcurrent events in between
	if d.config = c; c == nil {
		d.config = Default()
	}
	d.checkRuntime()
	defer tensorrt.Stop()
	d.checkSoftware()
	if c != nil && ctx.Err() == nil {
		d.checkModels()
		d.checkCamera(ctx)
		d.checkSpeed()
		d.checkEngine()
		d.checkBroker(ctx)
	}
	d.checkMachine()
}

func configFinding(file string, err error) finding {
	switch {
	case err != nil:
		return finding{"config", fail, err.Error(), "mend that; camera, models and broker are not checked without it (every key: configs/sharpend.yaml)"}
	case file == "":
		return finding{"config", fine, "none given: the defaults are checked (--config FILE)", ""}
	}
	return finding{"config", fine, file + " is valid", ""}
}

// A diagnosis is what --json prints.
type diagnosis struct {
	Version  string    `json:"version"`
	Status   verdict   `json:"status"` // the worst
	Findings []finding `json:"findings"`
}

func writeDiagnosis(w io.Writer, all []finding, strict bool) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(diagnosis{version, worst(all), all}); err != nil {
		return err
	}
	return judge(all, strict)
}

func count(all []finding, v verdict) (n int) {
	for _, f := range all {
		if f.Status == v {
			n++
		}
	}
	return n
}

func worst(all []finding) verdict {
	for _, v := range []verdict{fail, warn} {
		if count(all, v) > 0 {
			return v
		}
	}
	return fine
}

// judge turns findings into the command's error, and so into its exit status.
func judge(all []finding, strict bool) error {
	fails, warns := count(all, fail), count(all, warn)
	if fails > 0 || strict && warns > 0 {
		return fmt.Errorf("%d failed and %d warned of %d checks", fails, warns, len(all))
	}
	return nil
}

func summaryOf(all []finding) string {
	switch worst(all) {
	case fail:
		return "Sharpend cannot run like this: see the lines marked fail."
	case warn:
		return "Sharpend runs, but not as well as it could: see the lines marked warn."
	}
	return "All is well."
}

const (
	margin  = 20  // columns of status and name
	columns = 110 // of a line
)

// print writes "ok    camera        detail", with what to do on lines of its own.
func (f finding) print(w io.Writer) {
	status := fmt.Sprintf("%-5s", f.Status)
	if isTerminal(w) && os.Getenv("NO_COLOR") == "" {
		status = map[verdict]string{fine: "\x1b[32m", warn: "\x1b[33m", fail: "\x1b[31m"}[f.Status] + status + "\x1b[0m"
	}
	indent := strings.Repeat(" ", margin)
	fmt.Fprintf(w, "%s %-*s%s\n", status, margin-6, strings.ReplaceAll(f.Name, "_", " "), strings.Join(wrap(f.Detail, columns-margin), "\n"+indent))
	if f.Advice != "" {
		fmt.Fprintf(w, "%s-> %s\n", indent, strings.Join(wrap(f.Advice, columns-margin-3), "\n"+indent+"   "))
	}
}

// wrap breaks text at spaces into lines of at most width bytes; longer words stay whole.
func wrap(text string, width int) (lines []string) {
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len(line)+1+len(word) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		lines = append(lines, line)
	}
	return lines
}
