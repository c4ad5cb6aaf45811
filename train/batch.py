"""blur.py's recipes carried out for a whole chunk at once, in torch: on a GPU what camera.py and motion.py do one by one.

Tensors are float32 [N, 3, H, W], blue, green, red. The same arithmetic but for noise, which is the device's own, and for
demosaicing along edges, which is bilinear here.
"""
import functools

import cv2
import numpy as np
import torch
import torch.nn.functional as F

import camera

LUMA = torch.tensor([0.114, 0.587, 0.299])
# JPEG's luma table (ITU-T T.81, K.1) at quality 50.
TABLE = torch.tensor([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99]], dtype=torch.float32)


def column(values, like):
    """One number (or three) a picture, ready to be multiplied with pictures."""
    a = torch.as_tensor(np.asarray(values, np.float32), device=like.device)
    return a.view(len(a), -1, 1, 1)


def contrast(v, k):
    return v + k * v * (1 - v) * (2 * v - 1)


def decode(crops, gamma, k):
    """uint8 [N, S, S, 3] to linear light; gamma and k are lists, see camera.Curve."""
    v = torch.linspace(0, 1, 1025, device=crops.device)
    gamma, k = (torch.tensor(a, dtype=torch.float32, device=crops.device)[:, None] for a in (gamma, k))
    rises = contrast(v, k)
    want = (torch.arange(256, device=crops.device) / 255).expand(len(k), 256).contiguous()
    i = torch.searchsorted(rises, want).clamp(1, 1024)
    low, high = rises.gather(1, i - 1), rises.gather(1, i)
    table = ((i - 1 + (want - low) / (high - low)) / 1024) ** gamma
    return table.gather(1, crops.flatten(1).long()).view(crops.shape).permute(0, 3, 1, 2).contiguous()


def encode(light, gamma, k):
    """Linear light to 0..255, not rounded."""
    return contrast(light.clamp(0, 1) ** (1 / column(gamma, light)), column(k, light)) * 255


def illuminate(light, recipes):
    """Highlights and night, in place."""
    gains = column([r.highlights for r in recipes], light)
    light *= 1 + gains * ((light.amin(1, keepdim=True) - 0.82) / 0.16).clamp(0, 1)
    for i, r in enumerate(recipes):
        if r.tint:
            light[i] *= column([r.tint], light)[0]
            for *where, colour in r.lamps:
                rows, columns, spot = camera.lamp(light.shape[-1], *where)
                light[i, :, rows, columns] += torch.as_tensor(spot, device=light.device) * column([colour], light)[0]
    return light


def cut_out(light, recipes):
    """[N, 4, S, S]: camera.cut_out of each."""
    alpha = torch.as_tensor(np.stack([r.mask for r in recipes]), device=light.device)[:, None].float() / 255
    turned = column([r.mask_turned for r in recipes], light) > 0
    texture = torch.where(turned, light.flip(2, 3), light.flip(3)) * column([r.mask_tint for r in recipes], light)
    return torch.cat([texture * alpha, alpha], 1)


def over(front, back):
    return back * (1 - front[:, 3:]) + front[:, :3]


def middle(images, patch):
    m = (images.shape[-1] - patch) // 2
    return images[..., m:m + patch, m:m + patch]


def grids(poses, size, patch, centres):
    """Sub-frame by sub-frame where the pixels look, for grid_sample: a generator of [M, patch, patch, 2].

    poses [N, n, patch, 4], the first M of them still seen: motion.coefficients.
    """
    x, y, roll, zoom = poses.unbind(-1)
    a, c = roll.cos() * (1 + zoom), roll.sin() * (1 + zoom)
    middle_ = (size - patch) / 2
    cx, cy = centres[:, :1, None], centres[:, 1:, None]
    rows = torch.arange(patch, device=poses.device, dtype=torch.float32)
    u, v = middle_ - cx, middle_ - cy + rows
    b, d = a * u - c * v + cx + x, c * u + a * v + cy + y
    # Pixel centres are at whole numbers there and at odd 1/size here.
    return lambda i, m: (torch.stack([a[:m, i, :, None] * rows + b[:m, i, :, None],
                                      c[:m, i, :, None] * rows + d[:m, i, :, None]], -1) * 2 + 1) / size - 1


