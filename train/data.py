"""Photographs, sharp patches of them, and chunks of blurred and sharp pairs.

Everything is a function of (seed, index): the same chunk comes out whoever makes it and whenever.
"""
import glob
import os

import cv2
import numpy as np

import blur

# Never trained on: evaluation and the demo clip use them.
HELD_OUT = {f"kodak_{i:02d}" for i in range(19, 25)} | {f"urban100_{i:03d}" for i in range(61, 71)}


def photographs(folder, held_out=False):
    """uint8 BGR images of `folder` (*.jpg, *.png), sorted by name, of one side of the split."""
    files = sorted(glob.glob(os.path.join(folder, "*.jpg")) + glob.glob(os.path.join(folder, "*.png")))
    keep = [f for f in files if (os.path.splitext(os.path.basename(f))[0] in HELD_OUT) == held_out]
    if not keep:
        raise FileNotFoundError(f"no {'held-out ' if held_out else ''}photographs in {folder}")
    return [cv2.imread(f) for f in keep]


def is_sharp(crop):
    """Whether at least 6 % of the pixels sit on a steep edge: a blurred background teaches a network to blur."""
    g = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    steep = np.abs(np.diff(g, axis=0))[:, :-1] + np.abs(np.diff(g, axis=1))[:-1]
    return (steep > 24).mean() >= 0.06


def draw_signs(rng, crop):
    """Text and black-and-white codes on plates, in place: photographs hold few of what machines read."""
    size = crop.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        x, y = (int(v) for v in rng.integers(0, size - 20, size=2))
        if rng.random() < 0.6:
            text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZ0123456789-. aeinorstu"), size=int(rng.integers(3, 12))))
            scale, thick = rng.uniform(0.35, 1.3), int(rng.integers(1, 3))
            font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
            (w, h), base = cv2.getTextSize(text, font, scale, thick)
            paper = rng.integers(150, 250, size=3) if rng.random() < 0.6 else rng.integers(5, 110, size=3)
            ink = rng.integers(0, 70, size=3) if paper.mean() > 128 else rng.integers(180, 255, size=3)
            cv2.rectangle(crop, (x - 6, y - 6), (x + w + 6, y + h + base + 6), paper.tolist(), -1)
            cv2.putText(crop, text, (x, y + h), font, scale, ink.tolist(), thick, cv2.LINE_AA)
        else:
            n, cell = int(rng.integers(6, 14)), int(rng.integers(3, 9))
            code = np.kron(rng.integers(0, 2, size=(n, n)), np.ones((cell, cell))).astype(np.uint8)
            code = np.pad(code, cell, constant_values=1)[:size - y, :size - x]
            lo, hi = rng.integers(5, 50), rng.integers(170, 250)
            crop[y:y + code.shape[0], x:x + code.shape[1]] = np.where(code, hi, lo)[..., None]


def sharp_crop(rng, images, size):
    """A crop uint8 [size, size, 3] of a random image at a random scale, sharp somewhere."""
    for _ in range(14):
        image = images[rng.integers(len(images))]
        h, w = image.shape[:2]
        side = int(size * min(rng.choice([1.0, 1.0, 1.4, 1.9]), min(h, w) / size))
        if side < 0.9 * size:
            continue
        y, x = rng.integers(0, h - side + 1), rng.integers(0, w - side + 1)
        crop = image[y:y + side, x:x + side]
        if side != size:
            crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        if is_sharp(crop) or rng.random() < 0.03:
            break
    else:
        crop = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    crop = crop.copy()
    if rng.random() < 0.12:
        draw_signs(rng, crop)
    return crop


def pair(seed, index, images, settings, length=None, regions=True):
    """Pair number `index`: (y [2, P, P], c [2, 2, P/2, P/2]) uint8, blurred first, and the shake length in px."""
    rng = np.random.default_rng([seed, index])
    crop = sharp_crop(rng, images, settings.patch + 2 * settings.margin)
    b, s, length = blur.degrade(rng, crop, settings.patch, length, settings.max_shake, regions)
    return np.stack([b[0], s[0]]), np.stack([np.stack(b[1:]), np.stack(s[1:])]), length


_images = None


def make_chunk(settings, k):
    """Chunk number k: y uint8 [chunk, 2, P, P], c uint8 [chunk, 2, 2, P/2, P/2]. Runs in the worker process."""
    global _images
    if _images is None:
        _images = photographs(settings.photos)
    pairs = [pair(settings.seed, k * settings.chunk + i, _images, settings) for i in range(settings.chunk)]
    return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


class Batches:
    """Batches by iteration number. Each chunk serves `reuse` rounds while a worker makes the next one.

    `extend(y, c)` may add to a chunk what is costly and does not change: the frozen predictor's answer.
    """

    def __init__(self, settings, pool, extend=lambda y, c: (y, c)):
        self.s, self.pool, self.extend, self.ahead, self.now = settings, pool, extend, {}, (-1, None)
        self.per_chunk = settings.chunk * settings.reuse // settings.batch

    def chunk(self, k):
        if self.now[0] != k:
            ready = self.ahead.pop(k, None) or self.pool.submit(make_chunk, self.s, k)
            self.ahead = {k + 1: self.pool.submit(make_chunk, self.s, k + 1)}
            self.now = (k, self.extend(*ready.result()))
        return self.now[1]

    def __call__(self, iteration):
        """(y, c) uint8 as in the chunk but `batch` long, turned and flipped at random."""
        y, c = self.chunk(iteration // self.per_chunk)
        step = iteration % self.per_chunk
        round_, place = divmod(step * self.s.batch, self.s.chunk)
        order = np.random.default_rng([self.s.seed, 1, iteration // self.per_chunk, round_]).permutation(self.s.chunk)
        pick = np.sort(order[place:place + self.s.batch])
        rng = np.random.default_rng([self.s.seed, 2, iteration])
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        out = [np.rot90(a[pick], turns, (-2, -1)) for a in (y, c)]
        return [np.ascontiguousarray(a[..., ::-1] if flip else a) for a in out]
