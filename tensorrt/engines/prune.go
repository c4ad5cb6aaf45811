package engines

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Policy says what Prune removes beyond what cannot be used any more.
type Policy struct {
	All   bool          // everything
	Keep  int           // of the good, the so many newest stay; 0 = all
	Older time.Duration // of the good, those built longer ago go; 0 = none
}

// A Decision is what to do with one entry, and why.
type Decision struct {
	Entry  Entry
	Remove bool
	Why    string
}

// Decide goes through a cache's entries. want says why an engine of these
// inputs can serve no more, or "" if it can. Nothing that is being built goes.
func Decide(entries []Entry, want func(Inputs) string, policy Policy, now time.Time) []Decision {
	list := make([]Decision, len(entries))
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return entries[b].Changed.Compare(entries[a].Changed) })
	kept := 0
	for _, i := range order {
		list[i] = decide(entries[i], want, policy, kept, now)
		if entries[i].State == Good && !list[i].Remove {
			kept++
		}
	}
	return list
}

func decide(e Entry, want func(Inputs) string, policy Policy, kept int, now time.Time) Decision {
	keep := func(why string) Decision { return Decision{e, false, why} }
	remove := func(why string) Decision { return Decision{e, true, why} }
	switch e.State {
	case Building:
		return keep("a process is building it")
	case Left, Set, Corrupt:
		return remove(e.Problem)
	}
	if policy.All {
		return remove("all are to go")
	}
	if why := want(e.Manifest.Inputs); why != "" {
		return remove(why)
	}
	age := now.Sub(e.Changed)
	if policy.Older > 0 && age > policy.Older {
		return remove(fmt.Sprintf("it was built %d days ago", int(age.Hours()/24)))
	}
	if policy.Keep > 0 && kept >= policy.Keep {
		return remove(fmt.Sprintf("%d newer ones stay", kept))
	}
	return keep("it can be used")
}

// An Estimate is how long a build will take, and whence that is known.
type Estimate struct {
	Time  time.Duration // 0: nothing is known
	Basis string
}

// EstimateOf guesses from the builds of the past: the most similar one, scaled
// by pixels and by bytes of model where these differ. A guess, and called so.
func EstimateOf(in Inputs, modelBytes int64, past []Entry) Estimate {
	var best *Manifest
	for _, e := range past {
		if e.Manifest == nil || e.Manifest.Seconds <= 0 {
			continue
		}
		if best == nil || similar(in, e.Manifest) > similar(in, best) {
			best = e.Manifest
		}
	}
	if best == nil {
		return Estimate{}
	}
	seconds, scaled := best.Seconds, []string{}
	if was, is := best.Inputs.Width*best.Inputs.Height, in.Width*in.Height; was != is {
		seconds *= float64(is) / float64(was)
		scaled = append(scaled, "pixels")
	}
	if was := best.About.ModelBytes; best.Inputs.Model != in.Model && was > 0 && modelBytes > 0 && was != modelBytes {
		seconds *= float64(modelBytes) / float64(was)
		scaled = append(scaled, "size of the model")
	}
	basis := fmt.Sprintf("%s at %dx%d took %.0f s", cmp.Or(best.About.Name, best.Inputs.Kind), best.Inputs.Width, best.Inputs.Height, best.Seconds)
	if len(scaled) > 0 {
		basis += " (scaled by " + strings.Join(scaled, ", ") + ")"
	}
	if best.Inputs.GPU != in.GPU || best.Inputs.Multiprocessors != in.Multiprocessors {
		basis += " on another GPU"
	}
	return Estimate{time.Duration(seconds * float64(time.Second)).Round(time.Second), basis}
}

// similar counts what a past build has in common with the one to come, the
// weightiest first.
func similar(in Inputs, past *Manifest) (score int) {
	for i, same := range []bool{
		past.Inputs.Width == in.Width && past.Inputs.Height == in.Height,
		fmt.Sprint(past.Inputs.Options) == fmt.Sprint(in.Options), // maps print in the order of their keys
		past.Inputs.Kind == in.Kind,
		past.Inputs.Model == in.Model,
		past.Inputs.GPU == in.GPU && past.Inputs.Multiprocessors == in.Multiprocessors,
	} {
		if same {
			score += 1 << i
		}
	}
	return score
}
