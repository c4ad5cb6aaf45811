"""What the predictor gains on frames that shake: by length of the shake, by how bad the frame is, on real pairs."""
import numpy as np

import metrics
import plots
import scenes
from card import table

LENGTHS = (0, 1, 2, 4, 6, 9, 12, 16, 20, 24)
HEADLINE = (4, 6, 9, 12, 16)  # px; their mean is the figure that is quoted
EDGES = (0, 20, 24, 28, 32, 38, 99)
HEAD = ["n", "PSNR blurred", "PSNR sharpened", "gain dB", "worst gain", "lost", "SSIM blurred", "SSIM sharpened", "chroma gain dB"]


def run(networks, pairs):
    """[(blurred, predicted, sharp)]"""
    return [(b, networks.predict(b), s) for b, s in pairs]


def luma(triples):
    """PSNR before and after, dB: two arrays."""
    return tuple(np.array([metrics.psnr(t[i][0], t[2][0]) for t in triples]) for i in (0, 1))


def chroma(picture, truth):
    return np.mean([metrics.psnr(a, b) for a, b in zip(picture[1:], truth[1:])])


def row(triples):
    """Cells under HEAD; "lost" is the share of frames whose luma got worse by more than 0.05 dB."""
    before, after = luma(triples)
    gain = after - before
    colour = np.mean([chroma(p, s) - chroma(b, s) for b, p, s in triples])
    structure = [np.mean([metrics.ssim(t[i][0], t[2][0]) for t in triples]) for i in (0, 1)]
    return [str(len(gain)), before.mean(), after.mean(), f"{gain.mean():+.2f}", f"{gain.min():+.2f}",
            f"{100 * (gain < -0.05).mean():.0f} %", *(f"{v:.3f}" for v in structure), f"{colour:+.2f}"]


def by_quality(triples):
    before, _ = luma(triples)
    rows = []
    for lo, hi in zip(EDGES, EDGES[1:]):
        part = [t for t, v in zip(triples, before) if lo <= v < hi]
        if part:
            rows.append([f"{lo}-{hi} dB" if hi < EDGES[-1] else f"over {lo} dB"] + row(part))
    return rows


def section(bench):
    count = bench.count(64)
    groups = {k: run(bench.networks, scenes.shaken(bench.photos, k, count)) for k in LENGTHS}
    everything = [t for g in groups.values() for t in g]
    means = {k: float(np.subtract(*luma(g)[::-1]).mean()) for k, g in groups.items()}
    plots.by_length(bench.figure("gain.png"), means)
    headline = np.mean([means[k] for k in HEADLINE])
    return "\n\n".join([
        f"**Mean gain over {HEADLINE[0]}-{HEADLINE[-1]} px of shake: {headline:+.2f} dB** (held-out photographs, simulated "
        f"hand shake, {count} patches of 192x192 at each length; luma). Sharp frames (0 px): {means[0]:+.2f} dB.",
        "![gain by shake length](figures/gain.png)",
        table(["shake"] + HEAD, [[f"{k} px"] + row(g) for k, g in groups.items()] + [["all"] + row(everything)]),
        table(["blurred frame's PSNR"] + HEAD, by_quality(everything)),
        '"lost": the share of frames that got worse by more than 0.05 dB.'])


def real(bench):
    sets = scenes.real(bench.pairs) if bench.pairs else {}
    sets["demo clip"] = scenes.clip(bench.clip)
    groups = {k: run(bench.networks, v) for k, v in sets.items()}
    pairs = [t for k, g in groups.items() if k != "demo clip" for t in g]
    rows = [[k] + row(g) for k, g in groups.items()]
    if pairs:
        rows.insert(-1, ["all real pairs"] + row(pairs))
    return table(["frames"] + HEAD, rows) + ("" if pairs else "\n\nReal pairs were not measured for these files.")
