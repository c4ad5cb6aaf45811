package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of a request: one message must not keep the refiner busy for hours.
const (
	MaxSteps       = 1000
	MaxSamples     = 256
	maxTransaction = 128  // bytes
	maxRequest     = 4096 // bytes
)

// Request asks for a keyframe now.
type Request struct {
	Steps       int    // -1 = as configured
	Samples     int    // 0 = as configured
	Transaction string // given back in the keyframe's metadata; may be empty
}

// ParseRequest reads the payload of keyframe/request: nothing at all, or a JSON
// object with any of the keys steps, samples and transaction, each at most once.
func ParseRequest(payload []byte) (Request, error) {
	r := Request{Steps: -1}
	if len(payload) > maxRequest {
		return r, fmt.Errorf("request of %d bytes, at most %d are read", len(payload), maxRequest)
	}
	if len(bytes.TrimSpace(payload)) == 0 {
		return r, nil
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return r, errors.New(`request is neither empty nor a JSON object such as {"steps": 8}`)
	}
	for seen := map[any]bool{}; d.More(); {
		key, err := d.Token()
		if err != nil {
			return r, fmt.Errorf("request: %w", err)
		}
		if seen[key] {
			return r, fmt.Errorf("request: key %q stands twice", key)
		}
		seen[key] = true
		if err := r.set(key.(string), d); err != nil {
			return r, fmt.Errorf("request: %w", err)
		}
	}
	if _, err := d.Token(); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("request: something stands after the JSON object")
	}
	return r, nil
}

// set decodes the value of one key.
func (r *Request) set(key string, d *json.Decoder) error {
	switch key {
	case "steps":
		return decodeNumber(d, key, 0, MaxSteps, &r.Steps)
	case "samples":
		return decodeNumber(d, key, 1, MaxSamples, &r.Samples)
	case "transaction":
		var text *string // nil for null, which would otherwise pass as no value
		if err := d.Decode(&text); err != nil || text == nil || len(*text) > maxTransaction {
			return fmt.Errorf("transaction must be a string of at most %d bytes", maxTransaction)
		}
		r.Transaction = *text
		return nil
	}
	return fmt.Errorf("unknown key %q (known: steps, samples, transaction)", key)
}

func decodeNumber(d *json.Decoder, key string, low, high int, value *int) error {
	var n *int
	if err := d.Decode(&n); err != nil || n == nil || *n < low || *n > high {
		return fmt.Errorf("%s must be a whole number from %d to %d", key, low, high)
	}
	*value = *n
	return nil
}
