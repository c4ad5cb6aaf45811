package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"sharpend/infer"
	"sharpend/jpeg"
	"sharpend/mqtt"
)

// An output is where results go: the MQTT client, or a test's closures.
type output struct {
	// publish sends one message without blocking for long; reusable says
	// whether the payload's memory is the caller's again.
	publish  func(level string, qos byte, retained bool, payload []byte) (reusable bool, err error)
	retain   func(level string, payload []byte) error // state, sent again at every connect
	online   func() bool
	snapshot func() mqtt.Snapshot
	status   io.Writer // one line a second for a person; nil: none
}

// A publisher encodes and sends; only the publishing goroutine uses it.
type publisher struct {
	*pipeline
	encoder *jpeg.Encoder
	picture buffer // the newest frame's JPEG
	key     buffer // the newest keyframe's JPEG
	due     time.Time
}

// A buffer is JPEG memory that paho may still hold after a send that timed out.
type buffer struct{ plain, tagged []byte }

func newPublisher(p *pipeline) *publisher {
	e, err := jpeg.NewEncoder()
	if err != nil {
		p.fail(err)
	}
	return &publisher{pipeline: p, encoder: e}
}

func (w *publisher) close() {
	if w.encoder != nil {
		w.encoder.Close()
	}
}

// frame publishes a sharpened frame as plain JPEG bytes.
func (w *publisher) frame(f *frame) {
	if !w.admit(time.Now()) {
		w.stats.drops[dropLimited].Add(1)
		return
	}
	if w.send("frame", false, f, &w.picture) {
		w.stats.out.Add(1)
		w.stats.times[stageLatency].add(f.stamps[stampPublished].Sub(f.Time))
	}
}

// admit holds frames to publish.frame_rate, without drift and without bursts.
func (w *publisher) admit(now time.Time) bool {
	rate := w.config.Load().Publish.FrameRate
	if rate <= 0 {
		return true
	}
	interval := time.Duration(float64(time.Second) / rate)
	if now.Before(w.due) {
		return false
	}
	w.due = w.due.Add(interval)
	if w.due.Before(now) {
		w.due = now.Add(interval)
	}
	return true
}

// keyframe publishes a refined frame, retained, and then what was done to it.
func (w *publisher) keyframe(k *frame) {
	if !w.send("keyframe", true, k, &w.key) {
		return
	}
	w.stats.keys.Add(1)
	w.stats.times[stageAge].add(k.stamps[stampPublished].Sub(k.Time))
	w.json("keyframe/meta", true, w.meta(k))
}

// send encodes f's sharpened picture and publishes it; every failure is counted.
func (w *publisher) send(level string, retained bool, f *frame, b *buffer) bool {
	if !w.out.online() || w.encoder == nil { // without an encoder the daemon is about to end
		w.stats.drops[dropOffline].Add(1)
		return false
	}
	start := time.Now()
	plain, err := w.encoder.Encode(b.plain[:0], f.picture(), w.config.Load().Publish.Quality)
	if err != nil {
		w.fail(fmt.Errorf("encoder: %w", err))
		return false
	}
	b.plain = plain
	b.tagged = jpeg.InsertComment(b.tagged[:0], plain, tag(f))
	f.stamps[stampEncoded] = time.Now()
	w.stats.times[stageEncode].add(f.stamps[stampEncoded].Sub(start))
	reusable, err := w.out.publish(level, 0, retained, b.tagged)
	if !reusable {
		b.tagged = nil
	}
	f.stamps[stampPublished] = time.Now()
	if err != nil {
		w.stats.drops[dropOf(err)].Add(1)
		return false
	}
	w.stats.times[stagePublish].add(f.stamps[stampPublished].Sub(f.stamps[stampEncoded]))
	return true
}

func dropOf(err error) drop {
	switch {
	case errors.Is(err, mqtt.ErrTooLarge):
		return dropTooLarge
	case errors.Is(err, mqtt.ErrTimeout):
		return dropTimeout
	}
	return dropOffline
}

