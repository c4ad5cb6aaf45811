"""python3 -m unittest discover train"""
import dataclasses
import os
import sys
import tempfile
import unittest

import cv2
import numpy as np
import onnx
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import data
import export
import golden
import model
import sample
import testcard
import train
from settings import Settings, from_args


class Inline:
    """A pool that works in this process."""

    def submit(self, f, *args):
        class Done:
            result = staticmethod(lambda: f(*args))
        return Done()


def photographs(folder, n=3):
    """Drawn pictures with sharp edges, one of them under a held-out name."""
    for i in range(n):
        rng = np.random.default_rng(i)
        image = np.kron(rng.integers(0, 256, size=(40, 40, 3)), np.ones((6, 6, 1))).astype(np.uint8)
        cv2.imwrite(os.path.join(folder, f"photo_{i}.png"), image)
    cv2.imwrite(os.path.join(folder, "kodak_19.png"), image)


def small(folder, **more):
    """Settings of a run that takes a second."""
    base = dict(photos=folder, out=os.path.join(folder, "run.pt"), iterations=4, patch=32, margin=16, chunk=8, reuse=2,
                batch=4, widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), threads=1, bf16_until=0.0, max_shake=8.0)
    return Settings(**{**base, **more})


class Folder(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = held.name
        photographs(self.folder)


class Sampling(unittest.TestCase):
    def test_schedule_falls_from_max_over_min_to_zero(self):
        s = sample.schedule(7, 0.03, 20.0)
        self.assertAlmostEqual(s[0], 20.0)
        self.assertAlmostEqual(s[-2], 0.03)
        self.assertEqual(s[-1], 0.0)
        self.assertTrue(all(a > b for a, b in zip(s, s[1:])))
        self.assertEqual(sample.schedule(1, 0.03, 20.0), [20.0, 0.0])

    def test_ode_meets_the_closed_form(self):
        """Of N(0, 1): D = x / (1 + s^2), and the flow takes x to x / sqrt(1 + s^2)."""
        x = sample.ode(lambda x, s: x / (1 + s * s), 20.0 * np.linspace(-2, 2, 9), sample.schedule(2000, 0.002, 20.0))
        np.testing.assert_allclose(x, 20 * np.linspace(-2, 2, 9) / np.sqrt(401), rtol=0.01)

    def test_ancestral_keeps_the_distribution(self):
        rng = np.random.default_rng(0)
        sigmas = sample.schedule(200, 0.002, 20.0)
        x = sample.ancestral(lambda x, s: x / (1 + s * s), 20.0 * rng.normal(size=20000), sigmas, lambda i: rng.normal(size=20000))
        self.assertAlmostEqual(float(x.std()), 1.0, delta=0.05)

    def test_split_adds_up(self):
        down, up = sample.ancestral_split(3.0, 1.2)
        self.assertAlmostEqual(down ** 2 + up ** 2, 1.44)
        self.assertEqual(sample.ancestral_split(3.0, 0.0), (0.0, 0.0))

    def test_one_step_returns_the_denoised(self):
        for f in (lambda d, x, s: sample.ode(d, x, s), lambda d, x, s: sample.ancestral(d, x, s, None)):
            np.testing.assert_allclose(f(lambda x, s: x * 0.25, np.array([8.0]), [20.0, 0.0]), [2.0])


class Data(Folder):
    def test_held_out_photographs_are_not_trained_on(self):
        self.assertEqual(len(data.photographs(self.folder)), 3)
        self.assertEqual(len(data.photographs(self.folder, held_out=True)), 1)

    def test_backgrounds_out_of_focus_are_told_from_edges_and_from_nothing(self):
        sharp = cv2.imread(os.path.join(self.folder, "photo_0.png"))[:192, :192]
        soft, half, plain = cv2.GaussianBlur(sharp, (0, 0), 6), sharp.copy(), sharp.copy()
        half[:, 96:], plain[:, 96:] = soft[:, 96:], np.linspace(110, 140, 96)[:, None]  # a clear sky
        self.assertEqual([data.is_in_focus(c) for c in (sharp, soft, half, plain)], [True, False, False, True])
        self.assertTrue(data.is_sharp(half))

    def test_batches_depend_on_the_iteration_alone(self):
        s = small(self.folder)
        one, two = data.Batches(s, Inline()), data.Batches(s, Inline())
        one(0), one(1)
        for a, b in zip(one(5), two(5)):
            self.assertTrue((a == b).all())
        y, c = one(0)
        self.assertEqual((y.shape, c.shape), ((4, 2, 32, 32), (4, 2, 2, 16, 16)))

    def test_chunks_are_asked_for_ahead_and_once(self):
        s, asked = small(self.folder, chunk=4, workers=3), []

        class Pool(Inline):
            def submit(self, f, settings, k):
                asked.append(k)
                return super().submit(f, settings, k)

        b = data.Batches(s, Pool())
        for i in range(5):
            b(i)
        self.assertEqual(asked, [0, 1, 2, 3, 4, 5])

    def test_a_device_makes_the_same_pairs(self):
        """Sharp pictures within a grey level, and as much blur, as of the chunk that one process makes whole."""
        s = small(self.folder, chunk=24, reuse=1, batch=24, patch=64)
        here, there = data.Batches(s, Inline()), data.Batches(s, Inline())
        there.on_device = True
        (y, c), (y2, c2) = here(0), there(0)
        self.assertEqual((y.shape, c.shape, y.dtype), (y2.shape, c2.shape, y2.dtype))
        self.assertLessEqual(int((y[:, 1].int() - y2[:, 1].int()).abs().max()), 1)
        self.assertLessEqual(int((c[:, 1].int() - c2[:, 1].int()).abs().max()), 1)
        harm = lambda y: (y[:, 0].float() - y[:, 1].float()).pow(2).mean((1, 2)).sqrt()
        self.assertGreater(np.corrcoef(harm(y), harm(y2))[0, 1], 0.95)


class Model(unittest.TestCase):
    def test_pack_and_unpack(self):
        y, c = torch.rand(2, 1, 32, 48), torch.rand(2, 2, 16, 24)
        a, b = model.unpack(model.pack(y, c))
        self.assertTrue(torch.equal(a, y) and torch.equal(b, c))

    def test_shapes_and_a_start_near_the_identity(self):
        p = torch.rand(1, 6, 24, 40) * 255
        out = model.Predictor()(p)
        self.assertEqual(out.shape, p.shape)
        self.assertLess(float((out - p).abs().mean()), 10)  # of 64, for white noise
        d = model.Denoiser()(torch.randn_like(p), torch.tensor([2.0]), p, p)
        self.assertEqual(d.shape, p.shape)

    def test_cost_is_within_the_budget(self):
        self.assertLess(model.gmac(model.Predictor()), 17)
        self.assertLess(model.gmac(model.Denoiser()), 17)

    def test_denoiser_trusts_a_state_without_noise(self):
        p = torch.rand(1, 6, 16, 16) * 255
        x = torch.randn_like(p)
        torch.testing.assert_close(model.Denoiser()(x, torch.tensor([1e-4]), p, p), x, atol=1e-2, rtol=0)


class Training(Folder):
    def run_to(self, s, stop=None):
        return train.train(s if stop is None else dataclasses.replace(s, iterations=stop), Inline(), log=lambda *a, **k: None)

    def test_resume_gives_the_same_numbers(self):
        s = small(self.folder, iterations=6)
        whole = self.run_to(s)
        part = dataclasses.replace(s, out=os.path.join(self.folder, "part.pt"))
        real, calls = train.predictor_loss, []

        def interrupted(*a):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return real(*a)

        train.predictor_loss = interrupted
        self.addCleanup(setattr, train, "predictor_loss", real)
        with self.assertRaises(KeyboardInterrupt):
            self.run_to(dataclasses.replace(part, save_seconds=-1))  # a checkpoint each iteration
        self.assertEqual(torch.load(part.out)["iteration"], 3)
        again = self.run_to(part)
        for a, b in zip(whole.state_dict().values(), again.state_dict().values()):
            self.assertTrue(torch.equal(a, b))

    def test_predictor_and_denoiser_export(self):
        s = small(self.folder)
        self.run_to(s)
        d = small(self.folder, kind="denoiser", name="denoiser-s", emb=8, predictor=s.out, out=os.path.join(self.folder, "d.pt"))
        self.run_to(d)
        net, _ = train.load(s.out)
        for path, out in ((s.out, "p.onnx"), (d.out, "d.onnx")):
            export.export(path, os.path.join(self.folder, out))
            proto = onnx.load(os.path.join(self.folder, out))
            meta = {m.key: m.value for m in proto.metadata_props}
            self.assertEqual(meta["format"], "sharpend/1")
            self.assertEqual(meta["predictor_id"], model.identity_of(net))
            self.assertIn("4 iterations, 16 patches", meta["trained"])
            self.assertEqual(meta["multiple"], "16")
            self.assertRegex(meta["data"], r"^3 photographs: photo 3 \(names' SHA-256 [0-9a-f]{12}\); shaken by simulation$")
            self.assertFalse({n.op_type for n in proto.graph.node} & {"Shape", "Gather", "Slice", "Transpose"})
            graph = export.PredictorGraph if out == "p.onnx" else export.DenoiserGraph
            self.assertEqual([i.name for i in proto.graph.input], graph.inputs)
            self.assertEqual([o.name for o in proto.graph.output], graph.outputs)
            dims = proto.graph.input[0].type.tensor_type.shape.dim
            self.assertEqual((dims[2].dim_param, dims[3].dim_param), ("height", "width"))
        self.assertGreater(float(meta["residual_scale_luma"]), 0)
        self.assertEqual(float(meta["sigma_max"]), d.sigma_max)

    def test_graphs_compute_what_the_networks_do(self):
        torch.manual_seed(0)
        net = model.Predictor((8, 8, 8, 8), (1, 1, 1, 1)).eval()
        torch.nn.init.normal_(net.net.out.weight, std=0.02)
        y, cb, cr = export.example(export.PredictorGraph(net), 32, 48)
        with torch.no_grad():
            got = export.PredictorGraph(net)(y, cb, cr)
            want = model.unpack(net(model.pack(y.float(), torch.cat([cb, cr], 1).float())))
            self.assertLessEqual(int((got[0].int() - want[0].clamp(0, 255).round().int()).abs().max()), 1)
            den = model.Denoiser((8, 8, 8, 8), (1, 1, 1, 1), 8).eval()
            torch.nn.init.normal_(den.net.out.weight, std=0.1)
            den.scale.copy_(torch.tensor([9.0, 3.0]))
            g = export.DenoiserGraph(den)
            a = export.example(g, 32, 48)
            x, b, p = (model.pack(a[i].float(), torch.cat([a[i + 1], a[i + 2]], 1).float()) for i in (0, 4, 7))
            want = model.unpack(den(x, a[3], b, p))
            got = g(*a)
            torch.testing.assert_close(got[0], want[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(torch.cat(got[1:], 1), want[1], atol=1e-4, rtol=1e-4)


class Files(Folder):
    def test_identity_passes_planes_through(self):
        path = os.path.join(self.folder, "identity.onnx")
        export.identity(path)
        proto = onnx.load(path)
        self.assertEqual({n.op_type for n in proto.graph.node}, {"Identity"})
        self.assertEqual({m.key: m.value for m in proto.metadata_props}["name"], "identity")

    def test_golden_files_repeat(self):
        texts = []
        for _ in range(2):
            golden.samplers(self.folder)
            with open(os.path.join(self.folder, "ancestral.json")) as f:
                texts.append(f.read())
        self.assertEqual(*texts)
        self.assertEqual([p.shape for p in testcard.picture()], [(48, 64), (24, 32), (24, 32)])

    def test_settings_from_the_command_line(self):
        s = from_args(["--widths", "8,16", "--muon-lr", "0.02", "--kind", "denoiser"])
        self.assertEqual((s.widths, s.muon_lr, s.kind), ((8, 16), 0.02, "denoiser"))


if __name__ == "__main__":
    unittest.main()
