// Sharpend makes moving cameras see sharply: it deblurs every camera frame
// with a predictor, refines keyframes by a few diffusion steps, and publishes
// both over MQTT. The method is "Deblurring via Stochastic Refinement"
// (Whang et al., CVPR 2022).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
)

// version is set by the linker: go build -ldflags "-X main.version=v1.2.3".
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, environment{os.Stdout, os.Stderr}, os.Args[1:]))
}

// An environment is what a command may touch besides its arguments.
type environment struct{ stdout, stderr io.Writer }

// A command is a function of context, environment and arguments. Its error
// becomes the exit status: 2 for wrong usage, 1 for any other.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, env environment, flags *pflag.FlagSet) func(args []string) error
}

var commands = []command{
	{"run", "--config FILE", "the daemon: sharpen a camera's frames and publish them", runCommand},
	{"image", "IN OUT", "sharpen a picture, or a folder of pictures", imageCommand},
	{"check", "--config FILE", "validate a configuration and print what is in force", checkCommand},
	{"devices", "", "list cameras, and the providers that work on this machine", devicesCommand},
	{"engines build", "--config FILE", "build TensorRT's engines before they are needed; what is there already stays", enginesBuildCommand},
	{"engines list", "", "list TensorRT's engines: what they were built for, how long it took", enginesListCommand},
	{"engines verify", "", "check every byte of every engine; status 1 if one is damaged", enginesVerifyCommand},
	{"engines prune", "", "remove engines that are damaged or cannot be used any more", enginesPruneCommand},
	{"doctor", "--config FILE", "check everything that can keep the daemon from running well, and say what to do", doctorCommand},
	{"bench networks", "", "measure each network by itself, at several sizes, on each provider", benchNetworksCommand},
	{"bench", "--config FILE", "measure the pipeline's speed on this machine", benchCommand},
	{"models verify", "FILE...", "hold model files to every check that the daemon makes before it switches to them", verifyCommand},
	{"models use", "FILE... --config FILE", "verify models, copy them beside the configuration, and name them in it", useCommand},
	{"version", "", "print the version", versionCommand},
}

// errUsage marks errors that end with status 2.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// execute runs one command and returns the exit status.
func execute(ctx context.Context, env environment, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(env.stderr, help())
		return 2
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "--help" {
		if len(args) > 1 && name == "help" {
			return execute(ctx, env, append(args[1:len(args):len(args)], "--help"))
		}
		fmt.Fprint(env.stdout, help())
		return 0
	}
	if name == "--version" {
		name = "version"
	}
	if name == "man" { // for the package, not for people
		fmt.Fprint(env.stdout, manPage())
		return 0
	}
	if c, rest, ok := find(args, name); ok {
		return status(env, c, c.execute(ctx, env, rest))
	}
	if verbs := list(name + " "); verbs != "" {
		return askForVerb(env, name, args[1:], verbs)
	}
	fmt.Fprintf(env.stderr, "sharpend: there is no command %q; the commands are:\n%s", name, list(""))
	return 2
}

// find looks for a command, whose name may be of two words, and returns what follows it.
func find(args []string, name string) (c command, rest []string, ok bool) {
	for _, c := range commands {
		first, second, two := strings.Cut(c.name, " ")
		switch {
		case first != name:
		case !two:
			return c, args[1:], true
		case len(args) > 1 && args[1] == second:
			return c, args[2:], true
		}
	}
	return command{}, nil, false
}

// askForVerb answers a command of two words whose second is missing or wrong.
func askForVerb(env environment, name string, rest []string, verbs string) int {
	if len(rest) > 0 && (rest[0] == "--help" || rest[0] == "-h") {
		fmt.Fprintf(env.stdout, "Usage: sharpend %s COMMAND [flags]\n\nCommands:\n%s", name, verbs)
		return 0
	}
	problem := "a word is missing"
	if len(rest) > 0 {
		problem = fmt.Sprintf("there is no %q", rest[0])
	}
	fmt.Fprintf(env.stderr, "sharpend %s: %s; the commands are:\n%s", name, problem, verbs)
	return 2
}

func (c command) execute(ctx context.Context, env environment, args []string) error {
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprintf(env.stdout, "%s\n\nUsage: sharpend %s %s [flags]\n\nFlags:\n%s", sentence(c.summary), c.name, c.arguments, flags.FlagUsages())
	}
	run := c.run(ctx, env, flags)
	err := flags.Parse(args)
	if err == nil {
		return run(flags.Args())
	}
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	return usagef("%v", err)
}

// status reports an error and turns it into the exit status.
func status(env environment, c command, err error) int {
	if err == nil {
		return 0
	}
	text := strings.TrimPrefix(err.Error(), errUsage.Error()+": ")
	fmt.Fprintf(env.stderr, "sharpend %s: %s\n", c.name, text)
	if !errors.Is(err, errUsage) {
		return 1
	}
	fmt.Fprintf(env.stderr, "Try: sharpend %s --help\n", c.name)
	return 2
}

func help() string {
	return "Sharpend makes moving cameras see sharply.\n\nUsage: sharpend COMMAND [flags]\n\nCommands:\n" + list("") +
		"\nsharpend COMMAND --help says more. Start with: sharpend run --config configs/demo.yaml\n"
}

// list is the commands whose names start with prefix, one a line.
func list(prefix string) string {
	var b strings.Builder
	for _, c := range commands {
		if strings.HasPrefix(c.name, prefix) {
			fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.summary)
		}
	}
	return b.String()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// noArguments refuses what a command does not take.
func noArguments(args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}
