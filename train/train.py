"""Train the predictor, or the denoiser on a frozen predictor. One loop; stop it and start it as you like.

    python3 train.py --photos DIR --out predictor.pt --minutes 60
    python3 train.py --kind denoiser --name denoiser-s --blocks 1,2,2,3 --predictor predictor.pt --photos DIR --out denoiser.pt

On a GPU, if there is one: the network, and what data.py makes there. distill.py runs the same loop with another loss.
"""
import concurrent.futures
import copy
import dataclasses
import math
import multiprocessing
import os
import subprocess
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import data
import model
import muon
import settings as settings_


def find_device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def charbonnier(e, eps=1e-3):
    return (e * e + eps * eps).sqrt()


def predictor_loss(net, s, blurred, sharp):
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


def draw_noise(s, iteration, like):
    """(sigma [B], noise) of an iteration, from the seed alone: the same on every device. `like` gives shape and device."""
    g = torch.Generator().manual_seed(s.seed * 1_000_003 + iteration)
    sigma = (torch.randn(like.shape[0], generator=g) * s.p_std + s.p_mean).exp()
    return sigma.to(like.device), torch.randn(like.shape, generator=g).to(like.device)


def denoiser_loss(net, s, iteration, blurred, sharp, predicted):
    """Pseudo-Huber error of the preconditioned output: the paper prefers L1, which tames the rare large residuals."""
    residual = (sharp - predicted) / net.unit()
    sigma, noise = draw_noise(s, iteration, residual)
    sg = sigma.view(-1, 1, 1, 1)
    x, v = residual + sg * noise, sg * sg + 1
    target = (residual - x / v) * v.sqrt() / sg
    e = charbonnier(net.raw(x, sigma, blurred, predicted) - target, 0.3)
    return e[:, :4].mean() + s.chroma_weight * e[:, 4:].mean()


def packed(y, c, device="cpu"):
    """uint8 y [B, n, P, P], c [B, n, 2, P/2, P/2] to n packed float32 pictures on `device`: blurred, sharp (, predicted)."""
    y, c = (torch.as_tensor(a).to(device).float() for a in (y, c))
    return [model.pack(y[:, i:i + 1], c[:, i]).contiguous(memory_format=torch.channels_last) for i in range(y.shape[1])]


def with_prediction(net, y, c, step=32):
    """A chunk with what the frozen predictor makes of it as a third picture, rounded as the daemon rounds it."""
    device, more = next(net.parameters()).device, []
    for i in range(0, len(y), step):
        with torch.no_grad():
            more.append(model.unpack(net(packed(y[i:i + step, :1], c[i:i + step, :1], device)[0]).clamp(0, 255).round()))
    luma, chroma = (torch.cat(a).byte() for a in zip(*more))
    return torch.cat([y, luma.to(y.device)], 1), torch.cat([c, chroma[:, None].to(c.device)], 1)


def residual_scale(batch, n=24):
    """RMS of sharp - predicted over n batches: (luma, chroma) grey levels."""
    total = torch.zeros(2)
    for i in range(n):
        _, sharp, predicted = batch(i)
        r = (sharp - predicted) ** 2
        total += torch.stack([r[:, :4].mean(), r[:, 4:].mean()]).cpu()
    return (total / n).sqrt()


class Prediction:
    """What a predictor's training is, besides the loop: batches of pictures, and a loss."""

    extra = {}  # joins the checkpoint

    def __init__(self, s, pool, device):
        self.s, self.device = s, device
        self.batches = data.Batches(s, pool, device=device)

    def start(self, net):
        """Prepares a network that no checkpoint follows on."""

    def batch(self, iteration):
        return packed(*self.batches(iteration), self.device)

    def loss(self, net, iteration, blurred, sharp):
        return predictor_loss(net, self.s, blurred, sharp)


class Refinement(Prediction):
    """A denoiser's: the frozen predictor's answer is a third picture."""

    def __init__(self, s, pool, device):
        self.s, self.device = s, device
        self.predictor = load(s.predictor, device)[0].to(memory_format=torch.channels_last)
        self.extra = {"predictor_id": model.identity_of(self.predictor)}
        self.batches = data.Batches(s, pool, lambda y, c: with_prediction(self.predictor, y, c), device)

    def start(self, net):
        net.scale.copy_(residual_scale(self.batch))

    def loss(self, net, iteration, blurred, sharp, predicted):
        return denoiser_loss(net, self.s, iteration, blurred, sharp, predicted)


def load(path, device="cpu"):
    """(network with its averaged weights, checkpoint dict)."""
    ck = torch.load(path, map_location=device)
    net = model.build(settings_.Settings(**ck["settings"])).to(device)
    net.load_state_dict(ck["ema"])
    return net.eval(), ck


def revision():
    """The commit of this code, or "unknown"."""
    try:
        return subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=os.path.dirname(os.path.abspath(__file__)),
                              capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def history(ck):
    """One line: how the weights of a checkpoint came about, and of those it started from."""
    s, before = ck["settings"], ck.get("history", "")
    if not ck["iteration"]:
        return before or "not trained"
    now = f"{s['name']}: {ck['iteration']} iterations, {ck['iteration'] * s['batch']} patches, {ck['seconds'] / 60:.0f} minutes"
    return f"{now} on {ck.get('device', '2 shared CPU cores')}, seed {s['seed']}" + (f"; after {before}" if before else "")


def save(path, **what):
    torch.save(what, path + ".part")
    os.replace(path + ".part", path)


