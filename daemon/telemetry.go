package main

import (
	"context"
	"time"

	"sharpend/board"
)

// watchBoard reads the board each stats.every, beside the publisher: a sensor
// that is slow to answer holds no frame up.
func (p *pipeline) watchBoard(ctx context.Context, root string) {
	r := board.NewReader(root)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if t := r.Read(); !t.Empty() {
			p.board.Store(&t)
		}
		wait.Reset(p.config.Load().Stats.Every)
	}
}
