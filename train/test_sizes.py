"""The sizes: what they cost, that they build, export and run; kernels as float16; the files against PyTorch by ONNX Runtime."""
import os
import sys
import tempfile
import unittest

import numpy as np
import onnx
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import export
import model
import ort
import settings
import testcard
import train


def network(kind, size):
    """As trained ones are: the output layer is not near nothing."""
    torch.manual_seed(0)
    s = settings.from_args(["--kind", kind, "--size", size])
    net = model.build(s)
    torch.nn.init.normal_(net.net.out.weight, std=0.02)
    if kind == "denoiser":
        net.scale.copy_(torch.tensor([20.0, 3.0]))
    return s, net.eval()


def checkpoint(path, s, net):
    more = {"predictor_id": "0" * 16} if net.kind == "denoiser" else {}
    train.save(path, settings=vars(s), model=net.state_dict(), ema=net.state_dict(), opt=None, iteration=0, seconds=0.0, **more)
    return path


class Sizes(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.path = lambda name: os.path.join(held.name, name)

    def test_cost(self):
        for size, gmac, predictor, denoiser in (("s", 17, 1.27, 1.01), ("m", 65, 5.0, 3.9), ("paper", 450, 26, 7)):
            for kind, millions in (("predictor", predictor), ("denoiser", denoiser)):
                s, net = network(kind, size)
                self.assertEqual((s.name, net.kind), (f"{kind}-{size}", kind))
                self.assertLessEqual(model.gmac(net), gmac)
                self.assertAlmostEqual(model.parameters(net) / 1e6, millions, delta=0.08 * millions)
                self.assertFalse([w for w in s.widths if w % 16])

    def exported(self, kind, size, half):
        """(file, its metadata, planes in, what PyTorch makes of them, what ONNX Runtime does)."""
        s, net = network(kind, size)
        path = self.path(f"{kind}-{half}.onnx")
        export.export(checkpoint(self.path("n.pt"), s, net), path, half)
        graph = export.graph_of(net)
        planes = [p.numpy()[0, 0] if p.ndim == 4 else p.numpy() for p in export.example(graph, 48, 64)]
        want = testcard.run(graph, [torch.from_numpy(p)[None, None] if p.ndim == 2 else torch.from_numpy(p) for p in planes])
        run = ort.Graph(path)
        return path, run.metadata, [w[0, 0].numpy() for w in want], run(*planes)

    def test_predictors(self):
        for size, half in (("s", False), ("s", True), ("paper", True)):
            path, meta, want, got = self.exported("predictor", size, half)
            for a, b in zip(want, got):
                self.assertLessEqual(int(np.abs(a.astype(int) - b).max()), 1)
            bytes_ = (2 if half else 4) * int(meta["parameters"])
            self.assertAlmostEqual(os.path.getsize(path) / bytes_, 1, delta=0.06)

    def test_denoisers(self):
        """Within 1e-4 of a unit of state in float32; float16 kernels move it by less than a grey level (1 / 20)."""
        for size, half, limit in (("s", False, 1e-4), ("s", True, 0.05), ("paper", True, 0.05)):
            _, _, want, got = self.exported("denoiser", size, half)
            for a, b in zip(want, got):
                self.assertLessEqual(float(np.abs(a - b).max()), limit)

    def test_kernels_too_large_for_float16_are_refused(self):
        big = onnx.numpy_helper.from_array(np.full((32, 32), 1e5, np.float32), "w")
        graph = onnx.helper.make_graph([], "g", [], [], [big])
        with self.assertRaisesRegex(ValueError, "w: float16 does not hold 100000"):
            export.halve(onnx.helper.make_model(graph))

    def test_metadata(self):
        """What a file must say of itself."""
        _, meta, _, _ = self.exported("denoiser", "s", False)
        for key in ("format", "kind", "name", "multiple", "predictor_id", "revision", "seed", "data", "licence", "parameters", "gmac_720p",
                    "trained", "residual_scale_luma", "residual_scale_chroma", "sigma_min", "sigma_max", "rho", "sampler", "steps",
                    "golden_width", "golden_height", "golden_input", "golden_output", "golden_sigma"):
            self.assertTrue(meta.get(key), key)
        self.assertEqual(meta["trained"], "not trained")


if __name__ == "__main__":
    unittest.main()
