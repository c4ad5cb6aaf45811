"""Train the predictor, or the denoiser on a frozen predictor. One loop; stop it and start it as you like.

    python3 train.py --photos DIR --out predictor.pt --minutes 60
    python3 train.py --kind denoiser --name denoiser-s --blocks 1,2,2,3 --predictor predictor.pt --photos DIR --out denoiser.pt
"""
import concurrent.futures
import copy
import dataclasses
import math
import multiprocessing
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import data
import model
import settings as settings_


def orthogonal(g, steps=4):
    """Newton-Schulz: the matrix g with its singular values pushed towards 1 (Muon, Jordan et al. 2024).

    In bfloat16, which is enough and takes oneDNN's path: a distribution's reference BLAS is 80 times slower.
    """
    x = (g / (g.norm() + 1e-7)).bfloat16()
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for the inner kernels, seen as [out, in*k*k]; Adam for stem, output and vectors.

    .35 dB over the input after 500 iterations where Adam alone had .21, for a tenth more time.
    """

    def __init__(self, net, muon_lr, adam_lr):
        inner, rest = [], []
        for name, p in net.named_parameters():
            outer = name.startswith(("net.stem", "net.out"))
            (inner if p.ndim == 4 and p.shape[1] > 1 and not outer else rest).append(p)
        super().__init__([dict(params=inner, lr=muon_lr, base=muon_lr, muon=True),
                          dict(params=rest, lr=adam_lr, base=adam_lr, muon=False)], {})

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            g["t"] = g.get("t", 0) + 1
            for p in g["params"]:
                if p.grad is None:
                    continue
                s = self.state[p]
                if not s:
                    s["m"], s["v"] = torch.zeros_like(p), torch.zeros_like(p)
                if g["muon"]:
                    s["m"].mul_(0.95).add_(p.grad)
                    u = orthogonal((p.grad + 0.95 * s["m"]).reshape(p.shape[0], -1))
                    u = u * max(1, u.shape[0] / u.shape[1]) ** 0.5
                    p.mul_(1 - g["lr"] * 0.01).add_(u.view_as(p), alpha=-g["lr"])
                else:
                    s["m"].lerp_(p.grad, 0.1)
                    s["v"].lerp_(p.grad ** 2, 0.01)
                    root = (s["v"] / (1 - 0.99 ** g["t"])).sqrt() + 1e-8
                    p.addcdiv_(s["m"] / (1 - 0.9 ** g["t"]), root, value=-g["lr"])


def charbonnier(e, eps=1e-3):
    return (e * e + eps * eps).sqrt()


def predictor_loss(net, s, iteration, blurred, sharp):
    """Mean over patches of ln(error), so that a nearly sharp patch counts as much as a badly blurred one.

    The plain mean is ruled by the blurred patches, and the network then harms sharp frames by 3 dB.
    """
    out = net(blurred)
    e = (out - sharp) / 255
    luma, want = F.pixel_shuffle(out[:, :4], 2) / 255, F.pixel_shuffle(sharp[:, :4], 2) / 255
    d = torch.view_as_real(torch.fft.rfft2(luma - want)).abs().mean((1, 2, 3, 4)) / want.shape[-1]
    per_patch = (charbonnier(e[:, :4]).mean((1, 2, 3)) + s.chroma_weight * charbonnier(e[:, 4:]).mean((1, 2, 3))
                 + s.fft_weight * d)
    return (per_patch + 2 / 255).log().mean()


def draw_noise(s, shape, iteration):
    """(sigma [B], noise) of an iteration, from the seed alone."""
    g = torch.Generator().manual_seed(s.seed * 1_000_003 + iteration)
    return (torch.randn(shape[0], generator=g) * s.p_std + s.p_mean).exp(), torch.randn(shape, generator=g)


def denoiser_loss(net, s, iteration, blurred, sharp, predicted):
    """Pseudo-Huber error of the preconditioned output: the paper prefers L1, which tames the rare large residuals."""
    residual = (sharp - predicted) / net.unit()
    sigma, noise = draw_noise(s, residual.shape, iteration)
    sg = sigma.view(-1, 1, 1, 1)
    x, v = residual + sg * noise, sg * sg + 1
    target = (residual - x / v) * v.sqrt() / sg
    e = charbonnier(net.raw(x, sigma, blurred, predicted) - target, 0.3)
    return e[:, :4].mean() + s.chroma_weight * e[:, 4:].mean()


def packed(y, c):
    """uint8 y [B, n, P, P], c [B, n, 2, P/2, P/2] to n packed float32 pictures: blurred, sharp (, predicted)."""
    y, c = torch.from_numpy(y).float(), torch.from_numpy(c).float()
    return [model.pack(y[:, i:i + 1], c[:, i]).contiguous(memory_format=torch.channels_last) for i in range(y.shape[1])]


def with_prediction(net, y, c, step=32):
    """A chunk with what the frozen predictor makes of it as a third picture, rounded as the daemon rounds it."""
    more_y, more_c = [], []
    for i in range(0, len(y), step):
        with torch.no_grad():
            luma, chroma = model.unpack(net(packed(y[i:i + step, :1], c[i:i + step, :1])[0]).clamp(0, 255).round())
        more_y.append(luma.byte().numpy())
        more_c.append(chroma.byte().numpy()[:, None])
    return np.concatenate([y, np.concatenate(more_y)], 1), np.concatenate([c, np.concatenate(more_c)], 1)


def residual_scale(batches, n=24):
    """RMS of sharp - predicted over n batches: (luma, chroma) grey levels."""
    total = torch.zeros(2)
    for i in range(n):
        _, sharp, predicted = packed(*batches(i))
        r = (sharp - predicted) ** 2
        total += torch.stack([r[:, :4].mean(), r[:, 4:].mean()])
    return (total / n).sqrt()


def load(path):
    """(network with its averaged weights, checkpoint dict)."""
    ck = torch.load(path, map_location="cpu")
    net = model.build(settings_.Settings(**ck["settings"]))
    net.load_state_dict(ck["ema"])
    return net.eval(), ck


def save(path, **what):
    torch.save(what, path + ".part")
    os.replace(path + ".part", path)


def validation(s):
    """A function net -> line of text: luma PSNR gain on held-out synthetic pairs by shake length, and on real pairs."""
    import evaluate
    sets = evaluate.synthetic(s.photos, s, lengths=(0, 2, 6, 12, 20), count=12)
    if s.pairs:
        sets["real"] = evaluate.real(s.pairs)
    return lambda net: " ".join(f"{k}:{evaluate.gain(net, v):+.2f}" for k, v in sets.items())


def train(s, pool, log=print, check=None):
    """Run to the end of the budget; returns the averaged network."""
    torch.set_num_threads(s.threads)
    torch.manual_seed(s.seed)
    net = model.build(s).to(memory_format=torch.channels_last)
    ema = copy.deepcopy(net)
    opt = Muon(net, s.muon_lr, s.adam_lr)
    iteration, before, predictor = 0, 0.0, None
    if s.kind == "denoiser":
        predictor = load(s.predictor)[0].to(memory_format=torch.channels_last)
        batches = data.Batches(s, pool, lambda y, c: with_prediction(predictor, y, c))
        ema.scale.copy_(net.scale.copy_(residual_scale(batches)))
    else:
        batches = data.Batches(s, pool)
    if os.path.exists(s.out):
        ck = torch.load(s.out)
        net.load_state_dict(ck["model"])
        ema.load_state_dict(ck["ema"])
        opt.load_state_dict(ck["opt"])
        iteration, before = ck["iteration"], ck["seconds"]
    start = saved = time.time()
    log(f"{s.name}: {model.parameters(net) / 1e6:.2f} M parameters, {model.gmac(net):.1f} GMAC at 1280x720, "
        f"from iteration {iteration}")
    mean = count = 0

    def keep():
        what = dict(settings=dataclasses.asdict(s), model=net.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(),
                    iteration=iteration, seconds=before + time.time() - start)
        if predictor is not None:
            what["predictor_id"] = model.identity_of(predictor)
        save(s.out, **what)

    while True:
        done = iteration / s.iterations if s.iterations else (before + time.time() - start) / (60 * s.minutes)
        if done >= 1:
            break
        for g in opt.param_groups:
            g["lr"] = g["base"] * min(1, (iteration + 1) / s.warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        pictures = packed(*batches(iteration))
        with torch.autocast("cpu", torch.bfloat16, enabled=done < s.bf16_until):
            loss = (predictor_loss if predictor is None else denoiser_loss)(net, s, iteration, *pictures)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), s.clip)
        opt.step()
        iteration += 1
        decay = min(s.ema, (1 + iteration) / (10 + iteration))
        with torch.no_grad():
            for a, b in zip(ema.parameters(), net.parameters()):
                a.lerp_(b, 1 - decay)
        mean, count = mean + float(loss), count + 1
        if iteration % s.eval_every == 0 or iteration == 50:
            rate = (iteration * s.batch) / (before + time.time() - start)
            log(f"{iteration} {time.strftime('%H:%M:%S')} {done:.3f} loss {mean / count:.4f} {rate:.0f} patches/s "
                + (check(ema) if check else ""), flush=True)
            mean = count = 0
        if time.time() - saved > s.save_seconds:
            keep()
            saved = time.time()
    keep()
    log(f"done: {iteration} iterations, {iteration * s.batch} patches, {(before + time.time() - start) / 60:.1f} minutes")
    return ema


def main():
    s = settings_.from_args()
    spawn = multiprocessing.get_context("spawn")  # a fork of a threaded torch may hang
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        train(s, pool, check=validation(s) if s.kind == "predictor" else None)


if __name__ == "__main__":
    main()
