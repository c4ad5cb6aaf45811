package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"sharpend/capture"
	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

func enginesBuildCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file")
	size := flags.String("size", "", "`WxH` of the pictures; default: camera.width and height, else what the camera gives")
	model := flags.String("model", "", "only the engine of `predictor or denoiser`")
	expect := flags.String("expect", "", "fail unless the engine's key is this `KEY`; the daemon's own builder uses it")
	o := newOverrides(flags)
	return func(args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if *file == "" {
			return usagef("--config FILE is missing")
		}
		b := builder{environment: env, expect: *expect}
		if err := b.choose(*model, *size); err != nil {
			return err
		}
		c, err := loadConfig(*file, o.apply)
		if err != nil {
			return err
		}
		b.Config = c
		return b.buildAll(ctx)
	}
}

// A builder is one run of `engines build`.
type builder struct {
	*Config
	environment
	kinds  []string
	size   image.Point // visible pixels; zero: to be found out
	expect string
	source *engineSource
}

func (b *builder) choose(model, size string) error {
	b.kinds = []string{tensorrt.PredictorKind, tensorrt.DenoiserKind}
	if model != "" {
		if !slices.Contains(b.kinds, model) {
			return usagef("--model is predictor or denoiser, not %q", model)
		}
		b.kinds = []string{model}
	}
	if b.expect != "" && len(b.kinds) > 1 {
		return usagef("--expect needs --model")
	}
	if size == "" {
		return nil
	}
	if n, err := fmt.Sscanf(size, "%dx%d", &b.size.X, &b.size.Y); n != 2 || err != nil || size != sizeText(b.size) || b.size.X < 1 || b.size.Y < 1 {
		return usagef("--size is a width and a height in pixels such as 1280x720, not %q", size)
	}
	return nil
}

// buildAll builds what is not there yet.
func (b *builder) buildAll(ctx context.Context) (err error) {
	paths := b.onTensorRT()
	b.kinds = slices.DeleteFunc(b.kinds, func(kind string) bool { return paths[kind] == "" })
	if len(b.kinds) == 0 {
		return errors.New("there is nothing to build: runtime.providers names no tensorrt for these models")
	}
	start := tensorrt.Start
	if b.Runtime.TensorRT.BuildLog {
		start = tensorrt.StartLogging
	}
	if err := b.startBy(start, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	defer tensorrt.Stop()
	if b.source, err = b.engineSource(); err != nil {
		return err
	}
	if err := b.findSize(ctx); err != nil {
		return err
	}
	for _, kind := range b.kinds {
		if err := b.build(ctx, kind, paths[kind]); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// findSize asks the configuration, then the camera.
func (b *builder) findSize(ctx context.Context) error {
	switch {
	case b.size != image.Point{}:
		return nil
	case b.Camera.Width > 0 && b.Camera.Height > 0:
		b.size = image.Pt(b.Camera.Width, b.Camera.Height)
		return nil
	}
	camera, err := capture.Open(ctx, b.Camera)
	if err != nil {
		return fmt.Errorf("the size of the pictures is not known (--size WxH says it): %w", err)
	}
	defer camera.Close()
	b.size = sizeOf(camera)
	return nil
}

// build builds one engine.
func (b *builder) build(ctx context.Context, kind, path string) error {
	m, err := tensorrt.LoadModel(path, kind)
	if err != nil {
		return err
	}
	j, err := b.source.job(&b.Runtime, m, b.size)
	if err != nil {
		return err
	}
	if b.expect != "" && b.expect != j.key {
		return errors.New("the model, the options or the machine's libraries are not what they were when the daemon loaded them: reload or restart it")
	}
	past, _ := b.source.cache.List(false) // without it there is no estimate
	b.say("%s at %s: %s", m.Name, sizeText(b.size), expectation(engines.EstimateOf(j.inputs, int64(len(m.Data)), past)))
	// Nothing interrupts TensorRT, so a signal ends the process, which is all that a build needs for its end.
	stop := context.AfterFunc(ctx, func() {
		b.say("interrupted: nothing is kept of the unfinished engine")
		b.source.cache.Abandon(j.key)
		os.Exit(1)
	})
	defer stop()
	begin := time.Now()
	manifest, built, err := b.source.cache.Build(ctx, engines.Build{
		Inputs: j.inputs,
		About:  engines.About{Name: m.Name, Path: m.Path, ModelBytes: int64(len(m.Data)), Program: version},
		Run:    func(dir, timing string) error { return b.open(m, dir, timing) },
		Wait:   func() { b.say("another process builds here: waiting for it") },
	})
	if err != nil {
		return err
	}
	what := "was there already"
	if built {
		what = fmt.Sprintf("built and checked in %v", time.Since(begin).Round(time.Second))
	}
	b.say("%s at %s: %s, %.1f MB, key %s", m.Name, sizeText(b.size), what, float64(manifest.Size())/1e6, manifest.Key[:12])
	return nil
}

// expectation says how long a build may take.
func expectation(e engines.Estimate) string {
	if e.Time == 0 {
		return "building; the first time this takes minutes, and TensorRT says nothing of how far it is"
	}
	return fmt.Sprintf("building, about %v: %s", e.Time, e.Basis)
}

// open opens the model on TensorRT alone: that builds its engine, or loads the
// one that is there, and compares its pictures with the CPU's.
func (b *builder) open(m *tensorrt.Model, dir, timing string) error {
	c := b.Runtime.WithProviders(tensorrt.TensorRT).WithEngineCache(dir, timing)
	if m.Kind == tensorrt.DenoiserKind {
		d, err := tensorrt.OpenDenoiser(m, c, b.size.X, b.size.Y)
		if err == nil {
			d.Close()
		}
		return err
	}
	p, err := tensorrt.OpenPredictor(m, c, b.size.X, b.size.Y)
	if err == nil {
		p.Close()
	}
	return err
}

// say tells what happens; on standard error, since a daemon reads it as it comes.
func (b *builder) say(format string, args ...any) { fmt.Fprintf(b.stderr, format+"\n", args...) }
