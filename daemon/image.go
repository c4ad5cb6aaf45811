package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"sharpend/capture"
	"sharpend/infer"
	"sharpend/tensorrt"
)

func imageCommand(ctx context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file; without one the shipped models on the CPU")
	o := newImageFlags(flags)
	return func(args []string) error {
		if len(args) != 2 {
			return usagef("want IN and OUT, two files or two folders; have %d arguments", len(args))
		}
		c, err := loadConfig(*file, func(c *Config) { o.apply(c, *file == "") })
		if err != nil {
			return err
		}
		jobs, err := listJobs(args[0], args[1])
		if err != nil {
			return err
		}
		c.Refine.Budget = 0                  // nobody waits for the next keyframe,
		c.Refine.Threads = c.Runtime.Threads // and no predictor runs beside it
		return c.sharpenFiles(ctx, env, jobs, o.quality)
	}
}

type imageFlags struct {
	flags          *pflag.FlagSet
	steps, samples int
	seed           uint64
	sampler        string
	providers      []string
	predictOnly    bool
	quality        int
}

func newImageFlags(flags *pflag.FlagSet) *imageFlags {
	o := &imageFlags{flags: flags}
	flags.IntVar(&o.steps, "steps", 0, "refinement steps, 0 for none (refine.steps)")
	flags.IntVar(&o.samples, "samples", 0, "samples averaged (refine.samples)")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the refinement's noise (refine.seed)")
	flags.StringVar(&o.sampler, "sampler", "", "ode or ancestral (refine.sampler)")
	flags.StringSliceVar(&o.providers, "providers", nil, "providers to try in order (runtime.providers)")
	flags.BoolVar(&o.predictOnly, "predict-only", false, "the predictor alone, no refinement")
	flags.IntVar(&o.quality, "quality", 95, "JPEG quality of what is written")
	return o
}

func (o *imageFlags) apply(c *Config, plain bool) {
	if plain {
		c.Runtime = c.Runtime.WithProviders(tensorrt.CPU)
	}
	set := func(flag string, do func()) {
		if o.flags.Changed(flag) {
			do()
		}
	}
	set("steps", func() { c.Refine.Steps = o.steps })
	set("samples", func() { c.Refine.Samples = o.samples })
	set("seed", func() { c.Refine.Seed = o.seed })
	set("sampler", func() { c.Refine.Sampler = infer.Sampler(o.sampler) })
	set("providers", func() { c.Runtime = c.Runtime.WithProviders(o.providers...) })
	if o.predictOnly {
		c.Refine.Steps, c.Models.Denoiser = 0, ""
	}
	c.Publish.Quality = o.quality
}

// A job is one file to sharpen.
type job struct{ in, out string }

// listJobs pairs input and output: file to file, or folder to folder.
func listJobs(in, out string) ([]job, error) {
	from, err := os.Stat(in)
	if err != nil {
		return nil, err
	}
	if !from.IsDir() {
		return fileJob(in, out, from)
	}
	entries, err := os.ReadDir(in)
	if err != nil {
		return nil, err
	}
	if to, err := os.Stat(out); err == nil && os.SameFile(from, to) {
		return nil, usagef("IN and OUT are the same folder, %s: the originals would be lost", in)
	}
	var jobs []job
	for _, e := range entries {
		if !e.IsDir() && isPicture(e.Name()) {
			jobs = append(jobs, job{filepath.Join(in, e.Name()), filepath.Join(out, e.Name())})
		}
	}
	if jobs == nil {
		return nil, fmt.Errorf("%s holds no .jpg, .jpeg or .png", in)
	}
	return jobs, os.MkdirAll(out, 0o755)
}

func fileJob(in, out string, from os.FileInfo) ([]job, error) {
	to, err := os.Stat(out)
	if err == nil && to.IsDir() {
		out = filepath.Join(out, filepath.Base(in))
		to, err = os.Stat(out)
	}
	if err == nil && os.SameFile(from, to) {
		return nil, usagef("IN and OUT are the same file, %s: the original would be lost", in)
	}
	if !isPicture(out) {
		return nil, usagef("OUT must end in .jpg, .jpeg or .png, not %s", filepath.Base(out))
	}
	return []job{{in, out}}, nil
}

// sharpenFiles works through the jobs; one that fails does not stop the rest.
func (c *Config) sharpenFiles(ctx context.Context, env environment, jobs []job, quality int) error {
	s, err := c.newSharpener()
	if err != nil {
		return err
	}
	defer s.close()
	var failed []error
	for i, j := range jobs {
		if ctx.Err() != nil {
			return errors.Join(append(failed, fmt.Errorf("interrupted after %d of %d files", i, len(jobs)))...)
		}
		said, err := s.sharpen(ctx, j, quality)
		if err != nil {
			failed = append(failed, err)
		}
		progress(env.stderr, i+1, len(jobs), said)
	}
	return errors.Join(failed...)
}

// progress shows a bar on a terminal when there are many files, else a line for
// each.
func progress(w io.Writer, done, of int, said string) {
	if of == 1 || !isTerminal(w) {
		if said != "" {
			fmt.Fprintln(w, said)
		}
		return
	}
	const width = 30
	full := width * done / of
	fmt.Fprintf(w, "\r[%s%s] %d/%d  %-60.60s", strings.Repeat("=", full), strings.Repeat(" ", width-full), done, of, filepath.Base(said))
	if done == of {
		fmt.Fprintln(w)
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// A sharpener runs the daemon's own predict and refine stages on files.
type sharpener struct {
	*pipeline
	codec   *codec
	refiner refiner
}

func (c *Config) newSharpener() (*sharpener, error) {
	quiet := slog.New(slog.DiscardHandler)
	n, err := c.start(quiet)
	if err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	p := newPipeline(c, n, output{}, quiet)
	return &sharpener{pipeline: p, codec: codec, refiner: refiner{pipeline: p}}, nil
}

func (s *sharpener) close() {
	s.refiner.close()
	s.pipeline.close()
	s.codec.close()
	tensorrt.Stop()
}

// sharpen does one job and says what was done.
func (s *sharpener) sharpen(ctx context.Context, j job, quality int) (string, error) {
	original, err := s.codec.read(j.in)
	if err != nil {
		return "", err
	}
	size := original.planes.Rect.Size()
	camera := &capture.Camera{Granted: capture.Format{Width: size.X, Height: size.Y}}
	if err := s.fit(camera); err != nil {
		return "", fmt.Errorf("%s: %w", j.in, err)
	}
	f := s.nextFree(context.Background())
	defer f.release()
	infer.Copy(f.Image, original.planes)
	f.key, f.Time = keyframe{asked: s.settings()}, time.Now()
	start := time.Now()
	if err := s.predictFrame(f); err != nil {
		return "", fmt.Errorf("%s: %w", j.in, err)
	}
	predicted := time.Since(start)
	if err := s.refiner.refine(ctx, f); err != nil {
		return "", fmt.Errorf("%s: %w", j.in, err)
	}
	if err := s.codec.write(j.out, original, f.Image, f.sharp, quality, tag(f)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s  %s  predicted in %.2f s, %d steps in %.2f s (%s)", j.out, sizeText(size),
		predicted.Seconds(), f.key.steps, f.key.spent.Seconds(), f.set.predictor.Provider()), nil
}
