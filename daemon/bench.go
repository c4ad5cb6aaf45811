package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

func benchCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file")
	seconds := flags.Float64("seconds", 5, "length of each measurement")
	rounds := flags.Int("rounds", 3, "how often each is repeated, in turn; medians are reported")
	asJSON := flags.Bool("json", false, "print JSON")
	o := newOverrides(flags)
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file == "" {
			return usagef("--config FILE is missing")
		}
		if *rounds < 1 || *seconds <= 0 {
			return usagef("--rounds and --seconds must be positive")
		}
		c, err := loadConfig(*file, o.apply)
		if err != nil {
			return err
		}
		r, err := c.bench(ctx, *rounds, time.Duration(*seconds*float64(time.Second)))
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(env.stdout)
			e.SetIndent("", "  ")
			return e.Encode(r)
		}
		r.print(env.stdout)
		return nil
	}
}

// A benchResult holds medians over the rounds. Ratios compare measurements
// of the same run, made in turn.
type benchResult struct {
	Version  string `json:"version"`
	CPUs     int    `json:"cpus"`
	Provider string `json:"provider"`
	Size     string `json:"size"`
	// Session is the bare predictor in a loop: nothing else runs.
	Session benchLoop `json:"session"`
	// Pipeline is everything, as fast as possible, without refinement.
	Pipeline benchLoop `json:"pipeline"`
	Ratio    float64   `json:"pipeline_to_session"`
	// Stages of the whole pipeline, milliseconds.
	Stages map[string]quantiles `json:"stages_ms"`
	// Paced at half of the session's rate, without and with a refiner that
	// never rests.
	Alone       quantiles `json:"predict_alone_ms"`
	Beside      quantiles `json:"predict_beside_refiner_ms"`
	P99Ratio    float64   `json:"predict_p99_ratio"`
	Step        quantiles `json:"refine_step_ms"`
	StepsPerSec float64   `json:"refine_steps_per_s"`
	// Allocations per frame outside paho.
	Allocations float64 `json:"allocations_per_frame"`
}

type benchLoop struct {
	FPS float64 `json:"fps"`
	quantiles
}

// A bench holds what the measurements share.
type bench struct {
	config   *Config
	networks *networks
	client   *mqtt.Client
	length   time.Duration
	log      *slog.Logger
	camera   capture.Format
	provider string
}

func (c *Config) bench(ctx context.Context, rounds int, length time.Duration) (*benchResult, error) {
	b := &bench{config: c, length: length, log: slog.New(slog.DiscardHandler)}
	if c.Camera.Source == capture.V4L2 {
		c.Camera.Source = capture.Synthetic // a camera's own rate would be the limit
	}
	c.Predict.SkipSharp = 0 // every frame costs a prediction, or the figures would hang on the scene
	c.MQTT.Broker, c.MQTT.Listen = mqtt.Embedded, "127.0.0.1:0"
	var err error
	if b.networks, err = c.start(b.log); err != nil {
		return nil, err
	}
	defer tensorrt.Stop()
	var done func()
	if b.client, done, err = connect(c, b.log); err != nil {
		return nil, err
	}
	b.client.Connect()
	r, err := b.measure(ctx, rounds)
	done() // the broker allocates for itself, with and without frames
	if err == nil {
		r.Allocations, err = b.allocations(ctx)
	}
	return r, err
}

func (b *bench) measure(ctx context.Context, rounds int) (*benchResult, error) {
	var sessions, pipelines []benchLoop
	var stages []snapshot
	for range rounds {
		s, err := b.session(ctx)
		if err != nil {
			return nil, err
		}
		p, err := b.run(ctx, func(c *Config) { c.Camera.AsFastAsPossible, c.Refine.Keyframes = true, infer.Keyframes{} })
		if err != nil {
			return nil, err
		}
		sessions, stages = append(sessions, s), append(stages, p)
		pipelines = append(pipelines, benchLoop{p.RateOut, p.Times["latency"]})
	}
	r := &benchResult{Version: version, CPUs: runtime.NumCPU(), Provider: b.provider,
		Size: fmt.Sprintf("%dx%d", b.camera.Width, b.camera.Height)}
	r.Session, r.Pipeline = median(sessions, byFPS), median(pipelines, byFPS)
	r.Ratio = r.Pipeline.FPS / r.Session.FPS
	r.Stages = median(stages, func(s snapshot) float64 { return s.RateOut }).Times
	return r, b.refining(ctx, rounds, r)
}

func byFPS(l benchLoop) float64 { return l.FPS }

func median[T any](all []T, by func(T) float64) T {
	slices.SortFunc(all, func(a, b T) int {
		if by(a) < by(b) {
			return -1
		}
		return 1
	})
	return all[len(all)/2]
}

