#!/bin/sh
# test-gpu-libs.sh: the tests of package tensorrt, and what the program says of itself, with ONNX
# Runtime's real CUDA and TensorRT providers on a machine without CUDA; then with libraries under
# CUDA's names that load and find no GPU. No GPU is used, even where there is one.
set -eu
cd "$(dirname "$0")/.."
libraries=$(scripts/gpu-libs.sh)
stubs=$(scripts/cuda-stubs.sh "$libraries")
export SHARPEND_ONNXRUNTIME="$libraries/libonnxruntime.so.1" CUDA_VISIBLE_DEVICES=""
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"${GO:-go}" test -count=1 -run 'GPULibraries|Terminated|Collected|Providers|Probe|Signals|Nodes|Silent|TestStart' ./tensorrt
SHARPEND_CUDA_STUBS=1 LD_LIBRARY_PATH=$stubs "${GO:-go}" test -count=1 -run 'GPULibraries|Terminated' ./tensorrt

# says WHAT PATTERN...: the program's output, in $tmp/out, holds every pattern.
says() {
	what=$1
	shift
	for pattern; do
		grep -Eq "$pattern" "$tmp/out" || {
			echo "test-gpu-libs: $what does not say $pattern:" >&2
			cat "$tmp/out" >&2
			exit 1
		}
	done
}

bin/sharpend devices >"$tmp/out"
says devices 'ONNX Runtime 1\.29\.0' 'tensorrt +no: Failed to load library .*libcublas\.so\.13: cannot open' 'cuda +no: .*libcublasLt\.so\.13: cannot open' 'cpu +works'
LD_LIBRARY_PATH=$stubs bin/sharpend devices >"$tmp/out"
says 'devices, with stubs,' 'tensorrt +no: .*CUDA failure 100: no CUDA-capable device is detected$' 'cuda +no: .*CUDA failure 100: no CUDA-capable device is detected$' 'cpu +works'

printf 'camera: {source: synthetic}\nmqtt: {broker: embedded, listen: "127.0.0.1:0"}\n' >"$tmp/c.yaml"
bin/sharpend doctor --json --config "$tmp/c.yaml" >"$tmp/out" || true # other findings may fail on this machine
says doctor 'cpu runs; tensorrt does not: libonnxruntime_providers_tensorrt\.so needs libcublas\.so\.13, which is not installed; cuda does not: libonnxruntime_providers_cuda\.so needs libcublasLt\.so\.13, which is not installed'

printf 'runtime: {options: {tensorrt: {trt_foo: "1"}}}\n' >>"$tmp/c.yaml"
STUB_DEVICES=1 LD_LIBRARY_PATH=$stubs bin/sharpend doctor --json --config "$tmp/c.yaml" >"$tmp/out" || true
says 'doctor, with a wrong option,' 'runtime\.options\.tensorrt\.trt_foo: ONNX Runtime 1\.29\.0 does not know this option'
echo "test-gpu-libs: all as expected"
