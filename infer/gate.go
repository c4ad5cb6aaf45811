package infer

import (
	"image"
	"math"
)

// A Gate finds the frames that need no predictor: pictures of a resting camera,
// as sharp as its scene has been, in which the predictor has lately found
// nothing to do. How sharp a scene can be is known from its own history alone,
// of pictures and of predictions: where the camera has always been blurred the
// predictions are sharper than the pictures, or differ from them, and nothing
// passes. Its zero value has no history. It is for one camera, one picture size
// and one predictor.
type Gate struct {
	best    float64 // sharpness seen, of pictures and predictions; fades
	last    Sight   // of the last predicted frame
	alone   int     // predicted frames in a row that the predictor left alone
	skipped int     // frames in a row since the last predicted one
}

// A Sight is what a Gate sees of a frame.
type Sight struct {
	Sharpness float64
	View      [32 * 18]byte // its thumbnail
}

// Constants of the gate, measured on photographs shaken by a model of the hand
// (see the table in docs/performance.md).
const (
	gateFade    = 0.995 // of the best sharpness, a frame: half after 138 frames
	gateHistory = 3     // frames left alone in a row before one is skipped
	gateCheck   = 16    // at least every 16th frame is predicted
	gateAlone   = 44    // dB between picture and prediction, at least: an error of 1.6 grey levels
	gateRest    = 8     // grey levels by which some cell of the view changes when something moves
)

// A Verdict is what is to be done with a frame.
type Verdict int

// Verdicts.
const (
	Predict Verdict = iota // it may be blurred
	Check                  // it looks sharp, but the predictor is due to confirm that
	Skip                   // it is sharp
)

// See measures a frame. Allocates nothing.
func (s *Sight) See(img *image.YCbCr) {
	s.Sharpness = Sharpness(img)
	Thumbnail(&s.View, img)
}

// Judge says what is to be done with the next frame. It is skipped at a
// sharpness of at least threshold (0 to 1) times the best, unless it differs
// from the last predicted frame in view or, by as much, in sharpness. A
// threshold of 0 skips nothing. After Predict and Check, Learn must follow.
func (g *Gate) Judge(threshold float64, now *Sight) Verdict {
	sharpness := finite0(now.Sharpness)
	g.best = max(g.best*gateFade, sharpness)
	sharp := threshold > 0 && g.alone >= gateHistory && sharpness > 0 &&
		sharpness >= threshold*g.best && sharpness*threshold <= g.last.Sharpness &&
		moved(&g.last.View, &now.View) < gateRest
	switch {
	case !sharp:
		return Predict
	case g.skipped >= gateCheck-1:
		return Check
	}
	g.skipped++
	return Skip
}

// Learn takes the outcome of a prediction: its sharpness, and the PSNR between
// the frame's picture and the predicted one. It reports whether the predictor
// left the picture alone.
func (g *Gate) Learn(now *Sight, predicted, psnr float64) bool {
	g.last, g.skipped = *now, 0
	g.best = max(g.best, finite0(predicted))
	if !(psnr >= gateAlone) {
		g.alone = 0
		return false
	}
	g.alone = min(g.alone+1, gateHistory)
	return true
}

// finite0 is v, or 0 for what is no sharpness.
func finite0(v float64) float64 {
	if v > 0 && v <= math.MaxFloat64 {
		return v
	}
	return 0
}

// moved is the largest change of a cell between two thumbnails, grey levels,
// after the mean change of brightness is taken out.
func moved(a, b *[32 * 18]byte) float64 {
	low, high, total := math.MaxInt, math.MinInt, 0
	for i := range a {
		d := int(a[i]) - int(b[i])
		low, high, total = min(low, d), max(high, d), total+d
	}
	mean := float64(total) / float64(len(a))
	return max(float64(high)-mean, mean-float64(low))
}
