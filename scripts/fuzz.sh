#!/bin/sh
# fuzz.sh TIME: runs every fuzz target of every package for so long.
set -eu
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' INT TERM

# Before Go 1.27 the end of the time may itself be reported as a failure (golang/go#75804): then
# there is no failing input, and nothing else is said.
deadline_only() { grep -q '^ *context deadline exceeded$' "$log" && ! grep -q 'Failing input\|panic:' "$log"; }

for package in $("$go" list ./...); do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		if ! "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 2s "$package" >"$log" 2>&1; then
			cat "$log"
			deadline_only || exit 1
		fi
	done
done
