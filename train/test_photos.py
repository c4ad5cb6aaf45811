"""python3 -m unittest discover train"""
import os
import sys
import tempfile
import unittest
from unittest import mock

import cv2
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data
import photos


def blocks(side=900):
    """Rectangles with edges of one pixel, uint8 BGR."""
    rng, image = np.random.default_rng(1), np.full((side, side, 3), 90, np.uint8)
    for _ in range(60):
        x, y = rng.integers(0, side, size=2)
        image[y:y + rng.integers(20, 200), x:x + rng.integers(20, 200)] = rng.integers(0, 256, size=3)
    return image


class Photos(unittest.TestCase):
    def test_table_is_whole(self):
        rows = photos.rows()
        self.assertTrue(all(len(r) == 4 and all(r) for r in rows))
        names = [photos.name_of(*r[:2]) for r in rows if not r[0].startswith("fonts-")]
        self.assertEqual(len(set(names)), len(names))
        self.assertLessEqual(data.SPARE, set(names))
        self.assertFalse(data.HELD_OUT & set(names))

    def test_acuity_falls_with_blur(self):
        values = [photos.acuity(cv2.GaussianBlur(blocks(), (0, 0), s) if s else blocks()) for s in (0, 0.6, 1, 2)]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertGreater(values[0], 0.95)
        self.assertLess(values[-1], 0.57)

    def test_soft_pictures_shrink_until_they_are_sharp_and_sharp_ones_stay(self):
        self.assertEqual(photos.sharpen_by_shrinking(blocks()).shape, (900, 900, 3))
        small = photos.sharpen_by_shrinking(cv2.GaussianBlur(blocks(), (0, 0), 1.0))
        self.assertTrue(320 < small.shape[0] < 800, small.shape)
        self.assertGreaterEqual(photos.acuity(small), photos.ACUITY)
        self.assertEqual(photos.sharpen_by_shrinking(cv2.GaussianBlur(blocks(), (0, 0), 9)).shape[0] // 10, 36)  # gives up

    def test_a_missing_file_is_named(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(photos, "rows", lambda: [("p", "usr/a.jpg", "CC0", "me")]):
            with self.assertRaisesRegex(FileNotFoundError, "p/usr/a.jpg"):
                photos.main(folder, os.path.join(folder, "out"))

    def test_pictures_and_fonts_come_to_lie_where_training_looks(self):
        rows = [("some-wallpapers", "usr/x/Hill/contents/images/2560x1600.png", "CC0", "me"), ("fonts-f", "usr/F.ttf", "OFL", "you")]
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(photos, "rows", lambda: rows):
            for package, file, _, _ in rows:
                os.makedirs(os.path.dirname(os.path.join(folder, package, file)))
            cv2.imwrite(os.path.join(folder, rows[0][0], rows[0][1]), blocks())
            open(os.path.join(folder, "fonts-f/usr/F.ttf"), "w").close()
            out = os.path.join(folder, "out")
            photos.main(folder, out)
            self.assertEqual([os.path.basename(f) for f in data.files(out)], ["some_hill.jpg"])
            self.assertTrue(os.path.exists(os.path.join(out, "fonts", "F.ttf")))


if __name__ == "__main__":
    unittest.main()
