package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

const fakeBuilderEnv = "SHARPEND_TEST_BUILDER"

// An order tells the fake builder, a process of its own, what to do.
type order struct {
	How    string // succeed, slow, fail, killed, half, sleep; parent: to be a daemon with a sleeping builder; program: to be sharpend
	Cache  string
	Inputs engines.Inputs
}

func fakeBuilder(text string) int {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	if o.How == "program" {
		return execute(context.Background(), environment{os.Stdout, os.Stderr}, os.Args[1:])
	}
	fmt.Fprintln(os.Stderr, "builder begins,", o.How)
	switch o.How {
	case "fail":
		fmt.Fprintln(os.Stderr, "sharpend engines build: TensorRT says no")
		return 1
	case "killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "sleep":
		time.Sleep(time.Hour)
	case "parent":
		return fakeDaemon(o)
	}
	cache, err := engines.OpenCache(o.Cache)
	if err != nil {
		panic(err)
	}
	_, built, err := cache.Build(context.Background(), engines.Build{Inputs: o.Inputs, About: engines.About{Name: "fake", ModelBytes: 4},
		Run: func(dir, _ string) error { return fakeEngine(o.How, dir) }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stderr, "built:", built)
	return 0
}

func fakeEngine(how, dir string) error {
	path := filepath.Join(dir, "x.engine")
	if exists(path) {
		return nil
	}
	switch how {
	case "half":
		_ = os.WriteFile(path, fmt.Append(nil, os.Getpid()), 0o600)
		time.Sleep(time.Hour)
	case "slow":
		time.Sleep(500 * time.Millisecond)
	}
	return os.WriteFile(path, []byte("half and half"), 0o600)
}

// fakeDaemon supervises a sleeping builder and says its number.
func fakeDaemon(o order) int {
	k, _ := testKeeper(o.Cache, "sleep")
	k.child = func(engineJob) (*exec.Cmd, error) {
		return fakeCommand(order{How: "sleep", Cache: o.Cache, Inputs: o.Inputs}), nil
	}
	k.log = slog.New(slog.NewTextHandler(os.Stdout, nil))
	k.want(engineJob{key: "a", inputs: o.Inputs, model: testModel(tensorrt.PredictorKind)})
	k.supervise(context.Background())
	return 0
}

func fakeCommand(o order) *exec.Cmd {
	text, _ := json.Marshal(o)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fakeBuilderEnv+"="+string(text))
	return cmd
}

var fakeMachine = engines.Machine{TensorRT: "10.3.0", CUDA: "12.6", Driver: "12.6", GPU: "Orin", Capability: "8.7", Multiprocessors: 14}

func testModel(kind string) *tensorrt.Model {
	return &tensorrt.Model{Kind: kind, Name: kind + "-s", Path: "/m/" + kind + ".onnx", SHA256: strings.Repeat("ab", 32), Multiple: 16, Data: []byte("onnx")}
}

// testKeeper is a keeper whose machine has TensorRT, and whose builders do as
// how says. asked counts the swaps it asks for, each of which succeeds.
func testKeeper(dir, how string) (k *engineKeeper, asked *atomic.Int32) {
	p := newPipeline(Default(), &networks{predictor: testModel(tensorrt.PredictorKind)}, output{}, slog.New(slog.DiscardHandler))
	k, asked = p.engines, new(atomic.Int32)
	k.builds, k.tickEvery = true, 20*time.Millisecond
	k.ask = func(r swapRequest) { asked.Add(1); r.done(nil) }
	k.source = func() (*engineSource, error) {
		cache, err := engines.OpenCache(dir)
		return &engineSource{cache, "1.27.0", fakeMachine}, err
	}
	k.child = func(j engineJob) (*exec.Cmd, error) {
		return fakeCommand(order{How: how, Cache: dir, Inputs: j.inputs}), nil
	}
	return k, asked
}

// supervised runs the keeper until the test's end.
func supervised(t *testing.T, k *engineKeeper) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k.background(func() { k.supervise(ctx) })
	end = func() {
		cancel()
		k.tasks.Wait()
	}
	t.Cleanup(end)
	return end
}

func withProviders(list ...string) tensorrt.Config {
	c := tensorrt.Default()
	c.Providers = list
	return c
}

var testSize = image.Pt(640, 360)

// serve goes through an opening as the daemon does; the session is imagined.
func serve(t *testing.T, k *engineKeeper, c tensorrt.Config, provider string) opening {
	t.Helper()
	o, err := k.prepare(testModel(tensorrt.PredictorKind), testSize, c)
	if err != nil {
		t.Fatal(err)
	}
	k.opened(o, provider)
	return o
}

