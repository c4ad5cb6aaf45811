package engines

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

// Each function returns 0, or writes into error why not.

#define FAIL(...) do { snprintf(error, size, __VA_ARGS__); return 1; } while (0)

static void *load(const char *path, char *error, size_t size) {
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (!library)
		snprintf(error, size, "%s", dlerror());
	return library;
}

#define SYMBOL(variable, name) \
	do { \
		*(void **)&variable = dlsym(library, name); \
		if (!variable) \
			FAIL("%s has no function %s", path, name); \
	} while (0)

// version is getInferLibVersion's; build is -1 where the library tells none (before TensorRT 10).
static int tensorrt(const char *path, int *version, int *build, char *error, size_t size) {
	int (*get)(void), (*getBuild)(void);
	void *library = load(path, error, size);
	if (!library)
		return 1;
	SYMBOL(get, "getInferLibVersion");
	*version = get();
	*(void **)&getBuild = dlsym(library, "getInferLibBuildVersion");
	*build = getBuild ? getBuild() : -1;
	return 0;
}

static int cudart(const char *path, int *version, char *error, size_t size) {
	int (*get)(int *);
	void *library = load(path, error, size);
	if (!library)
		return 1;
	SYMBOL(get, "cudaRuntimeGetVersion");
	int code = get(version);
	if (code)
		FAIL("%s: cudaRuntimeGetVersion fails with error %d", path, code);
	return 0;
}

// Numbers from cuda.h, CUdevice_attribute: the same in all versions.
enum { MULTIPROCESSORS = 16, MAJOR = 75, MINOR = 76 };

// facts: the CUDA version that the driver knows, compute capability (2), multiprocessors.
static int cuda(const char *path, int device, int facts[4], char *name, int nameSize, char *error, size_t size) {
	int (*init)(unsigned), (*getVersion)(int *), (*get)(int *, int), (*getName)(char *, int, int);
	int (*attribute)(int *, int, int), (*errorString)(int, const char **);
	void *library = load(path, error, size);
	if (!library)
		return 1;
	SYMBOL(init, "cuInit");
	SYMBOL(getVersion, "cuDriverGetVersion");
	SYMBOL(get, "cuDeviceGet");
	SYMBOL(getName, "cuDeviceGetName");
	SYMBOL(attribute, "cuDeviceGetAttribute");
	*(void **)&errorString = dlsym(library, "cuGetErrorString");
	const char *step = "cuInit", *why = "";
	int number = 0, code = init(0);
	if (!code) { step = "cuDriverGetVersion"; code = getVersion(&facts[0]); }
	if (!code) { step = "cuDeviceGet"; code = get(&number, device); }
	if (!code) { step = "cuDeviceGetName"; code = getName(name, nameSize, number); }
	if (!code) { step = "cuDeviceGetAttribute"; code = attribute(&facts[1], MAJOR, number); }
	if (!code) code = attribute(&facts[2], MINOR, number);
	if (!code) code = attribute(&facts[3], MULTIPROCESSORS, number);
	if (!code)
		return 0;
	if (errorString && errorString(code, &why))
		why = "";
	FAIL("%s: %s of GPU %d fails with error %d: %s", path, step, device, code, why);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// errorText is the room for a library's own words.
type errorText [1024]C.char

func (e *errorText) err() error {
	return errors.New(strings.TrimSuffix(strings.TrimSpace(C.GoString(&e[0])), ":"))
}

func probeTensorRT(path string) (string, error) {
	var version, build C.int
	var text errorText
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if C.tensorrt(p, &version, &build, &text[0], C.size_t(len(text))) != 0 {
		return "", fmt.Errorf("no TensorRT: %w", text.err())
	}
	if version <= 0 {
		return "", fmt.Errorf("no TensorRT: %s says its version is %d", path, version)
	}
	return tensorrtVersion(int(version), int(build)), nil
}

func probeRuntime(path string) (string, error) {
	var version C.int
	var text errorText
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if C.cudart(p, &version, &text[0], C.size_t(len(text))) != 0 {
		return "", fmt.Errorf("no CUDA: %w", text.err())
	}
	if version <= 0 {
		return "", fmt.Errorf("no CUDA: %s says its version is %d", path, version)
	}
	return cudaVersion(int(version)), nil
}

func probeDriver(path string, device int) (driverFacts, error) {
	var facts [4]C.int
	var name [256]C.char
	var text errorText
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if C.cuda(p, C.int(device), &facts[0], &name[0], C.int(len(name)), &text[0], C.size_t(len(text))) != 0 {
		return driverFacts{}, fmt.Errorf("no GPU: %w", text.err())
	}
	if facts[0] <= 0 { // what cuDriverGetVersion says where there is no driver
		return driverFacts{}, fmt.Errorf("no GPU: %s says its version is %d", path, facts[0])
	}
	return driverFacts{
		cuda: int(facts[0]), major: int(facts[1]), minor: int(facts[2]), multiprocessors: int(facts[3]),
		name: C.GoString(&name[0]), release: moduleRelease(),
	}, nil
}
