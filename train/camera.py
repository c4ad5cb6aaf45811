"""What lens, sensor and a camera's own processing do to light and to a picture, one step a function, with NumPy and OpenCV.

Pictures are float32 BGR [H, W, 3]: light from 0 to 1 (and beyond, in the scene), pictures from 0 to 255. batch.py holds the
same steps for many pictures on a GPU.
"""
import math

import cv2
import numpy as np

WAYS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


class Curve:
    """What a camera does to linear light before 8 bits: a gamma, and contrast k in 0..0.5 about the middle."""

    def __init__(self, gamma, k=0.0):
        self.gamma, self.k = gamma, k
        v = np.linspace(0, 1, 1025)
        self.table = np.interp(np.arange(256) / 255, self.contrast(v), v ** gamma).astype(np.float32)

    def contrast(self, v):
        return v + self.k * v * (1 - v) * (2 * v - 1)

    def decode(self, image):
        """uint8 to linear light, 0..1."""
        return cv2.LUT(image, self.table)

    def encode(self, light):
        """Linear light to 0..255, clipped and not rounded."""
        return self.contrast(np.clip(light, 0, 1) ** np.float32(1 / self.gamma)) * 255


def brighten(light, gain):
    """What is nearly white is really up to 1 + `gain` times as bright."""
    return light * (1 + gain * np.clip((light.min(2, keepdims=True) - 0.82) / 0.16, 0, 1))


def lamp(size, x, y, radius, power):
    """(rows, columns, light [h, w]) of a lamp at x, y px in a square of `size`: a disk with a faint glow."""
    reach = int(5 * radius) + 5
    rows = slice(max(int(y) - reach, 0), min(int(y) + reach, size))
    columns = slice(max(int(x) - reach, 0), min(int(x) + reach, size))
    yy, xx = np.mgrid[rows, columns]
    distance = np.hypot(yy - y, xx - x)
    spot = np.clip(radius + 0.5 - distance, 0, 1) + 0.02 * np.exp(-(distance / (1 + radius)) ** 2 / 2)
    return rows, columns, (power * spot).astype(np.float32)


def night(light, tint, lamps):
    """`light` times `tint` [3], with lamps (x, y, radius, power, colour [3]) in it."""
    light = light * np.asarray(tint, np.float32)
    for *where, colour in lamps:
        rows, columns, spot = lamp(light.shape[0], *where)
        light[rows, columns] += spot[..., None] * np.asarray(colour, np.float32)
    return light


def cut_out(light, mask, turned, tint):
    """Something to stand in front: the scene turned or mirrored, tinted, cut out by mask uint8 [S, S].

    Premultiplied: [S, S, 4] of blue, green, red, cover.
    """
    alpha = (mask * np.float32(1 / 255))[..., None]
    texture = light[::-1, ::-1] if turned else light[:, ::-1]
    return np.concatenate([texture * np.asarray(tint, np.float32) * alpha, alpha], 2)


def over(front, back):
    """`front` premultiplied [.., 4] over `back` [.., 3]."""
    return back * (1 - front[..., 3:]) + front[..., :3]


def disk(radius, r=4):
    """Out-of-focus kernel: a soft-edged disk of `radius` px, [2r+1, 2r+1], summing to 1."""
    yy, xx = np.mgrid[-r:r + 1, -r:r + 1]
    k = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    return k / k.sum()


def gaussian(sigma, r=4):
    """Kernel [2r+1, 2r+1] summing to 1."""
    g = cv2.getGaussianKernel(2 * r + 1, sigma, cv2.CV_32F)
    return g @ g.T


def convolve(image, kernel):
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)


def add_noise(rng, light, shot, read):
    """Variance shot^2 * light + read^2, as a sensor's photons and electronics have it."""
    sigma = np.sqrt(np.clip(light, 0, 1) * np.float32(shot ** 2) + np.float32(read ** 2))
    return light + rng.standard_normal(light.shape, dtype=np.float32) * sigma


def mosaic(rng, light, shot, read, gains, edges=False):
    """Noise where it arises: in a Bayer sensor (red at 0, 0), then demosaiced, and amplified by gains [3] to white balance.

    edges chooses OpenCV's demosaicing that follows edges instead of the bilinear one.
    """
    gains = np.asarray(gains, np.float32)
    dim = np.clip(light, 0, 1) / gains
    raw = np.empty(light.shape[:2], np.float32)
    raw[::2, ::2], raw[::2, 1::2], raw[1::2, ::2], raw[1::2, 1::2] = (
        dim[::2, ::2, 2], dim[::2, 1::2, 1], dim[1::2, ::2, 1], dim[1::2, 1::2, 0])
    raw = np.clip(add_noise(rng, raw, shot, read) * 60000 + 2000, 0, 65535).astype(np.uint16)
    how = cv2.COLOR_BayerBG2BGR_EA if edges else cv2.COLOR_BayerBG2BGR
    return (cv2.demosaicing(raw, how).astype(np.float32) - 2000) / 60000 * gains


def smear(image, tones, reach):
    """A camera's noise reduction: bilateral, over `tones` grey levels and `reach` px."""
    return cv2.bilateralFilter(np.rint(image).astype(np.uint8), 5, tones, reach).astype(np.float32)


def overdo_edges(image, amount, sigma):
    """A camera's sharpening: unsharp mask, with its halo."""
    return image + amount * (image - convolve(image, gaussian(sigma)))


def rescale(image, less, down, up):
    """A picture taken at `less` x `less` px and delivered larger."""
    small = cv2.resize(image, (less, less), interpolation=WAYS[down])
    return cv2.resize(small, image.shape[1::-1], interpolation=WAYS[up])


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


def chroma_quality(quality):
    """The standard chroma table is about 1.8 times as coarse as the luma table."""
    return int(max(100 - 1.8 * (100 - quality), 5))


def jpeg_planes(planes, quality):
    """(y, cb, cr) uint8 through a JPEG coder, plane by plane, as a 4:2:0 camera would.

    Planes are coded as greys, because a decoder's chroma smoothing would otherwise come between.
    """
    out = []
    for i, p in enumerate(planes):
        q = quality if i == 0 else chroma_quality(quality)
        out.append(cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, q])[1], cv2.IMREAD_GRAYSCALE))
    return out
