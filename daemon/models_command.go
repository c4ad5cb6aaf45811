package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"sharpend/config"
	"sharpend/tensorrt"
)

func verifyCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "also hold the files to what this configuration has beside them")
	noGolden := flags.Bool("no-golden", false, "let a model pass that brings no golden picture")
	return func(args []string) error {
		if len(args) == 0 {
			return usagef("want the models' files")
		}
		c, err := loadConfig(*file, nil)
		if err != nil {
			return err
		}
		v, err := c.newVerifier(env.stdout, *noGolden)
		if err != nil {
			return err
		}
		defer tensorrt.Stop()
		models := v.files(args)
		if *file != "" || len(models) > 1 {
			v.together(c, models, *file != "")
		}
		return v.outcome()
	}
}

// A verifier holds model files to every gate and prints what it finds.
type verifier struct {
	out      io.Writer
	noGolden bool
	failed   int
}

func (c *Config) newVerifier(out io.Writer, noGolden bool) (*verifier, error) {
	library, _, err := tensorrt.Library(c.Runtime.Library)
	if err == nil {
		err = tensorrt.Start(library)
	}
	return &verifier{out: out, noGolden: noGolden}, err
}

func (v *verifier) tell(gate string, err error, fine string) {
	if err != nil {
		v.failed++
		fmt.Fprintf(v.out, "  FAIL  %-9s %s\n", gate, oneLine(err.Error()))
		return
	}
	fmt.Fprintf(v.out, "  ok    %-9s %s\n", gate, fine)
}

// outcome is an error if any gate was closed.
func (v *verifier) outcome() error {
	if v.failed > 0 {
		return fmt.Errorf("checks failed: %d; the daemon would not switch to this", v.failed)
	}
	return nil
}

// files verifies each file by itself, and returns those that are models at all.
func (v *verifier) files(paths []string) (models []*tensorrt.Model) {
	for _, path := range paths {
		path = shippedOr(path)
		fmt.Fprintln(v.out, path)
		m, err := tensorrt.LoadAny(path)
		if err != nil {
			v.tell("contract", err, "")
			continue
		}
		v.tell("contract", nil, fmt.Sprintf("%s %s, %s, predictor_id %s, sha256 %s", m.Kind, m.Name, tensorrt.Format, m.PredictorID, m.SHA256))
		v.run(m)
		v.golden(m)
		models = append(models, m)
	}
	return models
}

// shippedOr finds a bare name among the shipped models, if there is no such file here.
func shippedOr(path string) string {
	if exists(path) {
		return path
	}
	return absolute(modelPath(".", path))
}

// run opens the model at a size that needs padding, and has it make its trial run.
func (v *verifier) run(m *tensorrt.Model) {
	const w, h = 322, 182
	c := tensorrt.Default().WithProviders(tensorrt.CPU)
	var session interface{ Close() }
	var err error
	if m.Kind == tensorrt.PredictorKind {
		session, err = tensorrt.OpenPredictor(m, c, w, h)
	} else {
		session, err = tensorrt.OpenDenoiser(m, c, w, h)
	}
	if err == nil {
		session.Close()
	}
	v.tell("trial run", err, fmt.Sprintf("%dx%d on the CPU", w, h))
}

func (v *verifier) golden(m *tensorrt.Model) {
	db, err := m.CheckGolden()
	if v.noGolden && errors.Is(err, tensorrt.ErrNoGolden) {
		v.tell("golden", nil, "none, as --no-golden allows")
		return
	}
	v.tell("golden", err, fmt.Sprintf("%.0f dB from the recorded picture, %.0f are asked for", db, tensorrt.GoldenLimit))
}

// together checks that the models belong together, with what the configuration
// names for the kind that is not among them.
func (v *verifier) together(c *Config, models []*tensorrt.Model, withConfig bool) {
	n, err := pairOf(models)
	if err == nil && withConfig {
		err = c.complete(n)
	}
	if err == nil && (n.predictor == nil || n.denoiser == nil) {
		return // nothing to compare
	}
	fine := ""
	if err == nil {
		fine = n.denoiser.Name + " belongs to " + n.predictor.Name
		err = errors.Join(tensorrt.Match(n.predictor, n.denoiser), c.suitsDenoiser(n))
	}
	fmt.Fprintln(v.out, "together")
	v.tell("match", err, fine)
}

// pairOf sorts models by kind.
func pairOf(models []*tensorrt.Model) (*networks, error) {
	n := &networks{}
	for _, m := range models {
		place := &n.predictor
		if m.Kind == tensorrt.DenoiserKind {
			place = &n.denoiser
		}
		if *place != nil {
			return nil, fmt.Errorf("%s and %s are both a %s", (*place).Path, m.Path, m.Kind)
		}
		*place = m
	}
	return n, nil
}

