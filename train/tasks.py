"""What machines still read of shaken scenes: AprilTag 36h11, QR codes, barcodes, text.

Each scene is a held-out photograph with codes and a line of text pasted on in perspective, then shaken by a random hand path
of a given length, noise and JPEG included. Needs Debian's python3-apriltag, python3-zbar, python3-pil, python3-matplotlib (for
a font that training does not draw with) and tesseract-ocr; what is missing is left out of the table.
"""
import importlib
import os
import re
import shutil
import subprocess
import tempfile

import cv2
import numpy as np

import blur
import data
import metrics
import plots
import scenes
from card import table

LENGTHS = (0, 3, 5, 7, 9, 12, 15)
SIZE = 256            # px, a scene
SEED = 31415
SHARPEN = 2.0, 1.5    # unsharp mask: px, amount
NEAR = 8              # px, how far from its place a thing may be found
WORDS = ("HARBOUR BRIDGE ORCHARD TUNNEL MARINA STATION GARDEN CASTLE VALLEY WINDMILL FACTORY AIRPORT CHAPEL SCHOOL "
         "LIBRARY THEATRE HOSPITAL BAKERY FOREST QUARRY").split()
# Where things stand: kind, centre x, y.
PLACES = [("tag", 44, 44), ("qr", 128, 44), ("tag", 212, 44), ("text", 128, 106), ("barcode", 128, 152), ("tag", 44, 212),
          ("qr", 128, 208), ("tag", 212, 212)]
# px, quiet zone included; so small that blur matters, settled on the blurred scenes alone
WIDTH = dict(tag=(26, 34), qr=(54, 62), text=(90, 120), barcode=(150, 170))
DIGITS = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
PARITY = ("LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL")


