"""The exported files as functions of pictures, as the daemon uses them. A picture is (y, cb, cr), uint8."""
import dataclasses
import os

import numpy as np

import ort
import sample


@dataclasses.dataclass(frozen=True)
class Way:
    """How to refine; the numbers of a denoiser's metadata unless said otherwise."""

    steps: int
    sampler: str = "ode"
    sigma_min: float = 0.05
    sigma_max: float = 8.0
    rho: float = 7.0

    def sigmas(self):
        return sample.schedule(self.steps, self.sigma_min, self.sigma_max, self.rho)

    def __str__(self):
        return f"{self.sampler}, sigma {self.sigma_max:g} to {self.sigma_min:g}, rho {self.rho:g}"


def grey(plane):
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def split(state, height, width):
    """Views of a flat state: y [height, width], cb, cr of half the size."""
    n, half = height * width, (height // 2, width // 2)
    return state[:n].reshape(height, width), state[n:n * 5 // 4].reshape(half), state[n * 5 // 4:].reshape(half)


class Networks:
    def __init__(self, predictor, denoiser=None, threads=1):
        self.predictor = ort.Graph(predictor, threads)
        self.denoiser = ort.Graph(denoiser, threads) if denoiser else None
        self.name = os.path.splitext(os.path.basename(denoiser or predictor))[0]
        if denoiser:
            meta, of = self.denoiser.metadata, self.predictor.metadata["predictor_id"]
            if meta["predictor_id"] != of:
                raise ValueError(f"{denoiser} belongs to predictor {meta['predictor_id']}, not to {predictor}, {of}")
            luma, chroma = float(meta["residual_scale_luma"]), float(meta["residual_scale_chroma"])
            self.scale = luma, chroma, chroma

    def metadata(self):
        return [g.metadata for g in (self.predictor, self.denoiser) if g]

    def predict(self, picture):
        return tuple(self.predictor(*picture))

    def way(self, steps=None, **more):
        """The denoiser's own way for this many steps, or its own many."""
        meta = self.denoiser.metadata
        own = dict(sampler=meta["sampler"], **{k: float(meta[k]) for k in ("sigma_min", "sigma_max", "rho")})
        return Way(steps or int(meta["steps"]), **{**own, **more})

    def residual(self, blurred, predicted, way, rng):
        """One sample of sharp - predicted, flat, in units of the scale."""
        size, sigmas = blurred[0].shape, way.sigmas()
        noise = lambda _=0: rng.standard_normal(size[0] * size[1] * 3 // 2, np.float32)

        def denoise(x, sigma):
            planes = self.denoiser(*split(x, *size), np.array([sigma], np.float32), *blurred, *predicted)
            return np.concatenate([p.ravel() for p in planes])

        start = np.float32(sigmas[0]) * noise()
        more = (noise,) if way.sampler == "ancestral" else ()
        return sample.SAMPLERS[way.sampler](denoise, start, sigmas, *more).astype(np.float32)

    def add(self, predicted, residual):
        """The picture that a residual makes of the prediction, in whole grey levels."""
        parts = split(residual, *predicted[0].shape)
        return tuple(grey(p + s * r) for p, s, r in zip(predicted, self.scale, parts))

    def refine(self, blurred, predicted, way, rng, samples=1):
        """The mean of `samples` samples of the sharp picture."""
        total = sum(self.residual(blurred, predicted, way, rng) for _ in range(samples))
        return self.add(predicted, total / samples)