def padded(poses, patch, device):
    """Poses of different lengths, [n, 1 or patch, 4] each, as one tensor [N, longest, patch, 4]."""
    out = torch.zeros(len(poses), max(map(len, poses)), patch, 4)
    for i, p in enumerate(poses):
        out[i, :len(p)] = torch.as_tensor(p)
    return out.to(device)


def expose(light, poses, patch, centres, front=None, own=None):
    """motion.expose of N pictures, which are sorted by falling number of sub-frames."""
    counts = [len(p) for p in poses]
    centres = torch.tensor(centres, dtype=torch.float32, device=light.device)
    grid = lambda p: grids(padded(p, patch, light.device), light.shape[-1], patch, centres)
    at, own_at = grid(poses), None if front is None else grid(own)
    look = lambda images, g: F.grid_sample(images, g, mode="bilinear", padding_mode="reflection", align_corners=False)
    total = torch.zeros(len(light), 3, patch, patch, device=light.device)
    for i in range(counts[0]):
        m = sum(n > i for n in counts)
        seen = look(light[:m], at(i, m))
        total[:m] += seen if front is None else over(look(front[:m], own_at(i, m)), seen)
    return total / column(counts, total)


def convolve(images, kernels):
    """Each picture by its own kernel [9, 9]."""
    n, channels, h, w = images.shape
    k = torch.as_tensor(np.stack(kernels), device=images.device).float().repeat_interleave(channels, 0)[:, None]
    wide = F.pad(images, (4, 4, 4, 4), mode="reflect").view(1, n * channels, h + 8, w + 8)
    return F.conv2d(wide, k, groups=n * channels).view(n, channels, h, w)


def add_noise(light, recipes, generator):
    shot, read = (column([getattr(r, n) ** 2 for r in recipes], light) for n in ("shot", "read"))
    noise = torch.randn(light.shape, generator=generator, device=light.device)
    return light + noise * (light.clamp(0, 1) * shot + read).sqrt()


def mosaic(light, recipes, generator):
    """camera.mosaic with bilinear demosaicing."""
    gains = column([r.gains for r in recipes], light)
    where = torch.zeros(3, 2, 2, device=light.device)
    where[2, 0, 0] = where[1, 0, 1] = where[1, 1, 0] = where[0, 1, 1] = 1
    where = where.repeat(1, light.shape[2] // 2, light.shape[3] // 2)
    raw = (light.clamp(0, 1) / gains * where).sum(1, keepdim=True)
    raw = add_noise(raw, recipes, generator).clamp(-1 / 30, 63535 / 60000)
    cross = torch.tensor([[0, 1, 0], [1, 4, 1], [0, 1, 0]], device=light.device) / 4
    square = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]], device=light.device) / 4
    kernels = torch.stack([square, cross, square])[:, None]
    return F.conv2d(F.pad(raw * where, (1, 1, 1, 1), mode="reflect"), kernels, groups=3) * gains


def smear(images, recipes):
    """camera.smear: OpenCV's bilateral filter of diameter 5, with the round window that it uses."""
    tones, reach = (column([r.smear[i] for r in recipes], images) for i in (0, 1))
    images = images.round()
    wide, total, weights = F.pad(images, (2, 2, 2, 2), mode="reflect"), 0, 0
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dx * dx + dy * dy > 4:
                continue
            other = wide[:, :, 2 + dy:wide.shape[2] - 2 + dy, 2 + dx:wide.shape[3] - 2 + dx]
            apart = (other - images).abs().sum(1, keepdim=True)
            w = (-apart ** 2 / (2 * tones ** 2) - (dx * dx + dy * dy) / (2 * reach ** 2)).exp()
            total, weights = total + w * other, weights + w
    return (total / weights).round()


def overdo_edges(images, recipes):
    soft = convolve(images, [camera.gaussian(r.sharpen[1]) for r in recipes])
    return images + column([r.sharpen[0] for r in recipes], images) * (images - soft)


@functools.lru_cache(1000)
def resampling(size, less, down, up):
    """OpenCV's way from `size` px to `less` and back as a matrix [size, size]."""
    half = cv2.resize(np.eye(size, dtype=np.float32), (size, less), interpolation=camera.WAYS[down])
    return cv2.resize(half, (size, size), interpolation=camera.WAYS[up])


def rescale(images, recipes):
    m = torch.as_tensor(np.stack([resampling(images.shape[-1], *r.rescale) for r in recipes]), device=images.device)[:, None]
    return m @ images @ m.transpose(-1, -2)


