"""From a sharp patch to what a shaken camera delivers: light, motion, lens, sensor, the camera's own processing, JPEG.

Blur is the mean of many sub-frames (motion.py): kernels laid over the picture trained networks that did not help real
frames. First everything is drawn into a Recipe, from one generator, so that a patch is a function of its seed; then the
recipe is carried out, here by NumPy and OpenCV or for many at once on a GPU by batch.py.
"""
import dataclasses
import math

import cv2
import numpy as np

import camera
import motion
from camera import jpeg_planes, to_bgr, to_planes  # noqa: F401: callers know them from here

# How often each thing happens to a training patch.
CHANCES = {
    "still": 0.18,          # not blurred at all, and hardly processed: such frames are to be left alone
    "nearly still": 0.08,   # up to 1.5 px
    "night": 0.06,          # darkened, with lamps
    "linear feed": 0.1,     # no camera curve
    "contrast": 0.4,        # a curve steeper in the middle
    "highlights": 0.25,     # sky and reflections brighter than white, clipped after the blur
    "moving region": 0.25,  # something in front goes its own way
    "fixed camera": 0.25,   # of those: only it moves
    "rolling shutter": 0.6,
    "defocus": 0.18,
    "noise": 0.8,
    "noise when still": 0.4,
    "mosaic": 0.2,          # of the noisy ones: noise before a cheap demosaicing
    "denoising": 0.04,      # the camera smears noise and texture
    "sharpening": 0.1,      # the camera overdoes edges: at 0.22 real pairs gained less and less
    "rescaling": 0.15,      # the camera's scaler
    "jpeg": 0.85,
}
KINDS = {"hand": 0.42, "mast": 0.17, "vehicle": 0.14, "pan": 0.17, "jolt": 0.10}
EXPOSURES = (1 / 400, 1 / 12)   # s
READOUTS = (0.006, 0.033)       # s for all rows of a frame
FRAME_ROWS = (360, 480, 720, 1080, 1440, 2160)


@dataclasses.dataclass
class Recipe:
    """How one patch comes about, in the order of the fields."""

    gamma: float = 2.2
    contrast: float = 0.0
    highlights: float = 0.0    # how much brighter than white, times
    tint: tuple = ()           # night: what remains of the light, 3
    lamps: tuple = ()          # night: (x, y, radius, power, colour)
    mask: object = None        # uint8 [S, S]: something in front
    mask_turned: bool = False
    mask_tint: tuple = ()
    centre: tuple = (0, 0)     # px: what the camera rolls and zooms about
    poses: object = None       # float32 [n, 1 or patch, 4]; None: not exposed, the patch as it is
    own_poses: object = None   # of what is in front
    lens: object = None        # kernel [9, 9]
    shot: float = 0.0
    read: float = 0.0
    gains: tuple = ()          # mosaic: white balance, 3
    edges: bool = False        # mosaic: demosaiced along edges
    smear: tuple = ()          # grey levels, px
    sharpen: tuple = ()        # amount, px
    rescale: tuple = ()        # px, way down, way up
    quality: int = 0           # of JPEG; 0: none


def draw_length(rng, max_shake):
    """Path length in px: some none, some hardly any, the rest leaning to the short side."""
    u = rng.random()
    if u < CHANCES["still"]:
        return 0.0
    if u < CHANCES["still"] + CHANCES["nearly still"]:
        return rng.uniform(0, 1.5)
    return 1 + (max_shake - 1) * rng.random() ** 1.4


def happens(rng, name):
    return rng.random() < CHANCES[name]


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def draw_light(rng, r, size):
    """Curve, and night or highlights."""
    linear, steep, dark, bright = (happens(rng, n) for n in ("linear feed", "contrast", "night", "highlights"))
    r.gamma = 1.0 if linear else rng.uniform(1.7, 2.6)
    r.contrast = rng.uniform(0, 0.45) if steep and not linear else 0.0
    if dark:
        r.tint = tuple(log_uniform(rng, 0.02, 0.3) * rng.uniform(0.6, 1.3, size=3))
        r.lamps = tuple((*rng.uniform(0.1, 0.9, size=2) * size, rng.uniform(0.5, 4.5), log_uniform(rng, 0.7, 40),
                         tuple(np.clip(rng.normal(0.8, 0.3, size=3), 0.1, 1.2))) for _ in range(rng.integers(1, 7)))
    elif bright:
        r.highlights = rng.uniform(0.1, 2.5)


