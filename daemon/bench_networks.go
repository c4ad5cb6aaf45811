package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sharpend/infer"
	"sharpend/tensorrt"
)

func benchNetworksCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file; none = the defaults")
	sizes := flags.StringSlice("sizes", []string{"640x480", "1280x720", "1920x1080"}, "sizes of pictures")
	precisions := flags.StringSlice("precisions", []string{tensorrt.FP32, tensorrt.FP16}, "of TensorRT's engines")
	seconds := flags.Float64("seconds", 3, "length of each measurement")
	gpu := flags.String("gpu", "", "the GPU's name as nvidia-smi gives it, for the floors of those that are known")
	providers := flags.StringSlice("providers", nil, "to measure (runtime.providers)")
	asJSON := flags.Bool("json", false, "print JSON")
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *seconds <= 0 {
			return usagef("--seconds must be positive")
		}
		points, err := parseSizes(*sizes)
		if err != nil {
			return err
		}
		c, err := loadConfig(*file, func(c *Config) {
			if len(*providers) > 0 {
				c.Runtime = c.Runtime.WithProviders(*providers...)
			}
		})
		if err != nil {
			return err
		}
		b := networkBench{config: c, sizes: points, precisions: *precisions, length: time.Duration(*seconds * float64(time.Second)), log: env.stderr}
		r, err := b.run(ctx)
		if err != nil {
			return err
		}
		r.GPU, r.Peak = *gpu, peakOf(*gpu)
		if *asJSON {
			e := json.NewEncoder(env.stdout)
			e.SetIndent("", "  ")
			return e.Encode(r)
		}
		r.print(env.stdout)
		return nil
	}
}

func parseSizes(texts []string) (sizes []image.Point, err error) {
	for _, text := range texts {
		var p image.Point
		if n, err := fmt.Sscanf(text, "%dx%d", &p.X, &p.Y); n != 2 || err != nil || text != sizeText(p) || p.X < 1 || p.Y < 1 {
			return nil, usagef("--sizes: %q is no size such as 1280x720", text)
		}
		sizes = append(sizes, p)
	}
	return sizes, nil
}

// A networkBench measures each network by itself, without camera and broker.
type networkBench struct {
	config     *Config
	sizes      []image.Point
	precisions []string
	length     time.Duration
	log        io.Writer
}

// A networksResult is what came of it.
type networksResult struct {
	Version string       `json:"version"`
	ONNX    string       `json:"onnxruntime"`
	GPU     string       `json:"gpu,omitempty"`
	Peak    *peak        `json:"peak,omitempty"`
	Runs    []networkRun `json:"runs"`
}

// A networkRun is one network at one size, on one provider, in one precision.
type networkRun struct {
	Network    string    `json:"network"`
	Kind       string    `json:"kind"`
	Size       string    `json:"size"`
	Provider   string    `json:"provider"`
	Precision  string    `json:"precision"`
	Error      string    `json:"error,omitempty"` // why it was not measured
	Cold       float64   `json:"cold_s"`          // to open it, an engine's build and the comparison with the CPU included
	Warm       float64   `json:"warm_s"`          // to open it again
	Run        quantiles `json:"run_ms"`          // of one run: a frame, or a refinement step
	Difference string    `json:"difference,omitempty"`
	Nodes      string    `json:"nodes"`      // which provider runs how many, and for how much of the time
	GFLOP      float64   `json:"gflop"`      // of one run, from the network's metadata
	Gigabytes  float64   `json:"traffic_gb"` // that its layers read and write in float32, from the CPU's profile
}

