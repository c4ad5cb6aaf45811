#!/bin/sh
# version.sh: git describe as a Debian version that grows: v1.2.3 is 1.2.3, four commits later
# 1.2.3+4.gabc; before the first tag 0~COMMITS.gHASH; +dirty with uncommitted changes.
set -eu
cd "$(dirname "$0")/.."
if tag=$(git describe --tags --match 'v[0-9]*' --dirty=+dirty 2>/dev/null); then
	echo "$tag" | sed -E 's/^v//; s/-([0-9]+)-(g[0-9a-f]+)/+\1.\2/; s/-/~/g'
else
	echo "0~$(git rev-list --count HEAD).g$(git describe --always --dirty=+dirty)"
fi