// complete adds what the configuration names where n has none.
func (c *Config) complete(n *networks) (err error) {
	if n.predictor == nil {
		if n.predictor, err = tensorrt.LoadModel(c.Models.Predictor, tensorrt.PredictorKind); err != nil {
			return fmt.Errorf("models.predictor: %w", err)
		}
	}
	if n.denoiser == nil && c.Models.Denoiser != "" {
		if n.denoiser, err = tensorrt.LoadModel(c.Models.Denoiser, tensorrt.DenoiserKind); err != nil {
			return fmt.Errorf("models.denoiser: %w", err)
		}
	}
	return nil
}

func useCommand(_ context.Context, env environment, flags *pflag.FlagSet) func([]string) error {
	file := flags.StringP("config", "c", "", "configuration file to change")
	noGolden := flags.Bool("no-golden", false, "take a model that brings no golden picture (needs models.golden: optional)")
	noDenoiser := flags.Bool("no-denoiser", false, "give up refining keyframes: a new predictor, and no denoiser for it yet")
	return func(args []string) error {
		if len(args) == 0 || *file == "" {
			return usagef("want the models' files and --config FILE")
		}
		c, err := loadConfig(*file, nil)
		if err != nil {
			return err
		}
		before := c.Models
		if *noDenoiser {
			c.Models.Denoiser = ""
		}
		v, err := c.newVerifier(env.stdout, *noGolden)
		if err != nil {
			return err
		}
		defer tensorrt.Stop()
		models := v.files(args)
		v.together(c, models, true)
		if err := v.outcome(); err != nil {
			return err
		}
		if err := useModels(*file, models, *noDenoiser); err != nil {
			return err
		}
		fmt.Fprint(env.stdout, takeOver(*file, before))
		return nil
	}
}

// useModels puts the files where the configuration can name them, and names
// them. Nothing is overwritten: a copy is called by its content.
func useModels(file string, models []*tensorrt.Model, noDenoiser bool) error {
	file, err := filepath.EvalSymlinks(file) // the file itself is replaced, not a link to it
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if noDenoiser {
		if text, err = config.SetText(text, "models", tensorrt.DenoiserKind, ""); err != nil {
			return err
		}
	}
	for _, m := range models {
		name, err := place(filepath.Dir(file), m)
		if err != nil {
			return err
		}
		if text, err = config.SetText(text, "models", m.Kind, name); err != nil {
			return err
		}
	}
	return replaceFile(file, text)
}

// place copies a model below the folder, unless it is there already or a
// shipped one, and returns the name by which a configuration there calls it.
func place(folder string, m *tensorrt.Model) (name string, err error) {
	base := filepath.Base(m.Path)
	if inside, err := filepath.Rel(absolute(folder), absolute(m.Path)); err == nil && !strings.HasPrefix(inside, "../") {
		return inside, nil
	}
	if sameFile(modelPath(folder, base), m.Path) {
		return base, nil
	}
	name = filepath.Join("models", fmt.Sprintf("%s-%.12s.onnx", strings.TrimSuffix(base, ".onnx"), m.SHA256))
	target := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, m.Data) {
		return name, nil
	}
	return name, writeSynced(target, m.Data, 0o644)
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// replaceFile replaces a file that is there, and keeps its mode.
func replaceFile(path string, data []byte) error {
	about, err := os.Stat(path)
	if err != nil {
		return err
	}
	return writeSynced(path, data, about.Mode().Perm())
}

// writeSynced writes beside the target, renames, and returns when both have
// reached the disk: after a power cut the old file is there, or the new one.
func writeSynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".sharpend-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// takeOver says how a running daemon takes the models over, and how to go back.
func takeOver(file string, before Models) string {
	reload := "kill -HUP PID of its sharpend run"
	if name, found := strings.CutPrefix(absolute(file), "/etc/sharpend/"); found {
		unit := "sharpend"
		if name = strings.TrimSuffix(name, ".yaml"); name != "sharpend" {
			unit += "@" + name
		}
		reload = "systemctl reload " + unit
	}
	back := before.Predictor
	if before.Denoiser != "" {
		back += " " + before.Denoiser
	} else {
		back += " --no-denoiser"
	}
	return fmt.Sprintf("\n%s names them now.\nTake them over:  %s   (the topic info says what came of it)\nGo back:         sharpend models use %s --config %s\n", file, reload, back, file)
}
