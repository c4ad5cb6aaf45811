"""python3 -m unittest discover train"""
import dataclasses
import os
import sys
import unittest

import cv2
import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import batch
import blur
import camera
import motion

PATCH, SIZE = 64, 96


def crop(seed):
    """A drawn scene with soft and hard edges, uint8."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, size=(12, 12, 3)).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    for _ in range(8):
        cv2.circle(image, tuple(int(v) for v in rng.integers(SIZE, size=2)), int(rng.integers(3, 20)),
                   rng.integers(0, 256, size=3).tolist(), -1, cv2.LINE_AA)
    return image


def tensor(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous().float()


def array(tensors):
    return tensors.permute(0, 2, 3, 1).numpy()


class Twin(unittest.TestCase):
    """Each step does to tensors what OpenCV's does to arrays."""

    def near(self, got, want, atol=1.0, most=None, edge=0):
        away = np.abs(np.asarray(got, np.float32) - np.asarray(want))[:, edge:-edge or None, edge:-edge or None]
        self.assertLess(away.mean(), atol / 4)
        self.assertLessEqual(away.max(), atol if most is None else most)

    def images(self, n=3):
        return [crop(i)[:PATCH, :PATCH].astype(np.float32) for i in range(n)]

    def test_curves(self):
        gamma, k = [1.0, 2.2, 2.6], [0.0, 0.4, 0.2]
        crops = np.stack([crop(i) for i in range(3)])
        light = batch.decode(torch.from_numpy(crops), gamma, k)
        curves = [camera.Curve(*c) for c in zip(gamma, k)]
        np.testing.assert_allclose(array(light), [c.decode(x) for c, x in zip(curves, crops)], atol=1e-3)
        self.near(array(batch.encode(light, gamma, k)), crops, 0.2)

    def recipes(self, n, behind=False):
        kept = dict(blur.CHANCES)
        self.addCleanup(blur.CHANCES.update, kept)
        blur.CHANCES.update({k: 0.0 for k in kept})
        blur.CHANCES.update({"rolling shutter": 0.5, "moving region": float(behind)})
        return [blur.draw(np.random.default_rng(i), 4.0 + 2 * i, PATCH, SIZE) for i in range(n)]

    def test_exposure(self):
        """Within a grey level, rolling shutters and things in front included. OpenCV looks between pixels in steps of 1/32
        px: on an edge of 250 grey levels that alone makes up to 4 a sub-frame, so that a few pixels are further away."""
        for behind in (False, True):
            r = self.recipes(8, behind)
            lights = [crop(i).astype(np.float32) / 255 for i in range(8)]
            fronts = [camera.cut_out(x, a.mask, a.mask_turned, a.mask_tint) for x, a in zip(lights, r)] if behind else [None] * 8
            want = [motion.expose(x, a.poses, PATCH, a.centre, f, a.own_poses) for x, a, f in zip(lights, r, fronts)]
            light = tensor(lights)
            got = batch.seen(light, batch.cut_out(light, r) if behind else None, r, PATCH)
            self.near(array(got) * 255, np.stack(want) * 255, most=2.0)
            self.assertLess((np.abs(array(got) - np.stack(want)) * 255 > 1).mean(), 1e-3)

    def test_beyond_the_crop_the_scene_is_mirrored(self):
        light, poses = crop(1).astype(np.float32) / 255, np.array([[[-30.0, 20, 0, 0]], [[-29, 21, 0, 0]]], np.float32)
        want = motion.expose(light, poses, PATCH, (48, 48))
        got = batch.expose(tensor([light]), [poses], PATCH, [(48, 48)])
        self.near(array(got) * 255, want[None] * 255)

    def test_lens_and_sharpening(self):
        images = self.images()
        kernels = [camera.disk(1.3), camera.gaussian(0.9), camera.disk(0.4)]
        self.near(array(batch.convolve(tensor(images), kernels)), [camera.convolve(x, k) for x, k in zip(images, kernels)], 1e-2)
        r = [blur.Recipe(sharpen=(0.2 + 0.2 * i, 0.6 + 0.4 * i)) for i in range(3)]
        self.near(array(batch.overdo_edges(tensor(images), r)), [camera.overdo_edges(x, *a.sharpen) for x, a in zip(images, r)], 1e-2)

    def test_mosaic(self):
        r = [blur.Recipe(gains=(1.3 + 0.2 * i, 1.0, 2.0 - 0.2 * i)) for i in range(3)]
        lights = [x / 255 for x in self.images()]
        got = batch.mosaic(tensor(lights), r, torch.Generator())
        want = [camera.mosaic(np.random.default_rng(0), x, 0, 0, a.gains) for x, a in zip(lights, r)]
        self.near(array(got) * 255, np.stack(want) * 255, 0.1, edge=2)

    def test_noise_has_its_strength(self):
        r = [blur.Recipe(shot=0.02, read=0.001), blur.Recipe(shot=0.0, read=0.004)]
        flat = torch.full((2, 3, 64, 64), 0.25)
        s = (batch.add_noise(flat, r, torch.Generator().manual_seed(1)) - flat).std((1, 2, 3))
        np.testing.assert_allclose(s, [np.hypot(0.01, 0.001), 0.004], rtol=0.05)

    def test_smearing(self):
        r = [blur.Recipe(smear=(8 + 9 * i, 1 + 0.7 * i)) for i in range(3)]
        noisy = [x + np.random.default_rng(1).normal(size=x.shape).astype(np.float32) * 6 for x in self.images()]
        noisy = [np.clip(x, 0, 255) for x in noisy]
        self.near(array(batch.smear(tensor(noisy), r)), [camera.smear(x, *a.smear) for x, a in zip(noisy, r)])

    def test_rescaling(self):
        ways = [(40, "area", "linear"), (51, "linear", "cubic"), (60, "cubic", "linear")]
        r, images = [blur.Recipe(rescale=w) for w in ways], self.images()
        self.near(array(batch.rescale(tensor(images), r)), [camera.rescale(x, *w) for x, w in zip(images, ways)], 0.05)

    def test_planes_and_jpeg(self):
        """As libjpeg's but for its integer cosine transform, which now and then rounds a line of a spectrum the other way:
        the difference is small beside what JPEG does to the picture."""
        images, qualities = self.images(4), [50, 75, 92, 0]
        y, c = batch.to_planes(tensor(images))
        want = [camera.to_planes(x) for x in images]
        self.assertLessEqual(np.abs(y[:, 0].numpy() - np.stack([p[0] for p in want])).max(), 1)
        self.assertLessEqual(np.abs(c.numpy() - np.stack([p[1:] for p in want])).max(), 1)
        got = batch.jpeg(torch.from_numpy(np.stack([p[0] for p in want]))[:, None].float(), qualities)[:, 0].numpy()
        coded = np.stack([camera.jpeg_planes(p, q)[0] if q else p[0] for p, q in zip(want, qualities)])
        rms = lambda a, b: np.sqrt(((a.astype(float) - b) ** 2).mean((1, 2)))
        plain = np.stack([p[0] for p in want])
        self.assertTrue((rms(got, coded)[:3] < 0.35 * rms(coded, plain)[:3]).all())
        np.testing.assert_array_equal(got[3], plain[3])

    def test_whole_pairs(self):
        """The recipes of training, of every kind, noise and JPEG aside: what comes out is what blur.py makes."""
        recipes, crops = [], []
        for i in range(60):
            r = blur.draw(np.random.default_rng(i), [0.0, 0.8, 5.0, 14.0][i % 4], PATCH, SIZE)
            recipes.append(dataclasses.replace(r, shot=0.0, read=0.0, edges=False, quality=0))
            crops.append(crop(i))
        y, c = batch.pairs(np.stack(crops), recipes, PATCH, 1, "cpu", at_once=32)
        self.assertEqual((y.shape, c.shape, y.dtype), ((60, 2, PATCH, PATCH), (60, 2, 2, PATCH // 2, PATCH // 2), torch.uint8))
        for i, r in enumerate(recipes):
            image, sharp = blur.carry_out(np.random.default_rng(0), r, crops[i], PATCH)
            blurred, sharp = blur.to_planes(image), blur.to_planes(sharp)
            for got, want, name in ((y[i, 0], blurred[0], "y"), (c[i, 0, 0], blurred[1], "cb"), (y[i, 1], sharp[0], "sharp")):
                away = np.abs(got.numpy().astype(int) - want)[2:-2, 2:-2]
                self.assertLess(away.mean(), 0.6, f"{i} {name}")

    def test_the_seed_decides(self):
        r = [blur.draw(np.random.default_rng(i), 5.0, PATCH, SIZE) for i in range(6)]
        crops = np.stack([crop(i) for i in range(6)])
        a, b, other = (batch.pairs(crops, r, PATCH, s, "cpu")[0] for s in (1, 1, 2))
        self.assertTrue(torch.equal(a, b))
        self.assertFalse(torch.equal(a, other))


if __name__ == "__main__":
    unittest.main()
