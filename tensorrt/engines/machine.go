package engines

import (
	"cmp"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	providerName = "libonnxruntime_providers_tensorrt.so"
	driverName   = "libcuda.so.1" // the driver's interface, the same for all versions
)

// ProbeMachine asks the libraries that ONNX Runtime's TensorRT provider will
// load, and the driver, for their versions and the GPU. onnx is the path of
// libonnxruntime.so; which libraries the provider beside it wants, its own
// header says. device is the GPU's number. CUDA replaces signal handlers: the
// caller saves and restores them. The libraries stay loaded.
func ProbeMachine(onnx string, device int) (m Machine, err error) {
	p, err := providerBeside(onnx)
	if err != nil {
		return m, err
	}
	if m.TensorRT, err = probeTensorRT(p.path("libnvinfer.so.")); err != nil {
		return m, err
	}
	if m.CUDA, err = probeRuntime(p.path("libcudart.so.")); err != nil {
		return m, err
	}
	driver, err := probeDriver(p.resolve(driverName), device)
	if err != nil {
		return m, err
	}
	m.Driver, m.GPU = driver.version(), driver.name
	m.Capability = fmt.Sprintf("%d.%d", driver.major, driver.minor)
	m.Multiprocessors = driver.multiprocessors
	return m, m.check()
}

// check holds that nothing is left out, whatever a library answered.
func (m Machine) check() error {
	switch {
	case m.GPU == "":
		return fmt.Errorf("%s: the GPU tells no name", driverName)
	case m.Multiprocessors <= 0 || m.Capability == "0.0":
		return fmt.Errorf("%s: the GPU %s tells no compute capability and size", driverName, m.GPU)
	}
	return nil
}

// A provider is what the header of the provider's library says.
type provider struct {
	file  string
	needs []string // names of libraries
	paths []string // folders that are searched before the system's, in the linker's order
}

func providerBeside(onnx string) (*provider, error) {
	real, err := filepath.EvalSymlinks(onnx)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(filepath.Dir(onnx), providerName)
	if _, err := os.Stat(file); err != nil {
		file = filepath.Join(filepath.Dir(real), providerName)
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("this ONNX Runtime (%s) runs no TensorRT: %w", onnx, err)
	}
	defer f.Close()
	p := &provider{file: file}
	if p.needs, err = f.ImportedLibraries(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	p.paths, err = searchPaths(f, filepath.Dir(file))
	return p, err
}

// searchPaths is where ld.so(8) looks first for what a library needs.
func searchPaths(f *elf.File, origin string) ([]string, error) {
	old, err := dynamicPath(f, elf.DT_RPATH, origin)
	if err != nil {
		return nil, err
	}
	recent, err := dynamicPath(f, elf.DT_RUNPATH, origin)
	if err != nil {
		return nil, err
	}
	paths := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
	if len(recent) == 0 {
		return append(old, paths...), nil
	}
	return append(paths, recent...), nil
}

func dynamicPath(f *elf.File, tag elf.DynTag, origin string) (dirs []string, err error) {
	values, err := f.DynString(tag)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		v = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(v)
		dirs = append(dirs, filepath.SplitList(v)...)
	}
	return dirs, nil
}

// path is what to open for the needed library whose name starts with prefix.
func (p *provider) path(prefix string) string {
	for _, name := range p.needs {
		if strings.HasPrefix(name, prefix) {
			return p.resolve(name)
		}
	}
	return p.resolve(strings.TrimSuffix(prefix, ".")) // statically linked: the system's is the best guess that can fail
}

func (p *provider) resolve(name string) string {
	for _, dir := range p.paths {
		full := filepath.Join(cmp.Or(dir, "."), name)
		if _, err := os.Stat(full); err == nil {
			return full
		}
	}
	return name
}

// tensorrtVersion writes getInferLibVersion's number as people do: 10.3.0 is 100300, 8.6.1 is 8601.
func tensorrtVersion(v, build int) string {
	text := fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
	if v < 10000 {
		text = fmt.Sprintf("%d.%d.%d", v/1000, v/100%10, v%100)
	}
	if build >= 0 {
		text += fmt.Sprintf(".%d", build)
	}
	return text
}

// cudaVersion writes CUDA's number as people do: 12.6 is 12060.
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// driverFacts is what libcuda says.
type driverFacts struct {
	cuda, major, minor, multiprocessors int
	name                                string
	release                             string // of the kernel's module, "" where it tells none
}

func (d driverFacts) version() string {
	if d.release == "" {
		return cudaVersion(d.cuda)
	}
	return cudaVersion(d.cuda) + " (" + d.release + ")"
}

var moduleVersion = "/sys/module/nvidia/version"

// moduleRelease is the driver's own version, which changes more often than the
// CUDA version that it knows.
func moduleRelease() string {
	text, err := os.ReadFile(moduleVersion)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
