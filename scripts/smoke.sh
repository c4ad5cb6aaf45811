#!/bin/bash
# smoke.sh [CONFIG]: starts the daemon as `make run` does, watches it with mosquitto_sub as a
# newcomer would, and ends it by Ctrl-C. Fails at the first promise that is not kept.
set -euo pipefail
set -m # or bash would start the daemon with SIGINT ignored
cd "$(dirname "$0")/.."

config=${1:-configs/demo.yaml}
seconds=${SMOKE_SECONDS:-5}
least=${SMOKE_FRAMES:-10} # in so many seconds: a slow, busy machine still manages that
folder=$(mktemp -d)
out=$folder/out
pid=

fail() {
	echo "smoke: $*" >&2
	sed 's/^/  /' "$out" >&2
	exit 1
}
cleanup() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	rm -rf "$folder"
}
trap cleanup EXIT
json() { # with what there is: npm brings node along
	if command -v node >/dev/null; then
		node -e 'JSON.parse(require("fs").readFileSync(process.argv[1]))' "$1" 2>/dev/null
	else
		python3 -m json.tool "$1" >/dev/null
	fi
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

begin=$(milliseconds)
: >"$out"
bin/sharpend run --config "$config" >"$out" 2>&1 &
pid=$!

until grep -q mosquitto_sub "$out"; do
	kill -0 "$pid" 2>/dev/null || fail "the daemon ended at once:"
	(($(milliseconds) - begin < 20000)) || fail "no mosquitto_sub line within 20 s:"
	sleep 0.1
done
echo "smoke: the mosquitto_sub line is there after $(($(milliseconds) - begin)) ms"
host=$(grep -m1 -oP 'mosquitto_sub .*-h \K\S+' "$out")
port=$(grep -m1 -oP 'mosquitto_sub .*-p \K\S+' "$out")
topic=$(grep -m1 -oP "mosquitto_sub .*-t '\Ksharpend/[^/]+" "$out")
sub() { mosquitto_sub -h "$host" -p "$port" -t "$topic/$1" "${@:2}"; }

status=$(sub status -C 1 -W 10) || fail "no $topic/status within 10 s:"
[ "$status" = online ] || fail "$topic/status is \"$status\":"

sub info -C 1 -W 10 >"$folder/info" || fail "no $topic/info within 10 s:"
json "$folder/info" || fail "$topic/info is no JSON: $(cat "$folder/info")"

sub frame -N -C 1 -W 10 >"$folder/frame.jpg" || fail "no $topic/frame within 10 s:"
magic=$(od -An -tx1 -N3 "$folder/frame.jpg" | tr -d ' ')
end=$(tail -c2 "$folder/frame.jpg" | od -An -tx1 | tr -d ' ')
[ "$magic" = ffd8ff ] && [ "$end" = ffd9 ] || fail "a frame begins with $magic and ends with $end: no JPEG"

frames=$(sub frame -W "$seconds" -F %l 2>/dev/null | wc -l) || true # it ends by its time-out, and says so
((frames >= least)) || fail "only $frames frames in $seconds s, and $least are needed:"
echo "smoke: $frames frames in $seconds s"

sub keyframe/meta -C 1 -W 30 >"$folder/meta" || fail "no $topic/keyframe/meta within 30 s:"
json "$folder/meta" || fail "$topic/keyframe/meta is no JSON: $(cat "$folder/meta")"

begin=$(milliseconds)
kill -INT "$pid"
status=0
wait "$pid" || status=$?
pid=
took=$(($(milliseconds) - begin))
((status == 0)) || fail "Ctrl-C ended it with status $status:"
((took <= 2000)) || fail "Ctrl-C took $took ms:"
echo "smoke: Ctrl-C ended it with status 0 in $took ms"
