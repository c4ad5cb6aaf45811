"""Teach a denoiser to do in few steps what it does in many: a student of the same shape, for the same samplers.

    python3 distill.py --teacher denoiser.pt --predictor predictor.pt --photos DIR --out student.pt --minutes 25

The teacher's deterministic trajectory leads from noise to one sample, its end. The student starts from the same noise, takes
1, 2 and 4 Euler steps of the probability-flow equation, and is drawn to a point between the mean (the teacher's first answer)
and that end: the straight line between the two is the best trade of distortion for perception (Freirich, Michaeli and Meir
2021, "A Theory of the Distortion-Perception Tradeoff in Wasserstein Space"), and more steps go further along it, so that the
number of steps still does what it does with a plain denoiser. Regression loses fine detail to averaging, so a second loss asks
that small windows hold as much power in each band and direction as the sharp picture's do.
"""
import torch
import torch.nn.functional as F

import model
import sample
import settings as settings_
import train

WINDOW = 32  # luma px, side of the windows whose spectra are compared


def windows(luma):
    """Power of luma [B, 1, H, W] in overlapping windows, in bands: [B, n, bands].

    A band is 4x4 frequencies of the half plane: 32 bands that tell scale and direction apart. The lowest is left out.
    """
    hann = torch.hann_window(WINDOW, device=luma.device)
    w = luma.unfold(2, WINDOW, WINDOW // 2).unfold(3, WINDOW, WINDOW // 2).flatten(1, 3)
    f = torch.view_as_real(torch.fft.rfft2((w - w.mean((-2, -1), keepdim=True)) * hann * hann[:, None]))
    power = (f * f).sum(-1)[..., 1:] / WINDOW ** 2  # [B, n, 32, 16]
    return F.avg_pool2d(power.roll(2, -2), 4).flatten(-2)[..., 1:]


def energy_loss(got, want, blurred, share):
    """Mean |difference| of ln power between a sample and the goal that lies `share` of the way from blurred to sharp.

    Window by window, which puts texture where it belongs, and of all windows of a picture together, because where fine detail
    is uncertain the single windows' median is too little. Arguments are packed pictures.
    """
    luma = lambda p: F.pixel_shuffle(p[:, :4], 2)
    log = lambda power: (power + 0.5).log()  # the floor: white noise of 2 grey levels
    has = windows(luma(got))
    with torch.no_grad():
        sharp, soft = windows(luma(want)), windows(luma(blurred))
    total = 0
    for pool in (lambda p: p, lambda p: p.mean(1)):
        goal = log(pool(sharp)) * share + log(pool(soft)) * (1 - share)
        total = total + (log(pool(has)) - goal).abs().mean()
    return total


def calibrated(away, error):
    """`away`, how far a sample lies from the mean, made smaller where it is more than the mean's own error, patch by patch.

    The two should be alike in size. A teacher that is unsure of everything would put its grain on sharp frames, too.
    """
    size = lambda x: x.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6
    return away * (size(error) / size(away)).clamp(max=1)


class Distillation(train.Refinement):
    """The student's training, for train.py's loop."""

    def __init__(self, s, pool, device):
        super().__init__(s, pool, device)
        self.teacher, ck = train.load(s.teacher, device)
        if ck.get("predictor_id") != self.extra["predictor_id"]:
            raise ValueError(f"{s.teacher} belongs to predictor {ck.get('predictor_id')}, {s.predictor} is {self.extra['predictor_id']}")
        self.teacher.to(memory_format=torch.channels_last)
        self.sigmas = sample.schedule(s.teacher_steps, 0.03, 8.0)

    def start(self, net):
        net.load_state_dict(self.teacher.state_dict())

    @torch.no_grad()
    def trajectory(self, denoise, noise):
        """(mean, end): the teacher's first answer and, ten steps of second order later, its last."""
        answers = []
        keep = lambda x, sigma: answers.append(denoise(x, sigma)) or answers[-1]
        end = sample.dpmpp_2m(keep, noise * self.sigmas[0], self.sigmas)
        return answers[0], end

    def loss(self, net, iteration, blurred, sharp, predicted):
        _, noise = train.draw_noise(self.s, iteration, blurred)
        ask = lambda who: lambda x, sigma: who(x, torch.full((len(x),), sigma, device=x.device), blurred, predicted)
        mean, end = self.trajectory(ask(self.teacher), noise)
        away = calibrated(end - mean, (sharp - predicted) / net.unit() - mean)
        total = 0
        for steps, share in zip(self.s.student_steps, self.s.share):
            sigmas = sample.schedule(steps, self.s.sigma_min, self.s.sigma_max, self.s.rho)
            got = sample.ode(ask(net), noise * sigmas[0], sigmas)
            e = train.charbonnier(got - mean - share * away, 0.02)
            e = e[:, :4].mean((1, 2, 3)) + self.s.chroma_weight * e[:, 4:].mean((1, 2, 3))
            total = total + (e + 0.05).log().mean()  # as the predictor's: a sharp patch counts as much as a blurred one
            picture = predicted + net.unit() * got
            total = total + self.s.energy_weight * energy_loss(picture, sharp, predicted, min(share, 1.0))
        return total / len(self.s.student_steps)


DEFAULTS = dict(kind="denoiser", name="denoiser-s", batch=16, chunk=256, muon_lr=0.003, adam_lr=3e-4, ema=0.995, warmup=20,
                eval_every=100, sigma_min=0.4)


def main(argv=None):
    s = settings_.from_args(argv, **DEFAULTS)
    s.init = s.init or s.teacher
    train.main(s, Distillation)


if __name__ == "__main__":
    main()
