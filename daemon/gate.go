package main

import (
	"time"

	"sharpend/infer"
)

// A gatekeeper lets sharp frames of a resting camera by without a prediction:
// infer.Gate says which. The predictor's goroutine alone uses it.
type gatekeeper struct {
	*pipeline
	gate infer.Gate
	set  *frames // that the gate's history is of
}

// predict predicts f unless it is sharp, or somebody asked for it. The frame
// that comes back may be another one, see predictOrFallBack. One that is sharp
// is published as it came, also where it was predicted to make sure: else the
// picture would pulse.
func (g *gatekeeper) predict(f *frame, requested bool) (*frame, error) {
	threshold := g.config.Load().Predict.SkipSharp
	verdict := g.judge(threshold, f, requested)
	if f.unchanged = verdict == infer.Skip; f.unchanged {
		g.skip(f)
		return f, nil
	}
	f, err := g.predictOrFallBack(f)
	f.unchanged = false
	if err == nil && threshold > 0 {
		alone := g.gate.Learn(f.Image, f.sharp)
		f.unchanged = alone && verdict == infer.Check
	}
	return f, err
}

// judge asks the gate, but not for what a session on trial must prove.
func (g *gatekeeper) judge(threshold float64, f *frame, requested bool) infer.Verdict {
	if f.set != g.set || f.afterLoss || threshold == 0 {
		g.gate, g.set = infer.Gate{}, f.set
	}
	if threshold == 0 {
		return infer.Predict
	}
	verdict := g.gate.Judge(threshold, f.Image)
	if t := f.set.trial; requested || t != nil && t.old != nil {
		return infer.Predict
	}
	return verdict
}

// skip does for f what predictFrame does, without a prediction.
func (g *gatekeeper) skip(f *frame) {
	infer.Pad(f.Image) // the refiner may be asked for it
	f.stamps[stampPredicted] = time.Now()
	g.stats.skipped.Add(1)
	if f.Truth != nil {
		db := infer.PSNR(f.Image, f.Truth)
		g.stats.truth(psnrCamera, db)
		g.stats.truth(psnrPredicted, db)
	}
}
