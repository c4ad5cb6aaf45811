#!/bin/sh
# brisque.sh: OpenCV's own model for BRISQUE into build/brisque, out of Debian's opencv-doc, which is
# fetched (96 MB) for two files and not installed. Without it `make evaluate` leaves BRISQUE out.
set -eu
cd "$(dirname "$0")/.."

out=build/brisque
if [ ! -e $out/brisque_model_live.yml ] || [ ! -e $out/brisque_range_live.yml ]; then
	mkdir -p $out
	fetch=$(mktemp -d)
	trap 'rm -rf "$fetch"' EXIT
	trap 'exit 1' INT TERM
	echo "brisque: fetching opencv-doc for BRISQUE's model" >&2
	if (cd "$fetch" && apt-get download -qq opencv-doc 2>/dev/null); then
		dpkg-deb --fsys-tarfile "$fetch"/opencv-doc_*.deb | tar -x -C "$fetch" --wildcards './usr/share/doc/opencv-doc/examples/quality/brisque_*.yml'
		mv "$fetch"/usr/share/doc/opencv-doc/examples/quality/brisque_*.yml $out/
	else
		echo "brisque: apt-get could not fetch opencv-doc: BRISQUE is left out" >&2
	fi
fi
