package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// Device is a camera that is plugged in now.
type Device struct {
	Path    string   // /dev/videoN: changes from plug to plug
	Names   []string // its stable names, the best first
	Card    string   // the camera's name for itself
	Driver  string
	Bus     string
	Formats []Mode // empty where Problem is not
	Problem string // why it cannot be used now; "" if it can
}

func (d Device) bestName() string { return append(slices.Clone(d.Names), d.Path)[0] }

// Devices lists the cameras that are plugged in, without metadata nodes and devices that are no cameras.
func Devices() ([]Device, error) {
	nodes, err := filepath.Glob("/sys/class/video4linux/video*")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b string) int { return nodeNumber(a) - nodeNumber(b) })
	var list []Device
	for _, n := range nodes {
		if d, ok := describe(filepath.Join("/dev", filepath.Base(n))); ok {
			list = append(list, d)
		}
	}
	return list, nil
}

func nodeNumber(path string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
	return n
}

// describe asks one node; ok is false for what is no camera.
func describe(node string) (d Device, ok bool) {
	d = Device{Path: node, Names: machine.names(node)}
	caps, err := queryNode(node)
	if err != nil {
		d.Problem = err.Error()
		return d, !errors.Is(err, errNoCapture) && !errors.Is(err, fs.ErrNotExist)
	}
	d.Card, d.Driver, d.Bus = text(caps.card[:]), text(caps.driver[:]), text(caps.bus[:])
	cam, _, err := openWebcam(node)
	if err != nil {
		d.Problem = err.Error()
		return d, true
	}
	defer cam.Close()
	d.Formats = modes(cam, nil)
	return d, true
}

var errNoCapture = errors.New("not a camera (no video capture)")

// queryNode asks what a node is. It looks at the node's own capabilities: those of the whole device let a
// camera's metadata node pass.
func queryNode(node string) (caps v4l2Capability, err error) {
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return caps, err
	}
	defer unix.Close(fd)
	if err := ioctl(fd, readCall, 0, &caps); err != nil {
		return caps, fmt.Errorf("not a V4L2 device: %w", err)
	}
	flags := caps.capabilities
	if flags&capDeviceCaps != 0 {
		flags = caps.devCaps
	}
	if flags&capCapture == 0 && flags&capMultiplane != 0 {
		return caps, errors.New("only multi-planar capture, which is not supported (feed it through v4l2loopback)")
	}
	if flags&capCapture == 0 {
		return caps, errNoCapture
	}
	return caps, nil
}

// opening keeps two opens of one node from taking each other's descriptor.
var opening sync.Mutex

// openWebcam opens node through blackjack/webcam and finds the descriptor that it keeps to itself.
func openWebcam(node string) (*webcam.Webcam, int, error) {
	opening.Lock()
	defer opening.Unlock()
	var want unix.Stat_t
	if err := unix.Stat(node, &want); err != nil {
		return nil, 0, err
	}
	before := descriptors(want.Rdev)
	cam, err := webcam.Open(node)
	if err != nil {
		return nil, 0, err
	}
	for _, fd := range descriptors(want.Rdev) {
		if !slices.Contains(before, fd) {
			unix.CloseOnExec(fd)
			return cam, fd, nil
		}
	}
	cam.Close()
	return nil, 0, errors.New("its descriptor is not under /proc/self/fd: is /proc mounted?")
}

// descriptors are this process's descriptors of a character device.
func descriptors(device uint64) []int {
	entries, _ := os.ReadDir("/proc/self/fd")
	var list []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		var st unix.Stat_t
		if err == nil && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == device {
			list = append(list, fd)
		}
	}
	return list
}
