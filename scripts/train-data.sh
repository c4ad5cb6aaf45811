#!/bin/sh
# train-data.sh [DIR]: the photographs and fonts of train/photographs.tsv into DIR (build/train-data/photos), out of Debian's
# packages, which are fetched and unpacked but not installed (300 MB). What is there already is not made again.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/train-data/photos}
held=build/train-data
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$held/deb" "$held/unpacked"

for package in $(grep -v '^#' train/photographs.tsv | cut -f1 | sort -u); do
	test -d "$held/unpacked/$package" && continue
	(cd "$held/deb" && apt-get -o APT::Sandbox::User="$(id -un)" download -qq "$package") || {
		echo "train-data: apt-get could not fetch $package: is this Debian, and was 'apt-get update' run?" >&2
		exit 1
	}
	dpkg-deb -x "$held"/deb/"${package}"_*.deb "$held/unpacked/$package.part"
	mv "$held/unpacked/$package.part" "$held/unpacked/$package"
done
"$python" train/photos.py "$held/unpacked" "$out"
echo "$(find -L "$out" -maxdepth 1 -name '*.jpg' | wc -l) photographs in $out"
