package main

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
)

func TestManPage(t *testing.T) {
	var out, err bytes.Buffer
	if status := execute(context.Background(), environment{&out, &err}, []string{"man"}); status != 0 {
		t.Fatalf("status %d: %s", status, err.String())
	}
	page := out.String()
	for _, c := range commands {
		if !strings.Contains(page, "\n.SS sharpend "+c.name+" ") {
			t.Errorf("no command %s", c.name)
		}
	}
	for _, want := range []string{`\fB\-c, \-\-config\fR \fIstring\fR`, `\fB\-\-predict\-only\fR`, "\n.SH SIGNALS\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(help(), " man ") {
		t.Error("the help shows what only the package needs")
	}
	t.Setenv("JOURNAL_STREAM", "1:2") // under systemd one flag has another default
	if manPage() != page {
		t.Error("the page depends on where it is made")
	}
}

func TestManPageIsCleanRoff(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("no groff here")
	}
	c := exec.Command(groff, "-man", "-Tascii", "-ww", "-z")
	c.Stdin = strings.NewReader(manPage())
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff says: %v %s", err, out)
	}
}

func TestRoff(t *testing.T) {
	for in, want := range map[string]string{"a-b": `a\-b`, ".x": `\&.x`, `\n`: `\en`, "'x": `\&'x`} {
		if got := roff(in); got != want {
			t.Errorf("%q: expected %q, found %q", in, want, got)
		}
	}
}
