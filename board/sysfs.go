package board

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// tree reads small files below root. Not safe for concurrent use.
type tree struct {
	root   string
	buffer [4096]byte // sysfs never gives more than a page
}

// bytes returns the beginning of a file, without surrounding space, until the
// next call; nil when it cannot be read. A sensor that is switched off answers
// with an error such as EAGAIN.
func (t *tree) bytes(path string) []byte {
	if path == "" {
		return nil
	}
	fd, err := unix.Open(t.root+"/"+path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, t.buffer[:])
	if err != nil || n <= 0 {
		return nil
	}
	return bytes.Trim(t.buffer[:n], " \t\r\n\x00")
}

// text is a file of one line of plain text, at most 128 bytes; "" for anything else.
func (t *tree) text(path string) string {
	b := t.bytes(path)
	if len(b) > 128 || !utf8.Valid(b) || bytes.ContainsFunc(b, unicode.IsControl) {
		return ""
	}
	return string(b)
}

// number is a file of one decimal number between low and high.
func (t *tree) number(path string, low, high float64) (float64, bool) {
	b := t.bytes(path)
	if len(b) == 0 || len(b) > 32 || bytes.ContainsAny(b, "_xXpP") { // forms that ParseFloat takes and sysfs never writes
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(v) || v < low || v > high {
		return 0, false
	}
	return v, true
}

// scaled is number over divisor; nil where there is none, and for the path "".
func (t *tree) scaled(path string, low, high, divisor float64) *float64 {
	v, ok := t.number(path, low, high)
	if !ok {
		return nil
	}
	v /= divisor
	return &v
}

// names lists a folder in order; prefix2 comes before prefix10.
func (t *tree) names(folder string) []string {
	entries, err := os.ReadDir(filepath.Join(t.root, folder))
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	sortNumbered(names)
	return names
}

// with lists the members of a folder whose names start with prefix, as paths.
func (t *tree) with(folder, prefix string) []string {
	var paths []string
	for _, name := range t.names(folder) {
		if strings.HasPrefix(name, prefix) {
			paths = append(paths, folder+"/"+name)
		}
	}
	return paths
}

// existing is the first of paths that can be read, or "".
func (t *tree) existing(paths ...string) string {
	for _, p := range paths {
		if t.bytes(p) != nil {
			return p
		}
	}
	return ""
}
