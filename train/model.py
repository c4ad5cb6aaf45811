"""The predictor and the denoiser: one small convolutional U-Net each, on packed planes.

"Packed" is float [B, 6, H/2, W/2]: the four luma pixels of each 2x2 cell (row by row), cb, cr. A camera's
4:2:0 planes become this without loss. No attention and no normalisation, so that a network trained on patches
runs on frames of any size (Whang et al. 2022, "Deblurring via Stochastic Refinement").
"""
import hashlib
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

MULTIPLE = 16  # H and W must divide by this: 2 for the packing, 8 for three halvings


def pack(y, c):
    """y [B, 1, H, W], c [B, 2, H/2, W/2] to packed [B, 6, H/2, W/2]."""
    return torch.cat([F.pixel_unshuffle(y, 2), c], 1)


def unpack(p):
    """Packed to (y, c)."""
    return F.pixel_shuffle(p[:, :4], 2), p[:, 4:]


class Block(nn.Module):
    """x + gain * conv(relu(conv(x) + noise level)). Dense 3x3: depthwise ran half as fast at equal GMAC."""

    def __init__(self, width, emb=0):
        super().__init__()
        self.a = nn.Conv2d(width, width, 3, padding=1)
        self.b = nn.Conv2d(width, width, 3, padding=1)
        self.gain = nn.Parameter(torch.full((1, width, 1, 1), 0.2))
        self.level = nn.Linear(emb, width) if emb else None

    def forward(self, x, t=None):
        h = self.a(x)
        if self.level is not None:
            h = h + self.level(t)[:, :, None, None]
        return x + self.gain * self.b(F.relu(h))


class UNet(nn.Module):
    """[B, cin, h, w] to [B, 6, h, w]; t [B, emb] is the embedded noise level, if emb."""

    def __init__(self, cin, widths, blocks, emb=0):
        super().__init__()
        stage = lambda w, n: nn.ModuleList([Block(w, emb) for _ in range(n)])
        self.stem = nn.Conv2d(cin, widths[0], 3, padding=1)
        self.encode = nn.ModuleList([stage(w, n) for w, n in zip(widths[:-1], blocks[:-1])])
        self.down = nn.ModuleList([nn.Conv2d(a, b, 2, 2) for a, b in zip(widths, widths[1:])])
        self.middle = stage(widths[-1], blocks[-1])
        self.up = nn.ModuleList([nn.Conv2d(b, 4 * a, 1) for a, b in zip(widths, widths[1:])])
        self.decode = nn.ModuleList([stage(w, n) for w, n in zip(widths[:-1], blocks[:-1])])
        self.out = nn.Conv2d(widths[0], 6, 3, padding=1)
        for name, m in self.named_modules():
            if isinstance(m, nn.Conv2d):  # He; the input is centred and scaled to match
                nn.init.kaiming_normal_(m.weight, a=0 if name.endswith(".a") else 1.0, nonlinearity="leaky_relu")
                nn.init.zeros_(m.bias)
        nn.init.normal_(self.out.weight, std=1e-3)  # start as the identity

    def forward(self, x, t=None):
        z, skips = self.stem(x), []
        for stage, down in zip(self.encode, self.down):
            for block in stage:
                z = block(z, t)
            skips.append(z)
            z = down(z)
        for block in self.middle:
            z = block(z, t)
        for up, stage, skip in reversed(list(zip(self.up, self.decode, skips))):
            z = F.pixel_shuffle(up(z), 2) + skip
            for block in stage:
                z = block(z, t)
        return self.out(z)


def centred(packed):
    """Grey levels 0..255 to about -2..2."""
    return (packed - 128) / 64


class Predictor(nn.Module):
    """g: blurred packed grey levels to sharp packed grey levels (not rounded)."""

    kind = "predictor"

    def __init__(self, widths=(16, 32, 64, 96), blocks=(1, 2, 3, 4), emb=0):
        super().__init__()
        self.net = UNet(6, widths, blocks)
        # Chroma is good to begin with and easily harmed, so its residual moves a quarter as far per unit.
        self.register_buffer("reach", torch.tensor([255.0] * 4 + [64.0] * 2).view(1, 6, 1, 1))

    def forward(self, blurred):
        return blurred + self.reach * self.net(centred(blurred)).float()


class Denoiser(nn.Module):
    """D(state; sigma | blurred, predicted): the denoised residual, preconditioned as Karras et al. 2022, sigma_data = 1.

    State is packed, in units of the training residual's RMS (`scale`: luma, chroma, in grey levels).
    """

    kind = "denoiser"

    def __init__(self, widths=(16, 32, 64, 96), blocks=(1, 2, 2, 3), emb=64):
        super().__init__()
        self.net = UNet(18, widths, blocks, emb)
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("rates", torch.exp(torch.linspace(0, math.log(100.0), emb // 2)))
        self.embed = nn.Sequential(nn.Linear(emb, emb), nn.ReLU(), nn.Linear(emb, emb), nn.ReLU())

    def unit(self):
        """Grey levels per unit of state, [1, 6, 1, 1]."""
        return torch.cat([self.scale[:1].expand(4), self.scale[1:].expand(2)]).view(1, 6, 1, 1)

    def raw(self, x, sigma, blurred, predicted):
        """The network's own output F, for the loss; x [B, 6, h, w], sigma [B]."""
        a = sigma.log()[:, None] * 0.25 * self.rates
        t = self.embed(torch.cat([a.sin(), a.cos()], 1))
        c_in = (1 / (sigma * sigma + 1).sqrt()).view(-1, 1, 1, 1)
        z = torch.cat([x * c_in, centred(predicted), (predicted - blurred) / self.unit()], 1)
        return self.net(z, t).float()

    def forward(self, x, sigma, blurred, predicted):
        s = sigma.view(-1, 1, 1, 1)
        v = s * s + 1
        return x / v + s / v.sqrt() * self.raw(x, sigma, blurred, predicted)


def build(settings):
    """The network that `settings` describes."""
    if settings.kind == "predictor":
        return Predictor(settings.widths, settings.blocks)
    return Denoiser(settings.widths, settings.blocks, settings.emb or 64)


def identity_of(model):
    """16 hex digits that name these weights."""
    h = hashlib.sha256()
    for k, v in sorted(model.state_dict().items()):
        h.update(k.encode() + v.detach().cpu().float().contiguous().numpy().tobytes())
    return h.hexdigest()[:16]


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def gmac(model, height=720, width=1280):
    """Multiply-accumulates of the convolutions for one frame, in thousand millions."""
    total = [0]
    count = lambda m, i, o: total.__setitem__(0, total[0] + o.shape[2] * o.shape[3] * m.weight.numel())
    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    p = torch.zeros(1, 6, 32, 32)
    with torch.no_grad():
        model(p) if model.kind == "predictor" else model(p, torch.ones(1), p, p)
    for h in hooks:
        h.remove()
    return total[0] * height * width / 64 / 64 / 1e9