func firstJob(k *engineKeeper) engineInfo {
	if list := k.infos(time.Now()); len(list) > 0 {
		return list[0]
	}
	return engineInfo{}
}

// The whole way: missing, served by the next, built, swapped in once, used.
func TestEngineIsBuiltBesideTheStream(t *testing.T) {
	k, asked := testKeeper(t.TempDir(), "succeed")
	supervised(t, k)
	c := withProviders(tensorrt.TensorRT, tensorrt.CUDA, tensorrt.CPU)
	o := serve(t, k, c, tensorrt.CUDA)
	if got := o.runtime.ProvidersFor(tensorrt.PredictorKind); !slices.Equal(got, []string{tensorrt.CUDA, tensorrt.CPU}) {
		t.Errorf("without an engine: %q", got)
	}
	if why := k.skippedFor(tensorrt.PredictorKind); !strings.Contains(why, "its engine for 640x360: it is not built yet") {
		t.Errorf("why not: %q", why)
	}
	eventually(t, "a swap", func() bool { return asked.Load() == 1 })
	eventually(t, "an empty list", func() bool { return len(k.infos(time.Now())) == 0 })
	o = serve(t, k, c, tensorrt.TensorRT)
	if o.engine == nil || !slices.Equal(o.runtime.ProvidersFor(tensorrt.PredictorKind), c.Providers) {
		t.Errorf("with its engine: %+v", o)
	}
	if why := k.skippedFor(tensorrt.PredictorKind); why != "" {
		t.Errorf("why not: %q", why)
	}
	// Nothing is built for a size that is there already; another size is.
	if n := asked.Load(); n != 1 {
		t.Errorf("%d swaps", n)
	}
	if _, err := k.prepare(testModel(tensorrt.PredictorKind), image.Pt(1280, 720), c); err != nil || k.skippedFor(tensorrt.PredictorKind) == "" {
		t.Errorf("another size finds an engine: %v", err)
	}
}

