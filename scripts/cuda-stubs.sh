#!/bin/sh
# cuda-stubs.sh FOLDER: builds into build/cuda-stubs libraries under the names of CUDA's, cuDNN's
# and TensorRT's, with every function that the GPU providers in FOLDER ask for and none that
# works: with them in LD_LIBRARY_PATH the providers load on a machine without CUDA, and say what
# they say when there is no GPU. There are as many devices as $STUB_DEVICES says, by default none;
# with one, the providers read their options, and a session that goes further crashes.
set -eu
providers=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
out=$PWD/build/cuda-stubs
mkdir -p "$out"
symbols=$(nm -D --undefined-only --with-symbol-versions "$providers/libonnxruntime_providers_cuda.so" "$providers/libonnxruntime_providers_tensorrt.so")
for so in $(readelf -d "$providers"/libonnxruntime_providers_*.so | sed -nE 's/.*NEEDED.*\[(lib(cuda|cudart|cublas|cublasLt|curand|cudnn|nvinfer|nvonnxparser)\.so\.[0-9]+)\].*/\1/p' | sort -u); do
	{
		cat <<-'C'
			#include <stdlib.h>
			int stub_error(void) { return 100; } /* cudaErrorNoDevice */
			const char *stub_text(void) { return "no CUDA-capable device is detected"; }
			void *stub_null(void) { return 0; }
			int stub_count(int *n) { const char *s = getenv("STUB_DEVICES"); *n = s ? atoi(s) : 0; return *n ? 0 : 100; }
		C
		# TensorRT's functions have no version; a library's name is the version of all others.
		echo "$symbols" | awk -v so="$so" '
			NF < 2 { next }
			{ split($2, part, "@"); name = part[1]; of = part[2] }
			of == "" && name ~ /^(createInfer|getInferLibVersion|getPluginRegistry)/ { of = "libnvinfer" substr(so, index(so, ".so")) }
			of == "" && name ~ /^createNvOnnx/ { of = "libnvonnxparser" substr(so, index(so, ".so")) }
			of != so || seen[name]++ { next }
			{
				stub = "stub_error"
				if (name ~ /Get(Error|Status)(Name|String)/) stub = "stub_text"
				if (name ~ /^create|^getPlugin|__cudaRegisterFatBinary$/) stub = "stub_null"
				if (name == "cudaGetDeviceCount") stub = "stub_count"
				printf "__asm__(\".globl %s\\n.set %s, %s\");\n", name, name, stub
			}'
	} >"$out/$so.c"
	echo "$so { *; };" >"$out/$so.map"
	cc -shared -fPIC -Wl,-soname,"$so" -Wl,--version-script="$out/$so.map" -o "$out/$so" "$out/$so.c"
done
echo "$out"