def where(images, recipes, wanted, step, *more):
    """`images` with `step` done to those whose recipe is `wanted`."""
    some = [i for i, r in enumerate(recipes) if wanted(r)]
    if some:
        images[some] = step(images[some], [recipes[i] for i in some], *more)
    return images


def to_planes(images):
    """(y [N, 1, H, W], c [N, 2, H/2, W/2]) of whole numbers: camera.to_planes."""
    y = (images * LUMA.to(images.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    c = torch.cat([(images[:, :1] - y) * 0.564, (images[:, 2:] - y) * 0.713], 1) + 128
    return y.round().clamp(0, 255), F.avg_pool2d(c, 2).round().clamp(0, 255)


def jpeg(planes, qualities):
    """Planes [N, C, H, W] through JPEG's rounding of 8x8 blocks' spectra; quality 0 leaves a picture as it is."""
    k = torch.arange(8.0, device=planes.device)
    d = torch.cos((2 * k + 1) * k[:, None] * np.pi / 16) / 2
    d[0] /= 2 ** 0.5
    q = column(qualities, planes)
    scale = torch.where(q < 50, (5000 / q.clamp(1)).floor(), 200 - 2 * q)
    steps = ((TABLE.to(planes.device) * scale + 50) / 100).floor().clamp(1, 255)
    n, c, h, w = planes.shape
    blocks = planes.view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4) - 128
    steps = steps.view(n, 1, 1, 1, 8, 8)
    blocks = d.T @ ((d @ blocks @ d.T / steps).round() * steps) @ d
    out = (blocks + 128).transpose(3, 4).reshape(n, c, h, w).round().clamp(0, 255)
    return torch.where(q > 0, out, planes)


def seen(light, front, recipes, patch):
    """What the sensor receives of those that are exposed; `front` is None or belongs to all of them."""
    order = sorted(range(len(recipes)), key=lambda i: -len(recipes[i].poses))
    r = [recipes[i] for i in order]
    out = torch.empty(len(r), 3, patch, patch, device=light.device)
    out[order] = expose(light[order], [x.poses for x in r], patch, [x.centre for x in r],
                        None if front is None else front[order], None if front is None else [x.own_poses for x in r])
    return out


def develop(crops, recipes, patch, generator):
    """crops uint8 [N, S, S, 3] to (blurred pictures before JPEG, sharp ones), 0..255 and not rounded."""
    gamma, k = [r.gamma for r in recipes], [r.contrast for r in recipes]
    light = illuminate(decode(crops, gamma, k), recipes)
    sharp = middle(light, patch).clone()
    image = sharp.clone()
    for behind in (False, True):
        some = [i for i, r in enumerate(recipes) if r.poses is not None and (r.mask is not None) == behind]
        if some:
            part, front = [recipes[i] for i in some], None
            if behind:
                front = cut_out(light[some], part)
                sharp[some] = over(middle(front, patch), sharp[some])
            image[some] = seen(light[some], front, part, patch)
    image = where(image, recipes, lambda r: r.lens is not None, lambda x, r: convolve(x, [a.lens for a in r]))
    image = where(image, recipes, lambda r: r.gains, mosaic, generator)
    image = where(image, recipes, lambda r: r.read and not r.gains, add_noise, generator)
    image = encode(image, gamma, k)
    for name, step in (("smear", smear), ("sharpen", overdo_edges), ("rescale", rescale)):
        image = where(image, recipes, lambda r: getattr(r, name), step).clamp(0, 255)
    return image, encode(sharp, gamma, k)


def pairs(crops, recipes, patch, seed, device, at_once=128):
    """A chunk: y uint8 [N, 2, P, P], c uint8 [N, 2, 2, P/2, P/2] on `device`, blurred first."""
    generator, done = torch.Generator(device).manual_seed(seed), []
    for i in range(0, len(recipes), at_once):
        part = recipes[i:i + at_once]
        blurred, sharp = (to_planes(p) for p in develop(torch.as_tensor(crops[i:i + at_once]).to(device), part, patch, generator))
        q = [r.quality for r in part]
        blurred = jpeg(blurred[0], q), jpeg(blurred[1], [x and camera.chroma_quality(x) for x in q])
        done.append((torch.stack([blurred[0][:, 0], sharp[0][:, 0]], 1).byte(), torch.stack([blurred[1], sharp[1]], 1).byte()))
    return tuple(torch.cat(a) for a in zip(*done))
