package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// An engineKeeper gives each session its engine, and has missing ones built by
// a child process while the next provider serves. Safe for concurrent use.
type engineKeeper struct {
	*pipeline
	source func() (*engineSource, error)
	child  func(engineJob) (*exec.Cmd, error)
	ask    func(swapRequest) // to put a session with the new engine in force

	tickEvery, logEvery time.Duration

	mu      sync.Mutex
	builds  bool // builders are started: in the daemon only
	jobs    []engineJob
	skipped map[string]string // kind of model -> why TensorRT does not run it
	wake    chan struct{}
	giveUp  chan struct{} // closed: the running build serves nobody any more
	over    chan struct{} // closed when nothing is built any more
}

func newEngineKeeper(p *pipeline) *engineKeeper {
	return &engineKeeper{
		pipeline: p, child: p.childCommand, ask: p.swap, tickEvery: 10 * time.Second, logEvery: time.Minute,
		source:  sync.OnceValues(func() (*engineSource, error) { return p.config.Load().engineSource() }),
		skipped: map[string]string{}, wake: make(chan struct{}, 1), over: make(chan struct{}),
	}
}

// want has an engine built.
func (k *engineKeeper) want(j engineJob) {
	k.mu.Lock()
	before := k.jobs
	k.jobs = jobsWith(k.jobs, j, time.Now())
	if k.giveUp != nil && building(before) != building(k.jobs) {
		close(k.giveUp)
		k.giveUp = nil
	}
	k.mu.Unlock()
	k.tell()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// building is the key of the engine that is being built.
func building(jobs []engineJob) string {
	for _, j := range jobs {
		if j.state == jobBuilding {
			return j.key
		}
	}
	return ""
}

// await has an engine built and waits for it.
func (k *engineKeeper) await(j engineJob) error {
	if !k.mayBuild() {
		return fmt.Errorf("%s is not built: `sharpend engines build --model %s --size %s` builds it", j.name(), j.model.Kind, sizeText(j.size))
	}
	j.answer = make(chan error, 1)
	k.want(j)
	select {
	case err := <-j.answer:
		return err
	case <-k.over:
		return context.Canceled
	}
}

func (k *engineKeeper) tell() { k.state.set(func(*state) {}) }

// supervise builds what is wanted, one engine at a time, until the context is
// done. The calling goroutine keeps its thread to the end: a builder dies with
// it, and inherits its niceness.
func (k *engineKeeper) supervise(ctx context.Context) {
	defer close(k.over)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19); err != nil {
		k.log.Warn("engines are built at the daemon's own priority", "error", err)
	}
	for ctx.Err() == nil {
		k.mu.Lock()
		i, wait := nextJob(k.jobs, time.Now())
		var j engineJob
		if i >= 0 {
			j = k.jobs[i]
		}
		k.mu.Unlock()
		if i >= 0 {
			k.build(ctx, j)
		} else {
			k.rest(ctx, wait)
		}
	}
}

// rest waits for a new job, or until one is due again.
func (k *engineKeeper) rest(ctx context.Context, wait time.Duration) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-k.wake:
	case <-due:
	case <-ctx.Done():
	}
}

// build runs one builder to its end.
func (k *engineKeeper) build(ctx context.Context, j engineJob) {
	s, err := k.source()
	if err != nil {
		return // no job comes to be without it
	}
	past, _ := s.cache.List(false) // without it there is no estimate
	estimate := engines.EstimateOf(j.inputs, int64(len(j.model.Data)), past)
	giveUp := make(chan struct{})
	if !k.change(j.key, func(j engineJob) engineJob { k.giveUp = giveUp; return j.begun(time.Now(), estimate) }) {
		return // it was replaced this very moment
	}
	log := k.log.With("model", j.model.Name, "size", sizeText(j.size))
	log.Info("building an engine, the next provider serves meanwhile", "estimate", estimate.Time, "because", estimate.Basis)
	problem := k.runChild(ctx, j, giveUp)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	var after engineJob
	found := k.change(j.key, func(j engineJob) engineJob { k.giveUp = nil; after = j.ended(problem, now); return after })
	switch {
	case !found:
		log.Info("engine given up: another is needed by now")
	case problem != "":
		log.Error("no engine", "error", problem, "tries", after.tries, "next_try", after.next)
		k.skip(j.model.Kind, after.text(now))
	default:
		log.Info("engine built", "took", now.Sub(after.since))
	}
	if found {
		k.answer(j, problem)
	}
}

// answer tells who waits, or has the engine put in force.
func (k *engineKeeper) answer(j engineJob, problem string) {
	switch {
	case j.answer != nil:
		k.remove(j.key)
		if problem == "" {
			j.answer <- nil
		} else {
			j.answer <- errors.New(problem)
		}
	case problem == "":
		predictor := j.model.Kind == tensorrt.PredictorKind
		k.ask(swapRequest{predictor: predictor, denoiser: !predictor, why: "engine built", done: func(err error) { k.swapped(j, err) }})
	}
}

// swapped is the outcome of the swap to a new engine.
func (k *engineKeeper) swapped(j engineJob, err error) {
	if err == nil {
		k.remove(j.key)
		return
	}
	k.change(j.key, func(j engineJob) engineJob { return j.refused(err.Error(), time.Now()) })
}

// runChild runs a builder; "" is success.
func (k *engineKeeper) runChild(ctx context.Context, j engineJob, giveUp <-chan struct{}) string {
	cmd, err := k.child(j)
	if err != nil {
		return err.Error()
	}
	c, err := startChild(cmd, k.log, k.background)
	if err != nil {
		return err.Error()
	}
	begin, said := time.Now(), time.Now()
	err = c.watch(ctx, k.tickEvery, func() {
		k.tell()
		if now := time.Now(); now.Sub(said) >= k.logEvery {
			said = now
			k.log.Info("an engine is still being built", "model", j.model.Name, "for", now.Sub(begin).Round(time.Second))
		}
	}, giveUp)
	return c.problem(err)
}

// change replaces the job of a key, and says whether there is one.
func (k *engineKeeper) change(key string, change func(engineJob) engineJob) bool {
	k.mu.Lock()
	i := slices.IndexFunc(k.jobs, func(j engineJob) bool { return j.key == key })
	if i >= 0 {
		k.jobs = slices.Clone(k.jobs)
		k.jobs[i] = change(k.jobs[i])
	}
	k.mu.Unlock()
	k.tell()
	return i >= 0
}

func (k *engineKeeper) remove(key string) {
	k.mu.Lock()
	k.jobs = slices.DeleteFunc(slices.Clone(k.jobs), func(j engineJob) bool { return j.key == key })
	k.mu.Unlock()
	k.tell()
}

// infos are the jobs for /info.
func (k *engineKeeper) infos(now time.Time) (list []engineInfo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, j := range k.jobs {
		list = append(list, j.info(now))
	}
	return list
}

// status is what a person should hear of engines now, "" for nothing.
func (k *engineKeeper) status(now time.Time) (text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, j := range k.jobs {
		if text == "" || j.state == jobBuilding {
			text = j.text(now)
		}
	}
	return text
}
