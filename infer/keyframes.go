package infer

import "time"

// Keyframes is the policy that picks the frames to refine.
type Keyframes struct {
	Every     Interval `yaml:"every" live:"true"`      // at the latest after so long or so many frames
	Scene     float64  `yaml:"scene" live:"true"`      // when Difference to the last keyframe reaches this; grey levels, 0 = off
	AfterLoss bool     `yaml:"after_loss" live:"true"` // first frame after the camera was lost
}

// Moment is what the policy knows of a frame.
type Moment struct {
	Number     uint64    // the frame's number
	Time       time.Time // its capture time
	AfterLoss  bool      // it is the first since the camera was opened again
	Requested  bool      // somebody asked for a keyframe
	Difference float64   // to the last keyframe's thumbnail, see the function Difference
}

// Last is the newest keyframe so far; the zero value says there was none.
type Last struct {
	Any    bool
	Number uint64
	Time   time.Time
}

// Reasons for a keyframe, in order of precedence.
const (
	ReasonRequest = "request"
	ReasonLoss    = "loss"
	ReasonScene   = "scene"
	ReasonEvery   = "every"
)

// Reason says why the frame of now is a keyframe; "" means that it is none.
func (k Keyframes) Reason(last Last, now Moment) string {
	switch {
	case now.Requested:
		return ReasonRequest
	case now.AfterLoss && k.AfterLoss:
		return ReasonLoss
	case last.Any && k.Scene > 0 && now.Difference >= k.Scene:
		return ReasonScene
	case k.Every.due(last, now):
		return ReasonEvery
	case !last.Any && k.Scene > 0: // a change is measured from a keyframe, so there must be a first
		return ReasonScene
	}
	return ""
}

// due reports whether the interval since last is over. A frame number or time
// that went backwards is a fresh count, not an endless wait.
func (i Interval) due(last Last, now Moment) bool {
	switch {
	case i == Interval{}:
		return false
	case !last.Any:
		return true
	case i.Frames > 0:
		return now.Number-last.Number >= uint64(i.Frames) // backwards wraps to a huge count
	}
	passed := now.Time.Sub(last.Time)
	return passed < 0 || passed >= i.Duration
}

// StepsWithin is how many of the asked steps fit in budget at perStep for one
// evaluation and samples samples: at least 1, unless none was asked. A budget of
// 0 is no limit, a perStep of 0 is not known yet: both give asked.
func StepsWithin(budget, perStep time.Duration, asked, samples int) int {
	if asked <= 0 {
		return 0
	}
	if budget <= 0 || perStep <= 0 {
		return asked
	}
	fit := budget / perStep / time.Duration(max(samples, 1))
	return int(max(1, min(fit, time.Duration(asked))))
}
