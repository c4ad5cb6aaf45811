"""python3 -m unittest test_evaluate"""
import os
import re
import sys
import tempfile
import unittest

import cv2
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import card
import evaluate
import export
import gain
import harmless
import history
import metrics
import model
import networks
import ort
import refinement
import sample
import scenes
import search
import tasks

MODELS = os.path.join(HERE, "..", "models")
needs_runtime = unittest.skipUnless(os.path.exists(ort.library()), "no ONNX Runtime library: make lib")


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def drawn(size=96, seed=1):
    """A picture with edges and soft parts, uint8."""
    image = np.kron(np.random.default_rng(seed).integers(0, 256, size=(size // 8, size // 8)), np.ones((8, 8)))
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.7).astype(np.uint8)


class Metrics(unittest.TestCase):
    def test_psnr(self):
        a = np.full((8, 8), 90, np.uint8)
        self.assertEqual(metrics.psnr(a, a), 60.0)
        self.assertAlmostEqual(metrics.psnr(a + 1, a), 20 * np.log10(255), places=4)

    def test_ssim_and_gmsd_agree_with_opencv(self):
        a = drawn()
        b = cv2.GaussianBlur(a, (0, 0), 1.5)
        if not hasattr(cv2, "quality"):
            self.skipTest("OpenCV without its contrib modules")
        self.assertAlmostEqual(metrics.ssim(a, b), cv2.quality.QualitySSIM_compute(a, b)[0][0], delta=0.03)
        self.assertAlmostEqual(metrics.gmsd(a, b), cv2.quality.QualityGMSD_compute(a, b)[0][0], delta=0.01)
        self.assertEqual((metrics.gmsd(a, a), round(metrics.ssim(a, a), 9)), (0.0, 1.0))

    def test_spectrum_sees_what_is_missing_and_what_is_invented(self):
        a = drawn()
        grainy = np.clip(a + 8 * noise(a.shape), 0, 255)
        self.assertEqual(metrics.spectrum_distance(a, a), 0.0)
        for b in (cv2.GaussianBlur(a, (0, 0), 1.5), grainy):
            self.assertGreater(metrics.spectrum_distance(b, a), 0.1)
        grain = 128 + 3 * noise(a.shape)
        wave = lambda period: grain + 20 * np.sin(2 * np.pi * np.arange(96) / period)
        self.assertGreater(metrics.spectrum_distance(wave(6), grain), 0.03)  # a third of the band
        self.assertLess(metrics.spectrum_distance(wave(16), grain), 0.01)    # an eighth of it

    def test_wilson(self):
        np.testing.assert_allclose(metrics.interval(5, 100), (0.02154, 0.11175), atol=1e-5)  # Wilson 1927, eq. 4
        self.assertEqual(metrics.interval(0, 20)[0], 0.0)

    def test_brisque_is_left_out_without_its_model(self):
        kept, metrics.BRISQUE = metrics.BRISQUE, "/nowhere"
        self.addCleanup(setattr, metrics, "BRISQUE", kept)
        self.assertTrue(np.isnan(metrics.brisque(drawn())))
        self.assertEqual(card.cell(metrics.brisque(drawn())), "")


class Card(unittest.TestCase):
    text = "before\n<!-- measured: a -->\nold\nlines\n<!-- end: a -->\nafter\n"

    def test_only_what_stands_between_the_markers_changes(self):
        once = card.put(self.text, "a", "new \\1\n")
        self.assertEqual(once, "before\n<!-- measured: a -->\nnew \\1\n<!-- end: a -->\nafter\n")
        self.assertEqual(card.put(once, "a", "new \\1"), once)

    def test_markers_must_stand_once_and_in_order(self):
        for text in ("", self.text * 2, self.text.replace("measured", "x"), "<!-- end: a --><!-- measured: a -->"):
            with self.assertRaises(ValueError):
                card.put(text, "a", "new")

    def test_the_models_card_has_a_place_for_every_section(self):
        with open(os.path.join(MODELS, "README.md"), encoding="utf-8") as f:
            text = f.read()
        for name in [*evaluate.SECTIONS, "search"]:
            card.put(text, name, "")
        self.assertEqual(len(re.findall("<!-- measured: ", text)), len(evaluate.SECTIONS) + 1)

    def test_unknown_sections_are_refused(self):
        with self.assertRaises(SystemExit), open(os.devnull, "w") as quiet:
            sys.stderr, kept = quiet, sys.stderr
            try:
                evaluate.arguments(["--photos", "x", "--only", "gain,typo"])
            finally:
                sys.stderr = kept


class Samplers(unittest.TestCase):
    def test_second_order_needs_fewer_steps(self):
        """Of N(0, 1), whose flow is known: x to x / sqrt(1 + s^2)."""
        x, want = 20.0 * np.linspace(-2, 2, 9), 20 * np.linspace(-2, 2, 9) / np.sqrt(401)
        error = lambda how, n: np.abs(how(lambda x, s: x / (1 + s * s), x, sample.schedule(n, 0.05, 20.0)) - want).max()
        self.assertLess(error(sample.dpmpp_2m, 16), error(sample.ode, 64))
        self.assertLess(error(sample.dpmpp_2m, 64), error(sample.dpmpp_2m, 16) / 3)

    def test_one_step_returns_the_denoised(self):
        np.testing.assert_allclose(sample.dpmpp_2m(lambda x, s: x * 0.25, np.array([8.0]), [20.0, 0.0]), [2.0])

    def test_search_picks_within_the_limit(self):
        found = {"far": (0.9, 0.1), "best": (0.5, 0.3), "near": (0.1, 0.6)}
        self.assertEqual(search.best(found, 0.5), "best")
        self.assertEqual(search.best(found, 0.05), "near")
        self.assertTrue(all(w.steps == 4 for w in search.ways(4)))
        self.assertEqual({w.sampler for w in search.ways(4)}, set(sample.SAMPLERS))


@needs_runtime
class Runtime(unittest.TestCase):
    """Small random networks, exported and run by ONNX Runtime."""

    @classmethod
    def setUpClass(cls):
        torch.manual_seed(0)
        held = tempfile.TemporaryDirectory()
        cls.addClassCleanup(held.cleanup)
        cls.paths = [os.path.join(held.name, n) for n in ("p.onnx", "d.onnx", "stranger.onnx")]
        cls.net = model.Predictor((8, 8, 8, 8), (1, 1, 1, 1)).eval()
        torch.nn.init.normal_(cls.net.net.out.weight, std=0.02)
        cls.den = model.Denoiser((8, 8, 8, 8), (1, 1, 1, 1), 8).eval()
        torch.nn.init.normal_(cls.den.net.out.weight, std=0.1)
        about = dict(name="d", predictor_id="ab", residual_scale_luma=9, residual_scale_chroma=3, sigma_min=0.1, sigma_max=4,
                     rho=7, sampler="ode", steps=2)
        export.write(export.PredictorGraph(cls.net), cls.paths[0], dict(name="p", predictor_id="ab"))
        export.write(export.DenoiserGraph(cls.den), cls.paths[1], about)
        export.write(export.DenoiserGraph(cls.den), cls.paths[2], {**about, "predictor_id": "cd"})

    def picture(self):
        y = drawn(64)[:48]
        return y, y[::2, ::2].copy(), 255 - y[::2, ::2]

    def test_predictor_is_what_torch_computes(self):
        p = self.picture()
        with torch.no_grad():
            want = export.PredictorGraph(self.net)(*(torch.from_numpy(a)[None, None] for a in p))
        for got, w in zip(networks.Networks(self.paths[0]).predict(p), want):
            self.assertLessEqual(np.abs(got.astype(int) - w[0, 0].numpy()).max(), 1)

    def test_one_step_is_the_denoiser_s_answer(self):
        nets, p = networks.Networks(*self.paths[:2]), self.picture()
        way = nets.way(1)
        self.assertEqual(way, networks.Way(1, "ode", 0.1, 4.0, 7.0))
        size = p[0].size * 3 // 2
        residual = nets.residual(p, p, way, np.random.default_rng(3))
        state = 4 * np.random.default_rng(3).standard_normal(size, np.float32)
        want = nets.denoiser(*networks.split(state, 48, 64), np.array([4.0], np.float32), *p, *p)
        for got, w in zip(networks.split(residual, 48, 64), want):
            np.testing.assert_allclose(got, w, atol=1e-6)
        refined = nets.refine(p, p, way, np.random.default_rng(3))
        np.testing.assert_array_equal(refined[1], np.clip(np.rint(p[1] + 3 * want[1]), 0, 255))

    def test_denoiser_of_another_predictor_is_refused(self):
        with self.assertRaisesRegex(ValueError, "belongs to predictor cd"):
            networks.Networks(self.paths[0], self.paths[2])

    def test_what_the_runtime_complains_about_is_raised(self):
        graph = ort.Graph(self.paths[0])
        with self.assertRaisesRegex(RuntimeError, "data type"):
            graph(self.picture()[0], self.picture()[1].astype(np.float32), self.picture()[2])


class Still:
    """Networks that predict what they get and whose samples are noise about it."""

    name, denoiser = "still", True

    def predict(self, picture):
        return picture

    def way(self, steps=4):
        return networks.Way(steps)

    def residual(self, blurred, predicted, way, rng):
        return 20 * rng.standard_normal(predicted[0].size * 3 // 2, np.float32)

    def add(self, predicted, residual):
        return tuple(networks.grey(p + r) for p, r in zip(predicted, networks.split(residual, *predicted[0].shape)))


class Refinement(unittest.TestCase):
    def test_averaging_moves_towards_the_prediction(self):
        y = np.full((64, 64), 128, np.uint8)
        p = y, y[::2, ::2], y[::2, ::2]
        by = refinement.Trial(Still(), [(p, p, p)]).averaged(networks.Way(4), 4)
        self.assertEqual(list(by), [1, 2, 4])
        for k, m in by.items():
            self.assertAlmostEqual(m[0], 20 * np.log10(255 / 20) + 10 * np.log10(k), delta=0.3)


class Harmless(unittest.TestCase):
    def test_stripes_have_a_direction_and_noise_has_none(self):
        self.assertLess(harmless.streaks(128 + 5 * noise((256, 256))), 1)
        stripes = np.tile(128 + 20 * np.sin(np.arange(256) / 3), (256, 1))
        self.assertGreater(harmless.streaks(stripes), 6)

    def test_bands_see_where_power_is_added(self):
        a = 128 + 5 * noise((128, 128))
        low, middle, high = map(float, harmless.bands(a, a + cv2.GaussianBlur(20 * noise(a.shape, 2), (0, 0), 3)))
        self.assertGreater(low, 3)
        self.assertLess(abs(middle) + abs(high), 1)

    def reach(self, net, size=384):
        """How far away, in px, a pixel may change the answer: with positive weights nothing cancels."""
        for p in net.parameters():
            p.data = p.data.abs() + 1e-3 if p.ndim > 1 else torch.zeros_like(p)
        out, middle = 0, size // 2
        for at in range(middle, middle + 8):
            x = torch.zeros(1, net.stem.in_channels, size, size, dtype=torch.float64)
            x[..., at, at] = 1
            with torch.no_grad():
                rows = (net.double()(x)[0].sum((0, 2)) > 0).nonzero()
            out = max(out, at - int(rows.min()), int(rows.max()) - at)
        return 2 * out

    def test_reach_of_the_small_networks(self):
        """The card names these."""
        self.assertEqual(self.reach(model.UNet(6, (4, 4, 4, 4), (1, 2, 3, 4))), 282)
        self.assertEqual(self.reach(model.UNet(18, (4, 4, 4, 4), (1, 2, 2, 3))), 218)

    def test_a_tile_equals_the_whole_beyond_the_reach(self):
        torch.manual_seed(1)
        net = model.UNet(6, (4, 4, 4, 4), (1, 2, 3, 4)).double()
        torch.nn.init.normal_(net.out.weight)
        x = torch.randn(1, 6, 32, 400, dtype=torch.float64)
        with torch.no_grad():
            whole, tile = net(x)[..., 40:360], net(x[..., 40:360].contiguous())
        diff = (whole - tile).abs().amax((0, 1, 2))
        self.assertLess(float(diff[142:-142].max()), 1e-12)
        self.assertGreater(float(diff[0]), 1e-3)

    @needs_runtime
    def test_shipped_networks_on_a_tile_and_on_the_frame(self):
        """Within 1 grey level from 96 px inside the tile on."""
        nets = networks.Networks(*(os.path.join(MODELS, n + "-s.onnx") for n in ("predictor", "denoiser")))
        frame = scenes.picture(cv2.imread(os.path.join(HERE, "..", "clips", "sharp_0062.jpg")))
        state = harmless.with_noise(frame, np.random.default_rng(1))
        for run, planes in ((nets.predictor, frame), (harmless.one_step(nets), state)):
            diff, distance = harmless.differences(run, planes, 48, 192)
            self.assertLessEqual(diff[distance >= 96].max(), 1)


class Scenes(unittest.TestCase):
    images = [np.repeat(drawn(400, i)[..., None], 3, 2) for i in range(2)]

    def test_a_patch_is_the_same_at_every_length(self):
        (b4, s4), (b9, s9) = (scenes.shaken(self.images, n, 2, 96)[1] for n in (4, 9))
        self.assertTrue((s4[0] == s9[0]).all())
        self.assertGreater(metrics.psnr(b4[0], s4[0]), metrics.psnr(b9[0], s9[0]))

    def test_real_pairs_come_by_set(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a_1_0", "a_1_1", "b_0"):
                for part in ("blur", "sharp"):
                    cv2.imwrite(os.path.join(folder, f"{name}_{part}.png"), self.images[0][:70, :100])
            sets = scenes.real(folder)
        self.assertEqual({k: len(v) for k, v in sets.items()}, {"a_1": 2, "b": 1})
        self.assertEqual(sets["b"][0][0][0].shape, (64, 96))

    def test_gain_counts_what_was_lost(self):
        p = (drawn(), drawn()[::2, ::2], drawn()[::2, ::2])
        worse = (p[0] // 2,) + p[1:]
        row = gain.row([(worse, p, p), (p, worse, p), (p, p, p)])
        self.assertEqual((row[0], row[5]), ("3", "33 %"))
        self.assertEqual(row[3], "+0.00")
        self.assertLess(float(row[4]), -20)


class History(unittest.TestCase):
    def test_a_resumed_log_counts_once(self):
        line = "{} 19:00:00 0.1 loss -3.1 88 patches/s 0:-0.5 12:+{} reds_000:+0.3"
        with tempfile.NamedTemporaryFile("w+") as f:
            f.write("\n".join(["predictor-s: 1 M", *(line.format(*v) for v in ((50, 1), (500, 2), (1000, 3), (500, 4)))]) + "\n")
            f.flush()
            points = history.read(f.name)
        self.assertEqual([(i, v["12"]) for i, v in points], [(50, 1.0), (500, 4.0)])
        self.assertEqual(points[0][1]["reds_000"], 0.3)


class Tasks(unittest.TestCase):
    def test_scenes_are_read_before_they_are_shaken(self):
        reader = tasks.Reader()
        if not {"tag", "qr"} <= set(reader.kinds()) or not tasks.have("PIL") or not tasks.have("matplotlib"):
            self.skipTest("readers missing: make test-train installs them")
        soft = [cv2.GaussianBlur(i, (0, 0), 20) for i in Scenes.images]
        for i in range(3):
            image, things = tasks.scene(soft, i)
            y = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[scenes.MARGIN:-scenes.MARGIN, scenes.MARGIN:-scenes.MARGIN].copy()
            got = tasks.score(things, reader.read(y))
            self.assertEqual(got["tag"], (4, 4, 0))
            centres = {says: corners.mean(0) for kind, says, corners in things if kind == "tag"}
            for kind, says, *place in reader.read(y):
                if kind == "tag":
                    np.testing.assert_allclose(place, centres[says], atol=2)
            self.assertEqual(got["barcode"][2] + got["qr"][2], 0)

    def test_a_read_counts_once_it_says_the_right_thing_in_the_right_place(self):
        things = [("tag", "7", np.array([[10, 10], [20, 10], [20, 20], [10, 20]]))]
        self.assertEqual(tasks.score(things, [("tag", "7", 16, 14)])["tag"], (1, 1, 0))
        self.assertEqual(tasks.score(things, [("tag", "8", 16, 14)])["tag"], (0, 1, 1))
        self.assertEqual(tasks.score(things, [("tag", "7", 60, 14)])["tag"], (0, 1, 1))
        self.assertEqual(tasks.score(things, [])["tag"], (0, 1, 0))

    def test_barcode_is_an_ean_13(self):
        class Digits:
            def integers(self, *a, size):
                return [4, 0, 0, 6, 3, 8, 1, 3, 3, 3, 9, 3]

        says, bars = tasks.barcode(Digits())
        self.assertEqual(says, "4006381333931")
        bits = "".join("1" if v == 0 else "0" for v in bars[0])
        # 006381 in parity LGLLGG and 333931 in R, as GS1's General Specifications, 5.2.1, code them
        self.assertEqual(bits.strip("0"), "101" "0001101" "0100111" "0101111" "0111101" "0001001" "0110011" "01010"
                         "1000010" "1000010" "1000010" "1110100" "1000010" "1100110" "101")


if __name__ == "__main__":
    unittest.main()
