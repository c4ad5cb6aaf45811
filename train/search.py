"""Which schedule and sampler to refine with, for each number of steps: a coarse search, its table written to the card.

    python3 search.py --photos DIR

Picked is the way with the lowest log-spectrum distance among those that lose at most LIMIT dB of PSNR to the predictor.
Searched on photographs that training saw, shaken anew: the held-out ones only measure.
"""
import argparse
import itertools
import os

import numpy as np

import card
import data
import evaluate
import metrics
import networks
import scenes

STEPS = (1, 2, 3, 4, 8, 16)
SAMPLERS = ("ode", "ancestral", "dpmpp_2m")
SIGMA_MAX, SIGMA_MIN, RHO = (2.0, 4.0, 8.0, 16.0), (0.03, 0.1, 0.3), (3.0, 7.0)
LENGTHS = (3, 6, 9, 12)  # px of shake
LIMIT = 0.5              # dB
SEED = 4242


def ways(steps):
    """Every way to take so many steps; where samplers or schedules cannot differ, one of them."""
    for sampler, hi, lo, rho in itertools.product(SAMPLERS, SIGMA_MAX, SIGMA_MIN, RHO):
        if steps == 1 and (sampler, lo, rho) != ("ode", SIGMA_MIN[0], RHO[0]):
            continue
        if steps == 2 and (sampler == "dpmpp_2m" or rho != RHO[0]):
            continue
        yield networks.Way(steps, sampler, lo, hi, rho)


def frames(nets, images, count):
    """[(blurred, predicted, sharp)]"""
    pairs = [p for n in LENGTHS for p in scenes.shaken(images, n, count, 128, SEED)]
    return [(b, nets.predict(b), s) for b, s in pairs]


def measure(nets, triples, way):
    """(PSNR lost to the predictor, log-spectrum distance): means."""
    rng, out = np.random.default_rng(SEED), []
    for blurred, predicted, sharp in triples:
        y = nets.refine(blurred, predicted, way, rng)[0]
        out.append((metrics.psnr(predicted[0], sharp[0]) - metrics.psnr(y, sharp[0]), metrics.spectrum_distance(y, sharp[0])))
    return tuple(np.mean(out, 0))


def best(found, limit=LIMIT):
    """The way to pick out of {way: (lost, distance)}; if all lose too much, the one that loses least."""
    allowed = {w: m for w, m in found.items() if m[0] <= limit}
    return min(allowed, key=lambda w: allowed[w][1]) if allowed else min(found, key=lambda w: found[w][0])


def rows(nets, triples, steps, log=print):
    """Rows of the table for so many steps: the model's own way, and the best of each sampler."""
    own = nets.way(steps)
    found = {way: measure(nets, triples, way) for way in ways(steps)}
    picks = [("the model's own", own, measure(nets, triples, own))]
    for sampler in SAMPLERS:
        some = {w: m for w, m in found.items() if w.sampler == sampler}
        if some:
            way = best(some)
            picks.append(("best", way, found[way]))
    out = [[str(steps), what, str(way), f"{m[0]:.2f}", f"{m[1]:.3f}"] for what, way, m in picks]
    log("\n".join(" | ".join(r) for r in out), flush=True)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("--predictor", default=os.path.join(evaluate.MODELS, "predictor-s.onnx"))
    p.add_argument("--denoiser", default=os.path.join(evaluate.MODELS, "denoiser-s.onnx"))
    p.add_argument("--count", type=int, default=6, help="patches for each shake length")
    p.add_argument("--steps", default=",".join(map(str, STEPS)))
    p.add_argument("--print", action="store_true", help="do not write the card")
    a = p.parse_args()
    nets = networks.Networks(a.predictor, a.denoiser)
    triples = frames(nets, data.photographs(a.photos), a.count)
    found = [r for n in a.steps.split(",") for r in rows(nets, triples, int(n))]
    head = ["steps", "", "way", "PSNR lost to the predictor, dB", "log-spectrum distance"]
    start = np.mean([metrics.spectrum_distance(p[0], s[0]) for _, p, s in triples])
    body = (f"{nets.name}, {len(triples)} patches of 128x128 of photographs that training saw, shaken anew; picked: the lowest "
            f"log-spectrum distance (the predictor's: {start:.3f}) that costs at most {LIMIT} dB.\n\n" + card.table(head, found))
    if not a.print:
        card.update(os.path.join(evaluate.MODELS, "README.md"), "search", body)


if __name__ == "__main__":
    main()
