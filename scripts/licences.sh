#!/bin/sh
# licences.sh: fails when LICENSES.md does not list a module of the program with its version.
set -eu
missing=$("${GO:-go}" list -deps -f '{{with .Module}}{{if .Version}}| {{.Path}} | {{.Version}} |{{end}}{{end}}' ./daemon |
	sort -u | while read -r line; do grep -qF "$line" LICENSES.md || echo "$line"; done)
if [ -n "$missing" ]; then
	echo "LICENSES.md does not list:" >&2
	echo "$missing" >&2
	exit 1
fi
