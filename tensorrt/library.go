// Package tensorrt runs the networks: the one keeper of ONNX Runtime and its
// Go binding. It finds and starts the library, checks a model file against the
// contract, opens sessions on the first provider of a list that passes a real
// run, and runs them on memory that the caller reads and writes directly.
//
// ONNX Runtime's process-wide calls (start, stop, create, destroy) are behind
// one mutex. A session runs one picture at a time: a second concurrent Run gets
// ErrBusy. A steady-state Run allocates nothing.
package tensorrt

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Env names the environment variable that holds the library's path.
const Env = "SHARPEND_ONNXRUNTIME"

const (
	libraryName = "libonnxruntime.so.1"
	minMinor    = 24 // the binding asks for C API 24
	keyHint     = "set the key runtime.library or $" + Env + " to the path of " + libraryName
)

// Library finds the ONNX Runtime library: the configured path (key
// runtime.library), $SHARPEND_ONNXRUNTIME, ../lib beside the program's folder,
// then the system's (newest first), which may drive a GPU, and last the package's
// own in ../lib/sharpend, which does not. A path that is named explicitly must
// work: nothing else is tried. why says in a few words how path was chosen.
func Library(configured string) (path, why string, err error) {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0]
	}
	return find(configured, os.Getenv(Env), program, systemLibraries)
}

func find(configured, env, program string, system func() []string) (path, why string, err error) {
	if configured != "" {
		return named(configured, "the key runtime.library")
	}
	if env != "" {
		return named(env, "$"+Env)
	}
	beside := filepath.Join(filepath.Dir(program), "..", "lib", libraryName)
	path, err = usable(beside)
	if err == nil {
		return path, "it lies in lib beside the program's folder", nil
	}
	tried := []string{err.Error()}
	for _, candidate := range system() {
		path, err = usable(candidate)
		if err == nil {
			return path, "the system has it (" + strings.Join(tried, "; ") + ")", nil
		}
		tried = append(tried, err.Error())
	}
	packaged := filepath.Join(filepath.Dir(beside), "sharpend", libraryName)
	path, err = usable(packaged)
	if err == nil {
		return path, "the package brings it, for the CPU; the system has none that serves", nil
	}
	tried = append(tried, err.Error())
	return "", "", fmt.Errorf("no ONNX Runtime library (1.%d or later): tried %s, and found none that serves on the system; %s",
		minMinor, strings.Join(tried, "; "), keyHint)
}

func named(name, by string) (path, why string, err error) {
	if path, err = usable(name); err != nil {
		return "", "", fmt.Errorf("%s: %w", by, err)
	}
	return path, by + " names it", nil
}

// usable returns the absolute path of a library file whose name tells of no too old version.
func usable(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", abs, bare(err))
	case info.IsDir():
		return "", fmt.Errorf("%s is a folder: name the file, such as %s", abs, filepath.Join(abs, libraryName))
	}
	if major, minor, ok := versionOf(abs); ok && (major < 1 || major == 1 && minor < minMinor) {
		return "", fmt.Errorf("%s is version %d.%d, and 1.%d or later is needed", abs, major, minor, minMinor)
	}
	return abs, nil
}

func bare(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

var versioned = regexp.MustCompile(`^libonnxruntime\.so\.(\d+)\.(\d+)`)

// versionOf reads the version that distributions put into the file's real name.
func versionOf(path string) (major, minor int, ok bool) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	m := versioned.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}

// systemLibraries lists what ldconfig and the common folders know, newest version first.
func systemLibraries() []string {
	found := ldconfig()
	home, _ := os.UserHomeDir()
	for _, dir := range []string{
		"/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/*-linux-gnu*", "/opt/onnxruntime/lib",
		"/usr/local/lib/python3*/dist-packages/onnxruntime/capi", // where a Jetson's wheel puts it
		"/usr/lib/python3*/dist-packages/onnxruntime/capi",
		home + "/.local/lib/python3*/site-packages/onnxruntime/capi",
	} {
		files, _ := filepath.Glob(dir + "/libonnxruntime.so*")
		found = append(found, files...)
	}
	return newestFirst(found)
}

func newestFirst(paths []string) []string {
	slices.SortStableFunc(paths, func(a, b string) int {
		amajor, aminor, _ := versionOf(a)
		bmajor, bminor, _ := versionOf(b)
		return cmp.Or(bmajor-amajor, bminor-aminor)
	})
	return slices.Compact(paths)
}

func ldconfig() []string {
	for _, program := range []string{"/sbin/ldconfig", "/usr/sbin/ldconfig"} {
		if out, err := exec.Command(program, "-p").Output(); err == nil {
			return fromCache(string(out))
		}
	}
	return nil
}

// fromCache picks our library's paths out of the output of ldconfig -p.
func fromCache(out string) []string {
	var paths []string
	for line := range strings.Lines(out) {
		name, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if ok && strings.HasPrefix(name, "libonnxruntime.so") {
			paths = append(paths, path)
		}
	}
	return paths
}
