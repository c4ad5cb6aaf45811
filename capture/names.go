package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tree is where device links and sysfs are found: "" on a machine, a temporary folder in tests.
type tree struct{ root string }

var machine = tree{}

const (
	byID   = "/dev/v4l/by-id"
	byPath = "/dev/v4l/by-path"
)

// names are the links to node that survive a replug, the best first. A by-id name that two cameras claim is none.
func (t tree) names(node string) []string {
	var list []string
	if len(t.twins(node)) == 0 {
		list = t.links(byID, node)
	}
	return append(list, t.links(byPath, node)...)
}

func (t tree) links(folder, node string) []string {
	links, _ := filepath.Glob(filepath.Join(t.root, folder, "*"))
	var list []string
	for _, l := range links {
		if target, err := filepath.EvalSymlinks(l); err == nil && target == filepath.Join(t.root, node) {
			list = append(list, strings.TrimPrefix(l, t.root))
		}
	}
	return list
}

// resolve finds the node behind a configured device, and the name to remember it by.
func (t tree) resolve(device string) (node, name string, err error) {
	node, err = filepath.EvalSymlinks(filepath.Join(t.root, device))
	if err != nil {
		return "", "", fmt.Errorf("camera.device %s: not plugged in: %w", device, err)
	}
	node = strings.TrimPrefix(node, t.root)
	if filepath.Dir(device) == byID {
		return node, device, t.unambiguous(device, node)
	}
	if node != filepath.Clean(device) {
		return node, device, nil
	}
	if names := t.names(node); len(names) > 0 {
		return node, names[0], nil
	}
	return node, node, nil
}

// unambiguous refuses a by-id name that several cameras claim: udev lets the link point to any of them.
func (t tree) unambiguous(device, node string) error {
	twins := t.twins(node)
	if len(twins) == 0 {
		return nil
	}
	var paths []string
	for _, n := range append([]string{node}, twins...) {
		paths = append(paths, t.links(byPath, n)...)
	}
	return fmt.Errorf("camera.device %s: %d cameras claim this name; use one of %s", device, len(twins)+1, strings.Join(paths, ", "))
}

// twins are the other nodes that cannot be told from node by USB vendor, product, serial number and index: what
// udev makes a by-id name of.
func (t tree) twins(node string) []string {
	own := t.identity(filepath.Base(node))
	if own == "" {
		return nil
	}
	entries, _ := os.ReadDir(filepath.Join(t.root, "/sys/class/video4linux"))
	var list []string
	for _, e := range entries {
		if e.Name() != filepath.Base(node) && t.identity(e.Name()) == own {
			list = append(list, filepath.Join("/dev", e.Name()))
		}
	}
	return list
}

// identity is "" for what is not on USB.
func (t tree) identity(node string) string {
	class := filepath.Join(t.root, "/sys/class/video4linux", node)
	usb, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
	if err != nil {
		return ""
	}
	attribute := func(path ...string) string {
		b, _ := os.ReadFile(filepath.Join(path...))
		return strings.TrimSpace(string(b))
	}
	usb = filepath.Dir(usb) // from the interface to its device
	vendor := attribute(usb, "idVendor")
	if vendor == "" {
		return ""
	}
	return strings.Join([]string{vendor, attribute(usb, "idProduct"), attribute(usb, "serial"), attribute(class, "index")}, ":")
}
