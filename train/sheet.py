"""Pictures side by side, four times as large: for looking at what the figures cannot say.

The parts were fixed before anything was seen: the middles of the first evaluation patches, one for each length of shake.
"""
import cv2
import numpy as np

import blur
import scenes

LENGTHS = (4, 6, 9, 12)  # px; patch number i at length i
STEPS = (1, 4, 16)
PART, TIMES = 64, 4


def column(picture):
    """The middle of a picture, enlarged: BGR."""
    image = blur.to_bgr(*picture)
    y, x = ((n - PART) // 2 for n in image.shape[:2])
    return cv2.resize(image[y:y + PART, x:x + PART], None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC)


def row(networks, blurred, sharp):
    """{caption: picture} from left to right."""
    predicted = networks.predict(blurred)
    out = {"blurred": blurred, "predicted": predicted}
    if networks.denoiser:
        rng = np.random.default_rng(scenes.SEED)
        out |= {f"refined, {n} step{'s' * (n > 1)}": networks.refine(blurred, predicted, networks.way(n), rng) for n in STEPS}
    return out | {"sharp": sharp}


def section(bench):
    rows = []
    for i, length in enumerate(LENGTHS):
        blurred, sharp = scenes.shaken(bench.photos, length, i + 1)[i]
        pictures = row(bench.networks, blurred, sharp)
        rows.append(np.hstack([column(p) for p in pictures.values()]))
    head = np.full((28, rows[0].shape[1], 3), 255, np.uint8)
    for i, text in enumerate(pictures):
        cv2.putText(head, text, (i * PART * TIMES + 8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(bench.figure("sheet.jpg"), np.vstack([head] + rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return (f"![blurred, predicted, refined, sharp](figures/sheet.jpg)\n\nThe middle {PART}x{PART} px of held-out patches, {TIMES} "
            f"times as large; shake of {', '.join(map(str, LENGTHS))} px from top to bottom. Not picked by their looks: the first "
            "patches of the evaluation.")
