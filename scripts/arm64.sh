#!/bin/bash
# arm64.sh build: build/arm64/bin/sharpend, cross-built on x86-64 (or built, on an arm64 machine's
# own Debian). arm64.sh test: unit tests and `sharpend image` under qemu-aarch64 with the arm64 ONNX
# Runtime; the predicted picture must be x86-64's within one grey level. Not for the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
folder=$PWD/build/arm64
sysroot=$folder/sysroot
version=$(git describe --tags --always --dirty 2>/dev/null || echo devel)

needs=()
need() { command -v "$1" >/dev/null || needs+=("$2"); }
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need mmdebstrap mmdebstrap
test -e /usr/aarch64-linux-gnu/include/stdlib.h || needs+=(libc6-dev-arm64-cross)
[ "$1" = build ] || need qemu-aarch64-static qemu-user-static
if [ ${#needs[@]} -gt 0 ]; then
	echo "arm64: installing ${needs[*]}" >&2
	sudo=
	[ "$(id -u)" = 0 ] || sudo="sudo -n"
	$sudo apt-get install -y -q --no-install-recommends "${needs[@]}" >&2
fi

# libturbojpeg and what runs beside it, unpacked and never configured: no foreign architecture is
# added to this machine.
mkdir -p "$folder"
echo 'module build' >build/go.mod # keeps ./... out of here
if [ ! -e "$sysroot/.done" ]; then
	rm -rf "$sysroot"
	mmdebstrap --quiet --variant=extract --architectures=arm64 \
		--include=libc6,libstdc++6,libgcc-s1,libturbojpeg0,libturbojpeg0-dev bookworm "$sysroot"
	touch "$sysroot/.done"
fi

# CGO_LDFLAGS is part of Go's cache key and pkg-config's answer is not: without it a build cached by
# another checkout would name that checkout's folders.
cross() {
	CGO_LDFLAGS="-O2 -g -L$sysroot/usr/lib/aarch64-linux-gnu" CGO_ENABLED=1 GOOS=linux GOARCH=arm64 CC=aarch64-linux-gnu-gcc \
		PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig \
		"$go" "$@"
}
emulate() { scripts/emulate.sh "$sysroot" "$@"; }

cross build -buildvcs=false -trimpath -ldflags "-X main.version=$version" -o "$folder/bin/sharpend" ./daemon
[ "$1" = test ] || exit 0

library=$(LIB_ARCH=arm64 LIB_DIR=$folder/lib scripts/lib.sh)
export SHARPEND_ONNXRUNTIME=$library
# The tests that are left out make long runs, which take a minute each under emulation, or start
# themselves as another program, which the emulated one cannot.
left_out='TestTerminateEndsALongRun|TestDenoiserBusyAndClose|TestTerminatedWhileItComputes|TestNothingIsCollected'
for package in ./config ./jpeg ./infer ./tensorrt; do
	cross test -buildvcs=false -count=1 -timeout 10m -skip "$left_out" -exec "$PWD/scripts/emulate.sh $sysroot" "$package"
done

export SHARPEND_MODELS=$PWD/models # neither program lies beside them
try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
same() { "$go" run ./packaging/samepicture "$@"; }
same crop clips/sharp_0010.jpg "$try/in.png" 128 96
emulate "$folder/bin/sharpend" image --predict-only "$try/in.png" "$try/arm64.png"
emulate "$folder/bin/sharpend" image --steps 2 --seed 7 "$try/in.png" "$try/arm64-refined.png"
SHARPEND_ONNXRUNTIME=$(LIB_ARCH=x64 scripts/lib.sh)
bin/sharpend image --predict-only "$try/in.png" "$try/amd64.png"
bin/sharpend image --steps 2 --seed 7 "$try/in.png" "$try/amd64-refined.png"
same compare 1 "$try/arm64.png" "$try/amd64.png"
same compare 3 "$try/arm64-refined.png" "$try/amd64-refined.png" # two steps add up their rounding
same differ "$try/in.png" "$try/arm64.png"
