package main

import (
	"cmp"
	"fmt"
	"image"
	"slices"
	"strings"
	"time"

	"sharpend/tensorrt"
	"sharpend/tensorrt/engines"
)

// The states of an engine's build.
const (
	jobQueued   = "queued"
	jobBuilding = "building"
	jobFailed   = "failed" // and tried again later
	jobBuilt    = "built"  // and about to be swapped in
	jobRefused  = "refused"
)

// An engineJob is one engine that is missing, and what became of it. A value:
// each event makes the next one.
type engineJob struct {
	key    string
	inputs engines.Inputs
	model  *tensorrt.Model
	size   image.Point // visible pixels
	answer chan error  // of one who waits instead of serving on less; nil: nobody does

	state    string
	since    time.Time // when it came into this state
	tries    int
	next     time.Time // of a failed one
	problem  string
	estimate engines.Estimate
}

// jobsWith adds a job, in place of an older one for the same kind of model,
// which nobody needs any more; the one for the same engine stays as it is.
func jobsWith(jobs []engineJob, j engineJob, now time.Time) []engineJob {
	i := slices.IndexFunc(jobs, func(o engineJob) bool { return o.model.Kind == j.model.Kind })
	j.state, j.since = jobQueued, now
	switch {
	case i < 0:
		return append(slices.Clone(jobs), j)
	case jobs[i].key == j.key && j.answer == nil:
		return jobs
	}
	jobs = slices.Clone(jobs)
	jobs[i] = j
	return jobs
}

// nextJob is the one to build now: the predictor's first, for each frame needs
// it. Without one it is -1, and wait is how long until there may be one, 0 for
// never.
func nextJob(jobs []engineJob, now time.Time) (index int, wait time.Duration) {
	index = -1
	for i, j := range jobs {
		due := j.state == jobQueued || j.state == jobFailed && !now.Before(j.next)
		switch {
		case due && (index < 0 || j.model.Kind == tensorrt.PredictorKind):
			index = i
		case j.state == jobFailed && !due:
			if until := j.next.Sub(now); wait == 0 || until < wait {
				wait = until
			}
		}
	}
	if index >= 0 {
		return index, 0
	}
	return -1, wait
}

func (j engineJob) begun(now time.Time, e engines.Estimate) engineJob {
	j.state, j.since, j.problem, j.estimate = jobBuilding, now, "", e
	j.tries++
	return j
}

// ended is a build's outcome: "" for success, else what went wrong.
func (j engineJob) ended(problem string, now time.Time) engineJob {
	j.state, j.since, j.problem = jobBuilt, now, problem
	if problem != "" {
		j.state, j.next = jobFailed, now.Add(retryAfter(j.tries))
	}
	return j
}

// refused is an engine that was built but does not serve. It is not built
// again: the next would be the same.
func (j engineJob) refused(problem string, now time.Time) engineJob {
	j.state, j.since, j.problem = jobRefused, now, problem
	return j
}

// retryAfter is how long to wait after so many failures: what lacked memory may
// find some in a minute, what a kernel update broke stays broken.
func retryAfter(tries int) time.Duration {
	wait := time.Minute
	for range min(tries, 5) - 1 {
		wait *= 4
	}
	return min(wait, 2*time.Hour)
}

// progress is the share of the expected time that has passed, less than 1;
// 0 where nothing is known.
func (j engineJob) progress(now time.Time) float64 {
	if j.state != jobBuilding || j.estimate.Time <= 0 {
		return 0
	}
	return min(now.Sub(j.since).Seconds()/j.estimate.Time.Seconds(), 0.99)
}

// name is the engine for a person.
func (j engineJob) name() string {
	return fmt.Sprintf("TensorRT's engine of the %s at %s", j.model.Kind, sizeText(j.size))
}

// text is the job for a person, in a few words.
func (j engineJob) text(now time.Time) string {
	engine := j.name()
	switch j.state {
	case jobBuilding:
		elapsed := now.Sub(j.since).Round(time.Second)
		if j.estimate.Time == 0 {
			return fmt.Sprintf("building %s for %v (minutes, the first time)", engine, elapsed)
		}
		return fmt.Sprintf("building %s for %v of about %v", engine, elapsed, j.estimate.Time)
	case jobFailed:
		return fmt.Sprintf("%s was not built, next try at %s: %s", engine, j.next.Format("15:04:05"), j.problem)
	case jobRefused:
		return fmt.Sprintf("%s is built, but does not serve: %s", engine, j.problem)
	}
	return engine + " is " + j.state
}

// An engineInfo is a job on /info.
type engineInfo struct {
	Model    string     `json:"model"` // predictor or denoiser
	Name     string     `json:"name"`
	Size     string     `json:"size"`
	State    string     `json:"state"`
	Since    time.Time  `json:"since"`
	Elapsed  float64    `json:"elapsed_s,omitempty"`
	Estimate float64    `json:"estimate_s,omitempty"`
	Basis    string     `json:"estimate_basis,omitempty"`
	Progress float64    `json:"progress,omitempty"`
	Tries    int        `json:"tries,omitempty"`
	Next     *time.Time `json:"next_try,omitempty"`
	Error    string     `json:"error,omitempty"`
}

func (j engineJob) info(now time.Time) engineInfo {
	i := engineInfo{
		Model: j.model.Kind, Name: j.model.Name, Size: sizeText(j.size), State: j.state, Since: j.since,
		Progress: j.progress(now), Tries: j.tries, Error: j.problem,
	}
	switch j.state {
	case jobBuilding:
		i.Elapsed = now.Sub(j.since).Round(time.Second).Seconds()
		i.Estimate, i.Basis = j.estimate.Time.Seconds(), j.estimate.Basis
	case jobFailed:
		i.Next = &j.next
	}
	return i
}

// exitText says for people how a builder ended, and what it said last.
func exitText(how string, oom bool, said []string) string {
	if oom {
		said = append([]string{"the machine ran out of memory"}, said...)
	}
	if how != "" {
		said = append([]string{how}, said...)
	}
	return cmp.Or(strings.Join(said, ": "), "it failed without a word")
}
