package capture

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/blackjack/webcam"
)

// The kinds and flags of controls that matter here.
const (
	controlInteger = 1
	controlBoolean = 2
	controlMenu    = 3
	controlButton  = 4
	controlBits    = 8
	controlIntMenu = 9

	controlDisabled  = 0x0001
	controlReadOnly  = 0x0004
	controlWriteOnly = 0x0040
	controlNext      = 0x80000000
)

type control struct {
	id, kind, flags uint32
	name            string // as v4l2-ctl shows it
	low, high       int32
}

type setting struct {
	control
	value int32
}

// queryControls lists the controls that hold a number.
func queryControls(fd int) []control {
	var list []control
	q := v4l2QueryControl{id: controlNext}
	for ioctl(fd, bothCall, 36, &q) == nil {
		switch q.kind {
		case controlInteger, controlBoolean, controlMenu, controlButton, controlBits, controlIntMenu:
			if q.flags&controlDisabled == 0 {
				list = append(list, control{q.id, q.kind, q.flags, controlName(text(q.name[:])), q.low, q.high})
			}
		}
		q = v4l2QueryControl{id: q.id | controlNext}
	}
	return list
}

// controlName is "white_balance_automatic" for "White Balance, Automatic".
func controlName(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(words, "_")
}

// matchControls finds the wanted controls by name or id and refuses what cannot be set, all faults at once.
// Switches and menus come first: an exposure time can be set only after automatic exposure is off.
func matchControls(wanted map[string]int, have []control) ([]setting, error) {
	var list []setting
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		s, err := matchControl(name, wanted[name], have)
		if err != nil {
			faults = append(faults, fmt.Errorf("camera.controls.%s: %w", name, err))
			continue
		}
		list = append(list, s)
	}
	slices.SortStableFunc(list, func(a, b setting) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.id, b.id))
	})
	return list, errors.Join(faults...)
}

func (c control) rank() int {
	if c.kind == controlBoolean || c.kind == controlMenu {
		return 0
	}
	return 1
}

func matchControl(name string, value int, have []control) (setting, error) {
	id, err := strconv.ParseUint(name, 0, 32)
	i := slices.IndexFunc(have, func(c control) bool {
		return err == nil && c.id == uint32(id) || c.name == controlName(name)
	})
	if i < 0 {
		names := make([]string, len(have))
		for i, c := range have {
			names[i] = c.name
		}
		return setting{}, fmt.Errorf("the camera has no such control, only %s", strings.Join(names, ", "))
	}
	c := have[i]
	if c.flags&controlReadOnly != 0 {
		return setting{}, errors.New("can only be read")
	}
	low, high := int64(c.low), int64(c.high)
	if c.kind == controlBits {
		low, high = 0, int64(uint32(c.high)) // high is the mask of the bits that exist
	}
	if c.kind != controlButton && (int64(value) < low || int64(value) > high) {
		return setting{}, fmt.Errorf("%d is not within %d..%d", value, low, high)
	}
	return setting{c, int32(value)}, nil
}

// setControls sets them in order and notes what the camera kept differently.
func setControls(cam *webcam.Webcam, list []setting) (notes []string, err error) {
	for _, s := range list {
		if err := cam.SetControl(webcam.ControlID(s.id), s.value); err != nil {
			return notes, fmt.Errorf("camera.controls.%s: setting it to %d: %w", s.name, s.value, err)
		}
		if s.kind == controlButton || s.flags&controlWriteOnly != 0 {
			continue
		}
		if got, err := cam.GetControl(webcam.ControlID(s.id)); err == nil && got != s.value {
			notes = append(notes, fmt.Sprintf("control %s: asked for %d, the camera has %d", s.name, s.value, got))
		}
	}
	return notes, nil
}
