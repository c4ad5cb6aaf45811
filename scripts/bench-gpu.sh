#!/bin/bash
# bench-gpu.sh [OUT]: everything that wants an NVIDIA GPU, in one go, written as Markdown for
# docs/performance.md into build/bench-gpu.md: each network on CUDA and TensorRT at three sizes in
# fp32 and fp16 against the floor, a build's time, how far each is from the CPU, the whole daemon,
# and an orderly end by a signal while serving and while an engine is being built.
# The library is $SHARPEND_ONNXRUNTIME's, else, on x86-64, lib/gpu's (CUDA 13, TensorRT 10).
# PROVIDERS=cpu SIZES=320x192 DAEMON_SIZE=320x192 SECONDS_EACH=0.2 is a rehearsal on a machine without a GPU.
set -euo pipefail
set -m # or bash would start the daemon with SIGINT ignored
cd "$(dirname "$0")/.."
out=${1:-build/bench-gpu.md}
providers=${PROVIDERS:-tensorrt,cuda}
sizes=${SIZES:-640x480,1280x720,1920x1080}
size=${DAEMON_SIZE:-1280x720}
seconds=${SECONDS_EACH:-3}
limit=${START_LIMIT:-900000} # ms until the first frame
if [ -z "${SHARPEND_ONNXRUNTIME:-}" ]; then
	SHARPEND_ONNXRUNTIME=$(scripts/gpu-libs.sh)/libonnxruntime.so.1
	export SHARPEND_ONNXRUNTIME
fi
# CUDA, cuDNN and TensorRT may be Python's own (pip's nvidia-* and tensorrt_libs).
if ! ldconfig -p | grep -q libcublas && command -v python3 >/dev/null; then
	found=$(python3 -c 'import glob, site; print(":".join(d for s in site.getsitepackages() for p in ("nvidia/*/lib", "tensorrt_libs") for d in glob.glob(s + "/" + p)))')
	export LD_LIBRARY_PATH="$found${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
folder=$(mktemp -d)
pid=
cleanup() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	rm -rf "$folder"
}
trap cleanup EXIT
failures=0
fail() { # the rest may still be worth having
	echo "- **failed**: $*"
	failures=$((failures + 1))
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	pid=
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }
smi() { nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -1 || true; }

gpu=$(smi name)

{
	echo "## ${gpu:-No GPU}"
	echo
	echo "$(date +%F), driver $(smi driver_version), $(nproc) CPU cores. Commands: \`make bench-gpu\`."
	echo
	echo '```'
	bin/sharpend devices | sed -n '/^ONNX Runtime/,$p'
	echo '```'
	echo
} | tee "$folder/out"
bin/sharpend bench networks --providers "$providers" --sizes "$sizes" --seconds "$seconds" --gpu "$gpu" | tee -a "$folder/out"

config=$folder/config.yaml
cat >"$config" <<-EOF
	camera: {source: synthetic, width: ${size%x*}, height: ${size#*x}, fps: 30}
	engines: {cache: $folder/cache}
	mqtt: {broker: embedded, listen: "127.0.0.1:0"}
	refine: {keyframes: {every: 1s}}
EOF

# serving PROVIDER SIGNAL: the daemon serves on the provider, and ends by the signal.
serving() {
	: >"$folder/log"
	bin/sharpend run --config "$config" --providers "$1" >"$folder/log" 2>&1 &
	pid=$!
	local begin ready
	begin=$(milliseconds)
	until grep -q 'predictor ready' "$folder/log"; do
		if ! kill -0 "$pid" 2>/dev/null; then
			fail "\`run --providers $1\` ended: $(tail -1 "$folder/log")"
			return
		elif (($(milliseconds) - begin > limit)); then
			fail "\`run --providers $1\`: no frame within $limit ms"
			return
		fi
		sleep 0.2
	done
	ready=$(($(milliseconds) - begin))
	sleep 2 # frames, and a keyframe
	stop "$2" || return 0
	echo "- \`run --providers $1\`: ready after $ready ms; SIG$2 while it serves: status $status in $took ms"
}

# stop SIGNAL: sets status and took.
stop() {
	local begin
	begin=$(milliseconds)
	kill -"$1" "$pid"
	status=0
	wait "$pid" || status=$?
	pid=
	took=$(($(milliseconds) - begin))
	((status == 0)) && return
	fail "SIG$1 ended the daemon with status $status: $(tail -1 "$folder/log")"
	return 1
}

# building: a signal in the middle of a build, then the builds in full.
building() {
	local begin
	bin/sharpend run --config "$config" --providers tensorrt,cuda,cpu >"$folder/log" 2>&1 &
	pid=$!
	sleep "${BUILDING:-5}"
	if stop TERM; then
		echo "- \`run\` while it builds engines: SIGTERM after ${BUILDING:-5} s: status $status in $took ms"
	fi
	begin=$(milliseconds)
	if bin/sharpend engines build --config "$config" >"$folder/log" 2>&1; then
		echo "- \`engines build\`: $(($(milliseconds) - begin)) ms"
	else
		fail "\`engines build\`: $(tail -1 "$folder/log")"
	fi
}

daemon() {
	[ "$1" != tensorrt ] || building
	serving "$1" INT
	serving "$1" TERM
	printf '\n```\n'
	bin/sharpend bench --config "$config" --providers "$1" --seconds "$seconds" --rounds 1 2>&1 || failures=$((failures + 1))
	printf '```\n\n'
}

echo "
The whole daemon, $size at 30 frames/s:
" >>"$folder/out"
for provider in ${providers//,/ }; do
	daemon "$provider" >"$folder/part" # no pipe: the signals are for this shell's own children
	tee -a "$folder/out" <"$folder/part"
done
mkdir -p "$(dirname "$out")"
mv "$folder/out" "$out"
echo "bench-gpu: written to $out"
((failures == 0)) || {
	echo "bench-gpu: $failures steps failed" >&2
	exit 1
}
