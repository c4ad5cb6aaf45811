package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"sharpend/capture"
	"sharpend/config"
	"sharpend/mqtt"
	"sharpend/tensorrt"
)

// overrides are the flags that replace keys of the file, at the start and at
// every reload.
type overrides struct {
	flags                                       *pflag.FlagSet
	name, broker, device, path, level, provider string
	steps, samples                              int
	seed                                        uint64
	once, fast                                  bool
}

func newOverrides(flags *pflag.FlagSet) *overrides {
	o := &overrides{flags: flags}
	flags.StringVar(&o.name, "name", "", "name in the topics (name)")
	flags.StringVar(&o.device, "device", "", "camera to open, by-id or by-path (camera.device)")
	flags.StringVar(&o.path, "path", "", "file or folder to play as the camera (camera.path)")
	flags.BoolVar(&o.once, "once", false, "play the file once, then end (camera.loop: false)")
	flags.BoolVar(&o.fast, "as-fast-as-possible", false, "wait for the pipeline, not for the clock (camera.as_fast_as_possible)")
	flags.IntVar(&o.steps, "steps", 0, "refinement steps of a keyframe, 0 for none (refine.steps)")
	flags.IntVar(&o.samples, "samples", 0, "samples averaged in a keyframe (refine.samples)")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the refinement's noise (refine.seed)")
	flags.StringVar(&o.provider, "providers", "", "providers to try in order, such as tensorrt,cuda,cpu (runtime.providers)")
	flags.StringVar(&o.broker, "broker", "", "broker's URL, or embedded (mqtt.broker)")
	flags.StringVar(&o.level, "log-level", "", "debug, info, warn or error (log.level)")
	return o
}

func (o *overrides) apply(c *Config) {
	set := func(flag string, do func()) {
		if o.flags.Changed(flag) {
			do()
		}
	}
	set("name", func() { c.Name = o.name })
	set("device", func() { c.Camera.Source, c.Camera.Device = capture.V4L2, o.device })
	set("path", func() { c.Camera.Source, c.Camera.Path = capture.File, absolute(o.path) })
	set("once", func() { c.Camera.Loop = !o.once })
	set("as-fast-as-possible", func() { c.Camera.AsFastAsPossible = o.fast })
	set("steps", func() { c.Refine.Steps = o.steps })
	set("samples", func() { c.Refine.Samples = o.samples })
	set("seed", func() { c.Refine.Seed = o.seed })
	set("providers", func() { c.Runtime = c.Runtime.WithProviders(strings.Split(o.provider, ",")...) })
	set("broker", func() { c.MQTT.Broker = o.broker })
	set("log-level", func() { c.Log.Level = o.level })
}

func runCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file")
	quiet := flags.BoolP("quiet", "q", underJournal(), "no status line every stats.every")
	o := newOverrides(flags)
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file == "" {
			return usagef("--config FILE is missing; configs/demo.yaml plays a clip")
		}
		load := func() (*Config, error) { return loadConfig(*file, o.apply) }
		status := env.stdout
		if *quiet {
			status = nil
		}
		return runDaemon(ctx, env, load, status)
	}
}

// runDaemon is the daemon from its configuration to its summary.
func runDaemon(ctx context.Context, env environment, load func() (*Config, error), status io.Writer) error {
	c, err := load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	setLevel(level, c)
	log := newLog(env.stderr, level)
	if os.Getenv("GOGC") == "" {
		// Most of the heap is frames, which hold no pointers: collecting early
		// costs little, and keeps what paho throws away from doubling it.
		debug.SetGCPercent(20)
	}
	n, err := c.start(log)
	if err != nil {
		return err
	}
	defer tensorrt.Stop()
	client, done, err := connect(c, log)
	if err != nil {
		return err
	}
	defer done()
	p := newPipeline(c, n, clientOutput(client, status), log)
	p.engines.builds = true
	p.reload = func() { p.reloadFrom(load, level) }
	client.OnRequest = func(r mqtt.Request) { p.request.Store(&r) }
	fmt.Fprint(env.stdout, c.watchLines())
	client.Connect()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	err = p.run(ctx, signals)
	if status != nil || err == nil {
		fmt.Fprint(env.stdout, p.takeSnapshot(time.Now(), true).summary())
	}
	return err
}