// tag is the text inside each JPEG that says which frame it shows: it stays
// with the picture on disk and in Home Assistant, where topics are lost.
func tag(f *frame) []byte {
	b := append(f.tag[:0], `{"frame":`...)
	b = strconv.AppendUint(b, f.number, 10)
	b = append(b, `,"time":"`...)
	b = f.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","steps":`...)
	b = strconv.AppendInt(b, int64(f.key.steps), 10)
	if f.unchanged {
		b = append(b, `,"unchanged":true`...)
	}
	b = append(b, '}')
	f.tag = b
	return b
}

// A keyframeMeta is the message on keyframe/meta.
type keyframeMeta struct {
	Frame      uint64         `json:"frame"`
	Sequence   uint64         `json:"sequence"`
	Time       time.Time      `json:"time"`
	AgeMS      float64        `json:"age_ms"`
	Reason     string         `json:"reason"`
	Request    string         `json:"transaction,omitempty"`
	Unchanged  bool           `json:"unchanged"` // sharp as it came: the camera's own picture
	StepsAsked int            `json:"steps_asked"`
	StepsDone  int            `json:"steps_done"`
	Samples    int            `json:"samples"`
	Seed       uint64         `json:"seed"`
	Sampler    infer.Sampler  `json:"sampler,omitempty"`
	Schedule   infer.Schedule `json:"schedule"`
	SpentMS    float64        `json:"spent_ms"`
	Sharpness  sharpness      `json:"sharpness"`
	Width      int            `json:"width"`
	Height     int            `json:"height"`
	Bytes      int            `json:"jpeg_bytes"`
	Predictor  string         `json:"predictor_sha256"`
	Denoiser   string         `json:"denoiser_sha256,omitempty"`
}

type sharpness struct {
	Before    float64 `json:"before"`
	Predicted float64 `json:"predicted"`
	After     float64 `json:"after"`
}

func (w *publisher) meta(k *frame) keyframeMeta {
	m := keyframeMeta{
		Frame: k.number, Sequence: k.Sequence, Time: k.Time,
		AgeMS:  milliseconds(k.stamps[stampPublished].Sub(k.Time)),
		Reason: k.key.reason, Request: k.key.request, Unchanged: k.unchanged,
		StepsAsked: k.key.asked.Steps, StepsDone: k.key.steps,
		Samples: k.key.asked.Samples, Seed: k.key.asked.Seed, Sampler: k.key.asked.Sampler,
		Schedule: k.key.asked.Schedule, SpentMS: milliseconds(k.key.spent),
		Sharpness: sharpness{k.key.before, k.key.predicted, k.key.after},
		Width:     k.sharp.Rect.Dx(), Height: k.sharp.Rect.Dy(), Bytes: len(w.key.tagged),
		Predictor: k.set.networks.predictor.SHA256,
	}
	if d := cmp.Or(k.key.by, k.set.networks.denoiser); d != nil {
		m.Denoiser = d.SHA256
	}
	return m
}

// info publishes what is in force; see (*state).info.
func (w *publisher) info() {
	b, err := json.Marshal(w.pipeline.info())
	if err == nil {
		err = w.out.retain("info", b)
	}
	if err != nil {
		w.log.Error("not published", "topic", "info", "error", err)
	}
}

// report closes the interval, publishes it and shows it.
func (w *publisher) report(now time.Time) {
	s := w.takeSnapshot(now, false)
	w.json("stats", false, s)
	if w.out.status != nil {
		fmt.Fprintln(w.out.status, s.line())
	}
}

func (w *publisher) json(level string, retained bool, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.out.publish(level, 0, retained, b)
	}
	if err != nil && !errors.Is(err, mqtt.ErrOffline) {
		w.log.Warn("not published", "topic", level, "error", err)
	}
}
