"""Make a larger network that computes what a smaller one does, to go on training from there.

    python3 widen.py predictor.pt predictor-m0.pt --size m
    python3 train.py --init predictor-m0.pt --name predictor-m --photos DIR --out predictor-m.pt --minutes 30

Net2Net (Chen, Goodfellow and Shlens, ICLR 2016): each new channel is a copy of an old one, and what reads a channel shares its
weight out among the copies. The shares are drawn at random, so that copies get unlike gradients and part, while the sum, and
with it the output, stays the same but for rounding. Added blocks add nothing until they are trained.
"""
import argparse
import dataclasses

import torch

import model
import settings as settings_
import train


def copies(rng, old, new):
    """Which old channel each of `new` channels copies: all old ones in order, then random ones."""
    if new < old:
        raise ValueError(f"{old} channels cannot become {new}")
    more = torch.cat([torch.randperm(old, generator=rng) for _ in range(new // old)])[:new - old]
    return torch.cat([torch.arange(old), more])


def read(rng, weight, origin, spread):
    """Weights [out, old, ...] for inputs that are copies: [out, new, ...]; the copies' shares of a weight sum to 1."""
    share = torch.rand(weight.shape[0], len(origin), generator=rng) * spread + (1 - spread / 2)
    total = torch.zeros(weight.shape[:2]).index_add_(1, origin, share)
    share = share / total[:, origin]
    return weight[:, origin] * share.view(*share.shape, *[1] * (weight.ndim - 2))


class Widening:
    """Old state dict to new: `stream[i]` is where each new channel of the residual stream at depth i comes from."""

    def __init__(self, old, net, seed, spread):
        self.old, self.new, self.net, self.spread = old, net.state_dict(), net.net, spread
        self.rng = torch.Generator().manual_seed(seed)
        rows = lambda name: old[name].shape[0]
        widths = [rows("net.stem.weight")] + [rows(f"net.down.{i}.weight") for i in range(len(self.net.down))]
        wanted = [self.net.stem.out_channels] + [d.out_channels for d in self.net.down]
        self.stream = [copies(self.rng, a, b) for a, b in zip(widths, wanted)]

    def conv(self, name, source, target):
        """One convolution; source and target are channel origins, or None where the channels stay."""
        w, b = self.old[name + ".weight"], self.old[name + ".bias"]
        if source is not None:
            w = read(self.rng, w, source, self.spread)
        if target is not None:
            w, b = w[target], b[target]
        self.new[name + ".weight"], self.new[name + ".bias"] = w.clone(), b.clone()

    def block(self, name, stream):
        if name + ".a.weight" not in self.old:  # an added one
            self.new[name + ".b.weight"].zero_()
            self.new[name + ".b.bias"].zero_()
            return
        hidden = copies(self.rng, self.old[name + ".a.weight"].shape[0], len(stream))
        self.conv(name + ".a", stream, hidden)
        self.conv(name + ".b", hidden, stream)
        self.new[name + ".gain"] = self.old[name + ".gain"][:, stream].clone()
        if name + ".level.weight" in self.old:
            self.new[name + ".level.weight"] = self.old[name + ".level.weight"][hidden].clone()
            self.new[name + ".level.bias"] = self.old[name + ".level.bias"][hidden].clone()

    def run(self):
        for name in self.new:  # what has no channels that grow: embedding, scale, reach
            if not name.startswith("net."):
                self.new[name] = self.old[name].clone()
        s = self.stream
        self.conv("net.stem", None, s[0])
        self.conv("net.out", s[0], None)
        for i in range(len(s) - 1):
            self.conv(f"net.down.{i}", s[i], s[i + 1])
            self.conv(f"net.up.{i}", s[i + 1], (s[i][:, None] * 4 + torch.arange(4)).flatten())  # before the pixel shuffle
            for part in ("encode", "decode"):
                for j in range(len(self.net.encode[i])):
                    self.block(f"net.{part}.{i}.{j}", s[i])
        for j in range(len(self.net.middle)):
            self.block(f"net.middle.{j}", s[-1])
        return self.new


def widen(source, widths, blocks, seed=1, spread=0.5):
    """A network of that shape with the function of `source`, a Predictor or Denoiser. spread 0 shares weights out evenly."""
    old = source.state_dict()
    emb = 2 * len(old["rates"]) if source.kind == "denoiser" else 0
    torch.manual_seed(seed)
    net = type(source)(widths, blocks, emb)
    net.load_state_dict(Widening(old, net, seed, spread).run())
    return net


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("out")
    p.add_argument("--size", default="m", choices=settings_.SIZES)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    source, ck = train.load(a.checkpoint)
    old = settings_.Settings(**ck["settings"])
    widths, blocks = settings_.SIZES[a.size][old.kind]
    net = widen(source, widths, blocks, a.seed)
    s = dataclasses.replace(old, widths=widths, blocks=blocks, seed=a.seed, name=f"{old.kind}-{a.size}")
    state = net.state_dict()
    more = {k: ck[k] for k in ("predictor_id", "data") if k in ck}
    train.save(a.out, settings=dataclasses.asdict(s), model=state, ema=state, opt=None, iteration=0, seconds=0.0,
               history="widened from " + train.history(ck), **more)
    print(f"{a.out}: {model.parameters(source) / 1e6:.2f} M to {model.parameters(net) / 1e6:.2f} M parameters, "
          f"{model.gmac(net):.1f} GMAC at 1280x720")


if __name__ == "__main__":
    main()
