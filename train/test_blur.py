"""python3 -m unittest discover train"""
import os
import sys
import unittest

import cv2
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blur
import camera
import motion
import signs


def tiles(seed=3, size=96):
    """Coloured tiles with sharp edges, uint8."""
    return np.kron(np.random.default_rng(seed).integers(0, 256, size=(size // 6, size // 6, 3)), np.ones((6, 6, 1))).astype(np.uint8)


def line(size=96):
    """A white upright line 2 px wide in the middle of black."""
    image = np.zeros((size, size, 3), np.float32)
    image[:, size // 2 - 1:size // 2 + 1] = 1
    return image


def centroids(image):
    """Column of each row's centre of mass."""
    return (image[..., 0] * np.arange(image.shape[1])).sum(1) / image[..., 0].sum(1)


def even_pan(length):
    """To the right, `length` px in one exposure."""
    return np.stack([motion.TIMES * length] + [0 * motion.TIMES] * 3, 1)


class Motion(unittest.TestCase):
    def test_path_is_centred_and_as_long_as_asked(self):
        p = motion.hand_path(np.random.default_rng(4), 9.0)
        self.assertAlmostEqual(motion.travel(p), 9.0, places=6)
        np.testing.assert_allclose(p.mean(0), 0, atol=1e-9)

    def test_every_kind_is_centred_and_as_far_as_asked(self):
        inside = motion.within(motion.TIMES)
        for name, kind in motion.KINDS.items():
            for seed in range(20):
                rng = np.random.default_rng(seed)
                p = motion.scaled(rng, kind(rng, motion.TIMES, 0.02), inside, 12.0)[inside]
                np.testing.assert_allclose(p.mean(0), 0, atol=1e-9, err_msg=name)
                reach = np.hypot(*p[:, :2].T).max()
                self.assertTrue(2 < reach <= 12.0, f"{name} {seed}: {reach}")
                self.assertLess(np.abs(p[:, 2:]).max(), 0.02, name)

    def test_vibration_has_its_spectrum(self):
        """Seen for two seconds, a mast swings at 2-15 Hz and an engine is heard above 32 Hz, a hand is below both."""
        def above(kind, hertz):
            power = 0
            for seed in range(30):
                t = np.linspace(0, 1, 1024)
                y = kind(np.random.default_rng(seed), t, 2.0)[:, 1]
                s = np.abs(np.fft.rfft((y - y.mean()) * np.hanning(len(t)))) ** 2
                power = power + s / s.sum()
            return power[int(2 * hertz):].sum() / power.sum()
        self.assertGreater(above(motion.mast, 1.5), 0.9)
        self.assertLess(above(motion.mast, 40), 0.1)
        self.assertGreater(above(motion.vehicle, 32), 0.03)
        self.assertLess(above(motion.hand, 4), 0.02)

    def test_shake_leaves_no_shift(self):
        """The centroid of a blurred dot stays on the dot, with and without a rolling shutter."""
        dot = np.zeros((96, 96, 3), np.float32)
        dot[48, 48] = 1
        inside = motion.within(motion.TIMES)
        for seed, readout in enumerate((0.0, 0.0, 0.0, 0.4, 0.4)):
            rng = np.random.default_rng(seed)
            path = motion.scaled(rng, motion.hand(rng, motion.TIMES), inside, 8.0) * [1, 1, 0, 0]
            b = motion.expose(dot, motion.row_poses(path, 20, 64, readout), 64, (48, 48))[..., 0]
            yy, xx = np.mgrid[:64, :64]
            np.testing.assert_allclose([(b * yy).sum() / b.sum(), (b * xx).sum() / b.sum()], [32, 32], atol=0.35)

    def test_rolling_shutter_slants_and_centring_takes_the_slant_out(self):
        t = (np.arange(16) + 0.5)[:, None] / 16 + 0.5 * np.linspace(-0.5, 0.5, 64)
        raw = np.stack([np.interp(t, motion.TIMES, p) for p in even_pan(8.0).T], -1)
        raw -= raw.mean((0, 1))
        slope = lambda poses: np.polyfit(np.arange(64), centroids(motion.expose(line(), poses, 64, (48, 48))), 1)[0] * 64
        self.assertAlmostEqual(slope(raw), -4.0, delta=0.3)  # half an exposure from first to last row, 8 px per exposure
        self.assertAlmostEqual(slope(motion.row_poses(even_pan(8.0), 16, 64, 0.5)), 0, delta=0.1)

    def test_rows_of_a_rolling_shutter_are_blurred_differently(self):
        """Of a camera that starts to move in mid-exposure the rows read last are blurred most."""
        path = np.stack([np.clip(motion.TIMES - 0.5, 0, None) * 12] + [0 * motion.TIMES] * 3, 1)
        b = motion.expose(line(), motion.row_poses(path, 24, 64, 1.0), 64, (48, 48))[..., 0]
        self.assertGreater(b[0].max(), 0.9)
        self.assertLess(b[-1].max(), 0.4)

    def test_roll_turns_about_the_centre(self):
        poses = np.array([[[0, 0, np.pi / 2, 0]]])
        dot = np.zeros((96, 96, 3), np.float32)
        dot[40, 60] = 1
        b = motion.expose(dot, poses, 96, (48, 48))[..., 0]
        self.assertEqual(np.unravel_index(b.argmax(), b.shape), (36, 40))

    def test_what_moves_in_front_covers_and_uncovers(self):
        """A black thing before a white wall, the camera still: the blurred edge is a ramp between the two, and neither
        the wall inside the thing nor the thing outside its path shows."""
        wall, layer = np.ones((96, 96, 3), np.float32), np.zeros((96, 96, 4), np.float32)
        layer[:, 38:58, 3] = 1
        poses = motion.row_poses(even_pan(8.0), 16, 64, 0.0)
        b = motion.expose(wall, poses * 0, 64, (48, 48), layer, poses)[32, :, 0]
        np.testing.assert_allclose(b[:17], 1, atol=1e-6)
        np.testing.assert_allclose(b[27:37], 0, atol=1e-6)
        np.testing.assert_allclose(b[18:26], np.linspace(15.5, 1.5, 8) / 16, atol=0.07)


class Camera(unittest.TestCase):
    def test_curve_there_and_back(self):
        for c in (camera.Curve(1.0), camera.Curve(2.2), camera.Curve(2.5, 0.4)):
            np.testing.assert_allclose(c.encode(c.decode(tiles())), tiles(), atol=0.1)

    def test_mosaic_keeps_a_flat_colour(self):
        flat = np.full((32, 32, 3), (0.1, 0.4, 0.7), np.float32)
        for edges in (False, True):
            out = camera.mosaic(np.random.default_rng(0), flat, 0, 0, (1.9, 1.0, 1.4), edges)
            np.testing.assert_allclose(out[4:-4, 4:-4], flat[4:-4, 4:-4], atol=1e-3)

    def test_noise_grows_with_light(self):
        rng = np.random.default_rng(0)
        dim, bright = (camera.add_noise(rng, np.full((64, 64, 3), v, np.float32), 0.02, 0.001).std() for v in (0.04, 0.64))
        self.assertAlmostEqual(bright / dim, 4, delta=0.3)

    def test_night_is_dark_with_lamps_brighter_than_white(self):
        light = camera.night(np.full((96, 96, 3), 0.5, np.float32), (0.1, 0.2, 0.1), [(40, 40, 2.0, 9.0, (1, 1, 0.8))])
        self.assertLess(np.median(light), 0.2)
        self.assertGreater(light.max(), 1.5)

    def test_planes_and_back(self):
        image = np.full((16, 16, 3), (30, 120, 200), np.uint8)
        y, cb, cr = blur.to_planes(image)
        self.assertEqual((y[0, 0], cb[0, 0], cr[0, 0]), (134, 70, 175))
        np.testing.assert_allclose(blur.to_bgr(y, cb, cr).astype(int), image.astype(int), atol=2)


class Degrade(unittest.TestCase):
    def test_same_seed_same_frame(self):
        for kind in ("hand", "any"):
            a, b, other = (blur.degrade(np.random.default_rng(s), tiles(), 64, 6.0, kind=kind) for s in (1, 1, 2))
            self.assertTrue(all((p == q).all() for p, q in zip(a[0] + a[1], b[0] + b[1])))
            self.assertFalse(all((p == q).all() for p, q in zip(a[0], other[0])))

    def test_a_fifth_is_not_blurred_and_some_hardly(self):
        lengths = np.array([blur.draw_length(np.random.default_rng(i), 24.0) for i in range(4000)])
        self.assertTrue(0.15 < (lengths == 0).mean() < 0.25)
        self.assertTrue(0.05 < ((lengths > 0) & (lengths < 1)).mean() + 0.02 < 0.12)
        self.assertLessEqual(lengths.max(), 24)

    def test_without_shake_the_frame_is_nearly_the_patch(self):
        for seed in range(8):
            for kind in ("hand", "any"):
                b, s, _ = blur.degrade(np.random.default_rng(seed), cv2.GaussianBlur(tiles(), (0, 0), 2), 64, 0.0, kind=kind)
                self.assertGreater(cv2.PSNR(b[0], s[0]), 28, f"{kind} {seed}")

    def test_evaluation_has_a_hand_s_shake_alone(self):
        """Its reference is the patch as it is; nothing is put in front or darkened, whatever the chances of training."""
        kept = dict(blur.CHANCES)
        self.addCleanup(blur.CHANCES.update, kept)
        blur.CHANCES.update({"night": 1, "moving region": 1})
        for seed in range(8):
            _, s, _ = blur.degrade(np.random.default_rng(seed), tiles(), 64, 12.0, kind="hand")
            np.testing.assert_array_equal(s[0], blur.to_planes(tiles()[16:80, 16:80])[0])

    def test_every_chance_can_come_true(self):
        """With any one thing certain, and alone, pairs are still made, and are not those made without it."""
        kept = dict(blur.CHANCES)
        self.addCleanup(blur.CHANCES.update, kept)

        def frame(**more):
            blur.CHANCES.update({**{k: 0.0 for k in kept}, **more})
            return np.stack([p[0] for s in range(3)
                             for p in blur.degrade(np.random.default_rng(s), tiles(), 64, 5.0)[:2]]).astype(int)

        plain, noisy = frame(), frame(noise=1)
        for name in ("night", "linear feed", "highlights", "moving region", "rolling shutter", "defocus", "noise", "denoising",
                     "sharpening", "rescaling", "jpeg"):
            self.assertTrue((frame(**{name: 1}) != plain).any(), name)
        self.assertTrue((frame(noise=1, mosaic=1) != noisy).any())


class Signs(unittest.TestCase):
    def test_every_sort_is_drawn(self):
        """The bank's pictures are black and white, and repeat."""
        for k in range(60):
            image, unit, _ = signs.picture.__wrapped__(k, ())
            again, _, _ = signs.picture.__wrapped__(k, ())
            np.testing.assert_array_equal(image, again)
            self.assertTrue(image.min() < 40 and image.max() == 255 and unit > 0)

    def test_a_sign_is_pasted_in_place_and_keeps_its_contrast(self):
        changed = 0
        for seed in range(30):
            crop = np.full((128, 128, 3), 128, np.uint8)
            signs.draw(np.random.default_rng(seed), crop)
            changed += int((crop != 128).any() and np.ptp(crop.astype(int)) > 80)
        self.assertGreater(changed, 26)

    def test_evaluation_s_tags_are_not_among_them(self):
        self.assertNotIn(cv2.aruco.DICT_APRILTAG_36h11, signs.TAGS)


if __name__ == "__main__":
    unittest.main()
