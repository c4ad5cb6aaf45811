"""From a sharp patch to what a shaken camera delivers: light, motion, lens, sensor, the camera's own processing, JPEG.

Blur is the mean of many sub-frames (motion.py): kernels laid over the picture trained networks that did not help real
frames. Everything is drawn from one generator, so a patch is a function of its seed.
"""
import math

import cv2
import numpy as np

import motion

# How often each thing happens to a training patch.
CHANCES = {
    "still": 0.18,          # not blurred at all, and hardly processed: such frames are to be left alone
    "nearly still": 0.08,   # up to 1.5 px
    "night": 0.06,          # darkened, with lamps
    "linear feed": 0.1,     # no camera curve
    "highlights": 0.25,     # sky and reflections brighter than white, clipped after the blur
    "moving region": 0.25,  # something in front goes its own way
    "fixed camera": 0.25,   # of those: only it moves
    "rolling shutter": 0.6,
    "defocus": 0.18,
    "noise": 0.8,
    "noise when still": 0.4,
    "mosaic": 0.4,          # of the noisy ones: noise before demosaicing
    "denoising": 0.08,      # the camera smears noise and texture
    "sharpening": 0.22,     # the camera overdoes edges
    "rescaling": 0.15,      # the camera's scaler
    "jpeg": 0.85,
}
KINDS = {"hand": 0.42, "mast": 0.17, "vehicle": 0.14, "pan": 0.17, "jolt": 0.10}
EXPOSURES = (1 / 400, 1 / 12)   # s
READOUTS = (0.006, 0.033)       # s for all rows of a frame
FRAME_ROWS = (360, 480, 720, 1080, 1440, 2160)


def disk(radius):
    """Out-of-focus kernel: a soft-edged disk of `radius` px, summing to 1."""
    r = int(math.ceil(radius)) + 1
    yy, xx = np.mgrid[-r:r + 1, -r:r + 1]
    k = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    return k / k.sum()


def jpeg_planes(planes, quality):
    """(y, cb, cr) uint8 through a JPEG coder, plane by plane, as a 4:2:0 camera would.

    Planes are coded as greys, because a decoder's chroma smoothing would otherwise come between.
    The standard chroma table is about 1.8 times as coarse as the luma table.
    """
    out = []
    for i, p in enumerate(planes):
        q = quality if i == 0 else int(max(100 - 1.8 * (100 - quality), 5))
        out.append(cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, q])[1], cv2.IMREAD_GRAYSCALE))
    return out


