"""What is measured on: pairs (blurred, sharp) of pictures that no network was trained on, and clean and flat pictures.

A picture is (y, cb, cr), uint8, 4:2:0; its sides are multiples of MULTIPLE.
"""
import glob
import os

import cv2
import numpy as np

import blur
import data

MULTIPLE = 16
SEED = 999
MARGIN = 32  # px around a patch that the shake may pull in


def cut(image):
    """An image BGR without the rows and columns that the networks cannot take."""
    h, w = (n // MULTIPLE * MULTIPLE for n in image.shape[:2])
    return image[:h, :w]


def picture(image):
    return tuple(blur.to_planes(cut(image)))


def shaken(images, length, count, patch=192, seed=SEED):
    """Patches shaken by `length` px, nothing moving on its own; patch number i shows the same at every length."""
    out = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        crop = data.sharp_crop(rng, images, patch + 2 * MARGIN)
        blurred, sharp, _ = blur.degrade(rng, crop, patch, length, kind="hand")
        out.append((tuple(blurred), tuple(sharp)))
    return out


def real(folder):
    """{set: pairs} of NAME_blur.png, NAME_sharp.png; a set is what comes before the last _ of NAME."""
    sets = {}
    for f in sorted(glob.glob(os.path.join(folder, "*_blur.png"))):
        name = os.path.basename(f)[:-len("_blur.png")].rpartition("_")[0]
        sets.setdefault(name, []).append(tuple(picture(cv2.imread(g)) for g in (f, f.replace("_blur", "_sharp"))))
    return sets


def clip(folder):
    """Frames of shake.avi whose true picture sharp_NNNN.jpg is beside them."""
    out, video, n = [], cv2.VideoCapture(os.path.join(folder, "shake.avi")), 0
    while (got := video.read())[0]:
        path = os.path.join(folder, f"sharp_{n:04d}.jpg")
        if os.path.exists(path):
            out.append((picture(got[1]), picture(cv2.imread(path))))
        n += 1
    return out


def held_out(folder):
    """{name: image BGR} of the photographs kept from training."""
    name = lambda f: os.path.splitext(os.path.basename(f))[0]
    return {name(f): cv2.imread(f) for f in data.files(folder, held_out=True)}


def from_camera(image, quality=90):
    """A sharp photograph as a camera's JPEG frame."""
    return tuple(blur.jpeg_planes(picture(image), quality))


def flat_noise(level, deviation, size=256, quality=90, seed=SEED):
    """A flat grey picture with white noise, from a camera: nothing is there to be sharpened."""
    rng = np.random.default_rng([seed, level, deviation])
    planes = [level + deviation * rng.standard_normal((size, size))]
    planes += [128 + deviation / 2 * rng.standard_normal((size // 2, size // 2)) for _ in range(2)]
    return tuple(blur.jpeg_planes([np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in planes], quality))
