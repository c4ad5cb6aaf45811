"""How a camera moves while its shutter is open, and the mean of what it then sees.

A path is a function of time in exposures: 0 opens the shutter for the middle row of a patch and 1 closes it; rolling
shutters read the rows above and below a little earlier and later. A pose is x px, y px, roll rad, zoom.
"""
import math

import cv2
import numpy as np

cv2.setNumThreads(1)

MAX_SUBFRAMES = 28
TIMES = np.linspace(-0.5, 1.5, 129)


def within(t):
    return (t >= 0) & (t <= 1)


def travel(path):
    """Length of the x, y path [n, 4] in px."""
    return np.hypot(*np.diff(path[:, :2], axis=0).T).sum()


def waves(rng, t, parts):
    """Sum of sines of (cycles per exposure, amplitude), phases at random."""
    return sum(a * np.sin(2 * np.pi * (f * t + rng.random())) for f, a in parts)


def hand(rng, t, seconds=None):
    """A drift and a few slow swings. A hand shakes at about 8-12 Hz and an exposure lasts a fraction of a swing,
    so most paths bend once or twice and few of them wriggle."""
    swings = (0.4, 1.0) if rng.random() < 0.6 else (1.0, 2.0, 3.0)

    def axis():
        v = rng.normal() * 1.6 * t
        for f in swings:
            v = v + rng.normal() * np.sin(2 * np.pi * (f * rng.uniform(0.5, 1.2) * t + rng.random())) / (1.6 * max(f, 1))
        return v - v[within(t)].mean()

    return np.stack([axis(), axis(), axis(), axis()], 1)


def mast(rng, t, seconds):
    """A pole in the wind: bending at 2-15 Hz, a little different along the two axes, with a cantilever's second mode at
    6.3 times that and harmonics of what guys and joints rattle."""
    first, lean = np.exp(rng.uniform(np.log(2), np.log(15))), rng.uniform(0, np.pi)
    modes = ((1, 1.0), (2, rng.uniform(0, 0.3)), (6.27, rng.uniform(0, 0.25)))
    along, across = (waves(rng, t, [(m * first * k * seconds, a) for m, a in modes])
                     for k in (1.0, rng.uniform(0.85, 1.2)))
    across = across * rng.uniform(0, 0.6)
    x, y = math.cos(lean) * along - math.sin(lean) * across, math.sin(lean) * along + math.cos(lean) * across
    return np.stack([x, y, along * rng.normal(), 0 * t], 1)


def vehicle(rng, t, seconds):
    """An engine's orders at 20-60 Hz, the road at 5-30 Hz, springs at 1-3 Hz; more up and down than sideways."""
    engine = rng.uniform(20, 60)

    def axis(size):
        road = [(f * seconds, rng.normal() / math.sqrt(f)) for f in rng.uniform(5, 30, size=4)]
        spring = [(rng.uniform(1, 3) * seconds, rng.normal() * 1.5)]
        orders = [(engine * o * seconds, rng.normal() * a) for o, a in ((0.5, 0.15), (1, 0.3), (2, 0.12))]
        return size * waves(rng, t, road + spring + orders)

    return np.stack([axis(rng.uniform(0.2, 1)), axis(1.0), axis(0.5), axis(0.5)], 1)


def pan(rng, t, seconds):
    """Even motion, mostly level, that may speed up or slow down, with a hint of tremor."""
    angle = rng.normal() * 0.25 + rng.integers(2) * np.pi if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
    s = t + rng.uniform(-0.3, 0.3) * t * t
    tremor = [waves(rng, t, [(rng.uniform(5, 12) * seconds, rng.uniform(0, 0.06))]) for _ in range(2)]
    return np.stack([math.cos(angle) * s + tremor[0], math.sin(angle) * s + tremor[1], 0.3 * rng.normal() * t,
                     rng.normal() * t], 1)


