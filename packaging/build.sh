#!/bin/bash
# build.sh amd64|arm64: build/deb/sharpend_VERSION_ARCH.deb, the same bytes from the same commit.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
arch=$1
case $arch in
amd64) program=bin/sharpend library=$(LIB_ARCH=x64 scripts/lib.sh) strip=strip ;;
arm64)
	program=build/arm64/bin/sharpend strip=aarch64-linux-gnu-strip
	library=$(LIB_ARCH=arm64 LIB_DIR=$PWD/build/arm64/lib scripts/lib.sh)
	;;
*) echo "build.sh: no package for $arch, only for amd64 and arm64" >&2; exit 1 ;;
esac
# The page is printed by the program, which this machine must be able to run.
[ "$arch" = "$(dpkg --print-architecture)" ] && host=$program || host=bin/sharpend

DEB_ARCH=$arch
DEB_VERSION=$(packaging/version.sh)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) # the time of every file in the package
mkdir -p build/deb
DEB_STAGE=$(mktemp -d "build/deb/stage.XXXXXX")
trap 'rm -rf "$DEB_STAGE"' EXIT
echo 'module build' >build/go.mod # keeps ./... out of here
"$strip" -o "$DEB_STAGE/sharpend" "$program"
cp "$library" "$DEB_STAGE/libonnxruntime.so.1"
"$host" man | gzip -9n >"$DEB_STAGE/sharpend.1.gz"
gzip -9nc CHANGELOG.md >"$DEB_STAGE/changelog.gz"

# What is linked in asks for its licence to go along.
{
	cat LICENSES.md
	printf '\n---- Apache License 2.0: /usr/share/common-licenses/Apache-2.0 has the text.\n'
	"$go" list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./daemon | sort -u |
		while read -r path version dir; do
			for file in "$dir"/LICEN[CS]E* "$dir"/NOTICE* "$dir"/edl-v10; do
				[ ! -f "$file" ] || { printf '\n---- %s %s, %s\n' "$path" "$version" "${file##*/}"; cat "$file"; }
			done
		done
	printf '\n---- Go, LICENSE\n'
	cat "$("$go" env GOROOT)/LICENSE"
	printf '\n---- ONNX Runtime, LICENSE\n'
	cat packaging/onnxruntime.license
} >"$DEB_STAGE/copyright"

newest() { objdump -T "$DEB_STAGE/sharpend" "$DEB_STAGE/libonnxruntime.so.1" | grep -oE '\(GLIBC_[0-9.]+' | tr -d '(' | sort -uV | tail -n 1; }
DEB_GLIBC=$(newest)
DEB_GLIBC=${DEB_GLIBC#GLIBC_}
export DEB_ARCH DEB_VERSION DEB_STAGE DEB_GLIBC SOURCE_DATE_EPOCH

# The last version all of whose modules the Go module proxy serves.
CGO_ENABLED=0 GOOS= GOARCH= "$go" run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4 \
	package --config packaging/nfpm.yaml --packager deb --target "$DEB_STAGE/new.deb"
name=build/deb/sharpend_${DEB_VERSION}_$arch.deb
find build/deb -maxdepth 1 -name "sharpend_*_$arch.deb" ! -path "$name" -delete # one is enough
mv -f "$DEB_STAGE/new.deb" "$name"
echo "$name"