def to_planes(bgr):
    """uint8 or float32 (0..255) [H, W, 3] BGR to full-range BT.601 planes: y [H, W], cb, cr [H/2, W/2] uint8."""
    ycc = cv2.cvtColor(bgr.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb) * 255
    ycc[..., 1:] += 0.5  # OpenCV centres float chroma on 0.5 = 127.5; JPEG on 128
    half = cv2.resize(ycc[..., 1:], (bgr.shape[1] // 2, bgr.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return [np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (ycc[..., 0], half[..., 1], half[..., 0])]


def to_bgr(y, cb, cr):
    """The way back, chroma bilinearly enlarged: uint8 [H, W, 3]."""
    size = (y.shape[1], y.shape[0])
    cb, cr = (cv2.resize(c.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) - 128 for c in (cb, cr))
    y = y.astype(np.float32)
    bgr = np.stack([y + 1.772 * cb, y - 0.344136 * cb - 0.714136 * cr, y + 1.402 * cr], -1)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


def draw_length(rng, max_shake):
    """Path length in px: some none, some hardly any, the rest leaning to the short side."""
    u = rng.random()
    if u < CHANCES["still"]:
        return 0.0
    if u < CHANCES["still"] + CHANCES["nearly still"]:
        return rng.uniform(0, 1.5)
    return 1 + (max_shake - 1) * rng.random() ** 1.4


class Curve:
    """What a camera does to linear light before 8 bits: a gamma, and contrast k in 0..0.5 about the middle."""

    def __init__(self, gamma, k=0.0):
        self.gamma, self.k = gamma, k
        v = np.linspace(0, 1, 1025)
        self.table = np.interp(np.arange(256) / 255, self.contrast(v), v ** gamma).astype(np.float32)

    def contrast(self, v):
        return v + self.k * v * (1 - v) * (2 * v - 1)

    def decode(self, image):
        """uint8 to linear light, float32 0..1."""
        return cv2.LUT(image, self.table)

    def encode(self, light):
        """Linear light to 0..255, float32, clipped and not rounded."""
        return self.contrast(np.clip(light, 0, 1) ** np.float32(1 / self.gamma)) * 255


def draw_curve(rng):
    if rng.random() < CHANCES["linear feed"]:
        return Curve(1.0)
    return Curve(rng.uniform(1.7, 2.6), rng.uniform(0, 0.45) if rng.random() < 0.4 else 0.0)


def brighten_highlights(rng, light):
    """What is nearly white is really brighter than white."""
    excess = np.clip((light.min(2, keepdims=True) - 0.82) / 0.16, 0, 1)
    return light * (1 + rng.uniform(0.1, 2.5) * excess)


def nightfall(rng, light):
    """`light` as at night: dark, of a lamp's colour, and with lamps in it up to 40 times white."""
    light = light * (np.exp(rng.uniform(np.log(0.02), np.log(0.3))) * rng.uniform(0.6, 1.3, size=3)).astype(np.float32)
    for _ in range(int(rng.integers(1, 7))):
        x, y = rng.uniform(0.1, 0.9, size=2) * light.shape[0]
        r, power = rng.uniform(0.5, 4.5), np.exp(rng.uniform(np.log(0.7), np.log(40)))
        colour = power * np.clip(rng.normal(0.8, 0.3, size=3), 0.1, 1.2)
        x0, y0, reach = int(x), int(y), int(5 * r) + 5
        left, top = max(x0 - reach, 0), max(y0 - reach, 0)
        yy, xx = np.mgrid[top:y0 + reach, left:x0 + reach]
        distance = np.hypot(xx - x, yy - y)
        spot = np.clip(r + 0.5 - distance, 0, 1) + 0.02 * np.exp(-(distance / (1 + r)) ** 2 / 2)
        box = light[top:y0 + reach, left:x0 + reach]
        box += spot[:box.shape[0], :box.shape[1], None].astype(np.float32) * colour.astype(np.float32)
    return light


def shape(rng, size):
    """The outline of a thing, antialiased: float32 [S, S] of 0..1. An oval, a box, or a blob of several."""
    mask = np.zeros((size, size), np.uint8)
    middle, kind = rng.uniform(0.25, 0.75, size=2) * size, rng.integers(3)
    for _ in range(1 if kind < 2 else int(rng.integers(2, 5))):
        axes = rng.uniform(8, 48, size=2)
        at = middle + (rng.normal(size=2) * 18 if kind == 2 else 0)
        if kind == 1:
            box = cv2.boxPoints((tuple(at), tuple(axes * 1.8), rng.uniform(-20, 20)))
            cv2.fillPoly(mask, [np.round(box * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        else:
            cv2.ellipse(mask, tuple(int(v * 16) for v in at), tuple(int(v * 16) for v in axes), rng.uniform(0, 180), 0, 360,
                        255, -1, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def draw_layer(rng, light):
    """Something in front: the scene mirrored, brighter or darker, cut out. Premultiplied float32 [S, S, 4]."""
    texture = light[::-1, ::-1] if rng.random() < 0.5 else light[:, ::-1]
    alpha = shape(rng, light.shape[0])[..., None]
    return np.concatenate([texture * rng.uniform(0.5, 1.6, size=3).astype(np.float32) * alpha, alpha], 2)


def draw_motion(rng, length, patch, limit, regions):
    """(poses of the camera, poses of what is in front or None, centre offset px) over one random exposure."""
    seconds = np.exp(rng.uniform(*np.log(EXPOSURES)))
    readout = 0.0
    if rng.random() < CHANCES["rolling shutter"]:
        readout = min(rng.uniform(*READOUTS) * patch / rng.choice(FRAME_ROWS) / seconds, 1.0)
    inside, t = motion.within(motion.TIMES), motion.TIMES

    def path(length):
        kind = motion.KINDS[str(rng.choice(list(KINDS), p=list(KINDS.values())))]
        return motion.scaled(rng, kind(rng, t, seconds), inside, length)

    camera = path(length)
    own = camera + path(length if rng.random() < CHANCES["fixed camera"] else rng.uniform(1, 18)) if regions else None
    if own is not None and rng.random() < CHANCES["fixed camera"]:
        own, camera = own - camera, camera * 0
    n = motion.subframes(max(motion.travel(p[inside]) for p in (camera, own) if p is not None))
    poses = [None if p is None else motion.within_reach(motion.row_poses(p, n, patch, readout), limit) for p in (camera, own)]
    return poses[0], poses[1], rng.uniform(-400, 400, size=2)


def defocus(rng, light):
    r = rng.uniform(0.4, 1.7)
    return cv2.GaussianBlur(light, (0, 0), r * 0.7) if rng.random() < 0.5 else cv2.filter2D(light, -1, disk(r))


def add_noise(rng, light, shot, read):
    """Variance shot^2 * light + read^2, as a sensor's photons and electronics have it."""
    sigma = np.sqrt(np.clip(light, 0, 1) * np.float32(shot ** 2) + np.float32(read ** 2))
    return light + rng.standard_normal(light.shape, dtype=np.float32) * sigma


def mosaic(rng, light, shot, read):
    """Noise where it arises: in a Bayer sensor, red and blue amplified to white balance, then demosaiced."""
    gains = np.array([rng.uniform(1.2, 2.2), 1.0, rng.uniform(1.2, 2.2)], np.float32)
    dim = np.clip(light, 0, 1) / gains
    raw = np.empty(light.shape[:2], np.float32)
    raw[::2, ::2], raw[::2, 1::2], raw[1::2, ::2], raw[1::2, 1::2] = (
        dim[::2, ::2, 2], dim[::2, 1::2, 1], dim[1::2, ::2, 1], dim[1::2, 1::2, 0])
    raw = np.clip(add_noise(rng, raw, shot, read) * 60000 + 2000, 0, 65535).astype(np.uint16)
    how = cv2.COLOR_BayerBG2BGR if rng.random() < 0.5 else cv2.COLOR_BayerBG2BGR_EA
    return (cv2.demosaicing(raw, how).astype(np.float32) - 2000) / 60000 * gains


def sense(rng, light, still):
    """Shot and read noise, perhaps through a mosaic."""
    if rng.random() >= CHANCES["noise when still" if still else "noise"]:
        return light
    shot, read = rng.uniform(0, 0.022), rng.uniform(0, 0.004)
    if not still and rng.random() < CHANCES["mosaic"]:
        return mosaic(rng, light, shot, read)
    return add_noise(rng, light, shot, read)


def smear(rng, image):
    """A camera's noise reduction."""
    return cv2.bilateralFilter(np.rint(image).astype(np.uint8), 5, rng.uniform(8, 30), rng.uniform(1, 2.5)).astype(np.float32)


def overdo_edges(rng, image):
    """A camera's sharpening: unsharp mask, with its halo."""
    return image + rng.uniform(0.15, 0.8) * (image - cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 1.5)))


def rescale(rng, image):
    """A picture taken at fewer pixels than delivered."""
    ways, size = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4), image.shape[0]
    less = int(size * rng.uniform(0.55, 0.95))
    small = cv2.resize(image, (less, less), interpolation=int(rng.choice(ways)))
    return cv2.resize(small, (size, size), interpolation=int(rng.choice(ways[1:])))


def process(rng, image, still):
    """What the camera does to its picture, 0..255, before it is compressed. A still frame is left as it is."""
    for name, step in (("denoising", smear), ("sharpening", overdo_edges), ("rescaling", rescale)):
        if rng.random() < CHANCES[name] and not still:
            image = np.clip(step(rng, image), 0, 255)
    return image


def compress(rng, planes):
    """JPEG at a camera's quality, 50 to 98 and mostly above 75."""
    if rng.random() >= CHANCES["jpeg"]:
        return planes
    return jpeg_planes(planes, int(98 - 48 * rng.random() ** 1.8))


def middle(image, patch):
    m = (image.shape[0] - patch) // 2
    return image[m:m + patch, m:m + patch]


def film(rng, crop, patch, length, max_shake):
    """A training pair: anything from CHANCES may have happened."""
    still = length == 0
    curve = draw_curve(rng)
    light = curve.decode(crop)
    if rng.random() < CHANCES["night"]:
        light = nightfall(rng, light)
    elif rng.random() < CHANCES["highlights"]:
        light = brighten_highlights(rng, light)
    seen = sharp = middle(light, patch)
    if not still:
        layer = draw_layer(rng, light) if rng.random() < CHANCES["moving region"] else None
        limit = (crop.shape[0] - patch) / 2 - 3
        poses, own, offset = draw_motion(rng, length, patch, limit, layer is not None)
        if layer is not None:
            front = middle(layer, patch)
            sharp = sharp * (1 - front[..., 3:]) + front[..., :3]
        seen = motion.expose(light, poses, patch, crop.shape[0] / 2 + offset, layer, own)
        if rng.random() < CHANCES["defocus"]:
            seen = defocus(rng, seen)
    seen = process(rng, curve.encode(sense(rng, seen, still)), still)
    return compress(rng, to_planes(seen)), to_planes(curve.encode(sharp))


def shake(rng, crop, patch, length):
    """An evaluation pair: a plain hand's shake of `length` px, noise and JPEG, and nothing else."""
    gamma = 1.0 if rng.random() < 0.15 else rng.uniform(1.7, 2.6)
    light = cv2.LUT(crop, ((np.arange(256) / 255.0) ** gamma).astype(np.float32))
    if length > 0 and rng.random() < 0.25:
        excess = np.clip((crop.min(2, keepdims=True).astype(np.float32) - 235) / 20, 0, 1)
        light = light * (1 + rng.uniform(0.1, 1.5) * excess)
    b = middle(light, patch)
    if length > 0:
        path = motion.within_reach(motion.hand_path(rng, length), (crop.shape[0] - patch) / 2 - 3)
        poses = path[np.linspace(0, len(path) - 1, motion.subframes(motion.travel(path))).astype(int)][:, None]
        b = motion.expose(light, poses, patch, crop.shape[0] / 2 + rng.uniform(-400, 400, size=2))
        if rng.random() < 0.2:
            r = rng.uniform(0.4, 1.6)
            b = cv2.GaussianBlur(b, (0, 0), r * 0.7) if rng.random() < 0.5 else cv2.filter2D(b, -1, disk(r))
    if rng.random() < (0.5 if length == 0 else 0.75):
        b = add_noise(rng, b, rng.uniform(0, 0.012), rng.uniform(0, 0.004))
    blurred = to_planes(np.clip(b, 0, 1) ** np.float32(1 / gamma) * 255)
    if rng.random() < 0.7:
        blurred = jpeg_planes(blurred, int(rng.integers(70, 98)))
    return blurred, to_planes(middle(crop, patch))


def degrade(rng, crop, patch, length=None, max_shake=24.0, kind="any"):
    """A sharp crop uint8 BGR [S, S, 3] to (blurred planes, sharp planes, length px), patches `patch` px wide.

    length None draws one; 0 is the identity, perhaps with noise, through a JPEG coder. kind "any" is for training;
    "hand" is the plain shake that evaluation measures by.
    """
    if length is None:
        length = draw_length(rng, max_shake)
    if kind == "hand":
        return *shake(rng, crop, patch, length), length
    return *film(rng, crop, patch, length, max_shake), length
