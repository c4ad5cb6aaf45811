"""What a shaken camera does to a sharp patch.

Blur is the mean of many sub-frames, each a small homography of the sharp patch, along a hand-shake path
over the exposure: kernels laid over the picture trained networks that did not help real frames.
The path is centred, so the sharp patch itself is the target: a shift that cannot be seen cannot be learnt.
"""
import math

import cv2
import numpy as np

cv2.setNumThreads(1)

MAX_SUBFRAMES = 28


def hand_path(rng, length, n=64):
    """Positions of the camera during one exposure: [n, 4] = x px, y px, roll rad, zoom; mean 0.

    A drift and a few slow swings. A hand shakes at about 8-12 Hz and an exposure lasts a fraction of a swing,
    so most paths bend once or twice and few of them wriggle. `length` is that of the x, y path in px.
    """
    t = np.linspace(0, 1, n)
    swings = (0.4, 1.0) if rng.random() < 0.6 else (1.0, 2.0, 3.0)

    def axis():
        v = rng.normal() * 1.6 * t
        for f in swings:
            v = v + rng.normal() * np.sin(2 * np.pi * (f * rng.uniform(0.5, 1.2) * t + rng.random())) / (1.6 * max(f, 1))
        return v - v.mean()

    x, y, roll, zoom = axis(), axis(), axis(), axis()
    k = length / max(np.hypot(np.diff(x), np.diff(y)).sum(), 1e-6)
    roll = roll * k * 4e-4 * rng.random()
    zoom = zoom * k * 2e-4 * rng.random()
    return np.stack([x * k, y * k, roll, zoom], 1)


def expose(image, path, patch, centre):
    """Mean of `image` (float32 [S, S, 3], linear light) seen along `path`: float32 [patch, patch, 3].

    `centre` is what the camera rolls and zooms about, in px of `image`; it may lie outside.
    """
    margin = (image.shape[0] - patch) / 2
    n = int(np.clip(np.hypot(*np.diff(path[:, :2], axis=0).T).sum() * 1.3, 5, MAX_SUBFRAMES))
    cx, cy = centre
    total = np.zeros((patch, patch, 3), np.float32)
    for x, y, roll, zoom in path[np.linspace(0, len(path) - 1, n).astype(int)]:
        c, s = math.cos(roll) * (1 + zoom), math.sin(roll) * (1 + zoom)
        m = np.array([[c, -s, cx - c * cx + s * cy + x], [s, c, cy - s * cx - c * cy + y]], np.float32)
        m[:, 2] += m[:, :2] @ np.array([margin, margin], np.float32)
        total += cv2.warpAffine(image, m, (patch, patch), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                borderMode=cv2.BORDER_REFLECT)
    return total / n


def shake(rng, image, length, patch):
    """`image` under one random hand path of about `length` px."""
    size = image.shape[0]
    path = hand_path(rng, length)
    reach = np.abs(path[:, :2]).max()
    limit = (size - patch) / 2 - 3
    if reach > limit:
        path *= limit / reach
    centre = size / 2 + rng.uniform(-400, 400, size=2)  # a patch is seldom in the middle of its frame
    return expose(image, path, patch, centre)


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
    """Path length in px: 20 % none, 10 % hardly any, the rest leaning to the short side."""
    u = rng.random()
    if u < 0.20:
        return 0.0
    if u < 0.30:
        return rng.uniform(0, 1.5)
    return 1 + (max_shake - 1) * rng.random() ** 1.4


def degrade(rng, crop, patch, length=None, max_shake=24.0, regions=True):
    """A sharp crop uint8 BGR [S, S, 3] to (blurred planes, sharp planes, length px), patches `patch` px wide.

    length None draws one. length 0 is the identity: the sharp patch, perhaps with noise, through a JPEG coder.
    """
    margin = (crop.shape[0] - patch) // 2
    sharp = crop[margin:margin + patch, margin:margin + patch]
    if length is None:
        length = draw_length(rng, max_shake)
    gamma = 1.0 if rng.random() < 0.15 else rng.uniform(1.7, 2.6)  # camera curves differ; some feeds are linear
    light = cv2.LUT(crop, ((np.arange(256) / 255.0) ** gamma).astype(np.float32))
    if length > 0 and rng.random() < 0.25:  # lamps and the sky are brighter than white, and clip after the blur
        excess = np.clip((crop.min(2, keepdims=True).astype(np.float32) - 235) / 20, 0, 1)
        light = light * (1 + rng.uniform(0.1, 1.5) * excess)

    if length == 0:
        b = light[margin:margin + patch, margin:margin + patch]
    else:
        b = shake(rng, light, length, patch)
        if regions and rng.random() < 0.3:  # something that moves on its own
            b2 = shake(rng, light, rng.uniform(0.3, max_shake), patch)
            m = np.zeros((patch, patch), np.float32)
            cv2.ellipse(m, tuple(int(v) for v in rng.integers(patch, size=2)),
                        tuple(int(v) for v in rng.integers(20, 80, size=2)), rng.uniform(0, 180), 0, 360, 1, -1)
            m = cv2.GaussianBlur(m, (0, 0), rng.uniform(1, max(1.5, length / 4)))[..., None]
            b = b * (1 - m) + b2 * m
        if rng.random() < 0.2:  # a little out of focus
            r = rng.uniform(0.4, 1.6)
            b = cv2.GaussianBlur(b, (0, 0), r * 0.7) if rng.random() < 0.5 else cv2.filter2D(b, -1, disk(r))

    if rng.random() < (0.5 if length == 0 else 0.75):
        shot, read = rng.uniform(0, 0.012) ** 2, rng.uniform(0, 0.004) ** 2
        b = b + rng.standard_normal(b.shape, dtype=np.float32) * np.sqrt(np.clip(b, 0, 1) * shot + read)
    b = np.clip(b, 0, 1) ** np.float32(1 / gamma) * 255
    blurred, sharp = to_planes(b), to_planes(sharp)
    if rng.random() < 0.7:
        blurred = jpeg_planes(blurred, int(rng.integers(70, 98)))
    return blurred, sharp, length
