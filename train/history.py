"""How the predictor's gains went during training, from what train.py printed: do real pairs gain more, or less and less?"""
import re

import plots

LINE = re.compile(r"^(\d+) \S+ [\d.]+ loss \S+ \d+ patches/s (.*:[+-].*)$")


def read(path):
    """[(iteration, {set: dB})]; a run that was begun anew in the same file counts from its last beginning."""
    out = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if m := LINE.match(line.strip()):
                iteration = int(m[1])
                out = [p for p in out if p[0] < iteration]
                out.append((iteration, {k: float(v) for k, v in (w.rsplit(":", 1) for w in m[2].split())}))
    return out


def section(bench):
    if not bench.args.log:
        return "How the gains went during training was not recorded for these files."
    points = read(bench.args.log)
    plots.history(bench.figure("history.png"), points)
    last = points[-1]
    return (f"![gains during training](figures/history.png)\n\nGains of the running average during training, 12 patches a length of "
            f"shake and the real pairs by set; at the last reading, iteration {last[0]}: "
            + ", ".join(f"{k}{' px' if k.isdigit() else ''} {v:+.2f} dB" for k, v in last[1].items()) + ".")