// A provider that stands before TensorRT needs no engine, nor does a list without it.
func TestNothingIsBuiltForNobody(t *testing.T) {
	k, _ := testKeeper(t.TempDir(), "succeed")
	serve(t, k, withProviders(tensorrt.CUDA, tensorrt.TensorRT, tensorrt.CPU), tensorrt.CUDA)
	serve(t, k, withProviders(tensorrt.CPU), tensorrt.CPU)
	if list := k.infos(time.Now()); len(list) != 0 {
		t.Errorf("wanted: %+v", list)
	}
	serve(t, k, withProviders(tensorrt.CUDA, tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	if list := k.infos(time.Now()); len(list) != 1 {
		t.Errorf("wanted: %+v", list)
	}
	k, _ = testKeeper(t.TempDir(), "succeed")
	off := *k.config.Load()
	off.Engines.Background = false
	k.config.Store(&off)
	serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	if list := k.infos(time.Now()); len(list) != 0 || !strings.Contains(k.skippedFor(tensorrt.PredictorKind), "sharpend engines build") {
		t.Errorf("with engines.background off: %+v, %q", list, k.skippedFor(tensorrt.PredictorKind))
	}
}

// A machine without TensorRT: the reason is the library's, nothing is built.
func TestNoTensorRTHere(t *testing.T) {
	k, _ := testKeeper(t.TempDir(), "succeed")
	k.source = func() (*engineSource, error) { return nil, errors.New("no TensorRT: libnvinfer.so.10: cannot open") }
	serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	if len(k.infos(time.Now())) != 0 || !strings.Contains(k.skippedFor(tensorrt.PredictorKind), "libnvinfer.so.10") {
		t.Errorf("%+v, %q", k.infos(time.Now()), k.skippedFor(tensorrt.PredictorKind))
	}
	s := k.explain(tensorrt.PredictorKind, &sessionInfo{Provider: tensorrt.CPU, Skipped: map[string]string{tensorrt.CUDA: "none"}})
	if !strings.Contains(s.Skipped[tensorrt.TensorRT], "libnvinfer") || s.Skipped[tensorrt.CUDA] != "none" {
		t.Errorf("/info says %+v", s)
	}
	if _, err := k.prepare(testModel(tensorrt.PredictorKind), testSize, withProviders(tensorrt.TensorRT)); err == nil || !strings.Contains(err.Error(), "libnvinfer.so.10") {
		t.Errorf("tensorrt alone: %v", err)
	}
}

// Each way to fail leaves the serving path alone, is reported with its reason, and is tried again.
func TestBuildsThatFail(t *testing.T) {
	for _, c := range []struct{ how, want string }{
		{"fail", "builder begins, fail: sharpend engines build: TensorRT says no"},
		{"killed", "the builder was ended by SIGKILL: builder begins, killed"},
	} {
		t.Run(c.how, func(t *testing.T) {
			k, asked := testKeeper(t.TempDir(), c.how)
			supervised(t, k)
			serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
			eventually(t, "a failure", func() bool { return firstJob(k).State == jobFailed })
			i := firstJob(k)
			if !strings.Contains(i.Error, c.want) || i.Tries != 1 || i.Next == nil || time.Until(*i.Next) < 50*time.Second {
				t.Errorf("expected %q, found %+v", c.want, i)
			}
			if !strings.Contains(k.status(time.Now()), c.want) || !strings.Contains(k.skippedFor(tensorrt.PredictorKind), c.want) {
				t.Errorf("status %q, skipped %q", k.status(time.Now()), k.skippedFor(tensorrt.PredictorKind))
			}
			retryNow(k)
			eventually(t, "a second try", func() bool { return firstJob(k).Tries == 2 && firstJob(k).State == jobFailed })
			if asked.Load() != 0 {
				t.Error("a swap was asked for")
			}
		})
	}
}

// retryNow lets the time of the next try come.
func retryNow(k *engineKeeper) {
	k.mu.Lock()
	for i := range k.jobs {
		k.jobs[i].next = time.Now()
	}
	k.mu.Unlock()
	k.wake <- struct{}{}
}

// A builder that is killed from outside with half an engine on the disk, and the try after it.
func TestHalfAnEngine(t *testing.T) {
	dir, how := t.TempDir(), atomic.Value{}
	how.Store("half")
	k, asked := testKeeper(dir, "")
	k.child = func(j engineJob) (*exec.Cmd, error) {
		return fakeCommand(order{How: how.Load().(string), Cache: dir, Inputs: j.inputs}), nil
	}
	supervised(t, k)
	serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	pid := 0
	eventually(t, "half an engine", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*.building", "engine-new", "x.engine"))
		if len(found) == 1 {
			text, _ := os.ReadFile(found[0])
			pid, _ = strconv.Atoi(string(text))
		}
		return pid > 1
	})
	how.Store("succeed")
	_ = unix.Kill(pid, unix.SIGKILL)
	eventually(t, "a failure", func() bool { return firstJob(k).State == jobFailed })
	if o, err := k.prepare(testModel(tensorrt.PredictorKind), testSize, withProviders(tensorrt.TensorRT, tensorrt.CPU)); err != nil || o.engine != nil {
		t.Fatalf("half an engine is used: %+v, %v", o, err)
	}
	retryNow(k)
	eventually(t, "a swap", func() bool { return asked.Load() == 1 })
}

// An engine that was damaged on the disk is found, and built again.
func TestDamagedEngineIsBuiltAgain(t *testing.T) {
	dir := t.TempDir()
	k, asked := testKeeper(dir, "succeed")
	supervised(t, k)
	c := withProviders(tensorrt.TensorRT, tensorrt.CPU)
	serve(t, k, c, tensorrt.CPU)
	eventually(t, "a swap", func() bool { return asked.Load() == 1 })
	files, _ := filepath.Glob(filepath.Join(dir, "*", "x.engine"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	write(t, files[0], "half and hald")
	if o := serve(t, k, c, tensorrt.CPU); o.engine != nil {
		t.Error("it is used")
	}
	eventually(t, "a second swap", func() bool { return asked.Load() == 2 })
	if o := serve(t, k, c, tensorrt.TensorRT); o.engine == nil {
		t.Error("built again, it is not used")
	}
}

// Two daemons want the same engine: one builds it, both use it.
func TestTwoDaemons(t *testing.T) {
	dir := t.TempDir()
	var log lockedBuffer
	c := withProviders(tensorrt.TensorRT, tensorrt.CPU)
	var all [2]*atomic.Int32
	for i := range all {
		var k *engineKeeper
		k, all[i] = testKeeper(dir, "slow")
		k.log = slog.New(slog.NewTextHandler(&log, nil))
		supervised(t, k)
		serve(t, k, c, tensorrt.CPU)
	}
	eventually(t, "two swaps", func() bool { return all[0].Load() == 1 && all[1].Load() == 1 })
	for text, want := range map[string]int{"built: true": 1, "built: false": 1} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("expected %d times %q, found %d in %s", want, text, got, log.String())
		}
	}
}

// SIGTERM during a build: the builder goes at once, and nothing is left of it.
func TestEndDuringABuild(t *testing.T) {
	dir := t.TempDir()
	k, _ := testKeeper(dir, "half")
	end := supervised(t, k)
	serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	eventually(t, "a build", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*.building", "engine-new", "x.engine"))
		return len(found) == 1
	})
	begin := time.Now()
	end()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	cache, err := engines.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := cache.List(true); len(list) != 1 || list[0].State != engines.Left {
		t.Errorf("a builder still lives: %+v", list)
	}
}

