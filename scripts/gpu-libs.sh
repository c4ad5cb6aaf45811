#!/bin/sh
# gpu-libs.sh: prints the folder of ONNX Runtime 1.29.0 for x86-64 with its CUDA and TensorRT
# providers (for CUDA 13, cuDNN 9 and TensorRT 10, which it does not bring), lib/gpu. It fetches
# them from two npm packages; only files with the right SHA-256 get there, no install script is run.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/lib/gpu
sums=$PWD/scripts/gpu-libs.sha256
right() { [ -d "$1" ] && (cd "$1" && sha256sum --check --status "$sums" 2>/dev/null); }

if right "$folder"; then
	echo "$folder"
	exit
fi
if [ "$(uname -m)" != x86_64 ]; then
	echo "gpu-libs: these libraries are for x86-64; on a Jetson the wheel of its JetPack has them (docs/tensorrt.md)" >&2
	exit 1
fi
if ! command -v npm >/dev/null; then
	echo "gpu-libs: npm is missing: install it" >&2
	exit 1
fi
mkdir -p lib
fetch=$(mktemp -d "$PWD/lib/fetch.XXXXXX") # beside its goal, so that mv is atomic
trap 'rm -rf "$fetch"' EXIT
trap 'exit 1' INT TERM
echo "gpu-libs: fetching ONNX Runtime 1.29.0 and its GPU providers (291 MB)" >&2
mkdir "$fetch/gpu"
for package in onnxruntime-node@1.29.0 com.github.asus4.onnxruntime.linux-x64-gpu@0.4.9; do
	(cd "$fetch" && npm pack --silent --ignore-scripts "$package" >/dev/null) || {
		echo "gpu-libs: npm could not fetch $package" >&2
		exit 1
	}
done
tar -xzf "$fetch"/onnxruntime-node-*.tgz -C "$fetch/gpu" --strip-components=5 package/bin/napi-v6/linux/x64/libonnxruntime.so.1
tar -xzf "$fetch"/com.github.*.tgz -C "$fetch/gpu" --strip-components=4 --wildcards 'package/Plugins/Linux/x64/*.so'
if ! right "$fetch/gpu"; then
	echo "gpu-libs: what the packages hold is not what scripts/gpu-libs.sha256 names: it is not used" >&2
	exit 1
fi
rm -rf "$folder"
mv "$fetch/gpu" "$folder"
echo "$folder"
