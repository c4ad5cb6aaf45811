package board

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Libraries are the GPU's shared libraries that lie in the usual folders: file
// name to path.
type Libraries map[string]string

// stems are the libraries that tell a version: of CUDA, cuDNN and TensorRT.
var stems = []string{"libcudart", "libcublas", "libcublasLt", "libcufft", "libcurand", "libcudnn", "libnvinfer", "libnvonnxparser", "libcuda"}

// FindLibraries looks for them in the folders where packages and NVIDIA's
// installers put them, and in more ($LD_LIBRARY_PATH).
func FindLibraries(root string, more ...string) Libraries {
	found := Libraries{}
	for _, pattern := range append([]string{
		"usr/lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/nvidia", "usr/lib", "usr/lib64", "usr/local/lib",
		"usr/local/cuda*/lib64", "usr/local/cuda*/targets/*/lib", "usr/local/[tT]ensor[rR][tT]*/lib", "opt/*/lib",
	}, more...) {
		folders, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, f := range folders {
			found.add(f)
		}
	}
	return found
}

func (l Libraries) add(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		stem, _, ok := strings.Cut(e.Name(), ".so.")
		if _, known := l[e.Name()]; ok && !known && slices.Contains(stems, stem) {
			l[e.Name()] = filepath.Join(folder, e.Name())
		}
	}
}

// Version is the newest version of a library such as libnvinfer, from the file
// names; "" without any.
func (l Libraries) Version(stem string) string {
	newest := ""
	for name := range maps.Keys(l) {
		v, ok := strings.CutPrefix(name, stem+".so.")
		if ok && leadingVersion(v) == v && (compareVersions(v, newest) > 0 || len(v) > len(newest) && strings.HasPrefix(v, newest)) {
			newest = v
		}
	}
	return newest
}

// Has reports whether a library of that name, such as libcudnn.so.9, is there,
// by itself or under a longer version.
func (l Libraries) Has(soname string) bool {
	for name := range l {
		if name == soname || strings.HasPrefix(name, soname+".") {
			return true
		}
	}
	return false
}

// Concerns reports whether a library is one that FindLibraries looks for.
func Concerns(soname string) bool {
	stem, _, _ := strings.Cut(soname, ".so")
	return slices.Contains(stems, stem)
}
