package engines

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

const (
	manifestName = "manifest.json"
	manifestMost = 1 << 20 // bytes: nobody writes more
)

// A Manifest lies beside an engine's files: what it is, and every file's hash.
type Manifest struct {
	Key     string    `json:"key"`
	Inputs  Inputs    `json:"inputs"`
	About   About     `json:"about"`
	Built   time.Time `json:"built"`
	Seconds float64   `json:"seconds"` // that the build took
	Files   []File    `json:"files"`   // in the order of their names
}

// About is what only informs: nothing of it is part of the key.
type About struct {
	Name       string `json:"name"`        // of the model
	Path       string `json:"path"`        // of the model's file
	ModelBytes int64  `json:"model_bytes"` // its size
	Program    string `json:"program"`     // version of sharpend
}

// A File is one of an engine's, as it was when it was built.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Size is that of all files, in bytes.
func (m *Manifest) Size() (bytes int64) {
	for _, f := range m.Files {
		bytes += f.Size
	}
	return bytes
}

// parseManifest reads a manifest, and refuses what seal would not write.
func parseManifest(data []byte) (*Manifest, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: something follows its end", manifestName)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	return m, nil
}

func (m *Manifest) check() error {
	key, err := m.Inputs.Key()
	switch {
	case err != nil:
		return err
	case m.Key != key:
		return fmt.Errorf("its key is %.12s…, and what it lists gives %.12s…", m.Key, key)
	case !(m.Seconds >= 0):
		return fmt.Errorf("a build of %g seconds", m.Seconds)
	case len(m.Files) == 0:
		return errors.New("it lists no files")
	}
	last := ""
	for _, f := range m.Files {
		if err := f.check(); err != nil {
			return err
		}
		if f.Name <= last {
			return fmt.Errorf("file %q is out of order", f.Name)
		}
		last = f.Name
	}
	return nil
}

// check holds files to their own folder.
func (f File) check() error {
	digest, err := hex.DecodeString(f.SHA256)
	switch {
	case f.Name == "" || f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") || strings.ContainsRune(f.Name, 0) || f.Name == manifestName:
		return fmt.Errorf("%q is no name of a file of an engine", f.Name)
	case f.Size < 0:
		return fmt.Errorf("file %q has %d bytes", f.Name, f.Size)
	case err != nil || len(digest) != 32 || f.SHA256 != strings.ToLower(f.SHA256):
		return fmt.Errorf("file %q: %q is no SHA-256", f.Name, f.SHA256)
	}
	return nil
}

// text is what parseManifest reads, for people to read too.
func (m *Manifest) text() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}