def draw_outline(rng, size):
    """The outline of a thing, antialiased, uint8 [S, S]: an oval, a box, or a blob of several ovals."""
    mask = np.zeros((size, size), np.uint8)
    middle, kind = rng.uniform(0.25, 0.75, size=2) * size, rng.integers(3)
    fixed = lambda v: tuple(int(x * 16) for x in v)
    for _ in range(1 if kind < 2 else int(rng.integers(2, 5))):
        axes = rng.uniform(8, 48, size=2)
        if kind == 1:
            box = cv2.boxPoints((tuple(middle), tuple(axes * 1.8), rng.uniform(-20, 20)))
            cv2.fillPoly(mask, [np.round(box * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        else:
            at = middle + (rng.normal(size=2) * 18 if kind == 2 else 0)
            cv2.ellipse(mask, fixed(at), fixed(axes), rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA, 4)
    return mask


def draw_motion(rng, r, length, patch, size):
    """Poses of the camera and of what is in front of it over one random exposure."""
    seconds, readout, limit = log_uniform(rng, *EXPOSURES), 0.0, (size - patch) / 2 - 3
    if happens(rng, "rolling shutter"):
        readout = min(rng.uniform(*READOUTS) * patch / rng.choice(FRAME_ROWS) / seconds, 1.0)

    def path(length):
        kind = motion.KINDS[str(rng.choice(list(KINDS), p=list(KINDS.values())))]
        return motion.scaled(rng, kind(rng, motion.TIMES, seconds), motion.within(motion.TIMES), length)

    paths = [path(length)]
    if happens(rng, "moving region"):
        r.mask, r.mask_turned = draw_outline(rng, size), rng.random() < 0.5
        r.mask_tint = tuple(rng.uniform(0.5, 1.6, size=3))
        moves = path(rng.uniform(1, 18))
        paths = [paths[0] * 0, moves] if happens(rng, "fixed camera") else [paths[0], paths[0] + moves]
    n = motion.subframes(max(motion.travel(p[motion.within(motion.TIMES)]) for p in paths))
    poses = [motion.within_reach(motion.row_poses(p, n, patch, readout), limit).astype(np.float32) for p in paths]
    r.poses, r.own_poses = poses[0], poses[1] if len(poses) > 1 else None
    r.centre = tuple(size / 2 + rng.uniform(-400, 400, size=2))


def draw_sensor(rng, r, still):
    if rng.random() < CHANCES["noise when still" if still else "noise"]:
        r.shot, r.read = 0.022 * rng.random() ** 2, 0.004 * rng.random() ** 1.5  # most cameras are quiet by day
        if happens(rng, "mosaic") and not still:
            r.gains, r.edges = (rng.uniform(1.2, 2.2), 1.0, rng.uniform(1.2, 2.2)), rng.random() < 0.5


def draw_processing(rng, r, patch):
    if happens(rng, "defocus"):
        blurred = rng.uniform(0.4, 1.7)
        r.lens = camera.disk(blurred) if rng.random() < 0.5 else camera.gaussian(0.7 * blurred)
    if happens(rng, "denoising"):
        r.smear = rng.uniform(8, 30), rng.uniform(1, 2.5)
    if happens(rng, "sharpening"):
        r.sharpen = rng.uniform(0.15, 0.8), rng.uniform(0.6, 1.5)
    if happens(rng, "rescaling"):
        ways = list(camera.WAYS)
        r.rescale = int(patch * rng.uniform(0.55, 0.95)), str(rng.choice(ways)), str(rng.choice(ways[1:]))


def draw(rng, length, patch, size):
    """A training patch's recipe; length 0 is a still frame, which no camera processes beyond noise and JPEG."""
    r = Recipe()
    draw_light(rng, r, size)
    if length > 0:
        draw_motion(rng, r, length, patch, size)
        draw_processing(rng, r, patch)
    draw_sensor(rng, r, length == 0)
    if happens(rng, "jpeg"):
        r.quality = int(98 - 48 * rng.random() ** 1.8)  # mostly above 75
    return r


def draw_plain(rng, length, patch, size):
    """An evaluation patch's recipe: a hand's shake of `length` px, noise and JPEG, and nothing else."""
    r = Recipe(gamma=1.0 if rng.random() < 0.15 else rng.uniform(1.7, 2.6))
    if length > 0 and rng.random() < 0.25:
        r.highlights = rng.uniform(0.1, 1.5)
    if length > 0:
        path = motion.within_reach(motion.hand_path(rng, length), (size - patch) / 2 - 3)
        r.poses = path[np.linspace(0, len(path) - 1, motion.subframes(motion.travel(path))).astype(int)][:, None]
        r.centre = tuple(size / 2 + rng.uniform(-400, 400, size=2))
        if rng.random() < 0.2:
            blurred = rng.uniform(0.4, 1.6)
            r.lens = camera.gaussian(0.7 * blurred) if rng.random() < 0.5 else camera.disk(blurred)
    if rng.random() < (0.5 if length == 0 else 0.75):
        r.shot, r.read = rng.uniform(0, 0.012), rng.uniform(0, 0.004)
    return r


def middle(image, patch):
    m = (image.shape[0] - patch) // 2
    return image[m:m + patch, m:m + patch]


def carry_out(rng, r, crop, patch):
    """(blurred picture before JPEG, sharp picture), float32 [patch, patch, 3] 0..255, of crop uint8 [S, S, 3]."""
    curve = camera.Curve(r.gamma, r.contrast)
    light = camera.brighten(curve.decode(crop), r.highlights) if r.highlights else curve.decode(crop)
    if r.tint:
        light = camera.night(light, r.tint, r.lamps)
    front = None if r.mask is None else camera.cut_out(light, r.mask, r.mask_turned, r.mask_tint)
    seen = middle(light, patch)
    sharp = seen if front is None else camera.over(middle(front, patch), seen)
    if r.poses is not None:
        seen = motion.expose(light, r.poses, patch, r.centre, front, r.own_poses)
    if r.lens is not None:
        seen = camera.convolve(seen, r.lens)
    if r.gains:
        seen = camera.mosaic(rng, seen, r.shot, r.read, r.gains, r.edges)
    elif r.read:
        seen = camera.add_noise(rng, seen, r.shot, r.read)
    image = curve.encode(seen)
    for step, arguments in ((camera.smear, r.smear), (camera.overdo_edges, r.sharpen), (camera.rescale, r.rescale)):
        if arguments:
            image = np.clip(step(image, *arguments), 0, 255)
    return image, curve.encode(sharp)


def degrade(rng, crop, patch, length=None, max_shake=24.0, kind="any"):
    """A sharp crop uint8 BGR [S, S, 3] to (blurred planes, sharp planes, length px), patches `patch` px wide.

    length None draws one; 0 is the identity, perhaps with noise, through a JPEG coder. kind "any" is for training;
    "hand" is the plain shake that evaluation measures by.
    """
    if length is None:
        length = draw_length(rng, max_shake)
    r = (draw_plain if kind == "hand" else draw)(rng, length, patch, crop.shape[0])
    image, sharp = carry_out(rng, r, crop, patch)
    if kind == "hand":
        sharp, r.quality = middle(crop, patch), int(rng.integers(70, 98)) if rng.random() < 0.7 else 0
    blurred = to_planes(image)
    return jpeg_planes(blurred, r.quality) if r.quality else blurred, to_planes(sharp), length
