"""Widened networks compute what they were made from."""
import dataclasses
import io
import os
import sys
import unittest
import unittest.mock
from contextlib import redirect_stdout

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import export
import model
import train
import widen
from test_train import Folder, Inline, small

SMALL, BLOCKS = (4, 6, 8, 8), (1, 1, 2, 2)


def shaken(net):
    """A network whose every number matters: no zeros, unlike gains."""
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return net.eval()


class Widen(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.blurred = torch.rand(2, 6, 16, 24) * 255
        self.predicted = torch.rand(2, 6, 16, 24) * 255

    def same(self, source, widths, blocks):
        big = widen.widen(source, widths, blocks)
        if source.kind == "predictor":
            ask = lambda net: net(self.blurred)
        else:
            ask = lambda net: net(torch.randn(2, 6, 16, 24, generator=torch.Generator().manual_seed(1)), torch.tensor([0.3, 4.0]),
                                  self.blurred, self.predicted)
        with torch.no_grad():
            want, got = ask(source), ask(big)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3 * float(want.abs().mean()))
        return big

    def test_predictor(self):
        net = shaken(model.Predictor(SMALL, BLOCKS))
        self.same(net, (8, 12, 16, 16), BLOCKS)
        self.same(net, (6, 6, 11, 20), BLOCKS)       # some channels once, some twice, some three times
        self.same(net, (8, 12, 16, 16), (2, 1, 3, 4))  # and deeper

    def test_denoiser(self):
        net = shaken(model.Denoiser(SMALL, BLOCKS, 8))
        net.scale.copy_(torch.tensor([20.0, 3.0]))
        big = self.same(net, (8, 12, 16, 16), (1, 2, 2, 3))
        self.assertTrue(torch.equal(big.scale, net.scale))

    def test_copies_part(self):
        """Equal channels would get equal gradients for ever."""
        big = widen.widen(shaken(model.Predictor(SMALL, BLOCKS)), (8, 12, 16, 16), BLOCKS)
        big(self.blurred).square().mean().backward()
        g = big.net.encode[0][0].a.weight.grad  # 8 hidden channels, copies of 4
        nearest = torch.cdist(g.flatten(1), g.flatten(1)).fill_diagonal_(float("inf")).min()
        self.assertGreater(float(nearest), 0.01 * float(g.flatten(1).norm(dim=1).mean()))

    def test_narrower_is_refused(self):
        with self.assertRaisesRegex(ValueError, "8 channels cannot become 6"):
            widen.widen(model.Predictor(SMALL, BLOCKS), (4, 6, 8, 6), BLOCKS)


class Onward(Folder):
    def test_a_widened_checkpoint_is_trained_on(self):
        quiet = lambda *a, **k: None
        path = lambda name: os.path.join(self.folder, name)
        s = small(self.folder, name="predictor-s", widths=(16, 16, 16, 16))
        train.train(s, Inline(), log=quiet)
        with unittest.mock.patch.object(sys, "argv", ["widen.py", s.out, path("m0.pt"), "--size", "m"]), redirect_stdout(io.StringIO()):
            widen.main()
        m = train.shaped(dataclasses.replace(s, init=path("m0.pt"), out=path("m.pt"), name="predictor-m", iterations=2))
        self.assertEqual(m.widths, (32, 64, 128, 192))
        run = train.Run(m, train.Prediction(m, Inline(), torch.device("cpu")), torch.device("cpu"))
        pictures = run.task.batch(0)
        with torch.no_grad():
            torch.testing.assert_close(run.net(pictures[0]), train.load(s.out)[0](pictures[0]), rtol=1e-4, atol=0.01)
        train.train(m, Inline(), log=quiet)
        meta = export.export(m.out, path("m.onnx"), half=True)
        self.assertEqual(meta["name"], "predictor-m")
        self.assertRegex(meta["trained"], "^predictor-m: 2 iterations, 8 patches, .*; after widened from predictor-s: 4 iterations")
        self.assertNotEqual(meta["predictor_id"], model.identity_of(train.load(s.out)[0]))


if __name__ == "__main__":
    unittest.main()
