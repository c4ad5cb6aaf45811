package board

import (
	"maps"
	"slices"
)

const (
	maxHz = 1e11
	hz    = 1e6 // of a MHz
	khz   = 1e3
)

func (r *Reader) clocks(to *Telemetry) {
	to.GPULoad = r.scaled(r.layout.gpuLoad, 0, 1000, 10)
	to.GPUClock = r.scaled(r.layout.gpuClock, 0, maxHz, hz)
	to.GPULimit = r.scaled(r.layout.gpuLimit, 1, maxHz, hz)
	to.EMCClock = r.scaled(r.layout.emcClock, 0, maxHz, hz)
	for _, c := range r.layout.clusters { // the one that runs fastest now speaks for all
		clock := r.scaled(c.clock, 1, maxHz/1000, khz)
		if clock != nil && (to.CPUClock == nil || *clock > *to.CPUClock) {
			to.CPUClock, to.CPULimit = clock, r.scaled(c.limit, 1, maxHz/1000, khz)
		}
	}
}

// temperatures fills in the zones that are switched on: others answer with an
// error, or with -256 degrees.
func (r *Reader) temperatures(to *Telemetry) {
	for _, z := range r.layout.zones {
		if milli, ok := r.number(z.path, -100e3, 250e3); ok {
			put(&to.Temperatures, z.name, milli/1000)
		}
	}
}

// put makes the map for its first value.
func put[V any](m *map[string]V, name string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[name] = value
}

func (r *Reader) power(to *Telemetry) {
	for _, rail := range r.layout.rails {
		if milliwatts, ok := r.milliwatts(rail); ok {
			put(&to.Power, rail.name, milliwatts)
		}
	}
}

func (r *Reader) milliwatts(of rail) (float64, bool) {
	if of.power != "" {
		microwatts, ok := r.number(of.power, 0, 1e10)
		return microwatts / 1000, ok
	}
	millivolts, ok := r.number(of.voltage, -1e6, 1e6)
	milliamperes, also := r.number(of.current, -1e6, 1e6) // backwards, where a battery is charged
	return millivolts * milliamperes / 1000, ok && also
}

// throttling asks everything that could slow the clocks down.
func (r *Reader) throttling(to *Telemetry) {
	known := false
	ask := func(s sensor, most float64) {
		state, ok := r.number(s.path, 0, most)
		known = known || ok
		if ok && state > 0 {
			to.Causes = append(to.Causes, s.name)
		}
	}
	for _, s := range r.layout.cooling {
		ask(s, 1e6)
	}
	for _, s := range r.layout.alarms {
		ask(s, 1)
	}
	for _, s := range r.layout.events {
		n, ok := r.number(s.path, 0, 1<<53)
		if !ok {
			continue
		}
		known = true
		put(&to.Overcurrent, s.name, uint64(n))
		if before, seen := r.events[s.name]; seen && uint64(n) > before {
			to.Causes = append(to.Causes, s.name)
		}
	}
	r.events = maps.Clone(to.Overcurrent)
	slices.Sort(to.Causes)
	if active := len(to.Causes) > 0; known {
		to.Throttled = &active
	}
}
