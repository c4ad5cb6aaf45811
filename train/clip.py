"""Make the demo clip: slow pans over held-out photographs, filmed by a hand that shakes.

    python3 clip.py --photos DIR ../clips

The camera moves continuously over real time; each frame is the mean, in linear light, of what it saw while the shutter was
open. Then shot and read noise, and JPEG. Writes shake.avi (MJPEG) and the true sharp picture of three instants.
"""
import argparse
import os
import struct

import cv2
import numpy as np

WIDTH, HEIGHT, FPS = 640, 360, 12
SHUTTER = 1 / 20         # s
SCENE_SECONDS = 4.0
SUBFRAMES = 40
GAMMA = 2.2
QUALITY = 85
SCENES = ["kodak_24", "kodak_20", "kodak_21"]
SHARP = [10, 62, 123]    # frames whose sharp truth is kept
SEED = 5


def sign(image):
    """A plate with text on the lawn of one scene, in place."""
    x, y, w, h = 268, 384, 196, 62
    cv2.rectangle(image, (x, y), (x + w, y + h), (40, 60, 50), -1, cv2.LINE_AA)
    cv2.rectangle(image, (x + 3, y + 3), (x + w - 3, y + h - 3), (232, 238, 236), -1, cv2.LINE_AA)
    cv2.putText(image, "GATE 7B", (x + 12, y + 31), cv2.FONT_HERSHEY_DUPLEX, 0.86, (40, 36, 30), 2, cv2.LINE_AA)
    cv2.putText(image, "keep right  NZ 4821", (x + 12, y + 52), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (50, 46, 40), 1, cv2.LINE_AA)


def envelope(t):
    """How hard the hand shakes at t s, 0..1: calm moments come and go."""
    return np.clip(0.62 + 0.62 * np.sin(2 * np.pi * t / 2.3 - 1.2), 0.03, 1.1)


class Hand:
    """Camera position as a function of time: sway below 2 Hz and tremor around 7 Hz, random phases."""

    def __init__(self, rng):
        self.parts = [[(rng.uniform(0.4, 0.9), a, rng.uniform(0, 6.3)), (rng.uniform(1.2, 1.9), a / 2, rng.uniform(0, 6.3))]
                      for a in (6.0, 5.0)]
        self.tremor = [[(f * rng.uniform(0.9, 1.1), a * rng.uniform(0.7, 1.2), rng.uniform(0, 6.3))
                        for f, a in ((5.1, 3.4), (7.7, 3.6), (10.3, 1.4))] for _ in range(2)]
        self.roll = (rng.uniform(1.5, 2.5), 0.004, rng.uniform(0, 6.3))

    def __call__(self, t):
        """(x px, y px, roll rad) at t s."""
        wave = lambda parts: sum(a * np.sin(2 * np.pi * f * t + p) for f, a, p in parts)
        x, y = (wave(s) + envelope(t) * wave(q) for s, q in zip(self.parts, self.tremor))
        return x, y, wave([self.roll]) * (0.3 + envelope(t))


def view(light, x, y, roll):
    """What the camera sees: float32 [HEIGHT, WIDTH, 3] of `light`, top left corner at (x, y), rolled about the middle."""
    c, s = np.cos(roll), np.sin(roll)
    m = np.array([[c, -s, 0], [s, c, 0]], np.float64)
    m[:, 2] = np.array([x + WIDTH / 2, y + HEIGHT / 2]) - m[:, :2] @ np.array([WIDTH / 2, HEIGHT / 2])
    return cv2.warpAffine(light, m, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT)


def pan(i, size):
    """A straight, slow line over the photograph: function of 0..1 to the window's top left corner."""
    slack = np.array([size[1] - WIDTH, size[0] - HEIGHT])
    a, b = [(np.array([0.32, 0.55]), np.array([0.68, 0.40])), (np.array([0.30, 0.68]), np.array([0.70, 0.72]))][i % 2]
    return lambda u: slack * (a + (b - a) * u)


