"""Small files that hold the daemon's arithmetic to this one's.

    python3 golden.py predictor.pt ../models/golden

blurred.i420, sharpened.i420: 64x48 planes y, cb, cr in one run of bytes; the second is the first through the predictor.
schedule.json, ode.json, ancestral.json: numbers with 9 digits. The trajectories use D(x; sigma) = x / (1 + sigma^2),
the exact denoiser of a standard normal, and recorded noise.
"""
import argparse
import json
import os

import numpy as np
import torch

import blur
import export
import sample
import train

WIDTH, HEIGHT = 64, 48


def picture(seed=7):
    """A drawn scene, shaken: planes of WIDTH x HEIGHT."""
    rng = np.random.default_rng(seed)
    size = WIDTH + 64
    yy, xx = np.mgrid[:size, :size]
    scene = np.stack([120 + 60 * np.sin(xx / 9), 110 + 70 * np.cos(yy / 7), 90 + xx * 0.8], -1)
    for _ in range(14):
        x, y = rng.integers(0, size - 12, size=2)
        w, h = rng.integers(4, 24, size=2)
        scene[y:y + h, x:x + w] = rng.integers(0, 256, size=3)
    blurred, _, _ = blur.degrade(rng, np.clip(scene, 0, 255).astype(np.uint8), WIDTH, 6.0, kind="hand")
    y, cb, cr = blurred
    return [y[:HEIGHT], cb[:HEIGHT // 2], cr[:HEIGHT // 2]]


def raw(planes):
    return b"".join(np.ascontiguousarray(p).astype(np.uint8).tobytes() for p in planes)


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


def network(checkpoint, folder):
    """The files that go with one predictor; golden.json says which."""
    net, ck = train.load(checkpoint)
    planes = picture()
    graph = export.PredictorGraph(net).eval()
    with torch.no_grad():
        sharpened = graph(*(torch.from_numpy(np.ascontiguousarray(p))[None, None] for p in planes))
    for name, content in (("blurred.i420", planes), ("sharpened.i420", [p[0, 0].numpy() for p in sharpened])):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(raw(content))
    about = export.describe(net, ck)
    write_json(folder, "golden.json", dict(width=WIDTH, height=HEIGHT, predictor=about["name"], predictor_id=about["predictor_id"]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", help="the predictor's, or - for the samplers alone")
    p.add_argument("folder")
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    samplers(a.folder)
    if a.checkpoint != "-":
        network(a.checkpoint, a.folder)


if __name__ == "__main__":
    main()
