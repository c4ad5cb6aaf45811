"""Held-out measurements, printed as markdown tables.

    python3 evaluate.py predictor.pt --photos DIR --pairs DIR --clip ../clips
    python3 evaluate.py predictor.pt --denoiser denoiser.pt --photos DIR

Luma is measured, in grey levels rounded to 0..255, because it carries the blur; chroma where it says so.
"""
import argparse
import glob
import os

import cv2
import numpy as np
import torch

import blur
import data
import model
import sample
import settings as settings_

LENGTHS = (0, 1, 2, 4, 6, 9, 12, 16, 20, 24)
SEED = 999


def tensor(planes):
    """(y, cb, cr) uint8 to packed float32 [1, 6, h, w]."""
    y, cb, cr = planes
    return model.pack(torch.from_numpy(y).float()[None, None], torch.from_numpy(np.stack([cb, cr])).float()[None])


def synthetic(photos, settings, lengths=LENGTHS, count=24, patch=192, seed=SEED):
    """Held-out patches by shake length in px, nothing moving on its own: {length: [(blurred, sharp)]}, packed."""
    images = data.photographs(photos, held_out=True)
    s = type(settings)(**{**vars(settings), "patch": patch})
    out = {}
    for length in lengths:
        out[length] = []
        for i in range(count):
            y, c, _ = data.pair(seed, i, images, s, length, kind="hand")
            out[length].append(tuple(tensor((y[j], c[j, 0], c[j, 1])) for j in (0, 1)))
    return out


def real(folder):
    """Pairs NAME_blur.png, NAME_sharp.png of `folder`, cropped to the networks' multiple: [(blurred, sharp)]."""
    out = []
    for f in sorted(glob.glob(os.path.join(folder, "*_blur.png"))):
        pair = []
        for g in (f, f.replace("_blur", "_sharp")):
            image = cv2.imread(g)
            h, w = (n // model.MULTIPLE * model.MULTIPLE for n in image.shape[:2])
            pair.append(tensor(blur.to_planes(image[:h, :w])))
        out.append(tuple(pair))
    return out


def clip(folder):
    """Frames of shake.avi that have a true picture sharp_NNNN.jpg beside them: [(blurred, sharp)]."""
    out, video, n = [], cv2.VideoCapture(os.path.join(folder, "shake.avi")), 0
    while (got := video.read())[0]:
        path = os.path.join(folder, f"sharp_{n:04d}.jpg")
        n += 1
        if os.path.exists(path):
            truth = cv2.imread(path)
            h, w = (m // model.MULTIPLE * model.MULTIPLE for m in truth.shape[:2])
            out.append(tuple(tensor(blur.to_planes(i[:h, :w])) for i in (got[1], truth)))
    return out


def rounded(p):
    return p.clamp(0, 255).round()


def psnr(a, b, chroma=False):
    """Of luma (or of both chroma planes), dB; two equal pictures count as 60."""
    part = slice(4, 6) if chroma else slice(0, 4)
    mse = float(((rounded(a) - b)[:, part] ** 2).mean())
    return min(60.0, 10 * np.log10(255 ** 2 / max(mse, 1e-9)))


def luma(p):
    """Packed [1, 6, h, w] to float32 [H, W]."""
    return model.unpack(rounded(p))[0][0, 0].numpy()


def ssim(a, b):
    """Of luma, Gaussian window of sigma 1.5 (Wang et al. 2004)."""
    a, b = luma(a), luma(b)
    g = lambda x: cv2.GaussianBlur(x, (11, 11), 1.5)
    ma, mb = g(a), g(b)
    va, vb, vab = g(a * a) - ma * ma, g(b * b) - mb * mb, g(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)))[5:-5, 5:-5].mean())


