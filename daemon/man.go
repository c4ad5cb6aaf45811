package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// manPage writes sharpend(1) from the commands' own help, so that the two
// never differ. It is the same on every machine and day. `sharpend man`, which
// no help shows, prints it for the package.
func manPage() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH SHARPEND 1 "" "sharpend %s" "User Commands"`, roff(version))
	line(".SH NAME\nsharpend \\- make moving cameras see sharply")
	line(".SH SYNOPSIS\n.B sharpend\n.I COMMAND\n.RI [ flags ]")
	line(".SH DESCRIPTION\n%s", roff(description))
	line(".SH COMMANDS")
	for _, c := range commands {
		line(".SS sharpend %s %s", c.name, roff(c.arguments))
		line("%s", roff(sentence(c.summary)))
		flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		flags.SortFlags = false
		c.run(context.Background(), environment{}, flags)
		flags.VisitAll(func(f *pflag.Flag) { b.WriteString(manFlag(f)) })
	}
	b.WriteString(manEnd)
	return b.String()
}

const description = `Takes a camera's frames, removes the motion blur from every one of them, refines keyframes by a few diffusion steps, and publishes both over MQTT.`

func manFlag(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		value = ` \fI` + roff(value) + `\fR`
	}
	return fmt.Sprintf(".TP\n\\fB%s\\fR%s\n%s\n", roff(name), value, roff(usage))
}

// roff protects what groff(7) would take for a request or a hyphen.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

const manEnd = `.SH FILES
.TP
.I /etc/sharpend/sharpend.yaml
what sharpend.service reads; sharpend@NAME.service reads NAME.yaml beside it
.TP
.I /etc/sharpend/example.yaml
every key with its default and what it does
.TP
.I /usr/share/sharpend
models, the demo (configs/demo.yaml), jetson.conf for machines with an NVIDIA GPU, prebuild.conf for engines before the start
.SH ENVIRONMENT
.TP
.B SHARPEND_ONNXRUNTIME
path of ONNX Runtime's library, where runtime.library is not set
.TP
.B SHARPEND_MODELS
folders with models, separated by colons
.TP
.B CREDENTIALS_DIRECTORY
set by systemd; stands in for ${CREDENTIALS_DIRECTORY} in paths of the mqtt section
.TP
.B SHARPEND_DEBUG_FREEZE
for debugging only: freezes the predictor so long after the start (such as 30s), to see the watchdog work
.SH SIGNALS
.TP
.B SIGHUP
read the configuration again; a bad file changes nothing
.TP
.B SIGUSR1
refine the next frame as a keyframe
.TP
.BR SIGTERM ", " SIGINT
say goodbye and end
.SH EXIT STATUS
0 after success, 1 after a failure, 2 after wrong usage (and after a crash of the program).
`
