"""Photographs, sharp patches of them, and chunks of blurred and sharp pairs.

Everything is a function of (seed, index): the same chunk comes out whoever makes it and whenever.

    python3 data.py --photos DIR --sheet pairs.png     a look at what a network is taught
"""
import argparse
import collections
import functools
import glob
import hashlib
import os

import cv2
import numpy as np
import torch

import batch
import blur
import signs

# Never trained on: evaluation and the demo clip use them. The second set serves where the first is not at hand.
HELD_OUT = {f"kodak_{i:02d}" for i in range(19, 25)} | {f"urban100_{i:03d}" for i in range(61, 71)}
SPARE = {"lomiri-16.04_picosdeeuropa_by_aitzol_berasategi", "plasma-workspace_eveningglow", "sklearn_china", "skimage_coffee"}
SIGNS = 0.15  # share of training patches that carry text or codes


def files(folder, held_out=False):
    """Paths of the photographs of `folder` (*.jpg, *.png), sorted by name, of one side of the split."""
    files = sorted(glob.glob(os.path.join(folder, "*.jpg")) + glob.glob(os.path.join(folder, "*.png")))
    among = lambda names: [f for f in files if os.path.splitext(os.path.basename(f))[0] in names]
    keep = among(HELD_OUT) or among(SPARE) if held_out else sorted(set(files) - set(among(HELD_OUT | SPARE)))
    if not keep:
        raise FileNotFoundError(f"no {'held-out ' if held_out else ''}photographs in {folder}")
    return keep


def photographs(folder, held_out=False):
    """uint8 BGR images, in the order of `files`."""
    return [cv2.imread(f) for f in files(folder, held_out)]


def listing(folder):
    """One line: how many photographs a network is taught with, by what comes before the _ of their names."""
    names = [os.path.basename(f) for f in files(folder)]
    kinds = collections.Counter(n.split("_")[0] for n in names)
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return f"{len(names)} photographs: " + ", ".join(f"{k} {n}" for k, n in sorted(kinds.items())) + f" (names' SHA-256 {digest})"


def is_sharp(crop):
    """Whether at least 6 % of the pixels sit on a steep edge: a blurred background teaches a network to blur."""
    g = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    steep = np.abs(np.diff(g, axis=0))[:, :-1] + np.abs(np.diff(g, axis=1))[:-1]
    return (steep > 24).mean() >= 0.06


def is_in_focus(crop, side=32):
    """Whether few tiles (at most a seventh) hold something without an edge: backgrounds out of focus, where what is blurred
    is to stay so."""
    g = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    steps = np.zeros_like(g)
    steps[:-1, :-1] = np.maximum(np.abs(np.diff(g, axis=0))[:, :-1], np.abs(np.diff(g, axis=1))[:-1])
    n = len(g) // side
    tiles = lambda a: a[:n * side, :n * side].reshape(n, side, n, side).swapaxes(1, 2).reshape(n * n, -1)
    contrast = tiles(g).std(1)
    steep = np.partition(tiles(steps), -8, axis=1)[:, -8]
    return ((contrast > 4) & (steep < 0.8 * contrast)).mean() <= 1 / 7


def sharp_crop(rng, images, size, accept=is_sharp):
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
        if accept(crop) or rng.random() < 0.03:
            break
    else:
        crop = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return crop.copy()


def source(seed, index, images, settings, kind="any", fonts=()):
    """(generator, sharp crop uint8 [S, S, 3]) that pair number `index` begins with."""
    rng = np.random.default_rng([seed, index])
    accept = is_sharp if kind == "hand" else lambda c: is_sharp(c) and is_in_focus(c)
    crop = sharp_crop(rng, images, settings.patch + 2 * settings.margin, accept)
    if rng.random() < SIGNS and kind == "any":
        signs.draw(rng, crop, fonts)
    return rng, crop


def pair(seed, index, images, settings, length=None, kind="any", fonts=()):
    """Pair number `index`: (y [2, P, P], c [2, 2, P/2, P/2]) uint8, blurred first, and the shake length in px."""
    rng, crop = source(seed, index, images, settings, kind, fonts)
    b, s, length = blur.degrade(rng, crop, settings.patch, length, settings.max_shake, kind)
    return np.stack([b[0], s[0]]), np.stack([np.stack(b[1:]), np.stack(s[1:])]), length