// session runs the bare predictor on one picture of the camera.
func (b *bench) session(ctx context.Context) (benchLoop, error) {
	camera, err := capture.Open(ctx, b.config.Camera)
	if err != nil {
		return benchLoop{}, err
	}
	defer camera.Close()
	p := newPipeline(b.config, b.networks, output{}, b.log)
	if err := p.fit(camera); err != nil {
		return benchLoop{}, err
	}
	defer p.close()
	f := p.nextFree(context.Background())
	defer f.release()
	b.camera, b.provider = camera.Granted, f.set.predictor.Provider()
	if err := camera.Read(ctx, &f.Frame); err != nil {
		return benchLoop{}, err
	}
	infer.Pad(f.Image)
	var h histogram
	start := time.Now()
	for time.Since(start) < b.length && ctx.Err() == nil {
		before := time.Now()
		if err := f.binding.Run(); err != nil {
			return benchLoop{}, err
		}
		h.add(time.Since(before))
	}
	q := h.take()
	return benchLoop{float64(q.N) / time.Since(start).Seconds(), q}, ctx.Err()
}

// run runs the whole pipeline for a while with a changed configuration.
func (b *bench) run(ctx context.Context, change func(*Config)) (snapshot, error) {
	c := *b.config
	change(&c)
	p := newPipeline(&c, b.networks, clientOutput(b.client, nil), b.log)
	limit, cancel := context.WithTimeout(ctx, b.length)
	defer cancel()
	if err := p.run(limit, nil); err != nil {
		return snapshot{}, err
	}
	return p.takeSnapshot(time.Now(), true), ctx.Err()
}

// refining compares the predictor alone with the predictor beside a refiner.
func (b *bench) refining(ctx context.Context, rounds int, r *benchResult) error {
	pace := func(every infer.Interval) func(*Config) {
		return func(c *Config) {
			c.Camera.AsFastAsPossible, c.Camera.FPS = false, r.Session.FPS/2
			c.Refine.Keyframes = infer.Keyframes{Every: every}
		}
	}
	var alone, beside []snapshot
	for range rounds {
		a, err := b.run(ctx, pace(infer.Interval{}))
		if err != nil {
			return err
		}
		w, err := b.run(ctx, pace(infer.Interval{Frames: 1}))
		if err != nil {
			return err
		}
		alone, beside = append(alone, a), append(beside, w)
	}
	p99 := func(s snapshot) float64 { return s.Times["predict"].P99 }
	busy := median(beside, p99)
	r.Alone, r.Beside, r.Step = median(alone, p99).Times["predict"], busy.Times["predict"], busy.Times["refine_step"]
	r.P99Ratio = r.Beside.P99 / r.Alone.P99
	r.StepsPerSec = float64(r.Step.N) / busy.Uptime
	return nil
}

// allocations publishes to nobody, so that paho's own are left out, and takes
// the best of several windows: the runtime itself allocates now and then.
func (b *bench) allocations(ctx context.Context) (float64, error) {
	c := *b.config
	c.Camera.AsFastAsPossible, c.Refine.Keyframes, c.Stats.Every = true, infer.Keyframes{}, time.Hour
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const windows, window = 5, 30
	var counts []uint64
	var memory runtime.MemStats
	sent, before := 0, uint64(0)
	p := newPipeline(&c, b.networks, output{
		publish: func(string, byte, bool, []byte) (bool, error) {
			if sent++; sent%window == 0 {
				runtime.ReadMemStats(&memory)
				if counts = append(counts, memory.Mallocs-before); len(counts) > windows {
					cancel()
				}
				before = memory.Mallocs
			}
			return true, nil
		},
		retain: func(string, []byte) error { return nil }, online: func() bool { return true }, snapshot: b.client.Snapshot,
	}, b.log)
	if err := p.run(ctx, nil); err != nil || len(counts) < 2 {
		return 0, err
	}
	return float64(slices.Min(counts[1:])) / window, nil
}

func (r *benchResult) print(w io.Writer) {
	fmt.Fprintf(w, "sharpend %s, %s on %s, %d CPUs\n\n", r.Version, r.Size, r.Provider, r.CPUs)
	fmt.Fprintf(w, "%-34s %8s %9s %9s\n", "", "frames/s", "p50 ms", "p99 ms")
	row := func(name string, fps string, q quantiles) {
		fmt.Fprintf(w, "%-34s %8s %9.2f %9.2f\n", name, fps, q.P50, q.P99)
	}
	row("bare session loop", fmt.Sprintf("%.1f", r.Session.FPS), r.Session.quantiles)
	row("whole pipeline (latency)", fmt.Sprintf("%.1f", r.Pipeline.FPS), r.Pipeline.quantiles)
	for _, name := range stageNames {
		if q, ok := r.Stages[name]; ok && name != "latency" {
			row("  "+name, "", q)
		}
	}
	row("predictor at half rate, alone", "", r.Alone)
	row("predictor at half rate, refining", "", r.Beside)
	if r.Step.N > 0 {
		row("  refine_step", fmt.Sprintf("%.1f", r.StepsPerSec), r.Step)
	}
	fmt.Fprintf(w, "\npipeline / session       %.3f frames/s\nrefining / alone         %.2f p99\nallocations per frame    %.2f (outside paho)\n",
		r.Ratio, r.P99Ratio, r.Allocations)
}
