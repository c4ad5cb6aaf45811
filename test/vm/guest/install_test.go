//go:build vm

package guest

import (
	"strings"
	"testing"
)

// installed is what dpkg said.
var installed string

// install puts the package onto the machine. A program that lies beside the package replaces the package's own: that
// is for trying the tests on a program that is broken on purpose.
func install() (err error) {
	if installed, err = shell("dpkg --purge sharpend 2>/dev/null; dpkg -i /opt/test/sharpend.deb"); err != nil {
		return err
	}
	_, err = shell("[ ! -e /opt/test/sharpend ] || install /opt/test/sharpend /usr/bin/sharpend")
	return err
}

// Without a camera's configuration nothing is started, and the package says what to do next.
func TestInstall(t *testing.T) {
	if !strings.Contains(installed, "no camera configured yet") || !strings.Contains(installed, "sharpend devices") {
		t.Errorf("dpkg said %q", installed)
	}
	if state, _ := shell("systemctl is-active sharpend.service"); state != "inactive" {
		t.Errorf("the service is %s", state)
	}
	if out, err := shell("sharpend devices"); err != nil || !strings.Contains(out, vivid) {
		t.Errorf("sharpend devices: %v: %s", err, out)
	}
}
