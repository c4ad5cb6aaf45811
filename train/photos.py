"""Ready the photographs and fonts of photographs.tsv, unpacked from Debian's packages, for training.

    python3 photos.py UNPACKED OUT      (UNPACKED/PACKAGE/usr/share/...; scripts/train-data.sh calls it)
"""
import os
import shutil
import sys

import cv2
import numpy as np

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "photographs.tsv")
ACUITY = 0.7     # Kodak's photographs have .67 to .76; a blur of sigma .6 px takes .70 to .64
LONG_SIDE = 2000


def rows():
    """[(package, file, licence, author)] of the table."""
    with open(TABLE, encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


def acuity(image):
    """How much of a steep edge one pixel takes: rise over one pixel by rise over two, where it is steepest."""
    g = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    out = []
    for a in (g, g.T):
        one, two = np.abs(a[:, 1:] - a[:, :-1]), np.abs(a[:, 2:] - a[:, :-2])
        steep = two > np.percentile(two, 99)
        out.append((np.maximum(one[:, 1:], one[:, :-1])[steep] / two[steep]).mean())
    return float(np.mean(out))


def sharpen_by_shrinking(image):
    """`image` made smaller until its pixels are sharp; a big photograph is seldom sharp at its full size."""
    k = min(1.0, LONG_SIDE / max(image.shape[:2]))
    while True:
        small = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else image
        if acuity(small) >= ACUITY or min(small.shape[:2]) * 0.8 < 320:
            return small
        k *= 0.8


def name_of(package, file):
    """A flat name, since many wallpapers are called 2560x1600.jpg: package_name.jpg."""
    stem = os.path.splitext(file)[0].split("/contents/")[0]
    return package.replace("-wallpapers", "").replace("python3-", "") + "_" + os.path.basename(stem).lower()


def main(unpacked, out):
    os.makedirs(os.path.join(out, "fonts"), exist_ok=True)
    for package, file, _, _ in rows():
        source = os.path.join(unpacked, package, file)
        if package.startswith("fonts-"):
            shutil.copy(source, os.path.join(out, "fonts", os.path.basename(file)))
            continue
        target = os.path.join(out, name_of(package, file) + ".jpg")
        if os.path.exists(target):
            continue
        image = cv2.imread(source)
        if image is None:
            raise FileNotFoundError(f"{source}: no picture; photographs.tsv names a file that {package} does not hold")
        small = sharpen_by_shrinking(image)
        cv2.imwrite(target, small, [cv2.IMWRITE_JPEG_QUALITY, 95])
        print(f"{target}: {small.shape[1]}x{small.shape[0]} of {image.shape[1]}x{image.shape[0]}, acuity {acuity(small):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
