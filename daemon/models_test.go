package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"log/slog"

	"golang.org/x/sys/unix"
)

// golden writes a copy of a model into folder with a recorded run of a
// predictor in its metadata (field 14 of ONNX's ModelProto, which may stand
// anywhere): off grey levels from what the test predictor returns.
func golden(t *testing.T, model, target string, off int) string {
	t.Helper()
	data, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	in, out := make([]byte, 32*16*3/2), make([]byte, 32*16*3/2)
	for i := range in {
		in[i] = byte(i*7%150 + 20)
		out[i] = byte(int(in[i]) + 1 + off)
	}
	field := func(b []byte, number int, value string) []byte {
		b = append(b, byte(number<<3|2))
		return append(binary.AppendUvarint(b, uint64(len(value))), value...)
	}
	for key, value := range map[string]string{"golden_width": "32", "golden_height": "16",
		"golden_input": base64.StdEncoding.EncodeToString(in), "golden_output": base64.StdEncoding.EncodeToString(out)} {
		data = field(data, 14, string(field(field(nil, 1, key), 2, value)))
	}
	if err := os.WriteFile(target, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return target
}

// TestReloadTakesOnlyGoodModels changes a configuration's models, or the files
// behind them, and reloads: what is no good is refused, says why, and never
// serves.
func TestReloadTakesOnlyGoodModels(t *testing.T) {
	dir := t.TempDir()
	good := golden(t, plusOne, filepath.Join(dir, "good.onnx"), 0)
	l, o := &ledger{t: t}, &outbox{}
	c := testConfig(t)
	p := testPipeline(t, c, l.output(o))
	next := *c
	p.reload = func() {
		fresh := next
		p.reloadFrom(func() (*Config, error) { return &fresh, nil }, new(slog.LevelVar))
	}
	ctx, end := started(t, p)
	eventually(t, "frames", func() bool { return l.last.Load() > 3 })
	// reload reloads and returns the outcome of the swap that follows.
	reload := func() swapInfo {
		t.Helper()
		before := time.Now()
		p.reload()
		var i info
		eventually(t, "the swap's outcome", func() bool {
			i = lastInfo(t, o)
			return i.Swap != nil && i.Swap.Time.After(before) && i.Swap.State != swapPreparing && i.Swap.State != swapOnTrial
		})
		if i.Swap.State == swapInForce && i.Models.Predictor.Path != next.Models.Predictor {
			t.Errorf("info names %s as the predictor", i.Models.Predictor.Path)
		}
		return *i.Swap
	}
	for _, try := range []struct{ about, predictor, denoiser, state, says string }{
		{"broken file", "../tensorrt/testdata/wrong-cut.onnx", "", swapRefused, "cannot load"},
		{"no such file", filepath.Join(dir, "none.onnx"), "", swapRefused, "no such file"},
		{"wrong contract", "../tensorrt/testdata/wrong-types.onnx", "", swapRefused, "input y: expected uint8"},
		{"paints black", golden(t, "../tensorrt/testdata/wrong-black.onnx", filepath.Join(dir, "black.onnx"), 0), "", swapRefused, "came out wrong"},
		{"mismatched denoiser", good, "../tensorrt/testdata/denoiser-stranger.onnx", swapRefused, "was trained on another predictor"},
		{"golden mismatch", golden(t, plusOne, filepath.Join(dir, "off.onnx"), 5), "", swapRefused, "expected the recorded golden picture within 45 dB, found 34.2 dB"},
		{"no golden picture", plusOne, "", swapRefused, "carries no golden picture"},
		{"good", good, "", swapInForce, ""},
	} {
		was := p.networks()
		next.Models.Predictor, next.Models.Denoiser = try.predictor, try.denoiser
		s := reload()
		if s.State != try.state || !strings.Contains(s.Error, try.says) || (p.networks() == was) != (try.state == swapRefused) {
			t.Errorf("%s: %s, error %q, want %s saying %q", try.about, s.State, s.Error, try.state, try.says)
		}
	}
	golden(t, "../models/identity.onnx", good, -1) // the file's content changes
	if s := reload(); s.State != swapInForce || p.networks().predictor.Name != "identity" {
		t.Errorf("changed file: %s, error %q, %s in force", s.State, s.Error, p.networks().predictor.Name)
	}
	next.Models.Predictor, next.Models.Golden = plusOne, goldenOptional
	if s := reload(); s.State != swapInForce {
		t.Errorf("no golden picture, and optional: %s, error %q", s.State, s.Error)
	}
	now, n := p.networks(), l.last.Load()
	p.reload() // nothing changed
	if err := swapped(ctx, p, swapRequest{}); err != nil {
		t.Error(err)
	}
	if p.networks() != now {
		t.Error("a reload without a change swapped")
	}
	eventually(t, "frames all the while", func() bool { return l.last.Load() > n+3 })
	if l.gaps.Load() != 0 {
		t.Errorf("%d frames are missing", l.gaps.Load())
	}
	end()
}

// A refine section that does not suit the denoiser in force is refused.
func TestReloadRefusesARefineSectionThatDoesNotSuit(t *testing.T) {
	p := testPipeline(t, testConfig(t, keyframing), (&outbox{}).output())
	fresh := *p.config.Load()
	fresh.Refine.SigmaMin = 1000
	p.reloadFrom(func() (*Config, error) { return &fresh, nil }, new(slog.LevelVar))
	if r := p.state.reload; !strings.Contains(r.Error, "refine: the noise schedule") || p.config.Load().Refine.SigmaMin != 0 {
		t.Errorf("error %q, sigma_min %v", r.Error, p.config.Load().Refine.SigmaMin)
	}
}

func TestModelsVerify(t *testing.T) {
	dir := t.TempDir()
	good := golden(t, plusOne, filepath.Join(dir, "good.onnx"), 0)
	bad := golden(t, plusOne, filepath.Join(dir, "bad.onnx"), 9)
	const data = "../tensorrt/testdata/"
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"verify", 2, "want the models' files"},
		{"verify ../models/predictor-s.onnx ../models/denoiser-s.onnx", 0, "ok    match     denoiser-s belongs to predictor-s"},
		{"verify identity.onnx", 0, "ok    golden    99 dB"}, // a shipped model by its bare name
		{"verify " + good, 0, "ok    trial run 322x182 on the CPU"},
		{"verify " + bad, 1, "FAIL  golden    " + bad + ": expected the recorded golden picture"},
		{"verify " + plusOne, 1, "FAIL  golden"},
		{"verify --no-golden " + plusOne, 0, "none, as --no-golden allows"},
		{"verify --no-golden " + bad, 1, "FAIL  golden"},
		{"verify " + data + "wrong-cut.onnx", 1, "FAIL  contract"},
		{"verify --no-golden " + data + "wrong-black.onnx", 1, "FAIL  trial run"},
		{"verify --no-golden " + good + " " + data + "denoiser-stranger.onnx", 1, "FAIL  match"},
		{"verify --no-golden " + good + " " + plusOne, 1, "are both a predictor"},
		{"verify /nowhere.onnx", 1, "no such file"},
	} {
		status, out, err := sharpend(append([]string{"models"}, strings.Fields(c.args)...)...)
		if status != c.status || !strings.Contains(out+err, c.says) {
			t.Errorf("models %s: status %d, want %d saying %q; said\n%s%s", c.args, status, c.status, c.says, out, err)
		}
	}
}