func (b *networkBench) run(ctx context.Context) (*networksResult, error) {
	n, err := b.config.start(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer tensorrt.Stop()
	r := &networksResult{Version: version, ONNX: tensorrt.Version()}
	for _, m := range []*tensorrt.Model{n.predictor, n.denoiser} {
		if m == nil {
			continue
		}
		for _, size := range b.sizes {
			work, err := b.workOf(m, size)
			if err != nil {
				return nil, err
			}
			for _, provider := range b.config.Runtime.ProvidersFor(m.Kind) {
				for _, precision := range b.precisionsOf(provider) {
					if ctx.Err() != nil {
						return nil, ctx.Err()
					}
					r.Runs = append(r.Runs, b.measure(m, size, provider, precision, work))
				}
			}
		}
	}
	return r, nil
}

// precisionsOf are those to measure: CUDA and the CPU compute in the network's own.
func (b *networkBench) precisionsOf(provider string) []string {
	if provider == tensorrt.TensorRT {
		return b.precisions
	}
	return []string{tensorrt.FP32}
}

// measure opens the network twice, so that the second time finds the engine, and runs it.
func (b *networkBench) measure(m *tensorrt.Model, size image.Point, provider, precision string, w work) networkRun {
	r := networkRun{Network: m.Name, Kind: m.Kind, Size: sizeText(size), Provider: provider, Precision: precision, GFLOP: w.gflop, Gigabytes: w.gigabytes}
	fmt.Fprintf(b.log, "%s, %s, %s, %s\n", r.Network, r.Size, provider, precision)
	dir, err := os.MkdirTemp("", "sharpend-bench")
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer os.RemoveAll(dir)
	c := b.config.Runtime.WithProviders(provider).WithEngineCache(dir, "")
	c.TensorRT.Precision, c.TensorRT.DenoiserPrecision = precision, precision
	for i := range 2 {
		begin := time.Now()
		s, err := openBenched(m, c, size)
		if err != nil {
			r.Error = reasonOf(err, provider)
			return r
		}
		if i == 0 {
			r.Cold, r.Difference = time.Since(begin).Seconds(), s.attempts[len(s.attempts)-1].Difference
		} else {
			r.Warm = time.Since(begin).Seconds()
			r.Run, err = b.loop(s.run)
		}
		s.close()
		if err != nil {
			r.Error = err.Error()
			return r
		}
	}
	list, err := tensorrt.Nodes(m, c, provider, size.X, size.Y)
	if err != nil {
		r.Error = err.Error()
	}
	r.Nodes = sharesText(list)
	return r
}

// sharesText says who runs a network: "tensorrt 2 nodes (97 %), cuda 3 nodes (3 %)".
func sharesText(list []tensorrt.NodeShare) string {
	var all time.Duration
	for _, s := range list {
		all += s.Time
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = fmt.Sprintf("%s %d nodes (%.0f %%)", s.Provider, s.Nodes, 100*s.Time.Seconds()/max(all.Seconds(), 1e-9))
	}
	return strings.Join(texts, ", ")
}

// reasonOf is why the one provider of a list was passed over.
func reasonOf(err error, provider string) string {
	if _, reason, ok := strings.Cut(err.Error(), " works: "+provider+": "); ok {
		err = errors.New(reason)
	}
	return whyNot(err)
}

// loop runs for the set time, and five times at least; the first run is not counted.
func (b *networkBench) loop(run func() error) (quantiles, error) {
	const least = 5
	var h histogram
	if err := run(); err != nil {
		return quantiles{}, err
	}
	for begin, i := time.Now(), 0; i < least || time.Since(begin) < b.length; i++ {
		before := time.Now()
		if err := run(); err != nil {
			return quantiles{}, err
		}
		h.add(time.Since(before))
	}
	return h.take(), nil
}

// A benched is an open session of either kind.
type benched struct {
	attempts []tensorrt.Attempt
	run      func() error
	close    func()
}

func openBenched(m *tensorrt.Model, c tensorrt.Config, size image.Point) (*benched, error) {
	if m.Kind == tensorrt.DenoiserKind {
		d, err := tensorrt.OpenDenoiser(m, c, size.X, size.Y)
		if err != nil {
			return nil, err
		}
		return &benched{d.Attempts(), func() error { return d.Run(1) }, d.Close}, nil
	}
	p, err := tensorrt.OpenPredictor(m, c, size.X, size.Y)
	if err != nil {
		return nil, err
	}
	picture := func() *image.YCbCr { return infer.NewPlanes(size.X, size.Y, m.Multiple) }
	binding, err := p.Bind(picture(), picture())
	if err != nil {
		p.Close()
		return nil, err
	}
	return &benched{p.Attempts(), binding.Run, p.Close}, nil
}

// kinds are the runs of each kind of network.
func (r *networksResult) kinds() (all [][]networkRun) {
	for _, kind := range []string{tensorrt.PredictorKind, tensorrt.DenoiserKind} {
		runs := slices.DeleteFunc(slices.Clone(r.Runs), func(n networkRun) bool { return n.Kind != kind })
		if len(runs) > 0 {
			all = append(all, runs)
		}
	}
	return all
}
