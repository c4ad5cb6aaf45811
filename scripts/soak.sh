#!/bin/bash
# soak.sh [FRAMES]: runs so many identity frames through the whole daemon and compares its resident
# memory after a tenth of them with that at the end. Fails when it grew by over 3 MB, or when the
# pipeline takes more than 40 MB on top of the library and the models.
set -euo pipefail
cd "$(dirname "$0")/.."
frames=${1:-100000}
out=$(mktemp)
bin/sharpend run --quiet --config bench/soak.yaml >"$out" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -f "$out"' EXIT

sample() { # waits until so many frames are in; prints frames, resident and ready bytes
	timeout 600 mosquitto_sub -p 18835 -t sharpend/soak/stats | while read -r line; do
		[[ $line =~ \"frames_in\":([0-9]+) ]] && n=${BASH_REMATCH[1]}
		((n >= $1)) || continue
		[[ $line =~ \"rss_bytes\":([0-9]+) ]] && rss=${BASH_REMATCH[1]}
		[[ $line =~ \"rss_ready_bytes\":([0-9]+) ]]
		echo "$n $rss ${BASH_REMATCH[1]}"
		break
	done
}
until mosquitto_sub -p 18835 -t sharpend/soak/status -C 1 -W 1 >/dev/null 2>&1; do
	kill -0 $pid || { cat "$out" >&2; exit 1; }
done
read -r n0 rss0 ready < <(sample $((frames / 10)))
read -r n1 rss1 _ < <(sample "$frames")
mb() { echo "$(($1 / 100000))" | sed -E 's/(.)$/.\1/; s/^(-?)\./\10./'; }
echo "soak: $(mb "$ready") MB library and models; $(mb "$rss0") MB after $n0 frames, $(mb "$rss1") MB after $n1"
echo "soak: grew by $(mb $((rss1 - rss0))) MB; the pipeline takes $(mb $((rss1 - ready))) MB"
((rss1 - rss0 <= 3000000)) || { echo "soak: memory is not flat" >&2; exit 1; }
((rss1 - ready <= 40000000)) || { echo "soak: the pipeline takes over 40 MB" >&2; exit 1; }
