package board

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Identity is what does not change while a machine runs; "" for what it does not tell.
type Identity struct {
	Model   string
	L4T     string // Linux for Tegra, such as 36.4.0
	JetPack string // such as 6.1
}

// Identify reads the model from the device tree or the firmware, L4T from
// /etc/nv_tegra_release, and JetPack from dpkg's database: no other place holds it.
func Identify(root string) Identity {
	t := tree{root: root}
	installed := packages(root, "nvidia-jetpack", "nvidia-jetpack-runtime", "nvidia-jetpack-dev", "nvidia-l4t-core")
	i := Identity{Model: t.model(), L4T: release(string(t.bytes("etc/nv_tegra_release")))}
	for _, name := range []string{"nvidia-jetpack", "nvidia-jetpack-runtime", "nvidia-jetpack-dev"} {
		if i.JetPack == "" {
			i.JetPack = leadingVersion(installed[name])
		}
	}
	if i.L4T == "" {
		i.L4T = leadingVersion(installed["nvidia-l4t-core"])
	}
	return i
}

func (t *tree) model() string {
	for _, path := range []string{"proc/device-tree/model", "sys/firmware/devicetree/base/model"} {
		if m := t.text(path); m != "" {
			return m
		}
	}
	const dmi = "sys/class/dmi/id/"
	return strings.TrimSpace(t.text(dmi+"sys_vendor") + " " + t.text(dmi+"product_name"))
}

var tegraRelease = regexp.MustCompile(`^# R(\d{1,4}) \(release\), REVISION: (\d{1,4}(?:\.\d{1,4})*)`)

// release reads 36.4.0 out of "# R36 (release), REVISION: 4.0, GCID: ...".
func release(text string) string {
	m := tegraRelease.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1] + "." + m[2]
}

var version = regexp.MustCompile(`^\d{1,9}(\.\d{1,9}){0,9}`)

// leadingVersion reads 6.1 out of 6.1+b123.
func leadingVersion(text string) string { return version.FindString(text) }

// packages returns the versions of those packages that are installed.
func packages(root string, wanted ...string) map[string]string {
	file, err := os.Open(filepath.Join(root, "var/lib/dpkg/status"))
	if err != nil {
		return nil
	}
	defer file.Close()
	return parsePackages(file, wanted)
}

// parsePackages reads dpkg's database: paragraphs of "Field: value" lines.
func parsePackages(r io.Reader, wanted []string) map[string]string {
	found := map[string]string{}
	var name, state string
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20) // a description's line may be long
	for s.Scan() {
		field, value, _ := strings.Cut(s.Text(), ": ")
		switch field {
		case "Package":
			name, state = value, ""
		case "Status":
			state = value
		case "Version":
			if strings.HasSuffix(state, " installed") && slices.Contains(wanted, name) {
				found[name] = value
			}
		}
	}
	return found
}

var powerModel = regexp.MustCompile(`(?m)^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([\w.+-]{1,64})\s*>`)

// powerModes reads the names of nvpmodel's modes by number.
func (t *tree) powerModes() map[string]string {
	file, err := os.Open(filepath.Join(t.root, "etc/nvpmodel.conf"))
	if err != nil {
		return nil
	}
	defer file.Close()
	text, _ := io.ReadAll(io.LimitReader(file, 1<<20))
	modes := map[string]string{}
	for _, m := range powerModel.FindAllSubmatch(text, -1) {
		modes[string(m[1])] = string(m[2])
	}
	return modes
}

// powerMode is the mode that nvpmodel remembers as "pmode:0002".
func (t *tree) powerMode(modes map[string]string) string {
	_, rest, ok := strings.Cut(t.text("var/lib/nvpmodel/status"), "pmode:")
	number := leadingVersion(rest)
	if !ok || number == "" || strings.Contains(number, ".") {
		return ""
	}
	if number = strings.TrimLeft(number, "0"); number == "" {
		number = "0"
	}
	if name := modes[number]; name != "" {
		return name
	}
	return number
}
