//go:build vm

package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"sharpend/test/vm/fakecam"
)

const broker = "mqtt://127.0.0.1:1883"

// A watcher is a subscriber to everything that one instance says. It looks at every picture.
type watcher struct {
	t      *testing.T
	client paho.Client
	check  func(jpeg []byte) error

	mu       sync.Mutex
	frames   int
	numbers  []uint64 // of the frames, by their own comment
	bad      []string
	statuses []string
	info     info
	infos    []string // every camera state that info has told
	stats    stats
	worst    float64 // latency in any of them, ms
	meta     meta
	metas    int
	latest   []byte
}

type info struct {
	Version string
	Camera  struct {
		State, Name, Error string
		Asked, Granted     struct {
			Format        string
			Width, Height int
			FPS           float64
		}
		KernelClock bool `json:"kernel_clock"`
		Notes       []string
	}
	Reload *struct {
		Time    time.Time
		Changed []string
		Restart []string `json:"needs_restart"`
		Error   string
	}
}

type stats struct {
	Time    time.Time
	Camera  string
	In      uint64 `json:"frames_in"`
	Out     uint64 `json:"frames_out"`
	Drops   map[string]uint64
	Damaged map[string]uint64
	Losses  uint64 `json:"camera_losses"`
	MS      map[string]struct{ P50, P99, Max float64 }
	Steps   int
}

type meta struct {
	Frame     uint64
	StepsDone int `json:"steps_done"`
	Reason    string
}

func watch(t *testing.T, name string, check func([]byte) error) *watcher {
	t.Helper()
	w := &watcher{t: t, check: check}
	o := paho.NewClientOptions().AddBroker(broker).SetClientID("watcher-" + name).SetOrderMatters(true)
	o.SetConnectRetry(true).SetConnectRetryInterval(200 * time.Millisecond).SetMaxReconnectInterval(500 * time.Millisecond)
	o.SetKeepAlive(0).SetCleanSession(true)
	o.SetOnConnectHandler(func(c paho.Client) {
		c.Subscribe("sharpend/"+name+"/#", 1, func(_ paho.Client, m paho.Message) { w.take(m) })
	})
	w.client = paho.NewClient(o)
	w.client.Connect()
	return w
}

func (w *watcher) close() { w.client.Disconnect(100) }

func (w *watcher) take(m paho.Message) {
	level := m.Topic()[strings.LastIndexByte(m.Topic(), '/')+1:]
	b := m.Payload()
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	switch level {
	case "status":
		w.statuses = append(w.statuses, string(b))
	case "info":
		w.info = info{}
		err = json.Unmarshal(b, &w.info)
		w.infos = append(w.infos, w.info.Camera.State)
	case "stats":
		w.stats = stats{}
		err = json.Unmarshal(b, &w.stats)
		w.worst = max(w.worst, w.stats.MS["latency"].Max)
	case "meta":
		w.metas++
		err = json.Unmarshal(b, &w.meta)
	case "frame", "keyframe":
		err = w.picture(level, b)
	}
	if err != nil {
		w.bad = append(w.bad, fmt.Sprintf("%s: %v", level, err))
	}
}

var comment = regexp.MustCompile(`\{"frame":(\d+),`)

func (w *watcher) picture(level string, b []byte) error {
	w.latest = b
	m := comment.FindSubmatch(b)
	if m == nil {
		return fmt.Errorf("no frame number in the JPEG")
	}
	if level == "frame" {
		number, _ := strconv.ParseUint(string(m[1]), 10, 64)
		w.frames++
		w.numbers = append(w.numbers, number)
	}
	return w.check(b)
}

// read looks at the watcher's state while it does not change.
func (w *watcher) read(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	look()
}

// await waits until check finds nothing wrong with the watcher's state.
func (w *watcher) await(what string, check func() error) time.Duration {
	w.t.Helper()
	return eventually(w.t, what, func() (err error) {
		w.read(func() { err = check() })
		return err
	})
}

// awaitFrames waits for so many more frames.
func (w *watcher) awaitFrames(n int) time.Duration {
	w.t.Helper()
	var before int
	w.read(func() { before = w.frames })
	return w.await("frames", func() error {
		return wrong(w.frames >= before+n, "%d of %d came", w.frames-before, n)
	})
}

func (w *watcher) awaitStatus(want string) time.Duration {
	w.t.Helper()
	return w.await("status", func() error {
		return wrong(len(w.statuses) > 0 && w.statuses[len(w.statuses)-1] == want, "it was %q", w.statuses)
	})
}

// awaitCamera waits for the camera's state in info and in stats.
func (w *watcher) awaitCamera(state string) time.Duration {
	w.t.Helper()
	return w.await("camera", func() error {
		return wrong(w.info.Camera.State == state && w.stats.Camera == state,
			"%s in info and %s in stats, not %s; error %q", w.info.Camera.State, w.stats.Camera, state, w.info.Camera.Error)
	})
}

func (w *watcher) damagedPictures() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.bad) == 0 {
		return ""
	}
	return fmt.Sprintf("%d, among them %q", len(w.bad), w.bad[:min(3, len(w.bad))])
}

func (w *watcher) counters() (s stats) {
	w.read(func() { s = w.stats })
	return s
}

func decode(b []byte) (*image.YCbCr, error) {
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	planes, ok := m.(*image.YCbCr)
	if !ok {
		return nil, fmt.Errorf("a %T", m)
	}
	return planes, nil
}

// like wants the pictures of a fake camera, with no patch off by more grey levels than max, nor by more than mean
// on average.
func like(camera int, mean, max float64) func([]byte) error {
	return func(b []byte) error {
		m, err := decode(b)
		if err != nil {
			return err
		}
		l := fakecam.Compare(m, camera)
		return wrong(l.Mean <= mean && l.Max <= max, "%v is off by %.1f: %s, %.1f on average", m.Rect.Size(), l.Max, l.Where, l.Mean)
	}
}

// exact is like for a model that changes nothing.
func exact(camera int) func([]byte) error { return like(camera, 1.5, 6) }

// bars wants vivid's test picture: eight bars of 75 % colour, below the text that it writes on them.
func bars(grey bool) func([]byte) error {
	return func(b []byte) error {
		m, err := decode(b)
		if err != nil {
			return err
		}
		for i, want := range [][3]int{{191, 191, 191}, {191, 191, 0}, {0, 191, 191}, {0, 191, 0}, {191, 0, 191}, {191, 0, 0}, {0, 0, 191}, {0, 0, 0}} {
			at := m.YCbCrAt(m.Rect.Dx()*(2*i+1)/16, m.Rect.Dy()*7/8)
			red, green, blue := color.YCbCrToRGB(at.Y, at.Cb, at.Cr)
			if grey { // BT.709 luma
				luma := (2126*want[0] + 7152*want[1] + 722*want[2]) / 10000
				want = [3]int{luma, luma, luma}
			}
			for j, got := range [3]byte{red, green, blue} {
				if d := int(got) - want[j]; d < -12 || d > 12 {
					return fmt.Errorf("bar %d is %d,%d,%d, not %v", i, red, green, blue, want)
				}
			}
		}
		return nil
	}
}

// gaps lists the frame numbers that are missing between the first and the last that came.
func gaps(numbers []uint64) (missing []uint64) {
	if len(numbers) == 0 {
		return nil
	}
	for n := numbers[0]; n < numbers[len(numbers)-1]; n++ {
		if !slices.Contains(numbers, n) {
			missing = append(missing, n)
		}
	}
	return missing
}