def rings(p, n=24):
    """log10 power of luma on rings of rising frequency, windowed: [n - 1]."""
    y = luma(p) / 255
    side = min(y.shape)
    y = y[:side, :side] * np.outer(np.hanning(side), np.hanning(side))
    power = np.abs(np.fft.fftshift(np.fft.fft2(y))) ** 2
    yy, xx = np.indices(power.shape)
    ring = (np.hypot(yy - side // 2, xx - side // 2) / (side / 2) * n).astype(int)
    return np.log10(np.array([power[ring == i].mean() for i in range(1, n)]) + 1e-9)


def spectrum_distance(a, b):
    """Mean |difference| of log10 power above a quarter of the band: how much fine detail is missing or invented."""
    return float(np.abs(rings(a) - rings(b))[6:].mean())


def gain(net, pairs):
    """Mean luma PSNR gain of a predictor, dB."""
    with torch.no_grad():
        return float(np.mean([psnr(net(b), s) - psnr(b, s) for b, s in pairs]))


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for r in rows:
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.2f}" for v in r) + " |", flush=True)
    print()


def compare(triples):
    """[(blurred, predicted, sharp)] to means: PSNR before, after, gain, worst gain, SSIM before, after, chroma gain."""
    before = np.array([psnr(b, s) for b, _, s in triples])
    after = np.array([psnr(p, s) for _, p, s in triples])
    chroma = np.mean([psnr(p, s, True) - psnr(b, s, True) for b, p, s in triples])
    return [before.mean(), after.mean(), f"{(after - before).mean():+.2f}", f"{(after - before).min():+.2f}",
            f"{np.mean([ssim(b, s) for b, _, s in triples]):.3f}", f"{np.mean([ssim(p, s) for _, p, s in triples]):.3f}",
            f"{chroma:+.2f}"]


def predictor_tables(net, sets, others):
    head = ["", "n", "PSNR blurred", "PSNR sharpened", "gain dB", "worst gain", "SSIM blurred", "SSIM sharpened", "chroma gain dB"]
    run = lambda group: [(b, rounded(net(b)), s) for b, s in group]
    groups = {length: run(group) for length, group in sets.items()}
    everything = [t for g in groups.values() for t in g]
    rows = [[f"{k} px", str(len(g))] + compare(g) for k, g in groups.items()]
    table(["shake"] + head[1:], rows + [["all", str(len(everything))] + compare(everything)])
    edges = [0, 20, 24, 28, 32, 38, 99]
    rows = []
    for lo, hi in zip(edges, edges[1:]):
        part = [t for t in everything if lo <= psnr(t[0], t[2]) < hi]
        if part:
            rows.append([f"{lo}-{hi} dB" if hi < 99 else f"over {lo} dB", str(len(part))] + compare(part))
    table(["blurred frame's PSNR"] + head[1:], rows)
    rows = [[name, str(len(group))] + compare(run(group)) for name, group in others.items()]
    if rows:
        table(["frames"] + head[1:], rows)


def draw(denoiser, sampler, steps, blurred, predicted, generator, limits):
    """One sample of the sharp picture, packed, and not rounded."""
    sigmas = sample.schedule(steps, *limits)
    noise = lambda _=0: torch.randn(blurred.shape, generator=generator)
    denoise = lambda x, s: denoiser(x, torch.tensor([s], dtype=torch.float32), blurred, predicted)
    args = (denoise, sigmas[0] * noise(), sigmas)
    residual = sample.ode(*args) if sampler == "ode" else sample.ancestral(*args, noise)
    return predicted + denoiser.unit() * residual


def denoiser_tables(net, denoiser, pairs, limits, steps=(1, 2, 4, 8, 16), counts=(1, 2, 4)):
    """PSNR, SSIM and log-spectrum distance by steps, and by how many samples are averaged."""
    base = [(b, rounded(net(b)), s) for b, s in pairs]
    measure = lambda group: [np.mean([psnr(p, s) for p, s in group]), f"{np.mean([ssim(p, s) for p, s in group]):.3f}",
                             f"{np.mean([spectrum_distance(p, s) for p, s in group]):.3f}"]
    generator = torch.Generator().manual_seed(SEED)
    go = lambda how, n: [(draw(denoiser, how, n, b, p, generator, limits), s) for b, p, s in base]
    rows = [["blurred", "", ""] + measure(pairs), ["predictor", "", ""] + measure([(p, s) for _, p, s in base])]
    for how in ("ode", "ancestral"):
        rows += [[how, str(n), "1"] + measure(go(how, n)) for n in steps]
    for how, n in (("ode", 4), ("ode", 8)):
        total = [torch.zeros_like(s) for _, _, s in base]
        for k in range(1, max(counts) + 1):
            total = [t + x for t, (x, _) in zip(total, go(how, n))]
            if k in counts and k > 1:
                rows.append([how, str(n), str(k)] + measure([(t / k, s) for t, (_, _, s) in zip(total, base)]))
    table(["", "steps", "samples averaged", "PSNR", "SSIM", "log-spectrum distance"], rows)


def main():
    import train  # which imports this module for its validation

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("predictor")
    p.add_argument("--denoiser")
    p.add_argument("--photos", required=True)
    p.add_argument("--pairs", help="folder of NAME_blur.png, NAME_sharp.png")
    p.add_argument("--clip", help="folder of the demo clip")
    p.add_argument("--count", type=int, default=24, help="patches for each shake length")
    p.add_argument("--sigma", default="0.05,8", help="lowest and highest noise level of the schedule")
    a = p.parse_args()
    net, _ = train.load(a.predictor)
    with torch.no_grad():
        if a.denoiser:
            sets = synthetic(a.photos, settings_.Settings(), (3, 6, 9, 12), max(a.count // 4, 1))
            limits = tuple(float(v) for v in a.sigma.split(","))
            denoiser_tables(net, train.load(a.denoiser)[0], [t for g in sets.values() for t in g], limits)
        else:
            others = {"real pairs": real(a.pairs)} if a.pairs else {}
            others |= {"demo clip": clip(a.clip)} if a.clip else {}
            predictor_tables(net, synthetic(a.photos, settings_.Settings(), count=a.count), others)


if __name__ == "__main__":
    main()
