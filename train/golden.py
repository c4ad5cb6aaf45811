"""Small files that hold the daemon's arithmetic to this one's.

    python3 golden.py predictor.pt ../models/golden --denoiser denoiser.pt

blurred.i420, sharpened.i420: 64x48 planes y, cb, cr in one run of bytes; the second is the first through the predictor.
trajectory.f32: the denoiser's state on them, little-endian float32, before the first and after each of 4 steps of its sampler
by its schedule; planes y, cb, cr in one run. golden.json: which networks, and the noise levels.
schedule.json, ode.json, ancestral.json: numbers with 9 digits. The trajectories use D(x; sigma) = x / (1 + sigma^2),
the exact denoiser of a standard normal, and recorded noise.
"""
import argparse
import json
import os

import numpy as np
import torch

import export
import sample
import testcard
import train

STEPS = 4  # of trajectory.f32


def digits(v):
    return json.loads("[" + ",".join("%.9g" % float(x) for x in v) + "]")


def trajectory(kind, steps=6, n=8, sigma_min=0.03, sigma_max=20.0, rho=7.0, seed=11):
    """Every state of one run, and all that is needed to repeat it."""
    rng = np.random.default_rng(seed)
    start, fresh = rng.normal(size=n), rng.normal(size=(steps, n))
    sigmas = sample.schedule(steps, sigma_min, sigma_max, rho)
    denoise = lambda x, s: x / (1 + s * s)
    x, states = sigmas[0] * start, []
    for i in range(steps):
        pair = sigmas[i:i + 2]
        x = sample.ode(denoise, x, pair) if kind == "ode" else sample.ancestral(denoise, x, pair, lambda _: fresh[i])
        states.append(digits(x))
    out = dict(sampler=kind, steps=steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho, sigmas=digits(sigmas),
               denoiser="x / (1 + sigma^2)", start_noise=digits(start), states=states)
    if kind == "ancestral":
        out["noise"] = [digits(v) for v in fresh[:steps - 1]]
        out["sigma_down_up"] = [digits(sample.ancestral_split(a, b)) for a, b in zip(sigmas, sigmas[1:])]
    return out


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


def samplers(folder):
    """The files that need no network."""
    cases = [(1, 0.03, 20.0, 7.0), (2, 0.03, 20.0, 7.0), (4, 0.03, 20.0, 7.0), (8, 0.002, 80.0, 7.0), (5, 0.1, 10.0, 3.0)]
    write_json(folder, "schedule.json", [dict(steps=n, sigma_min=a, sigma_max=b, rho=r, sigmas=digits(sample.schedule(n, a, b, r)))
                                         for n, a, b, r in cases])
    for kind in ("ode", "ancestral"):
        write_json(folder, kind + ".json", trajectory(kind))


def states(graph, about, blurred, predicted):
    """(noise levels, states before the first and after each step): a deterministic run of a DenoiserGraph, planes in a list."""
    sigmas = sample.schedule(STEPS, *(float(about[k]) for k in ("sigma_min", "sigma_max", "rho")))
    sigmas = [float(np.float32(s)) for s in sigmas]
    x = [sigmas[0] * n for n in testcard.tensors(testcard.noise())]
    out = [x]
    for sigma, to in zip(sigmas, sigmas[1:]):
        denoised = testcard.run(graph, [*x, torch.tensor([sigma]), *blurred, *predicted])
        x = [d + to / sigma * (a - d) for a, d in zip(x, denoised)]
        out.append(x)
    return sigmas, out


def write_bytes(folder, name, content):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(content)


def networks(predictor, denoiser, folder):
    """The files that go with one predictor and its denoiser; golden.json says which."""
    net, ck = train.load(predictor)
    about = export.describe(net, ck)
    blurred = testcard.tensors(testcard.picture())
    sharpened = testcard.run(export.PredictorGraph(net), blurred)
    which = dict(width=testcard.WIDTH, height=testcard.HEIGHT, predictor=about["name"], predictor_id=about["predictor_id"])
    write_bytes(folder, "blurred.i420", testcard.raw(testcard.picture()))
    write_bytes(folder, "sharpened.i420", testcard.raw(sharpened))
    if denoiser:
        net, ck = train.load(denoiser)
        if ck["predictor_id"] != which["predictor_id"]:
            raise ValueError(f"{denoiser} belongs to predictor {ck['predictor_id']}, not to {predictor}, {which['predictor_id']}")
        about = export.describe(net, ck) | export.refinement(net, ck)
        sigmas, run = states(export.DenoiserGraph(net), about, blurred, sharpened)
        write_bytes(folder, "trajectory.f32", b"".join(testcard.raw(x) for x in run))
        which |= dict(denoiser=about["name"], sigmas=digits(sigmas))
    write_json(folder, "golden.json", which)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("predictor", help="checkpoint, or - for the samplers alone")
    p.add_argument("folder")
    p.add_argument("--denoiser", help="checkpoint")
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    samplers(a.folder)
    if a.predictor != "-":
        networks(a.predictor, a.denoiser, a.folder)


if __name__ == "__main__":
    main()
