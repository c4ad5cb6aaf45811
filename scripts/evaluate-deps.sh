#!/bin/sh
# evaluate-deps.sh: what `make evaluate` needs: Python with OpenCV and ONNX, readers of tags, codes and text, and BRISQUE's
# model. OpenCV's own files for BRISQUE are in Debian's opencv-doc, which is fetched (96 MB) for those two and not installed.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
packages=""
need() { packages="$packages $1"; }
imports() { "$python" -c "import $1" 2>/dev/null; }

imports cv2 || need python3-opencv
imports onnx || need python3-onnx
imports torch || need python3-torch
imports matplotlib || need python3-matplotlib
imports PIL || need python3-pil
imports apriltag || need python3-apriltag
imports zbar || need python3-zbar
command -v tesseract >/dev/null || need tesseract-ocr
if [ -n "$packages" ]; then
	echo "evaluate: installing$packages" >&2
	# shellcheck disable=SC2086 # one word a package
	apt-get install -qq -y --no-install-recommends $packages >/dev/null || {
		echo "evaluate: please install what Debian calls:$packages" >&2
		exit 1
	}
fi

out=build/brisque
if [ ! -e $out/brisque_model_live.yml ] || [ ! -e $out/brisque_range_live.yml ]; then
	mkdir -p $out
	fetch=$(mktemp -d)
	trap 'rm -rf "$fetch"' EXIT
	trap 'exit 1' INT TERM
	echo "evaluate: fetching opencv-doc for BRISQUE's model" >&2
	if (cd "$fetch" && apt-get download -qq opencv-doc 2>/dev/null); then
		dpkg-deb --fsys-tarfile "$fetch"/opencv-doc_*.deb | tar -x -C "$fetch" --wildcards './usr/share/doc/opencv-doc/examples/quality/brisque_*.yml'
		mv "$fetch"/usr/share/doc/opencv-doc/examples/quality/brisque_*.yml $out/
	else
		echo "evaluate: apt-get could not fetch opencv-doc: BRISQUE is left out" >&2
	fi
fi
