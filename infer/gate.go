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
	best     float64 // sharpness seen, of pictures and predictions; fades
	now      sight   // of the frame in hand
	measured bool    // now.sharpness is
	waited   int     // frames in a row that were not measured
	last     sight   // of the last predicted frame
	alone    int     // measured frames in a row, at rest, that the predictor left alone
	skipped  int     // frames in a row since the last predicted one
}

// A sight is what a Gate sees of a frame.
type sight struct {
	view      [32 * 18]byte // its thumbnail
	sharpness float64
}

// Constants of the gate, chosen on photographs shaken by a model of the hand.
const (
	gateFade    = 0.995 // of the best sharpness, a measured frame: half after 138
	gateHistory = 3     // frames left alone in a row before one is skipped
	gateCheck   = 16    // at least every 16th frame is predicted
	gateSample  = 8     // every 8th frame is measured while the camera moves
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

// Judge says what is to be done with the next frame. It is skipped at a
// sharpness of at least threshold (0 to 1) times the best, unless it differs
// from the last predicted frame in view or, by as much, in sharpness. A
// threshold of 0 skips nothing. After Predict and Check, Learn must follow.
// Allocates nothing.
func (g *Gate) Judge(threshold float64, img *image.YCbCr) Verdict {
	Thumbnail(&g.now.view, img)
	if g.look() {
		g.now.sharpness = Sharpness(img)
	}
	return g.judge(threshold)
}

// Learn takes the prediction of the frame that was judged last, and reports
// whether the predictor left the picture alone, as far as that was measured.
func (g *Gate) Learn(img, predicted *image.YCbCr) bool {
	if !g.measured {
		return g.learn(0, 0)
	}
	return g.learn(Sharpness(predicted), PSNR(img, predicted))
}

// look decides whether the frame in hand is worth the time of a measurement:
// while the camera moves, only some are.
func (g *Gate) look() bool {
	rests := moved(&g.last.view, &g.now.view) < gateRest
	if !rests {
		g.alone = 0
	}
	g.waited++
	g.measured = rests || g.waited >= gateSample
	if g.measured {
		g.waited = 0
	}
	return g.measured
}

func (g *Gate) judge(threshold float64) Verdict {
	if !g.measured {
		return Predict
	}
	sharpness := finite0(g.now.sharpness)
	g.best = max(g.best*gateFade, sharpness)
	sharp := threshold > 0 && g.alone >= gateHistory && sharpness > 0 &&
		sharpness >= threshold*g.best && sharpness*threshold <= g.last.sharpness
	switch {
	case !sharp:
		return Predict
	case g.skipped >= gateCheck-1:
		return Check
	}
	g.skipped++
	return Skip
}

// learn takes the prediction's sharpness, and its PSNR to the picture.
func (g *Gate) learn(predicted, psnr float64) bool {
	g.last, g.skipped = g.now, 0
	if !g.measured {
		return false
	}
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
