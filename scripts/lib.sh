#!/bin/sh
# lib.sh: prints the path of the ONNX Runtime library to use: $SHARPEND_ONNXRUNTIME, lib/'s, the
# system's if it is recent enough, else the one of the npm package onnxruntime-node, which it
# puts into lib/. Only a library with the right SHA-256 gets there, and no install script is run.
# With LIB_ARCH=x64 or arm64 it is the npm package's for that processor and no other, in $LIB_DIR.
set -eu
cd "$(dirname "$0")/.."

package=onnxruntime-node@1.27.0
folder=${LIB_DIR:-$PWD/lib}
library=$folder/libonnxruntime.so.1

if [ -z "${LIB_ARCH:-}" ] && [ -n "${SHARPEND_ONNXRUNTIME:-}" ]; then
	echo "$SHARPEND_ONNXRUNTIME"
	exit
fi

case "${LIB_ARCH:-$(uname -m)}" in
x64 | x86_64 | amd64) arch=x64 ;;
aarch64 | arm64) arch=arm64 ;;
*)
	echo "lib: there is no ONNX Runtime package for $(uname -m): build it, and set SHARPEND_ONNXRUNTIME to its libonnxruntime.so.1" >&2
	exit 1
	;;
esac
sum=$(awk -v arch=$arch '$2 == arch {print $1}' scripts/onnxruntime.sha256)
right() { [ -e "$1" ] && echo "$sum  $1" | sha256sum --check --status; }

if right "$library"; then
	echo "$library"
	exit
fi

# The binding needs 1.24 or later; a file's full version is in the name that the links lead to.
[ -n "${LIB_ARCH:-}" ] || for found in $(ldconfig -p 2>/dev/null | awk '/libonnxruntime\.so/ {print $NF}'); do
	minor=$(readlink -f "$found" | sed -nE 's/.*\.so\.1\.([0-9]+)(\..*)?$/\1/p')
	if [ "${minor:-0}" -ge 24 ]; then
		echo "$found"
		exit
	fi
done

if ! command -v npm >/dev/null; then
	echo "lib: npm is missing: install it, or set SHARPEND_ONNXRUNTIME to a libonnxruntime.so.1 (1.24 or later)" >&2
	exit 1
fi
mkdir -p "$folder"
fetch=$(mktemp -d "$folder/fetch.XXXXXX") # beside its goal, so that mv is atomic
trap 'rm -rf "$fetch"' EXIT
trap 'exit 1' INT TERM
echo "lib: fetching ONNX Runtime 1.27.0 ($package, 101 MB)" >&2
if ! (cd "$fetch" && npm pack --silent --ignore-scripts "$package" >/dev/null); then
	echo "lib: npm could not fetch $package; set SHARPEND_ONNXRUNTIME to a libonnxruntime.so.1 (1.24 or later) to do without" >&2
	exit 1
fi
tar -xzf "$fetch"/*.tgz -C "$fetch" "package/bin/napi-v6/linux/$arch/libonnxruntime.so.1"
fresh=$fetch/package/bin/napi-v6/linux/$arch/libonnxruntime.so.1
if ! right "$fresh"; then
	echo "lib: the library in $package is not the one that scripts/onnxruntime.sha256 names: it is not used" >&2
	exit 1
fi
chmod 644 "$fresh"
mv -f "$fresh" "$library"
echo "$library"
