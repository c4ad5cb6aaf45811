"""Noise schedule and samplers: functions on arrays (numpy or torch), no network known here.

`denoise(x, sigma)` returns the denoised x. Twins of the daemon's samplers: the golden files hold them to it.
"""
import math


def schedule(steps, sigma_min, sigma_max, rho=7.0):
    """Karras et al. 2022, eq. 5: `steps` falling noise levels and a last 0. One step: [sigma_max, 0]."""
    if steps == 1:
        return [float(sigma_max), 0.0]
    a, b = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [(a + i / (steps - 1) * (b - a)) ** rho for i in range(steps)] + [0.0]


def ancestral_split(sigma, to):
    """How far to step down, and how much fresh noise to add, from sigma to `to`: (sigma_down, sigma_up)."""
    up = min(to, (to ** 2 * (sigma ** 2 - to ** 2) / sigma ** 2) ** 0.5)
    return (to ** 2 - up ** 2) ** 0.5, up


def ode(denoise, x, sigmas):
    """Euler's method on the probability-flow equation: one call of `denoise` a step. x starts as sigmas[0] * noise."""
    for sigma, to in zip(sigmas, sigmas[1:]):
        d = (x - denoise(x, sigma)) / sigma
        x = x + d * (to - sigma)
    return x


def ancestral(denoise, x, sigmas, noise):
    """k-diffusion's sample_euler_ancestral with eta = 1; `noise(i)` is standard normal, shaped as x."""
    for i, (sigma, to) in enumerate(zip(sigmas, sigmas[1:])):
        down, up = ancestral_split(sigma, to)
        x = x + (x - denoise(x, sigma)) / sigma * (down - sigma)
        if to > 0:
            x = x + up * noise(i)
    return x


def dpmpp_2m(denoise, x, sigmas):
    """DPM-Solver++(2M), Lu et al. 2022: like `ode`, with the last step's answer for a second order. One call a step."""
    before = None
    for i, (sigma, to) in enumerate(zip(sigmas, sigmas[1:])):
        now = best = denoise(x, sigma)
        if before is not None and to > 0:
            r = math.log(sigmas[i - 1] / sigma) / math.log(sigma / to)
            best = now + (now - before) / (2 * r)
        x, before = best + to / sigma * (x - best), now
    return x


SAMPLERS = dict(ode=ode, ancestral=ancestral, dpmpp_2m=dpmpp_2m)
