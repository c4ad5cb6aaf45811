package main

import (
	"context"
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"
	"time"

	"sharpend/capture"
	"sharpend/tensorrt"
)

// The state is what the daemon says of itself on /info. Safe for concurrent
// use; a change wakes the publisher through changed.
type state struct {
	changed chan struct{}

	mu     sync.Mutex
	camera cameraInfo
	predictor,
	refiner *sessionInfo
	reload *reloadInfo
	swap   *swapInfo
}

func newState() *state {
	return &state{changed: make(chan struct{}, 1), camera: cameraInfo{State: "opening"}}
}

// An info is the retained message on /info.
type info struct {
	Version   string         `json:"version"`
	Name      string         `json:"name"`
	Started   time.Time      `json:"started"`
	Camera    cameraInfo     `json:"camera"`
	Models    modelsInfo     `json:"models"`
	Runtime   runtimeInfo    `json:"runtime"`
	Degraded  []string       `json:"degraded,omitempty"` // in what it falls short of runtime.require
	Predictor *sessionInfo   `json:"predictor_session,omitempty"`
	Refiner   *sessionInfo   `json:"refiner_session,omitempty"`
	Engines   []engineInfo   `json:"engines,omitempty"` // being built, or not to be had
	Settings  map[string]any `json:"settings"`
	Reload    *reloadInfo    `json:"reload,omitempty"`
	Swap      *swapInfo      `json:"swap,omitempty"`
}

type cameraInfo struct {
	State       string          `json:"state"` // opening, streaming, lost
	Name        string          `json:"name,omitempty"`
	Asked       *capture.Format `json:"asked,omitempty"`
	Granted     *capture.Format `json:"granted,omitempty"`
	KernelClock bool            `json:"kernel_clock"`
	Notes       []string        `json:"notes,omitempty"`
	Error       string          `json:"error,omitempty"`
}

type modelsInfo struct {
	Predictor *modelInfo `json:"predictor"`
	Denoiser  *modelInfo `json:"denoiser"` // null: keyframes are not refined
}

type modelInfo struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

type runtimeInfo struct {
	Version string `json:"onnxruntime"`
}

// A sessionInfo says which provider runs a model and why not another.
type sessionInfo struct {
	Provider string            `json:"provider"`
	Skipped  map[string]string `json:"skipped,omitempty"`
	// Difference says how far a GPU's output is from the CPU's.
	Difference string `json:"difference,omitempty"`
}

// A reloadInfo is the outcome of the last reload.
type reloadInfo struct {
	Time    time.Time `json:"time"`
	Changed []string  `json:"changed,omitempty"`
	Restart []string  `json:"needs_restart,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// set changes the state and wakes the publisher.
func (s *state) set(change func(*state)) {
	s.mu.Lock()
	change(s)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // it is awake already
	}
}

// predictorOpened and refinerOpened note the session that serves from now on.
func (p *pipeline) predictorOpened(s *tensorrt.Predictor) {
	i := sessionOf(s.Provider(), s.Attempts())
	p.nowServes(func(s *state) { s.predictor = i })
}

func (p *pipeline) refinerOpened(s *tensorrt.Denoiser) {
	i := sessionOf(s.Provider(), s.Attempts())
	p.nowServes(func(s *state) { s.refiner = i })
}

func (p *pipeline) nowServes(change func(*state)) {
	var was, is []string
	p.state.set(func(s *state) {
		was = p.degraded()
		change(s)
		is = p.degraded()
	})
	if is != nil && !slices.Equal(was, is) {
		p.log.Warn("degraded", "because", strings.Join(is, "; "))
	}
}

func sessionOf(provider string, attempts []tensorrt.Attempt) *sessionInfo {
	i := &sessionInfo{Provider: provider}
	for _, a := range attempts {
		if a.Err == nil {
			i.Difference = a.Difference
		} else {
			if i.Skipped == nil {
				i.Skipped = map[string]string{}
			}
			i.Skipped[a.Provider] = a.Err.Error()
		}
	}
	return i
}

// info is the state, joined with what never changes.
func (p *pipeline) info() info {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	c, n := p.config.Load(), p.networks()
	i := info{
		Version: version, Name: c.Name, Started: p.stats.start,
		Camera:    p.state.camera,
		Models:    modelsInfo{Predictor: modelOf(n.predictor), Denoiser: modelOf(n.denoiser)},
		Runtime:   runtimeInfo{Version: p.library},
		Degraded:  p.degraded(),
		Predictor: p.engines.explain(tensorrt.PredictorKind, p.state.predictor),
		Refiner:   p.engines.explain(tensorrt.DenoiserKind, p.state.refiner),
		Engines:   p.engines.infos(time.Now()),
		Settings:  c.with(n).public(), Reload: p.state.reload, Swap: p.state.swap,
	}
	return i
}

func modelOf(m *tensorrt.Model) *modelInfo {
	if m == nil {
		return nil
	}
	return &modelInfo{Name: m.Name, Path: m.Path, SHA256: m.SHA256}
}

func (p *pipeline) cameraFound(c *capture.Camera) {
	asked, granted := c.Asked, c.Granted
	p.log.Info("camera streams", "name", c.Name, "asked", asked.String(), "granted", granted.String(), "notes", c.Notes)
	p.state.set(func(s *state) {
		s.camera = cameraInfo{State: "streaming", Name: c.Name, Asked: &asked, Granted: &granted, KernelClock: c.KernelClock, Notes: c.Notes}
	})
}

// cameraLost reports a loss once, not at every attempt to open it again.
func (p *pipeline) cameraLost(err error) {
	p.state.mu.Lock()
	known := p.state.camera.State == "lost" && p.state.camera.Error == err.Error()
	p.state.mu.Unlock()
	if known {
		return
	}
	p.log.Warn("camera lost, opening it again", "error", err)
	p.state.set(func(s *state) {
		s.camera.State, s.camera.Error = "lost", err.Error()
	})
}

// takeSnapshot joins the counters with the state that belongs to them.
func (p *pipeline) takeSnapshot(now time.Time, total bool) snapshot {
	s := p.stats.snapshot(now, total)
	c := p.settings()
	s.Steps, s.Samples = c.Steps, c.Samples
	p.state.mu.Lock()
	s.Camera, s.Degraded = p.state.camera.State, p.degraded() != nil
	if p.state.predictor != nil {
		s.Provider = p.state.predictor.Provider
	}
	p.state.mu.Unlock()
	s.Board = p.board.Load()
	m := p.out.snapshot()
	s.Broker = brokerCounts{Connected: m.Connected, Connects: m.Connects, LastError: m.LastError}
	return s
}

func sizeText(p image.Point) string { return fmt.Sprintf("%dx%d", p.X, p.Y) }

// A backoff waits longer each time, up to two seconds; zero value ready.
type backoff struct{ wait time.Duration }

// sleep waits, but no longer than the context lives.
func (b *backoff) sleep(ctx context.Context) {
	b.wait = min(max(2*b.wait, 100*time.Millisecond), 2*time.Second)
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