// A builder does not outlive a daemon that is killed.
func TestBuilderDiesWithItsDaemon(t *testing.T) {
	cmd := fakeCommand(order{How: "parent", Cache: t.TempDir(), Inputs: engines.Inputs{Kind: "predictor"}})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "builder begins, sleep") {
			break
		}
	}
	children := childrenOf(cmd.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("children %v", children)
	}
	if nice, _ := unix.Getpriority(unix.PRIO_PROCESS, children[0]); nice != 1 { // the system call gives 20-nice
		t.Errorf("the builder's niceness is %d, not 19", 20-nice)
	}
	if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", children[0])); strings.TrimSpace(string(text)) != "1000" {
		t.Errorf("the builder's oom_score_adj is %s", text)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the builder's end", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", children[0]))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

// childrenOf lists a process's children, by whichever thread.
func childrenOf(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(field)
			list = append(list, n)
		}
	}
	return list
}

// Where nothing but TensorRT may serve, the session waits for its engine.
func TestWaitingForTheEngine(t *testing.T) {
	only := withProviders(tensorrt.TensorRT)
	m := testModel(tensorrt.PredictorKind)
	k, asked := testKeeper(t.TempDir(), "slow")
	supervised(t, k)
	insists := tensorrt.Default()
	insists.Require, insists.OnLess = tensorrt.TensorRT, tensorrt.OnLessExit
	o, err := k.prepare(m, testSize, insists.Demanded())
	if err != nil || o.engine == nil || asked.Load() != 0 || len(k.infos(time.Now())) != 0 {
		t.Errorf("%+v, %v, %d swaps, %+v", o, err, asked.Load(), k.infos(time.Now()))
	}
	o.engine.Close()

	k, _ = testKeeper(t.TempDir(), "fail")
	end := supervised(t, k)
	if _, err := k.prepare(m, testSize, only); err == nil || !strings.Contains(err.Error(), "TensorRT says no") {
		t.Errorf("found %v", err)
	}
	if list := k.infos(time.Now()); len(list) != 0 {
		t.Errorf("nobody waits any more: %+v", list)
	}
	end()

	k, _ = testKeeper(t.TempDir(), "sleep")
	end = supervised(t, k)
	failed := make(chan error, 1)
	go func() { _, err := k.prepare(m, testSize, only); failed <- err }()
	eventually(t, "a build", func() bool { return firstJob(k).State == jobBuilding })
	end()
	if err := <-failed; err == nil {
		t.Error("it was built by a dead builder")
	}

	k, _ = testKeeper(t.TempDir(), "succeed")
	k.builds = false
	if _, err := k.prepare(m, testSize, only); err == nil || !strings.Contains(err.Error(), "sharpend engines build --model predictor --size 640x360") {
		t.Errorf("a command that builds nothing: %v", err)
	}
}

// A camera that comes back with another size: the old size's build is given up.
func TestBuildThatNobodyNeedsAnyMore(t *testing.T) {
	k, asked := testKeeper(t.TempDir(), "")
	sizes := make(chan int, 4)
	k.child = func(j engineJob) (*exec.Cmd, error) {
		sizes <- j.size.X
		how := map[int]string{640: "sleep", 1280: "succeed"}[j.size.X]
		s, _ := k.source()
		return fakeCommand(order{How: how, Cache: s.cache.Dir(), Inputs: j.inputs}), nil
	}
	supervised(t, k)
	c := withProviders(tensorrt.TensorRT, tensorrt.CPU)
	serve(t, k, c, tensorrt.CPU)
	if size := <-sizes; size != 640 {
		t.Errorf("built first: %d", size)
	}
	o, err := k.prepare(testModel(tensorrt.PredictorKind), image.Pt(1280, 720), c)
	if err != nil {
		t.Fatal(err)
	}
	k.opened(o, tensorrt.CPU)
	eventually(t, "a swap", func() bool { return asked.Load() == 1 })
	if size := <-sizes; size != 1280 {
		t.Errorf("built then: %d", size)
	}
}