def have(module):
    """The module, or None."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def tag(rng):
    number = int(rng.integers(587))
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    return str(number), np.pad(cv2.aruco.drawMarker(family, number, 8), 1, constant_values=255)


def qr(rng):
    text = "".join(rng.choice(list("ABCDEFGHJKLMNPQRSTUVWXYZ23456789"), size=10))
    return text, cv2.QRCodeEncoder_create().encode(text)  # version 1 with a quiet zone of 2: 25 modules


def barcode(rng):
    """EAN-13 of a random number."""
    n = [int(d) for d in rng.integers(0, 10, size=12)]
    n.append(-sum(d * (1 + 2 * (i % 2)) for i, d in enumerate(n)) % 10)
    mirror = lambda s: s.translate(str.maketrans("01", "10"))
    left = [DIGITS[d] if side == "L" else mirror(DIGITS[d])[::-1] for d, side in zip(n[1:7], PARITY[n[0]])]
    bits = "0" * 9 + "101" + "".join(left) + "01010" + "".join(mirror(DIGITS[d]) for d in n[7:]) + "101" + "0" * 9
    bars = np.array([0 if b == "1" else 255 for b in bits], np.uint8)
    return "".join(map(str, n)), np.repeat(bars[None], 20, 0)


def text(rng):
    from PIL import Image, ImageDraw, ImageFont
    import matplotlib
    words = f"{rng.choice(WORDS)} {rng.integers(100, 1000)}"
    font = ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts/ttf/STIXGeneralBol.ttf"), 40)
    box = font.getbbox(words)
    image = Image.new("L", (box[2] + 24, 60), 255)
    ImageDraw.Draw(image).text((12, 30), words, fill=0, font=font, anchor="lm")
    return words, np.array(image)


DRAW = dict(tag=tag, qr=qr, barcode=barcode, text=text)
TITLES = dict(tag="AprilTag 36h11", qr="QR code", barcode="EAN-13 barcode", text="text")


def paste(rng, image, thing, kind, centre):
    """`thing` grey [h, w] onto `image` BGR in place, in perspective, black and white as in daylight."""
    h, w = thing.shape
    width = rng.uniform(*WIDTH[kind])
    half = np.array([width, width * h / w]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    angle = rng.uniform(-0.06, 0.06) if kind in ("text", "barcode") else rng.uniform(-0.35, 0.35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (corners + rng.uniform(-0.05, 0.05, size=(4, 2)) * half.min() * 2) @ turn.T + centre
    lo, hi = rng.uniform(10, 45), rng.uniform(190, 250)
    x, y = np.floor(corners.min(0)).astype(int) - 1
    ink, cover = warp(thing, corners - (x, y), tuple(np.ceil(np.ptp(corners, 0)).astype(int) + 3))
    part = image[y:y + cover.shape[0], x:x + cover.shape[1]]
    shown = lo * cover + (hi - lo) * ink
    part[:] = np.clip(np.rint(part * (1 - cover) + shown), 0, 255).astype(np.uint8)
    return corners


def warp(thing, corners, size, fine=4):
    """`thing` with its corners there, 0..1, and what it covers: each [size[1], size[0], 1], averaged from `fine` times as large."""
    h, w = thing.shape
    k = max(1, round(fine * np.ptp(corners[:, 0]) / w))  # drawn large, so that the cells keep their edges
    large = np.kron(thing, np.ones((k, k), np.uint8))
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32) * k - 0.5
    m = cv2.getPerspectiveTransform(source, np.float32(corners * fine + (fine - 1) / 2))
    big = tuple(fine * n for n in size)
    return [cv2.resize(cv2.warpPerspective(a, m, big, flags=cv2.INTER_LINEAR).astype(np.float32), size,
                       interpolation=cv2.INTER_AREA)[..., None] / 255 for a in (large, np.full_like(large, 255))]


def scene(images, i, seed=SEED):
    """(image BGR with margins, [(kind, what it says, corners [4, 2] in the scene's px)])."""
    rng = np.random.default_rng([seed, i])
    image = data.sharp_crop(rng, images, SIZE + 2 * scenes.MARGIN)
    things = []
    for kind, x, y in PLACES:
        says, drawn = DRAW[kind](rng)
        centre = np.array([x, y]) + scenes.MARGIN + rng.uniform(-2, 2, size=2)
        things.append((kind, says, paste(rng, image, drawn, kind, centre) - scenes.MARGIN))
    return image, things


def unsharp(picture):
    y = picture[0].astype(np.float32)
    y = y + SHARPEN[1] * (y - cv2.GaussianBlur(y, (0, 0), SHARPEN[0]))
    return (np.clip(np.rint(y), 0, 255).astype(np.uint8),) + picture[1:]


def ways(networks, blurred, rng):
    """{name: luma of the scene} for everything that is compared."""
    predicted = networks.predict(blurred)
    out = {"blurred": blurred, "unsharp mask": unsharp(blurred), "predicted": predicted}
    if networks.denoiser:
        residuals = [networks.residual(blurred, predicted, networks.way(4), rng) for _ in range(4)]
        out["refined, 4 steps"] = networks.add(predicted, residuals[0])
        out["mean of 4 samples"] = networks.add(predicted, sum(residuals) / 4)
    return {name: p[0] for name, p in out.items()}


class Reader:
    """Finds [(kind, what it says, x, y)] in a luma plane; text is read later, all at once."""

    def __init__(self):
        self.april, self.zbar = have("apriltag"), have("zbar")
        self.tags = self.april.apriltag("tag36h11") if self.april else None
        self.codes = self.zbar.ImageScanner() if self.zbar else None
        self.ocr = shutil.which("tesseract") and have("PIL") and have("matplotlib")

    def kinds(self):
        there = dict(tag=self.tags, qr=self.codes, barcode=self.codes, text=self.ocr)
        return [k for k, v in there.items() if v]

    def read(self, y):
        found = [("tag", str(d["id"]), *d["center"]) for d in self.tags.detect(y)] if self.tags else []
        if self.codes:
            image = self.zbar.Image(y.shape[1], y.shape[0], "Y800", y.tobytes())
            self.codes.scan(image)
            names = {"QRCODE": "qr", "EAN13": "barcode"}
            found += [(names[str(s.type)], s.data, *np.mean(s.location, 0)) for s in image if str(s.type) in names]
        return found


def score(things, found):
    """{kind: (read right, things, wrong reads)}; a right reading says what stands there, near where it stands."""
    out = {}
    for kind in DRAW:
        here = [(says, corners.mean(0)) for k, says, corners in things if k == kind]
        seen = [(says, np.array(place)) for k, says, *place in found if k == kind]
        # zbar gives points inside a barcode, not its middle: what it says is enough there.
        right = lambda a, b: a[0] == b[0] and (kind == "barcode" or np.abs(a[1] - b[1]).max() < NEAR)
        hits = sum(any(right(h, s) for s in seen) for h in here)
        out[kind] = hits, len(here), sum(not any(right(h, s) for h in here) for s in seen)
    return out


def plate(y, corners, k=3):
    """The line of text cut out, `k` times as large, as an OCR front end would."""
    lo, hi = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    part = y[max(lo[1], 0):hi[1], max(lo[0], 0):hi[0]]
    return cv2.resize(part, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC)


def read_lines(images):
    """What tesseract reads in each picture of one line; one start of the program for all."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, f"{i:05d}.png") for i in range(len(images))]
        for name, image in zip(names, images):
            cv2.imwrite(name, image)
        with open(os.path.join(folder, "list.txt"), "w") as f:
            f.write("\n".join(names) + "\n")
        out = subprocess.run(["tesseract", f.name, "stdout", "--psm", "7"], capture_output=True, text=True, check=True,
                             env={**os.environ, "OMP_THREAD_LIMIT": "1"}).stdout
    pages = out.split("\f")[:len(images)]
    if len(pages) != len(images):
        raise RuntimeError(f"tesseract read {len(pages)} of {len(images)} lines")
    return [" ".join(re.sub("[^A-Z0-9]", " ", p).split()) for p in pages]


def rates(networks, staged, length, reader):
    """{way: {kind: (read right, things, wrong reads)}} over the scenes, each shaken by a path of its own."""
    total, lines = {}, {}
    for i, (image, things) in enumerate(staged):
        rng = np.random.default_rng([SEED, i, length])
        blurred = blur.degrade(rng, image, SIZE, length, kind="hand")[0]
        for way, y in ways(networks, tuple(blurred), rng).items():
            got = score(things, reader.read(y))
            total.setdefault(way, []).append([got[k] for k in DRAW])
            lines.setdefault(way, []).extend((says, plate(y, c)) for k, says, c in things if k == "text")
    out = {way: dict(zip(DRAW, np.sum(v, 0).tolist())) for way, v in total.items()}
    if "text" in reader.kinds():
        for way, some in lines.items():
            read = read_lines([image for _, image in some])
            out[way]["text"] = sum(a == says for a, (says, _) in zip(read, some)), len(some), 0
    return out


def section(bench):
    count, reader = bench.count(48), Reader()
    staged = [scene(bench.photos, i) for i in range(count)]
    found = {k: rates(bench.networks, staged, k, reader) for k in LENGTHS}
    names, kinds = list(found[0]), reader.kinds()
    share = lambda way, kind: [found[k][way][kind][0] / found[k][way][kind][1] for k in LENGTHS]
    plots.rates(bench.figure("tasks.png"), LENGTHS, {TITLES[d]: {w: share(w, d) for w in names} for d in kinds})
    parts = [summary(found, count), "![rates by shake length](figures/tasks.png)"]
    for kind in kinds:
        n = found[0]["blurred"][kind][1]
        rows = [[way] + [cell(found[k][way][kind], count) for k in LENGTHS]
                + [str(sum(found[k][way][kind][2] for k in LENGTHS)) if kind != "text" else ""] for way in names]
        parts.append(table([f"{TITLES[kind]} ({n} a length)"] + [f"{k} px" for k in LENGTHS] + ["wrong reads"], rows))
    return "\n\n".join(parts)


def cell(numbers, count):
    """Rate, and its 95 % interval with scenes as the sample: what stands in one scene is shaken alike."""
    rate = numbers[0] / numbers[1]
    low, high = metrics.interval(rate * count, count)
    return f"{rate:.2f} ({max(low, 0):.2f}-{min(high, 1):.2f})"


def summary(found, count):
    rate = lambda way: found[12][way]["tag"][0] / max(found[12][way]["tag"][1], 1)
    return (f"{count} scenes a length, {SIZE}x{SIZE}, made of held-out photographs; in brackets the 95 % interval (Wilson), with "
            f"scenes as the sample. AprilTags at 12 px: blurred {rate('blurred'):.3f}, predicted {rate('predicted'):.3f}"
            + (f", **{rate('predicted') / rate('blurred'):.1f} times as many**." if rate("blurred") else "."))