func TestModelsUse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cam.yaml")
	const text = "# mine\nmodels: {predictor: %s, denoiser: %s} # these\nruntime: {providers: [cpu]}\n"
	write(t, file, fmt.Sprintf(text, "predictor-s.onnx", "denoiser-s.onnx"))
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	good := golden(t, plusOne, filepath.Join(t.TempDir(), "good.onnx"), 0)
	use := func(want int, args ...string) string {
		t.Helper()
		status, out, stderr := sharpend(append([]string{"models", "use", "-c", file}, args...)...)
		if status != want {
			t.Errorf("%v: status %d, want %d\n%s%s", args, status, want, out, stderr)
		}
		return out
	}
	holds := func(predictor, denoiser string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if want := fmt.Sprintf(text, predictor, denoiser); err != nil || string(got) != want {
			t.Errorf("the configuration is\n%swant\n%s", got, want)
		}
	}
	if out := use(1, good); !strings.Contains(out, "FAIL  match") { // the denoiser is another's
		t.Errorf("said\n%s", out)
	}
	holds("predictor-s.onnx", "denoiser-s.onnx")
	out := use(0, "--no-denoiser", good)
	c, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, c.Models.Predictor)
	holds(name, `""`)
	var about unix.Stat_t
	if err := unix.Stat(file, &about); err != nil || about.Mode&0o777 != 0o640 {
		t.Errorf("the configuration's mode is %o", about.Mode&0o777)
	}
	if a, b := readFile(t, good), readFile(t, c.Models.Predictor); a != b || filepath.Dir(name) != "models" {
		t.Errorf("%s is not the model", name)
	}
	if !strings.Contains(out, "Go back:         sharpend models use ") {
		t.Errorf("said\n%s", out)
	}
	use(0, "predictor-s.onnx", "denoiser-s.onnx") // back: shipped models keep their bare names
	holds("predictor-s.onnx", "denoiser-s.onnx")
	use(0, "--no-denoiser", c.Models.Predictor) // again, from where it lies: no further copy
	holds(name, `""`)
	if all, _ := filepath.Glob(filepath.Join(dir, "models", "*")); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
