"""How near two pictures are, and how natural one looks. Luma planes, uint8 or float, 0..255."""
import os

import cv2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
BRISQUE = os.environ.get("SHARPEND_BRISQUE") or os.path.join(HERE, "..", "build", "brisque")
BEST = 60.0  # dB that two equal pictures count as


def psnr(a, b):
    """Of planes of grey levels, dB."""
    mse = np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2)
    return min(BEST, float(10 * np.log10(255 ** 2 / max(mse, 1e-9))))


def ssim(a, b):
    """Gaussian window of sigma 1.5 (Wang et al. 2004)."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    g = lambda x: cv2.GaussianBlur(x, (11, 11), 1.5)
    ma, mb = g(a), g(b)
    va, vb, vab = g(a * a) - ma * ma, g(b * b) - mb * mb, g(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2)))[5:-5, 5:-5].mean())


def slope(a):
    """Gradient magnitude of the picture at half size, Prewitt: as GMSD wants it."""
    half = cv2.filter2D(a.astype(np.float32), -1, np.full((2, 2), 0.25, np.float32), anchor=(0, 0))[::2, ::2]
    k = np.array([[1, 0, -1]] * 3, np.float32) / 3
    return np.hypot(cv2.filter2D(half, -1, k), cv2.filter2D(half, -1, k.T))


def gmsd(a, b):
    """Gradient magnitude similarity deviation (Xue et al. 2014): 0 is equal, lower is better."""
    a, b = slope(a), slope(b)
    return float(((2 * a * b + 170) / (a * a + b * b + 170)).std())


def rings(a, n=24):
    """log10 power on rings of rising frequency, of the windowed square at the top left: [n - 1]."""
    side = min(a.shape)
    a = a[:side, :side].astype(np.float32) / 255 * np.outer(np.hanning(side), np.hanning(side))
    power = np.abs(np.fft.fftshift(np.fft.fft2(a))) ** 2
    yy, xx = np.indices(power.shape)
    ring = (np.hypot(yy - side // 2, xx - side // 2) / (side / 2) * n).astype(int)
    return np.log10(np.array([power[ring == i].mean() for i in range(1, n)]) + 1e-9)


def spectrum_distance(a, b):
    """Mean |difference| of log10 power above a quarter of the band: how much fine detail is missing or invented."""
    return float(np.abs(rings(a) - rings(b))[6:].mean())


def brisque(a):
    """BRISQUE (Mittal et al. 2012), no reference, lower looks more natural; NaN without OpenCV's model files."""
    files = [os.path.join(BRISQUE, f"brisque_{part}_live.yml") for part in ("model", "range")]
    if not all(os.path.exists(f) for f in files) or not hasattr(cv2, "quality"):
        return float("nan")
    return float(cv2.quality.QualityBRISQUE_compute(np.clip(np.rint(a), 0, 255).astype(np.uint8), *files)[0])


def interval(hits, n, z=1.96):
    """Wilson's 95 % interval of a rate: (low, high)."""
    p, m = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / m, z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5 / m
    return middle - half, middle + half
