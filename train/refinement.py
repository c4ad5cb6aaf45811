"""The perception-distortion trade-off of the denoiser: steps go one way, averaging of samples the other."""
import numpy as np

import gain
import metrics
import plots
import scenes
from card import table

LENGTHS = (3, 6, 9, 12)          # px of shake
STEPS = (1, 2, 4, 8, 16, 50)
AVERAGED = ((4, 8), (16, 8))     # steps, samples; powers of two up to there are shown
COMPARED = (1, 2, 4, 8, 16)      # steps of a second denoiser
HEAD = ["", "steps", "samples", "PSNR", "SSIM", "GMSD", "log-spectrum distance", "BRISQUE", "chroma PSNR"]


def triples(bench):
    """[(blurred, predicted, sharp)] of held-out shake."""
    count = bench.count(8)
    pairs = [p for k in LENGTHS for p in scenes.shaken(bench.photos, k, count)]
    return [(b, bench.networks.predict(b), s) for b, s in pairs]


def measure(pictures, truths):
    """Means: PSNR, SSIM, GMSD, log-spectrum distance, BRISQUE, all of luma, and PSNR of chroma."""
    one = lambda p, s: [f(p[0], s[0]) for f in (metrics.psnr, metrics.ssim, metrics.gmsd, metrics.spectrum_distance)] \
        + [metrics.brisque(p[0]), gain.chroma(p, s)]
    return np.mean([one(p, s) for p, s in zip(pictures, truths)], 0)


def cells(m):
    return [m[0], f"{m[1]:.3f}", f"{m[2]:.4f}", f"{m[3]:.3f}", "" if np.isnan(m[4]) else f"{m[4]:.1f}", m[5]]


class Trial:
    """One set of frames, measured many ways."""

    def __init__(self, networks, frames):
        self.networks, self.frames, self.truths = networks, frames, [s for _, _, s in frames]

    def still(self, i):
        """Of the blurred (0), predicted (1), sharp (2) pictures."""
        return measure([t[i] for t in self.frames], self.truths)

    def residuals(self, way, rng):
        return [self.networks.residual(b, p, way, rng) for b, p, _ in self.frames]

    def of(self, residuals):
        return measure([self.networks.add(p, r) for (_, p, _), r in zip(self.frames, residuals)], self.truths)

    def sampled(self, way, seed=scenes.SEED):
        return self.of(self.residuals(way, np.random.default_rng(seed)))

    def averaged(self, way, most, seed=scenes.SEED):
        """{samples: measures} for 1, 2, 4 ... most."""
        rng, total, out = np.random.default_rng(seed), 0, {}
        for k in range(1, most + 1):
            total = [t + r for t, r in zip(total, self.residuals(way, rng))] if k > 1 else self.residuals(way, rng)
            if k & (k - 1) == 0:
                out[k] = self.of([t / k for t in total])
        return out


def compared(other, trial):
    """Rows of a second denoiser, and its points: {steps: measures}."""
    second = Trial(other, trial.frames)
    points = {n: second.sampled(other.way(n)) for n in COMPARED}
    return [[other.name, str(n), "1"] + cells(m) for n, m in points.items()], points


def section(bench):
    nets, way = bench.networks, bench.networks.way
    trial = Trial(nets, triples(bench))
    still = {name: trial.still(i) for i, name in enumerate(("blurred", "predicted", "sharp"))}
    steps = {n: trial.sampled(way(n)) for n in STEPS}
    averaged = {n: trial.averaged(way(n), most) for n, most in AVERAGED}
    rows = [[name, "", ""] + cells(m) for name, m in still.items()]
    rows += [[nets.name, str(n), "1"] + cells(m) for n, m in steps.items()]
    rows += [[nets.name, str(n), str(k)] + cells(m) for n, by in averaged.items() for k, m in by.items() if k > 1]
    lines = {f"{nets.name}: steps": steps, **{f"{n} steps: samples averaged": by for n, by in averaged.items()}}
    if bench.other:
        more, points = compared(bench.other, trial)
        rows, lines = rows + more, {**lines, f"{bench.other.name}: steps": points}
    plots.plane(bench.figure("plane.png"), still, lines)
    schedules = "; ".join(f"{n} steps: {way(n)}" for n in STEPS)
    return "\n\n".join([
        f"{len(trial.frames)} held-out patches of 192x192, {len(trial.frames) // len(LENGTHS)} each of "
        f"{', '.join(map(str, LENGTHS))} px of shake. {way(4)}." if len({str(way(n)) for n in STEPS}) == 1 else
        f"{len(trial.frames)} held-out patches of 192x192, {len(trial.frames) // len(LENGTHS)} each of "
        f"{', '.join(map(str, LENGTHS))} px of shake. Schedules: {schedules}.",
        "![perception and distortion](figures/plane.png)", table(HEAD, rows)])
