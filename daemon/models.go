package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"sharpend/tensorrt"
)

// Whether a model that brings no golden picture may take over on a reload.
const (
	goldenRequired = "required"
	goldenOptional = "optional"
)

// stage reads the models that a configuration names and holds them to every
// gate. No networks: they are in force already, to the byte.
func (p *pipeline) stage(c *Config) (*networks, error) {
	now := p.networks()
	if isStill(c.Models.Predictor, now.predictor) && isStill(c.Models.Denoiser, now.denoiser) {
		return nil, nil
	}
	n, err := c.loadNetworks()
	if err != nil {
		return nil, err
	}
	return n, n.checkGolden(c.Models.Golden == goldenOptional)
}

// isStill says whether the file is the model in force.
func isStill(path string, m *tensorrt.Model) bool {
	if path == "" || m == nil {
		return path == "" && m == nil
	}
	data, err := os.ReadFile(path)
	sum := sha256.Sum256(data)
	return err == nil && path == m.Path && hex.EncodeToString(sum[:]) == m.SHA256
}

// checkGolden runs both networks on the pictures that they bring.
func (n *networks) checkGolden(optional bool) error {
	for _, m := range []*tensorrt.Model{n.predictor, n.denoiser} {
		if m == nil {
			continue
		}
		if _, err := m.CheckGolden(); err != nil && !(optional && errors.Is(err, tensorrt.ErrNoGolden)) {
			return fmt.Errorf("models.%s: %w", m.Kind, err)
		}
	}
	return nil
}

// paths are the files of the networks in force.
func (n *networks) paths() (predictor, denoiser string) {
	if n.denoiser != nil {
		denoiser = n.denoiser.Path
	}
	return n.predictor.Path, denoiser
}
