// Package board reads what a machine says of itself under /sys, /proc and
// /etc: load, clocks, temperatures, power rails, throttling, power mode,
// memory, and on a Jetson its L4T and JetPack. It knows no list of boards or
// versions: everything is found by names, labels and types. What a machine does
// not tell, or tells in a form that makes no sense, is left out; nothing here
// fails. Every function takes the root of the tree ("/" on a machine).
package board

import "reflect"

// Telemetry is one reading. A nil pointer, nil map or empty string is a value
// that the machine does not tell.
type Telemetry struct {
	Model     string `json:"model,omitempty"`
	L4T       string `json:"l4t,omitempty"`      // such as 36.4.0
	JetPack   string `json:"jetpack,omitempty"`  // such as 6.1
	PowerMode string `json:"nvpmodel,omitempty"` // name of the mode, its number where no file names it

	GPULoad  *float64 `json:"gpu_load_percent,omitempty"`
	GPUClock *float64 `json:"gpu_mhz,omitempty"`
	GPULimit *float64 `json:"gpu_max_mhz,omitempty"` // what the GPU may reach now
	CPUClock *float64 `json:"cpu_mhz,omitempty"`     // of the fastest cluster
	CPULimit *float64 `json:"cpu_max_mhz,omitempty"` // what that cluster may reach now
	EMCClock *float64 `json:"emc_mhz,omitempty"`     // of the memory; mostly for root only

	// Temperatures by zone, without the suffixes -thermal and -therm.
	Temperatures map[string]float64 `json:"temperatures_c,omitempty"`
	// Power by rail, as the board's maker labels it.
	Power map[string]float64 `json:"power_mw,omitempty"`

	// Throttled says whether something holds the clocks down now, Causes what: a
	// cooling device by its type, a rail over its critical current, or an
	// overcurrent event since the reading before. Nil: the machine cannot tell.
	Throttled *bool    `json:"throttled,omitempty"`
	Causes    []string `json:"throttle_causes,omitempty"`
	// Overcurrent counts events since the boot. On Orin oc1 is undervoltage, oc2
	// average overcurrent, oc3 instantaneous overcurrent.
	Overcurrent map[string]uint64 `json:"overcurrent_events,omitempty"`

	MemoryUsed  *uint64 `json:"memory_used_bytes,omitempty"` // what could not be had without swapping
	MemoryTotal *uint64 `json:"memory_total_bytes,omitempty"`
	SwapUsed    *uint64 `json:"swap_used_bytes,omitempty"`
	SwapTotal   *uint64 `json:"swap_total_bytes,omitempty"`
}

// Empty reports whether the machine told nothing at all.
func (t *Telemetry) Empty() bool { return reflect.ValueOf(t).Elem().IsZero() }

// Read takes one reading of the tree at root. Where readings follow each
// other, a Reader is cheaper and sees overcurrent events between them.
func Read(root string) Telemetry { return NewReader(root).Read() }

// Reader takes reading after reading. Make one with NewReader; not safe for
// concurrent use.
type Reader struct {
	tree
	identity Identity
	modes    map[string]string // nvpmodel's names by number
	layout   layout
	age      int               // readings since layout was found
	events   map[string]uint64 // of the reading before
}

// lifetime is how many readings use one layout: a driver may come up late.
const lifetime = 60

// NewReader reads what does not change: model, versions, names of power modes.
// That takes milliseconds where the package database is large.
func NewReader(root string) *Reader {
	t := tree{root: root}
	return &Reader{tree: t, identity: Identify(root), modes: t.powerModes(), layout: t.find()}
}

// Read takes a reading of some fifty small files; the sensors behind them may
// take milliseconds to answer.
func (r *Reader) Read() Telemetry {
	if r.age++; r.age > lifetime {
		r.layout, r.age = r.find(), 0
	}
	t := Telemetry{Model: r.identity.Model, L4T: r.identity.L4T, JetPack: r.identity.JetPack}
	t.PowerMode = r.powerMode(r.modes)
	r.clocks(&t)
	r.temperatures(&t)
	r.power(&t)
	r.throttling(&t)
	r.memory(&t)
	return t
}
