#!/bin/sh
# fuzz.sh TIME: runs every fuzz target of every package for so long.
set -eu
go=${GO:-go}
for package in $("$go" list ./...); do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 2s "$package"
	done
done
