"""docs/before-after.jpg: parts of the demo clip's frames as the camera saw them, predicted, refined, and the truth.

    make build && cd train && /usr/bin/python3 before_after.py ../docs/before-after.jpg
"""
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = {62: (150, 140, 300, 190), 123: (100, 150, 300, 190)}  # frame: x, y, width, height
COLUMNS = ('camera', 'predicted', 'refined, 2 steps', 'truth')


def sharpen(picture, folder, *flags):
    """A picture through `sharpend image`."""
    before, after = folder / 'before.png', folder / 'after.png'
    cv2.imwrite(str(before), picture)
    subprocess.run([ROOT / 'bin/sharpend', 'image', before, after, *flags], check=True, stderr=subprocess.DEVNULL)
    return cv2.imread(str(after))


def row(clip, folder, n, part):
    clip.set(cv2.CAP_PROP_POS_FRAMES, n)
    camera = clip.read()[1]
    truth = cv2.imread(str(ROOT / f'clips/sharp_{n:04d}.jpg'))
    x, y, w, h = part
    pictures = camera, sharpen(camera, folder, '--predict-only'), sharpen(camera, folder, '--steps', '2'), truth
    return np.hstack([p[y:y + h, x:x + w] for p in pictures])


def main(out):
    clip = cv2.VideoCapture(str(ROOT / 'clips/shake.avi'))
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(clip, pathlib.Path(folder), n, part) for n, part in PARTS.items()]
    head = np.full((26, rows[0].shape[1], 3), 255, np.uint8)
    for i, text in enumerate(COLUMNS):
        cv2.putText(head, text, (i * 300 + 8, 18), cv2.FONT_HERSHEY_SIMPLEX, .5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(out, np.vstack([head, *rows]), [cv2.IMWRITE_JPEG_QUALITY, 92])


if __name__ == '__main__':
    main(sys.argv[1])