@functools.lru_cache(1)
def sources(folder):
    """(photographs to train on, fonts) of `folder`, read once in a process."""
    return photographs(folder), signs.fonts_of(folder)


def make_chunk(settings, k):
    """Chunk number k: y uint8 [chunk, 2, P, P], c uint8 [chunk, 2, 2, P/2, P/2]. Runs in the worker process."""
    images, fonts = sources(settings.photos)
    pairs = [pair(settings.seed, k * settings.chunk + i, images, settings, fonts=fonts) for i in range(settings.chunk)]
    return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def make_recipes(settings, k):
    """Chunk number k as far as a CPU need make it for a GPU: crops uint8 [chunk, S, S, 3] and their recipes."""
    images, fonts = sources(settings.photos)
    crops, recipes = [], []
    for i in range(settings.chunk):
        rng, crop = source(settings.seed, k * settings.chunk + i, images, settings, fonts=fonts)
        length = blur.draw_length(rng, settings.max_shake)
        recipes.append(blur.draw(rng, length, settings.patch, len(crop)))
        crops.append(crop)
    return np.stack(crops), recipes


def workers(settings, device):
    """How many processes make pairs: beside a GPU as many as there are cores, less two."""
    return settings.workers or (max((os.cpu_count() or 1) - 2, 1) if torch.device(device).type == "cuda" else 1)


class Batches:
    """Batches by iteration number, on `device`. Each chunk serves `reuse` rounds while workers make the next ones; on a GPU
    they only draw them, and the blur is made there.

    `extend(y, c)` may add to a chunk what is costly and does not change: the frozen predictor's answer.
    """

    def __init__(self, settings, pool, extend=lambda y, c: (y, c), device="cpu"):
        self.s, self.pool, self.extend, self.device = settings, pool, extend, device
        self.on_device = torch.device(device).type == "cuda"
        self.depth, self.ahead, self.now = workers(settings, device), {}, (-1, None)
        self.per_chunk = settings.chunk * settings.reuse // settings.batch

    def chunk(self, k):
        if self.now[0] != k:
            job = make_recipes if self.on_device else make_chunk
            self.ahead = {i: self.ahead.get(i) or self.pool.submit(job, self.s, i) for i in range(k, k + self.depth + 1)}
            self.now = (k, self.extend(*self.finish(k, self.ahead.pop(k).result())))
        return self.now[1]

    def finish(self, k, made):
        if self.on_device:
            return batch.pairs(*made, self.s.patch, self.s.seed * 1_000_003 + k, self.device)
        return tuple(torch.from_numpy(a) for a in made)

    def __call__(self, iteration):
        """(y, c) uint8 tensors as in the chunk but `batch` long, turned and flipped at random."""
        chunk = self.chunk(iteration // self.per_chunk)
        step = iteration % self.per_chunk
        round_, place = divmod(step * self.s.batch, self.s.chunk)
        order = np.random.default_rng([self.s.seed, 1, iteration // self.per_chunk, round_]).permutation(self.s.chunk)
        pick = torch.from_numpy(np.sort(order[place:place + self.s.batch])).to(chunk[0].device)
        rng = np.random.default_rng([self.s.seed, 2, iteration])
        turns, flip = int(rng.integers(4)), rng.random() < 0.5
        out = [torch.rot90(a[pick], turns, (-2, -1)) for a in chunk]
        return [a.flip(-1) if flip else a for a in out]


def sheet(settings, count, across=6, zoom=1):
    """A picture of the first `count` training pairs, blurred beside sharp."""
    y, c = (a[:count] for a in make_chunk(settings, 0))
    cells = [np.hstack([blur.to_bgr(y[i, j], *c[i, j]) for j in (0, 1)]) for i in range(len(y))]
    cells = [cv2.copyMakeBorder(x, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for x in cells]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % across)
    whole = np.vstack([np.hstack(cells[i:i + across]) for i in range(0, len(cells), across)])
    return cv2.resize(whole, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)


def main():
    import settings as settings_

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("--sheet", required=True, metavar="PNG")
    p.add_argument("--count", type=int, default=48)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--zoom", type=int, default=1)
    a = p.parse_args()
    s = settings_.Settings(photos=a.photos, seed=a.seed, chunk=a.count)
    cv2.imwrite(a.sheet, sheet(s, a.count, zoom=a.zoom))


if __name__ == "__main__":
    main()
