"""What happens to frames that need nothing: sharp ones, and flat ones with noise. And to frames cut into tiles."""
import cv2
import numpy as np

import gain
import metrics
import scenes
from card import table

NOISE = (2, 5, 10)      # grey levels, standard deviation
LEVELS = (40, 128, 215)  # grey levels
TILE, FAR = 256, (0, 8, 16, 24, 32, 48, 64, 80, 96)
GOAL = 42.0             # dB to itself


def to_itself(bench, image):
    """PSNR of the predictor's answer to its own input, a sharp JPEG frame: luma, chroma."""
    frame = scenes.from_camera(image)
    after = bench.networks.predict(frame)
    return metrics.psnr(after[0], frame[0]), gain.chroma(after, frame)


def half(image):
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def sharp(bench):
    names = bench.names
    found = np.array([[to_itself(bench, i), to_itself(bench, half(i))] for i in bench.photos])  # [photo, size, luma chroma]
    rows = [[n] + list(f.ravel()) for n, f in zip(names, found)]
    rows += [["**mean**"] + list(found.mean(0).ravel()), ["**worst**"] + list(found.min(0).ravel())]
    level = found[..., 0]
    return "\n\n".join([
        f"A sharp photograph as a camera's JPEG of quality 90, before and after the predictor, dB to itself: mean "
        f"**{level[:, 0].mean():.1f} dB** at full size (goal {GOAL:.0f}), worst {level[:, 0].min():.1f}; at half size, where every "
        f"edge is one pixel wide, mean {level[:, 1].mean():.1f}, worst {level[:, 1].min():.1f}. Luma that comes back unchanged to the "
        f"last grey level counts as {metrics.BEST:.0f} dB: {(level[:, 0] == metrics.BEST).sum()} of {len(names)} at full size.",
        table(["photograph", "luma", "chroma", "luma, half size", "chroma, half size"], rows)])


def bands(before, after):
    """Change of power in the low, middle and high third of the band, dB."""
    change = 10 * (metrics.rings(after) - metrics.rings(before))
    return [f"{part[part.size > 8:].mean():+.1f}" for part in np.array_split(change, 3)]


def streaks(plane, sectors=12):
    """How much stronger the strongest direction is than the mean, dB: noise has about 0, texture more."""
    side = min(plane.shape)
    a = plane[:side, :side].astype(np.float32)
    window = np.hanning(side)
    power = np.abs(np.fft.fftshift(np.fft.fft2((a - a.mean()) * np.outer(window, window)))) ** 2
    yy, xx = np.indices(power.shape) - side // 2
    radius, angle = np.hypot(yy, xx), np.arctan2(yy, xx) % np.pi
    inside = (radius > side / 32) & (radius < side / 2)
    sector = (angle / np.pi * sectors).astype(int) % sectors
    means = [power[inside & (sector == i)].mean() for i in range(sectors)]
    return float(10 * np.log10(max(means) / np.mean(means)))


def flat(bench):
    rng, rows = np.random.default_rng(1), []
    for deviation in NOISE:
        frames = [scenes.flat_noise(level, deviation) for level in LEVELS]
        after = [bench.networks.predict(f) for f in frames]
        ways = [("predicted", after)]
        if bench.networks.denoiser:
            way = bench.networks.way()
            ways.append((f"refined, {way.steps} steps", [bench.networks.refine(f, p, way, rng) for f, p in zip(frames, after)]))
        for name, pictures in ways:
            spread = lambda ps: np.mean([p[0].std() for p in ps])
            change = np.mean([[float(v) for v in bands(f[0], p[0])] for f, p in zip(frames, pictures)], 0)
            rows.append([str(deviation), name, spread(frames), spread(pictures), *(f"{v:+.1f}" for v in change),
                         np.mean([streaks(f[0]) for f in frames]), np.mean([streaks(p[0]) for p in pictures])])
    return "\n\n".join([
        f"Flat frames of grey level {', '.join(map(str, LEVELS))} with white noise, JPEG quality 90, 256x256; means over the levels. "
        "Texture would show as more power or as a direction that stands out.",
        table(["noise", "", "std in frame", "std after", "power, low third dB", "middle third dB", "high third dB",
               "strongest direction, frame dB", "after dB"], rows)])


def crop(planes, y, x, size):
    """A square of planes y, cb, cr (, y, cb, cr); y, x, size even."""
    halves = [1 if i % 3 == 0 else 2 for i in range(len(planes))]
    return tuple(p[y // k:(y + size) // k, x // k:(x + size) // k] for p, k in zip(planes, halves))


def differences(run, planes, y, x, size=TILE):
    """|whole - tile| of luma, grey levels, and each pixel's distance to the tile's border: two [size, size]."""
    whole = crop(run(*planes), y, x, size)[0].astype(np.float32)
    tile = run(*crop(planes, y, x, size))[0].astype(np.float32)
    i = np.minimum(np.arange(size), np.arange(size)[::-1])
    return np.abs(whole - tile), np.minimum(i[:, None], i[None])


def one_step(nets, sigma=1.0):
    """One evaluation of the denoiser on y, cb, cr and the three planes of a state: the residual in grey levels."""
    def run(*planes):
        picture, level = planes[:3], np.array([sigma], np.float32)
        return [o * s for o, s in zip(nets.denoiser(*planes[3:], level, *picture, *picture), nets.scale)]
    return run


def with_noise(picture, rng):
    return picture + tuple(rng.standard_normal(p.shape, np.float32) for p in picture)


def tiles(bench):
    rng = np.random.default_rng(5)
    frames = [scenes.picture(i[:480, :736]) for i in bench.photos if min(i.shape[:2]) >= 480][:bench.count(8)]
    runs = [("predictor", bench.networks.predictor, frames)]
    if bench.networks.denoiser:
        runs.append(("denoiser, one step", one_step(bench.networks), [with_noise(f, rng) for f in frames]))
    rows = []
    for name, run, planes in runs:
        found = [differences(run, p, 112, 240) for p in planes]
        diff, distance = (np.stack(v) for v in zip(*found))
        cells = [f"{diff[distance >= d].max():.2g} / {100 * (diff[distance >= d] > 1).mean():.2g} %" for d in FAR]
        rows.append([name] + cells)
    return "\n\n".join([
        f"Tiles of {TILE}x{TILE} cut from the middle of {len(frames)} held-out photographs, run alone and as part of the whole "
        "frame: largest difference in grey levels / share of pixels that differ by more than 1, at least so many px from the tile's border.",
        table([""] + [f"{d} px" for d in FAR], rows)])
