#!/bin/sh
# deps.sh [test|train|evaluate]: installs the system packages that are missing for running sharpend,
# and with "test" those for its tests, with "train" those for training, with "evaluate" those for
# measuring networks; where it may not, it says what to install and fails.
set -eu

go=${GO:-go}
packages=""
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1; }

if ! has "$go"; then
	echo "deps: sharpend needs Go 1.24 or later, and there is no $go: see go.dev/doc/install" >&2
	exit 1
fi
# Go 1.21 and later fetch the toolchain that go.mod asks for; then this prints that one's version.
version=$("$go" version | sed -nE 's/^go version (devel )?go([0-9]+)\.([0-9]+).*/\2 \3/p')
if ! echo "$version" | awk '{exit !($1 > 1 || $1 == 1 && $2 >= 24)}'; then
	echo "deps: sharpend needs Go 1.24 or later, and this is \"$("$go" version)\": see go.dev/doc/install" >&2
	exit 1
fi

has "$("$go" env CC)" || need gcc
test -e /usr/include/stdlib.h || need libc6-dev
has pkg-config || need pkg-config
test -e /usr/include/turbojpeg.h || pkg-config --exists libturbojpeg 2>/dev/null || need libturbojpeg0-dev
has mosquitto_sub || need mosquitto-clients
test -n "${SHARPEND_ONNXRUNTIME:-}" || test -e lib/libonnxruntime.so.1 || has npm || need npm
python=${PYTHON:-/usr/bin/python3}
imports() { "$python" -c "import $1" 2>/dev/null; }
case "${1:-}" in
test)
	has mosquitto || test -x /usr/sbin/mosquitto || need mosquitto
	;;
train | evaluate)
	imports torch || need python3-torch
	imports cv2 || need python3-opencv
	imports onnx || need python3-onnx
	imports PIL || need python3-pil
	;;
esac
if [ "${1:-}" = evaluate ]; then
	imports matplotlib || need python3-matplotlib
	imports apriltag || need python3-apriltag
	imports zbar || need python3-zbar
	has tesseract || need tesseract-ocr
fi
[ -n "$packages" ] || exit 0

if ! has apt-get; then
	echo "deps: there is no apt-get here; please install what Debian calls:$packages" >&2
	exit 1
fi
command="apt-get install -y --no-install-recommends$packages"
sudo=""
if [ "$(id -u)" != 0 ]; then
	if ! has sudo || ! sudo -n true 2>/dev/null; then
		echo "deps: please run: sudo $command" >&2
		exit 1
	fi
	sudo="sudo -n"
fi
echo "deps: installing$packages" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { $sudo $command >"$log" 2>&1; }
if ! install; then
	$sudo apt-get update -q >"$log" 2>&1 || true # a fresh machine has no package lists yet
	if ! install; then
		tail -n 20 "$log" >&2
		echo "deps: could not install$packages; please run: $command" >&2
		exit 1
	fi
fi

# Debian starts a broker on port 1883 as soon as it is installed. The tests start their own, and
# the demo's needs that port.
case "$packages" in *" mosquitto "* | *" mosquitto")
	if has systemctl && $sudo systemctl disable --now mosquitto.service >/dev/null 2>&1; then
		echo "deps: mosquitto is installed for the tests; its service is switched off" >&2
	elif has service; then
		$sudo service mosquitto stop >/dev/null 2>&1 || true
	fi
	;;
esac