def jolt(rng, t, seconds):
    """Rest, then a blow (a pothole, a footstep, a gust) that dies away."""
    start, angle = rng.uniform(-0.3, 0.8), rng.uniform(0, 2 * np.pi)
    since = np.clip(t - start, 0, None)
    ring = np.sin(2 * np.pi * rng.uniform(0.3, 2) * since) * np.exp(-rng.uniform(0.5, 4) * since)
    return np.stack([math.cos(angle) * ring, math.sin(angle) * ring, ring * rng.normal(), ring * rng.normal()], 1)


KINDS = {"hand": hand, "mast": mast, "vehicle": vehicle, "pan": pan, "jolt": jolt}


def scaled(rng, path, inside, length):
    """`path` made `length` px long, or of about that extent if it runs to and fro; rolls and zooms a little."""
    seen = path[inside] - path[inside].mean(0)
    extent = 2.2 * np.hypot(*seen[:, :2].T).max()
    k = length / max(min(travel(seen), extent), 1e-6)
    return (path - path[inside].mean(0)) * k * [1, 1, 4e-4 * rng.random(), 2e-4 * rng.random()]


def hand_path(rng, length, n=64):
    """A hand's path over one exposure, [n, 4], mean 0, `length` px long: the plain shake that evaluation measures by."""
    path = hand(rng, np.linspace(0, 1, n))
    k = length / max(travel(path), 1e-6)
    return path * k * [1, 1, 4e-4 * rng.random(), 2e-4 * rng.random()]


def subframes(length):
    return int(np.clip(length * 1.3, 5, MAX_SUBFRAMES))


def row_poses(path, n, rows, readout):
    """Poses [n, rows, 4] of each row of a patch, centred row by row: [n, 1, 4] without a rolling shutter.

    `path` is sampled at TIMES; `readout` is the time from the first row to the last, in exposures. What is left of a row
    after blurring sits at the row's centroid, so that is where the sharp reference has to be: a shift, or a slant, that
    cannot be seen cannot be learnt.
    """
    t = (np.arange(n) + 0.5)[:, None] / n
    if readout > 0:
        t = t + readout * np.linspace(-0.5, 0.5, rows)
    poses = np.stack([np.interp(t, TIMES, p) for p in path.T], -1)
    return poses - poses.mean(0)


def within_reach(poses, limit):
    """`poses` made smaller where they would look further than `limit` px."""
    reach = np.abs(poses[..., :2]).max()
    return poses * (limit / reach) if reach > limit else poses


def coefficients(poses, size, patch, centre):
    """Where the pixels of each row look: x = a col + b, y = c col + d in px of the [size, size] image; [4, n, patch, 1]."""
    x, y, roll, zoom = np.moveaxis(np.broadcast_to(poses, (len(poses), patch, 4)), -1, 0)
    a, c = np.cos(roll) * (1 + zoom), np.sin(roll) * (1 + zoom)
    u = (size - patch) / 2 - centre[0]
    v = (size - patch) / 2 - centre[1] + np.arange(patch)
    return np.stack([a, a * u - c * v + centre[0] + x, c, c * u + a * v + centre[1] + y])[..., None].astype(np.float32)


def look(image, k, columns):
    """One sub-frame of `image`; k = coefficients of its rows, [4, patch, 1]."""
    return cv2.remap(image, k[0] * columns + k[1], k[2] * columns + k[3], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def expose(image, poses, patch, centre, layer=None, layer_poses=None):
    """Mean of `image` (float32 [S, S, 3], linear light) seen from `poses` [n, 1 or patch, 4]: float32 [patch, patch, 3].

    `centre` is what the camera rolls and zooms about, in px of `image`; it may lie outside. `layer`, float32 [S, S, 4] and
    premultiplied, is something in front that moves on its own: it covers and uncovers sub-frame by sub-frame.
    """
    columns = np.arange(patch, dtype=np.float32)[None]
    k = coefficients(poses, image.shape[0], patch, centre)
    own = None if layer is None else coefficients(layer_poses, image.shape[0], patch, centre)
    total = np.zeros((patch, patch, 3), np.float32)
    for i in range(len(poses)):
        seen = look(image, k[:, i], columns)
        if layer is not None:
            front = look(layer, own[:, i], columns)
            seen = seen * (1 - front[..., 3:]) + front[..., :3]
        total += seen
    return total / len(poses)