func setLevel(v *slog.LevelVar, c *Config) {
	l, _ := logLevel(c.Log.Level) // validated
	v.Set(l)
}

// start readies ONNX Runtime and loads the models.
func (c *Config) start(log *slog.Logger) (*networks, error) {
	if err := c.startRuntime(log); err != nil {
		return nil, err
	}
	return c.loadNetworks()
}

// startRuntime finds ONNX Runtime's library and starts it.
func (c *Config) startRuntime(log *slog.Logger) error { return c.startBy(tensorrt.Start, log) }

func (c *Config) startBy(start func(library string) error, log *slog.Logger) error {
	library, why, err := tensorrt.Library(c.Runtime.Library)
	if err != nil {
		return err
	}
	if err := start(library); err != nil {
		return fmt.Errorf("runtime.library: %w", err)
	}
	log.Info("sharpend", "version", version, "onnxruntime", tensorrt.Version(), "library", library, "because", why)
	return nil
}

// connect makes the MQTT client, and the embedded broker if it is asked for.
func connect(c *Config, log *slog.Logger) (client *mqtt.Client, done func(), err error) {
	var broker *mqtt.Broker
	if c.MQTT.Broker == mqtt.Embedded {
		if broker, err = mqtt.Listen(c.MQTT.Listen, c.MQTT.MaxPacket, log); err != nil {
			return nil, nil, err
		}
		c.MQTT.Listen = broker.Addr() // the port, where it was left open
	}
	if client, err = mqtt.New(c.MQTT, c.Name, log); err != nil {
		return nil, nil, err
	}
	return client, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		client.Close(ctx)
		if broker != nil {
			broker.Close()
		}
	}, nil
}

func clientOutput(c *mqtt.Client, status io.Writer) output {
	return output{publish: c.Publish, retain: c.SetRetained, online: c.Online, snapshot: c.Snapshot, status: status}
}

// watchLines are the commands that show the stream.
func (c *Config) watchLines() string {
	host, port := c.MQTT.Address()
	sub := fmt.Sprintf("mosquitto_sub -h %s -p %s -N -t 'sharpend/%s/", host, port, c.Name)
	return "Watch the stream:  " + sub + "frame' | ffplay -loglevel error -f mjpeg -\n" +
		"Save one frame:    " + sub + "frame' -C 1 > frame.jpg\n" +
		"Read statistics:   " + strings.Replace(sub, " -N", "", 1) + "stats'\n"
}

// reloadFrom reads the configuration anew. Live keys take effect with the next
// frame or keyframe, other models when they have passed their gates; a bad file
// changes nothing and is reported.
func (p *pipeline) reloadFrom(load func() (*Config, error), level *slog.LevelVar) {
	r := &reloadInfo{Time: time.Now()}
	fresh, err := load()
	if err == nil {
		err = fresh.suitsDenoiser(p.networks())
	}
	if err != nil {
		r.Error = err.Error()
		p.log.Error("reload refused, the old configuration stays", "error", err)
	} else {
		r.Changed, r.Restart = p.adopt(fresh)
		setLevel(level, fresh)
		p.log.Info("reloaded", "changed", r.Changed, "needs_restart", r.Restart)
		p.swap(swapRequest{why: "reload", stage: func() (*networks, error) { return p.stage(fresh) }})
	}
	p.state.set(func(s *state) { s.reload = r })
}

// adopt puts the live keys of a fresh configuration into force.
func (p *pipeline) adopt(fresh *Config) (live, restart []string) {
	old := p.config.Load()
	live, restart = config.Changed(old, fresh)
	next := *old
	config.CopyLive(&next, fresh)
	p.config.Store(&next)
	return live, restart
}

// absolute keeps a path that was typed at a prompt relative to the prompt's
// folder, where a path in the file is relative to the file's.
func absolute(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return full
}
