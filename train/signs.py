"""What machines read, drawn into photographs, which hold little of it: text, number plates, QR codes, tags, barcodes.

The tags are ArUco's: AprilTag 36h11 stays unseen, since recognition is measured with it.
"""
import functools
import glob
import os

import cv2
import numpy as np

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    ImageFont = None

BANK = 1500          # pictures drawn, each once and when first asked for
INK_HEIGHT = 44      # px of a line of text as drawn; pasting makes it smaller
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
WORDS = ("STOP EXIT GATE ENTRY Platform Danger Keep right Customer parking Level Hotel open daily Market Street No entry "
         "Emergency Pull to release Warning high voltage Route km/h Taxi Bus lane Museum Café Bäckerei Ausgang Sortie "
         "Serial no. Made in Load max. kg Inspection valid until Room Floor Container Depot North South").split()
TAGS = [getattr(cv2.aruco, n) for n in ("DICT_4X4_50", "DICT_5X5_100", "DICT_6X6_100", "DICT_7X7_100")]


def fonts_of(folder):
    """Fonts of FOLDER/fonts, sorted; without any (or without PIL) text is drawn in OpenCV's strokes."""
    return tuple(sorted(glob.glob(os.path.join(folder, "fonts", "*.[ot]tf")))) if ImageFont else ()


def line(rng, text, fonts):
    """`text` black on white, uint8 [h, w]."""
    if fonts:
        font = ImageFont.truetype(str(rng.choice(fonts)), INK_HEIGHT)
        box = font.getbbox(text)
        image = Image.new("L", (box[2] + 8, box[3] + 8), 255)
        ImageDraw.Draw(image).text((4, 4), text, fill=0, font=font)
        return np.array(image)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    (w, h), base = cv2.getTextSize(text, font, 1.5, 3)
    image = np.full((h + base + 12, w + 12), 255, np.uint8)
    cv2.putText(image, text, (6, h + 6), font, 1.5, 0, int(rng.integers(2, 5)), cv2.LINE_AA)
    return image


def words(rng, most):
    some = [str(rng.choice(WORDS)) if rng.random() < 0.7 else str(rng.integers(1, 9999)) for _ in range(rng.integers(1, most + 1))]
    return " ".join(some).upper() if rng.random() < 0.3 else " ".join(some)


def paragraph(rng, fonts):
    lines = [line(rng, words(rng, 3), fonts[i:i + 1]) for i in [int(rng.integers(max(len(fonts), 1)))] for _ in range(rng.integers(2, 7))]
    width = max(i.shape[1] for i in lines)
    return np.vstack([np.pad(i, ((0, 0), (0, width - i.shape[1])), constant_values=255) for i in lines])


def number_plate(rng, fonts):
    text = "".join(rng.choice(list(LETTERS), size=rng.integers(1, 4))) + "-" + "".join(rng.choice(list(LETTERS), size=2))
    image = cv2.copyMakeBorder(line(rng, f"{text} {rng.integers(10, 9999)}", fonts), 6, 6, 8, 8, cv2.BORDER_CONSTANT, value=255)
    return cv2.copyMakeBorder(image, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=20)


def modules(cells, side=8, quiet=2):
    """A square code of 0 and 255, each cell `side` px wide, in a quiet zone of `quiet` cells."""
    return np.kron(np.pad(cells, quiet, constant_values=255), np.ones((side, side), np.uint8))


def qr(rng, fonts):
    text = "".join(rng.choice(list(LETTERS + "0123456789:/."), size=rng.integers(6, 40)))
    return modules(cv2.QRCodeEncoder_create().encode(text))


def tag(rng, fonts):
    family = cv2.aruco.getPredefinedDictionary(int(rng.choice(TAGS)))
    cells = family.markerSize + 2
    return modules(cv2.aruco.drawMarker(family, int(rng.integers(len(family.bytesList))), cells), quiet=1)


