#!/bin/sh
# train.sh: from nothing to exported networks in about $MINUTES minutes: photographs, predictor, denoiser, the few-step
# student that it teaches, ONNX files and golden files. Stopped and started again with the same MINUTES it goes on where it
# was; once the photographs are there, fetching them again costs nothing.
#
#   MINUTES      the whole budget; 360 and more for networks worth having on two CPU cores
#   SIZE         s or m (train/settings.py)
#   OUT          where the files go (models)
#   CHECKPOINTS  where the runs are kept (build/train)
#   PHOTOS       photographs of your own, instead of those of `make train-data`
#   PAIRS        real pairs to watch the gain on; not trained on
#   FLAGS        for every run of train.py, e.g. --batch 256
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)

minutes=${MINUTES:?how many minutes may it take? make train MINUTES=360}
size=${SIZE:-s}
python=${PYTHON:-/usr/bin/python3}
full() { mkdir -p "$1" && (cd "$1" && pwd); }
out=$(full "${OUT:-models}")
held=$(full "${CHECKPOINTS:-build/train}")

if [ -n "${PHOTOS:-}" ]; then
	photos=$(cd "$PHOTOS" && pwd)
else
	scripts/train-data.sh
	photos=$(cd build/train-data/photos && pwd)
fi

# What is left after fetching, less a tenth of a minute a step for starting and exporting, in shares. Kept for a second start.
plan=$held/plan-$minutes
test -s "$plan" || awk -v all="$minutes" -v gone="$(($(date +%s) - began))" 'BEGIN {
	left = all - gone / 60 - 0.4
	if (left < 0.3) { print "train: no time left for training out of", all, "minutes" >"/dev/stderr"; exit 1 }
	printf "%.2f %.2f %.2f\n", left * 0.5, left * 0.35, left * 0.15
}' >"$plan" || { rm -f "$plan"; exit 1; }
read -r predictor denoiser student <"$plan"

cd train
echo "train: predictor $predictor, denoiser $denoiser, student $student minutes; checkpoints in $held"
# shellcheck disable=SC2086 # FLAGS are several words
run() { # PROGRAM ARGS...
	OMP_WAIT_POLICY=PASSIVE nice -n "${NICE:-10}" "$python" "$@" --size "$size" --photos "$photos" ${FLAGS:-}
}
run train.py --pairs "${PAIRS:+$(cd .. && cd "$PAIRS" && pwd)}" --out "$held/predictor-$size.pt" --minutes "$predictor"
run train.py --kind denoiser --ema 0.998 --predictor "$held/predictor-$size.pt" --out "$held/denoiser-$size.pt" \
	--minutes "$denoiser"
run distill.py --predictor "$held/predictor-$size.pt" --teacher "$held/denoiser-$size.pt" --name "denoiser-$size" \
	--out "$held/student-$size.pt" --minutes "$student"

"$python" export.py "$held/predictor-$size.pt" "$out/predictor-$size.onnx"
"$python" export.py "$held/student-$size.pt" "$out/denoiser-$size.onnx"
"$python" export.py --identity "$out/identity.onnx"
mkdir -p "$out/golden"
"$python" golden.py "$held/predictor-$size.pt" "$out/golden" --denoiser "$held/student-$size.pt"
echo "train: $out/predictor-$size.onnx and $out/denoiser-$size.onnx after $((($(date +%s) - began) / 60)) minutes"
