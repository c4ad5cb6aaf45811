package tensorrt

import (
	"encoding/json"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sharpend/infer"
)

// A NodeShare is what one provider ran of a network.
type NodeShare struct {
	Provider string
	Nodes    int
	Time     time.Duration // of one run, summed over the nodes
	Bytes    int64         // that the nodes read and wrote, weights included, as far as the profile says
}

// Nodes says which provider runs which share of a network, by ONNX Runtime's
// own profile: it opens the model once more for pictures of w x h on one
// provider of c, and runs it twice. A provider that ONNX Runtime gives only a
// part of the graph shows here. Most nodes first.
func Nodes(m *Model, c Config, provider string, w, h int) ([]NodeShare, error) {
	size, err := m.Padded(w, h)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sharpend-profile")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c.profile = filepath.Join(dir, "run")
	a := attempt(provider, func(*Attempt) error { return m.runTwice(&c, provider, size) })
	if a.Err != nil {
		return nil, fmt.Errorf("%s on %s: %w", m.Path, provider, a.Err)
	}
	files, _ := filepath.Glob(c.profile + "*.json")
	if len(files) != 1 {
		return nil, fmt.Errorf("%s on %s: ONNX Runtime wrote %d profiles, expected 1", m.Path, provider, len(files))
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	return parseProfile(data)
}

// runTwice leaves the profile behind when it closes the session. The first run pays for the start.
func (m *Model) runTwice(c *Config, provider string, size image.Point) error {
	if m.Kind == DenoiserKind {
		return m.denoiseTwice(c, provider, size)
	}
	p := newPredictor(m, size)
	defer p.Close()
	if _, err := p.create(c, provider); err != nil {
		return err
	}
	b, err := p.Bind(infer.NewPlanes(size.X, size.Y, m.Multiple), infer.NewPlanes(size.X, size.Y, m.Multiple))
	if err != nil {
		return err
	}
	if err := b.Run(); err != nil {
		return err
	}
	return b.Run()
}

func (m *Model) denoiseTwice(c *Config, provider string, size image.Point) error {
	d := newDenoiser(m, size, size.X, size.Y)
	defer d.Close()
	if err := d.prepare(); err != nil {
		return err
	}
	if _, err := d.create(c, provider); err != nil {
		return err
	}
	if err := d.Run(1); err != nil {
		return err
	}
	return d.Run(1)
}

// A profileEvent is an entry of ONNX Runtime's profile, which is a list in the
// format of Chrome's trace viewer. Numbers among its args are strings.
type profileEvent struct {
	Category string          `json:"cat"`
	Name     string          `json:"name"`
	Duration int64           `json:"dur"` // microseconds
	Args     json.RawMessage `json:"args"`
}

type nodeArgs struct {
	Provider   string `json:"provider"`
	Index      string `json:"node_index"`
	Output     string `json:"output_size"` // bytes
	Activation string `json:"activation_size"`
	Parameter  string `json:"parameter_size"`
}

// parseProfile takes each node's last run.
func parseProfile(data []byte) ([]NodeShare, error) {
	var events []profileEvent
	if err := json.Unmarshal(data, &events); err != nil {
		return nil, fmt.Errorf("ONNX Runtime's profile: %w", err)
	}
	last := map[string]NodeShare{}
	for _, e := range events {
		if e.Category != "Node" || !strings.HasSuffix(e.Name, "_kernel_time") {
			continue
		}
		var args nodeArgs
		if err := json.Unmarshal(e.Args, &args); err != nil {
			return nil, fmt.Errorf("ONNX Runtime's profile, %s: %w", e.Name, err)
		}
		bytes := number(args.Output) + number(args.Activation) + number(args.Parameter)
		last[args.Index+e.Name] = NodeShare{providerNamed(args.Provider), 1, time.Duration(e.Duration) * time.Microsecond, bytes}
	}
	if len(last) == 0 {
		return nil, fmt.Errorf("ONNX Runtime's profile names no node")
	}
	return shares(last), nil
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return max(n, 0)
}

func shares(nodes map[string]NodeShare) []NodeShare {
	var list []NodeShare
	for _, n := range nodes {
		i := slices.IndexFunc(list, func(s NodeShare) bool { return s.Provider == n.Provider })
		if i < 0 {
			list = append(list, n)
			continue
		}
		list[i].Nodes++
		list[i].Time += n.Time
		list[i].Bytes += n.Bytes
	}
	slices.SortFunc(list, func(a, b NodeShare) int {
		if a.Nodes != b.Nodes {
			return b.Nodes - a.Nodes
		}
		return strings.Compare(a.Provider, b.Provider)
	})
	return list
}

// providerNamed turns ONNX Runtime's name into this program's.
func providerNamed(name string) string {
	switch name {
	case "TensorrtExecutionProvider":
		return TensorRT
	case "CUDAExecutionProvider":
		return CUDA
	case "CPUExecutionProvider":
		return CPU
	}
	return name
}