def barcode(rng, fonts):
    """Bars and gaps 1 to 4 modules wide, as in Code 128 and EAN, with digits below."""
    widths = rng.choice([1, 2, 3, 4], p=[0.5, 0.27, 0.13, 0.1], size=2 * rng.integers(12, 36) + 1)
    bars = np.repeat(np.arange(len(widths)) % 2 * 255, widths * 4).astype(np.uint8)
    image = np.pad(np.tile(bars, (int(rng.integers(60, 160)), 1)), ((12, 6), (40, 40)), constant_values=255)
    below = cv2.resize(line(rng, str(rng.integers(10 ** 11, 10 ** 12)), fonts), (image.shape[1], 34), interpolation=cv2.INTER_AREA)
    return np.vstack([image, below])


@functools.lru_cache(BANK)
def picture(k, fonts):
    """Sign number k: (uint8 [h, w], 255 paper and 0 ink; height in px of the smallest thing to be read; code or not)."""
    rng = np.random.default_rng([4711, k])
    draw, unit, code = ((lambda r, f: line(r, words(r, 3), f), INK_HEIGHT, False), (paragraph, INK_HEIGHT, False),
                        (number_plate, INK_HEIGHT, False), (qr, 8, True), (tag, 8, True),
                        (barcode, 4, True))[rng.choice(6, p=[0.3, 0.17, 0.1, 0.15, 0.16, 0.12])]
    image = draw(rng, fonts)
    return (image if code else cv2.copyMakeBorder(image, 8, 8, 12, 12, cv2.BORDER_CONSTANT, value=255)), unit, code


def colours(rng, code):
    """(ink, paper) BGR, well apart."""
    if code or rng.random() < 0.35:
        return rng.integers(5, 50) * np.ones(3), rng.integers(165, 252) * np.ones(3)
    dark, bright = rng.integers(0, 95, size=3), rng.integers(165, 255, size=3)
    return (dark, bright) if rng.random() < 0.6 else (bright, dark)


def corners(rng, w, h, size):
    """Where a [h, w] plate's corners come to lie: turned, seen at an angle, its middle inside the middle of the picture."""
    turn, flat = rng.normal() * 0.15 + (rng.random() < 0.1) * rng.uniform(0, 6.3), rng.uniform(0.6, 1, size=2)
    box = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 * flat * rng.uniform(0.88, 1.12, size=(4, 2))
    c, s = np.cos(turn), np.sin(turn)
    return (box @ [[c, s], [-s, c]] + rng.uniform(0.2, 0.8, size=2) * size).astype(np.float32)


def paste(rng, crop, k, fonts):
    """Sign number k into `crop` uint8 [S, S, 3], in place and antialiased."""
    image, unit, code = picture(k, fonts)
    shrink = rng.uniform(1.6, 6) / unit if code else rng.uniform(6, 30) / unit
    shrink = min(shrink, 1.5 * crop.shape[0] / max(image.shape), 1)
    image = cv2.resize(image, None, fx=2 * shrink, fy=2 * shrink, interpolation=cv2.INTER_AREA)  # painted at twice the size
    h, w = image.shape
    size = crop.shape[0]
    m = cv2.getPerspectiveTransform(np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32), corners(rng, w, h, 2 * size))
    held = np.stack([image, np.full_like(image, 255)], -1)
    cover = cv2.resize(cv2.warpPerspective(held, m, (2 * size, 2 * size)), (size, size), interpolation=cv2.INTER_AREA) / np.float32(255)
    paper, alpha = cover[..., :1], cover[..., 1:]
    dark, bright = colours(rng, code)
    if not code and rng.random() < 0.4:  # painted on whatever is there
        alpha, plate = alpha - paper, dark
    else:  # premultiplied: paper is already 0 outside
        plate = dark + (bright - dark) * paper / np.maximum(alpha, 1e-3)
    crop[:] = np.clip(crop * (1 - alpha) + plate * alpha + 0.5, 0, 255)


def draw(rng, crop, fonts=()):
    """One to three signs into `crop`, in place."""
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
        paste(rng, crop, int(rng.integers(BANK)), fonts)