// An engine whose session does not prove itself stays away, and says why.
func TestRefusedEngine(t *testing.T) {
	k, asked := testKeeper(t.TempDir(), "succeed")
	k.ask = func(r swapRequest) { asked.Add(1); r.done(errors.New("it differs from the CPU")) }
	supervised(t, k)
	serve(t, k, withProviders(tensorrt.TensorRT, tensorrt.CPU), tensorrt.CPU)
	eventually(t, "a refusal", func() bool { return firstJob(k).State == jobRefused })
	if i := firstJob(k); i.Error != "it differs from the CPU" || asked.Load() != 1 {
		t.Errorf("%+v, %d swaps", i, asked.Load())
	}
}

// The whole daemon: frames flow while the engine is built, its session takes
// over between two of them, once, and /info tells of each station. (TensorRT
// itself is missing here, so that the new session falls back to the CPU.)
func TestEngineTakesOverBetweenTwoFrames(t *testing.T) {
	l, o := &ledger{t: t}, &outbox{}
	p := testPipeline(t, testConfig(t, func(c *Config) { c.Runtime.Providers = []string{tensorrt.TensorRT, tensorrt.CPU} }), l.output(o))
	fake, _ := testKeeper(t.TempDir(), "slow")
	var asked atomic.Int32
	p.engines.source, p.engines.child, p.engines.builds, p.engines.tickEvery = fake.source, fake.child, true, fake.tickEvery
	p.engines.ask = func(r swapRequest) { asked.Add(1); p.swap(r) }
	_, end := started(t, p)
	told := func(what string, ok func(i info) bool) {
		t.Helper()
		eventually(t, what, func() bool { return ok(lastInfo(t, o)) })
	}
	told("a build, and why not TensorRT", func(i info) bool {
		return len(i.Engines) == 1 && i.Engines[0].State == jobBuilding && i.Engines[0].Size == "160x96" && i.Predictor != nil &&
			i.Predictor.Provider == tensorrt.CPU && strings.Contains(i.Predictor.Skipped[tensorrt.TensorRT], "it is not built yet")
	})
	n := l.last.Load()
	told("the swap", func(i info) bool {
		return len(i.Engines) == 0 && i.Swap != nil && i.Swap.State == swapInForce && i.Swap.Why == "engine built" &&
			strings.Contains(i.Predictor.Skipped[tensorrt.TensorRT], "libonnxruntime_providers_shared.so")
	})
	if l.last.Load() < n+10 || l.gaps.Load() != 0 || asked.Load() != 1 {
		t.Errorf("%d frames during the build, %d missing, %d swaps", l.last.Load()-n, l.gaps.Load(), asked.Load())
	}
	end()
}

// A builder's words are logged line by line, and the last are kept.
func TestLastLines(t *testing.T) {
	var log lockedBuffer
	l := &lastLines{log: slog.New(slog.NewTextHandler(&log, nil))}
	for i := range 7 {
		fmt.Fprintf(l, "line %d\n\n", i)
	}
	fmt.Fprint(l, "un")
	fmt.Fprint(l, "finished")
	if got := l.lines(); !slices.Equal(got, []string{"line 3", "line 4", "line 5", "line 6", "unfinished"}) {
		t.Errorf("kept %q", got)
	}
	if n := strings.Count(log.String(), "says="); n != 8 {
		t.Errorf("logged %d lines", n)
	}
	l = &lastLines{log: slog.New(slog.DiscardHandler)}
	fmt.Fprint(l, strings.Repeat("x", 3*lineMost))
	for _, line := range l.lines() {
		if len(line) > lineMost {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if cap(l.part) > 4*lineMost {
		t.Errorf("%d bytes are kept of what has no end", cap(l.part))
	}
}

// A swap may have brought another model than the configuration names.
func TestBuilderGetsTheJobsModel(t *testing.T) {
	old := Models{Predictor: "p", Denoiser: "d"}
	for kind, want := range map[string]Models{
		tensorrt.PredictorKind: {Predictor: "/m/predictor.onnx", Denoiser: "d"},
		tensorrt.DenoiserKind:  {Predictor: "p", Denoiser: "/m/denoiser.onnx"},
	} {
		if got := modelsOf(engineJob{model: testModel(kind)}, old); got != want {
			t.Errorf("%s: expected %+v, found %+v", kind, want, got)
		}
	}
}

func TestChildEnvironment(t *testing.T) {
	got := childEnvironment([]string{"A=1", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "CACHE_DIRECTORY=/c", "JOURNAL_STREAM=1:2"})
	if !slices.Equal(got, []string{"A=1", "CACHE_DIRECTORY=/c"}) {
		t.Errorf("found %q", got)
	}
}
