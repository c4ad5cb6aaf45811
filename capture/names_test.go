package capture

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newTree makes a machine with three USB cameras: 0 and 2 are the same model without a serial number.
func newTree(t *testing.T) tree {
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(target, path)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ node, port, product, serial, id string }{
		{"video0", "1-1", "0825", "", ""}, {"video2", "1-2", "0825", "", "usb-Twin"}, {"video4", "1-3", "0825", "S1", "usb-Single"},
	} {
		write("/dev/"+c.node, "")
		write("/sys/devices/"+c.port+"/idVendor", "046d\n")
		write("/sys/devices/"+c.port+"/idProduct", c.product+"\n")
		if c.serial != "" {
			write("/sys/devices/"+c.port+"/serial", c.serial+"\n")
		}
		write("/sys/devices/"+c.port+"/"+c.port+":1.0/modalias", "")
		write("/sys/class/video4linux/"+c.node+"/index", "0\n")
		link("../../../devices/"+c.port+"/"+c.port+":1.0", "/sys/class/video4linux/"+c.node+"/device")
		link("../../"+c.node, byPath+"/usb-"+c.port)
		if c.id != "" {
			link("../../"+c.node, byID+"/"+c.id)
		}
	}
	write("/dev/video9", "")
	link("video4", "/dev/front-camera")
	return tree{root}
}

func TestResolve(t *testing.T) {
	tree := newTree(t)
	tests := []struct{ device, node, name, fault string }{
		{byID + "/usb-Single", "/dev/video4", byID + "/usb-Single", ""},
		{byPath + "/usb-1-1", "/dev/video0", byPath + "/usb-1-1", ""},
		{byID + "/usb-Twin", "", "", "2 cameras claim this name; use one of /dev/v4l/by-path/usb-1-2, /dev/v4l/by-path/usb-1-1"},
		{"/dev/video4", "/dev/video4", byID + "/usb-Single", ""},
		{"/dev/video2", "/dev/video2", byPath + "/usb-1-2", ""},
		{"/dev/front-camera", "/dev/video4", "/dev/front-camera", ""},
		{"/dev/video9", "/dev/video9", "/dev/video9", ""},
		{"/dev/video7", "", "", "camera.device /dev/video7: not plugged in"},
	}
	for _, tt := range tests {
		node, name, err := tree.resolve(tt.device)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s: %v, want %q", tt.device, err, tt.fault)
			}
			continue
		}
		if err != nil || node != tt.node || name != tt.name {
			t.Errorf("%s: %s, %s, %v, want %s, %s", tt.device, node, name, err, tt.node, tt.name)
		}
	}
}

func TestChooseDevice(t *testing.T) {
	good := Device{Path: "/dev/video0", Names: []string{byID + "/a", byPath + "/a"}}
	other, bad := Device{Path: "/dev/video2"}, Device{Path: "/dev/video4", Problem: "permission denied"}
	for _, tt := range []struct {
		list       []Device
		name, want string
	}{
		{nil, "", "no camera is plugged in"},
		{[]Device{bad, good}, byID + "/a", ""},
		{[]Device{other}, "/dev/video2", ""},
		{[]Device{bad}, "", "/dev/video4: permission denied"},
		{[]Device{good, other, bad}, "", "2 cameras: name one of " + byID + "/a, /dev/video2"},
	} {
		_, name, err := chooseDevice(tt.list)
		if name != tt.name || (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %q, %v, want %q, %q", tt.list, name, err, tt.name, tt.want)
		}
	}
}