def validation(s, device):
    """A function net -> line of text: luma PSNR gain on held-out synthetic pairs by shake length, and on sets of real pairs."""
    import metrics
    import scenes

    images = data.photographs(s.photos, held_out=True)
    sets = {str(n): scenes.shaken(images, n, 12) for n in (0, 2, 6, 12, 20)}
    sets |= scenes.real(s.pairs) if s.pairs else {}

    @torch.no_grad()
    def gain(net, blurred, sharp):
        y, c = blurred[0][None, None], np.stack(blurred[1:])[None, None]
        out = model.unpack(net(packed(y, c, device)[0]))[0].clamp(0, 255).round()
        return metrics.psnr(out[0, 0].cpu().numpy(), sharp[0]) - metrics.psnr(blurred[0], sharp[0])

    return lambda net: " ".join(f"{k}:{np.mean([gain(net, *p) for p in pairs]):+.2f}" for k, pairs in sets.items())


class Run:
    """A network, its running average and its optimiser, on a device, at an iteration: what a checkpoint holds."""

    def __init__(self, s, task, device):
        self.s, self.task = s, task
        self.device = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{s.threads} shared CPU cores"
        torch.manual_seed(s.seed)
        self.net = model.build(s).to(device, memory_format=torch.channels_last)
        self.opt = muon.Muon(self.net, s.muon_lr, s.adam_lr)
        self.data = data.listing(s.photos)
        self.iteration, self.before, self.start, self.history = 0, 0.0, time.time(), ""
        if os.path.exists(s.out):
            self.ema = copy.deepcopy(self.net)
            self.resume(torch.load(s.out, map_location=device))
            return
        if s.init:
            first, ck = load(s.init, device)
            self.net.load_state_dict(first.state_dict())
            self.history = history(ck)
        task.start(self.net)
        self.ema = copy.deepcopy(self.net)

    def resume(self, ck):
        self.net.load_state_dict(ck["model"])
        self.ema.load_state_dict(ck["ema"])
        self.opt.load_state_dict(ck["opt"])
        self.iteration, self.before, self.history = ck["iteration"], ck["seconds"], ck.get("history", "")

    def seconds(self):
        return self.before + time.time() - self.start

    def done(self):
        """Share of the budget that is used up."""
        return self.iteration / self.s.iterations if self.s.iterations else self.seconds() / (60 * self.s.minutes)

    def keep(self):
        save(self.s.out, settings=dataclasses.asdict(self.s), model=self.net.state_dict(), ema=self.ema.state_dict(),
             opt=self.opt.state_dict(), iteration=self.iteration, seconds=self.seconds(), history=self.history,
             device=self.device, revision=revision(), data=self.data, **self.task.extra)

    def step(self, done):
        """One iteration; returns its loss, still on the device."""
        for g in self.opt.param_groups:
            fall = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
            g["lr"] = g["base"] * min(1, (self.iteration + 1) / self.s.warmup) * fall
        pictures = self.task.batch(self.iteration)
        with torch.autocast(pictures[0].device.type, torch.bfloat16, enabled=done < self.s.bf16_until):
            loss = self.task.loss(self.net, self.iteration, *pictures)
        self.opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.s.clip)
        self.opt.step()
        self.iteration += 1
        self.average(min(self.s.ema, (1 + self.iteration) / (10 + self.iteration)))
        return loss.detach()

    @torch.no_grad()
    def average(self, decay):
        for a, b in zip(self.ema.parameters(), self.net.parameters()):
            a.lerp_(b, 1 - decay)


def train(s, pool, log=print, check=None, task=None, device=None):
    """Run to the end of the budget; returns the averaged network. `task` is a class like Prediction."""
    device = device or find_device()
    torch.set_num_threads(s.threads)
    task = task or (Refinement if s.kind == "denoiser" else Prediction)
    run = Run(s, task(s, pool, device), device)
    log(f"{s.name}: {model.parameters(run.net) / 1e6:.2f} M parameters, {model.gmac(run.net):.1f} GMAC at 1280x720, "
        f"on {device}, from iteration {run.iteration}")
    saved, total, count = time.time(), 0, 0
    while (done := run.done()) < 1:
        total, count = total + run.step(done), count + 1
        if run.iteration % s.eval_every == 0 or run.iteration == 50:
            rate = run.iteration * s.batch / run.seconds()
            log(f"{run.iteration} {time.strftime('%H:%M:%S')} {done:.3f} loss {float(total) / count:.4f} {rate:.0f} patches/s "
                + (check(run.ema) if check else ""), flush=True)
            total = count = 0
        if time.time() - saved > s.save_seconds:
            run.keep()
            saved = time.time()
    run.keep()
    log(f"done: {run.iteration} iterations, {run.iteration * s.batch} patches, {run.seconds() / 60:.1f} minutes")
    return run.ema


def shaped(s):
    """`s` with the shape of the network that it starts from."""
    if not s.init:
        return s
    of = torch.load(s.init, map_location="cpu")["settings"]
    return dataclasses.replace(s, **{k: of[k] for k in ("kind", "widths", "blocks", "emb")})


def make_pool(s, device):
    """Processes that make pairs: on a GPU's machine as many as it has cores, less two."""
    spawn = multiprocessing.get_context("spawn")  # a fork of a threaded torch may hang
    return concurrent.futures.ProcessPoolExecutor(data.workers(s, device), mp_context=spawn)


def main(s, task=None):
    device, s = find_device(), shaped(s)
    with make_pool(s, device) as pool:
        train(s, pool, check=validation(s, device) if s.kind == "predictor" else None, task=task, device=device)


if __name__ == "__main__":
    main(settings_.from_args())
