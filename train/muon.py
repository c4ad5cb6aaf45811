"""The optimiser: orthogonalised momentum for the inner kernels, Adam for the rest."""
import torch


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
    """Muon for the inner kernels, seen as [out, in*k*k]; Adam for stem, output and vectors.

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
