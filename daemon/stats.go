package main

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"sharpend/board"
)

// Where a frame can be lost, in the order of the pipeline.
type drop int

const (
	dropCamera   drop = iota // the camera's own count has a gap
	dropCapture              // drained unread: a newer one was there
	dropPredict              // displaced before prediction
	dropRefine               // keyframe displaced before refinement
	dropPublish              // displaced before publishing
	dropOffline              // no broker
	dropTimeout              // the broker did not take it in time
	dropTooLarge             // larger than mqtt.max_packet
	dropLimited              // over publish.frame_rate
	dropCount
)

var dropNames = [dropCount]string{"camera", "capture", "predict", "refine", "publish", "offline", "timeout", "too_large", "limited"}

// What is timed.
type stage int

const (
	stageDecode  stage = iota
	stagePredict       // one frame through the predictor
	stageStep          // one evaluation of the denoiser
	stageRefine        // one keyframe
	stageEncode
	stagePublish
	stageLatency // capture time to published, every frame
	stageAge     // the same for keyframes
	stageCount
)

var stageNames = [stageCount]string{"decode", "predict", "refine_step", "refine", "encode", "publish", "latency", "keyframe_age"}

// A timing keeps the last interval and the whole run apart.
type timing struct{ window, total histogram }

func (t *timing) add(d time.Duration) {
	t.window.add(d)
	t.total.add(d)
}

// stats counts what the pipeline does. Every method is safe for concurrent
// use; the zero value is not ready: see newStats.
type stats struct {
	start            time.Time
	in, out, keys    atomic.Uint64
	skipped          atomic.Uint64 // frames not predicted, because they were sharp
	asked, shortened atomic.Uint64 // keyframes decided, and shortened by the budget
	losses           atomic.Uint64 // of the camera
	ready            atomic.Uint64 // resident bytes with the predictor open and no frame read yet
	drops            [dropCount]atomic.Uint64
	times            [stageCount]timing

	mu      sync.Mutex
	damaged map[string]uint64
	psnr    [3]mean // camera, predicted, refined against the truth
	last    moment  // of the previous snapshot
}

type moment struct {
	at      time.Time
	in, out uint64
}

type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum += v; m.n++ }

func newStats() *stats {
	now := time.Now()
	return &stats{start: now, damaged: map[string]uint64{}, last: moment{at: now}}
}

func (s *stats) damage(kind string) {
	s.mu.Lock()
	s.damaged[kind]++
	s.mu.Unlock()
}

const (
	psnrCamera = iota
	psnrPredicted
	psnrRefined
)

// truth takes a PSNR in dB; equal pictures (infinite) count as 99, for JSON.
func (s *stats) truth(which int, db float64) {
	s.mu.Lock()
	s.psnr[which].add(min(db, 99))
	s.mu.Unlock()
}

// A snapshot is what /stats publishes: counters since the start, rates and
// quantiles (milliseconds) of the last interval.
type snapshot struct {
	Time      time.Time            `json:"time"`
	Uptime    float64              `json:"uptime_s"`
	Camera    string               `json:"camera"`
	In        uint64               `json:"frames_in"`
	Out       uint64               `json:"frames_out"`
	Skipped   uint64               `json:"frames_skipped"` // not predicted: sharp as they came
	RateIn    float64              `json:"fps_in"`
	RateOut   float64              `json:"fps_out"`
	Drops     map[string]uint64    `json:"drops"`
	Damaged   map[string]uint64    `json:"damaged"`
	Losses    uint64               `json:"camera_losses"`
	Times     map[string]quantiles `json:"ms"`
	Steps     int                  `json:"steps"`
	Samples   int                  `json:"samples"`
	Provider  string               `json:"provider"`
	Degraded  bool                 `json:"degraded"` // less runs than runtime.require asks for
	Keyframes keyframeCounts       `json:"keyframes"`
	PSNR      map[string]float64   `json:"psnr_db,omitempty"`
	Memory    uint64               `json:"rss_bytes"`
	Board     *board.Telemetry     `json:"board,omitempty"`
	Ready     uint64               `json:"rss_ready_bytes"` // library and models loaded, no frame yet
	Broker    brokerCounts         `json:"broker"`
}

type keyframeCounts struct {
	Asked     uint64 `json:"asked"`
	Done      uint64 `json:"done"`
	Shortened uint64 `json:"shortened"` // by the budget
}

type brokerCounts struct {
	Connected bool   `json:"connected"`
	Connects  uint64 `json:"connects"`
	LastError string `json:"last_error,omitempty"`
}

// snapshot closes the interval: rates, quantiles and PSNR are since the last
// call. With total set it reports the whole run instead.
func (s *stats) snapshot(now time.Time, total bool) snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.last
	s.last = moment{at: now, in: s.in.Load(), out: s.out.Load()}
	if total {
		from = moment{at: s.start}
	}
	seconds := max(now.Sub(from.at).Seconds(), 1e-9)
	return snapshot{
		Time: now, Uptime: now.Sub(s.start).Seconds(),
		In: s.last.in, Out: s.last.out, Skipped: s.skipped.Load(),
		RateIn:  float64(s.last.in-from.in) / seconds,
		RateOut: float64(s.last.out-from.out) / seconds,
		Drops:   s.dropMap(), Damaged: maps.Clone(s.damaged), Losses: s.losses.Load(),
		Times:     s.timeMap(total),
		Keyframes: keyframeCounts{Asked: s.asked.Load(), Done: s.keys.Load(), Shortened: s.shortened.Load()},
		PSNR:      s.takePSNR(),
		Memory:    residentBytes(),
		Ready:     s.ready.Load(),
	}
}

func (s *stats) dropMap() map[string]uint64 {
	m := map[string]uint64{}
	for i, name := range dropNames {
		m[name] = s.drops[i].Load()
	}
	return m
}

func (s *stats) timeMap(total bool) map[string]quantiles {
	m := map[string]quantiles{}
	for i, name := range stageNames {
		q := s.times[i].window.take()
		if total {
			q = s.times[i].total.peek()
		}
		if q.N > 0 {
			m[name] = q
		}
	}
	return m
}

func (s *stats) takePSNR() map[string]float64 {
	m := map[string]float64{}
	for i, name := range [...]string{"camera", "predicted", "refined"} {
		if s.psnr[i].n > 0 {
			m[name] = s.psnr[i].sum / float64(s.psnr[i].n)
		}
		s.psnr[i] = mean{}
	}
	return m
}