def encode(bgr, quality):
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def to_bytes(light):
    return (np.clip(light, 0, 1) ** (1 / GAMMA) * 255 + 0.5).astype(np.uint8)


def film(photos):
    """Yield (JPEG bytes, sharp BGR, blur in px) for each frame."""
    rng = np.random.default_rng(SEED)
    per_scene = round(SCENE_SECONDS * FPS)
    for i, name in enumerate(SCENES):
        image = cv2.imread(os.path.join(photos, name + ".jpg"))
        if image is None:
            raise FileNotFoundError(os.path.join(photos, name + ".jpg"))
        if name == "kodak_20":
            sign(image)
        light = ((image / 255.0) ** GAMMA).astype(np.float32)
        corner, hand = pan(i, image.shape), Hand(rng)
        for n in range(per_scene):
            t0 = (i * per_scene + n) / FPS
            t = t0 + (np.arange(SUBFRAMES) + 0.5) / SUBFRAMES * SHUTTER
            u = (t - i * SCENE_SECONDS) / SCENE_SECONDS
            path = np.array([[*(corner(v) + np.array(hand(s)[:2])), hand(s)[2]] for v, s in zip(u, t)])
            seen = np.mean([view(light, *p) for p in path], axis=0)
            sharp = to_bytes(view(light, *path.mean(0)))
            noisy = seen + rng.standard_normal(seen.shape) * np.sqrt(np.clip(seen, 0, 1) * 0.006 ** 2 + 0.0015 ** 2)
            yield encode(to_bytes(noisy), QUALITY), sharp, np.hypot(*np.diff(path[:, :2], axis=0).T).sum()


def avi(frames):
    """JPEG frames as the bytes of an MJPEG AVI with an index."""
    chunk = lambda tag, b: tag + struct.pack("<I", len(b)) + b + b"\0" * (len(b) & 1)
    lst = lambda kind, b: chunk(b"LIST", kind + b)
    largest = max(map(len, frames))
    main = struct.pack("<14I", 1_000_000 // FPS, largest * FPS, 0, 0x10, len(frames), 0, 1, largest, WIDTH, HEIGHT, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIIIhhhh", b"vids", b"MJPG", 0, 0, 0, 0, 1, FPS, 0, len(frames), largest, 0xFFFFFFFF, 0,
                         0, 0, WIDTH, HEIGHT)
    picture = struct.pack("<IiiHH4sIiiII", 40, WIDTH, HEIGHT, 1, 24, b"MJPG", WIDTH * HEIGHT * 3, 0, 0, 0, 0)
    index, body = b"", b""
    for f in frames:
        index += struct.pack("<4sIII", b"00dc", 0x10, 4 + len(body), len(f))
        body += chunk(b"00dc", f)
    header = lst(b"hdrl", chunk(b"avih", main) + lst(b"strl", chunk(b"strh", stream) + chunk(b"strf", picture)))
    return chunk(b"RIFF", b"AVI " + header + lst(b"movi", body) + chunk(b"idx1", index))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("out")
    a = p.parse_args()
    frames = []
    for n, (jpeg, sharp, pixels) in enumerate(film(a.photos)):
        frames.append(jpeg)
        if n in SHARP:
            with open(os.path.join(a.out, f"sharp_{n:04d}.jpg"), "wb") as f:
                f.write(encode(sharp, 95))
            seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)
            print(f"frame {n}: shake {pixels:.1f} px, PSNR {cv2.PSNR(seen, sharp):.2f} dB")
        print(f"{pixels:.0f}", end=" ", flush=True)
    movie = avi(frames)
    with open(os.path.join(a.out, "shake.avi"), "wb") as f:
        f.write(movie)
    print(f"\nshake.avi: {len(frames)} frames, {len(frames) / FPS:.1f} s, {len(movie) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
