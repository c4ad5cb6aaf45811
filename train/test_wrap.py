"""Other people's networks behind our contract: shapes as NAFNet's and Restormer's, built here with random weights."""
import os
import sys
import tempfile
import unittest

import numpy as np
import onnx
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import blur
import export
import ort
import testcard
import wrap


class LayerNorm(nn.Module):
    """Over channels, as both families write it."""

    def __init__(self, width):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.randn(1, width, 1, 1)) for _ in range(2))

    def forward(self, x):
        d = x - x.mean(1, keepdim=True)
        return d / (d.square().mean(1, keepdim=True) + 1e-6).sqrt() * self.weight + self.bias


class Nafnet(nn.Module):
    """After Chen et al. 2022: LayerNorm, depthwise, SimpleGate, channel attention by a global mean; one level down and up."""

    def __init__(self, width=8, end=0.3):
        super().__init__()
        self.intro, self.norm = nn.Conv2d(3, width, 3, padding=1), LayerNorm(2 * width)
        self.down, self.up = nn.Conv2d(width, 2 * width, 2, 2), nn.Conv2d(2 * width, 4 * width, 1, bias=False)
        self.wide, self.deep = nn.Conv2d(2 * width, 4 * width, 1), nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=4 * width)
        self.attend, self.narrow = nn.Conv2d(2 * width, 2 * width, 1), nn.Conv2d(2 * width, 2 * width, 1)
        self.ending = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.normal_(self.ending.weight, std=0.02 * end)
        nn.init.zeros_(self.ending.bias)

    def forward(self, picture):
        h, w = picture.shape[2:]
        padded = F.pad(picture, (0, (16 - w % 16) % 16, 0, (16 - h % 16) % 16))
        x = self.intro(padded)
        z = self.down(x)
        a, b = self.deep(self.wide(self.norm(z))).chunk(2, 1)
        z = z + self.narrow(a * b * self.attend((a * b).mean((2, 3), keepdim=True)))
        return (padded + self.ending(x + F.pixel_shuffle(self.up(z), 2)))[:, :, :h, :w]


class Restormer(nn.Module):
    """After Zamir et al. 2022: attention across channels (transposed), gated feed-forward."""

    def __init__(self, width=8, heads=2, end=0.3):
        super().__init__()
        self.heads, self.temperature = heads, nn.Parameter(torch.ones(heads, 1, 1))
        self.embed, self.norm = nn.Conv2d(3, width, 3, padding=1), LayerNorm(width)
        self.qkv, self.qkv_deep = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width)
        self.project, self.gate, self.out = (nn.Conv2d(a, b, 1) for a, b in ((width, width), (width, 4 * width), (2 * width, 3)))
        nn.init.normal_(self.out.weight, std=0.02 * end)
        nn.init.zeros_(self.out.bias)

    def forward(self, picture):
        x = self.embed(picture)
        n, c, h, w = x.shape
        q, k, v = (t.reshape(n, self.heads, c // self.heads, h * w) for t in self.qkv_deep(self.qkv(self.norm(x))).chunk(3, 1))
        share = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature).softmax(-1)
        x = x + self.project((share @ v).reshape(n, c, h, w))
        a, b = self.gate(x).chunk(2, 1)
        return picture + self.out(F.gelu(a) * b)


class Darker(nn.Module):
    """Takes a tenth off every channel but blue."""

    def forward(self, picture):
        return picture * torch.tensor([0.9, 0.9, 1.0]).view(1, 3, 1, 1)


def write(net, path, opset=13, free=True):
    axes = {"x": {2: "h", 3: "w"}, "y": {2: "h", 3: "w"}} if free else None
    export.trace(net, torch.rand(1, 3, 32, 48), path, input_names=["x"], output_names=["y"], dynamic_axes=axes, opset_version=opset)
    return path


def rgb(y, cb, cr):
    """The planes as a network sees them, [1, 3, H, W]."""
    return torch.from_numpy(blur.to_bgr(y, cb, cr)[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def ycc(picture):
    """RGB [1, 3, H, W] to float planes of grey levels, chroma by 2x2 means."""
    r, g, b = picture[0].double().numpy() * 255
    y = 0.299 * r + 0.587 * g + 0.114 * b
    half = lambda p: p.reshape(p.shape[0] // 2, 2, -1, 2).mean((1, 3))
    return y, half(128 + (b - y) / 1.772), half(128 + (r - y) / 1.402)


def scene(h=64, w=96):
    """Planes with edges and colour."""
    rng = np.random.default_rng(2)
    image = np.kron(rng.integers(30, 220, size=(h // 16, w // 16, 3)), np.ones((16, 16, 1)))
    return blur.to_planes(image)


class Wrap(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.path = lambda name: os.path.join(held.name, name)
        torch.manual_seed(0)

    def wrapped(self, net, *more, **how):
        wrap.main([write(net, self.path("in.onnx"), **how), self.path("out.onnx"), *more])
        return ort.Graph(self.path("out.onnx"))

    def compare(self, net, *more):
        """The wrapped file against the network itself, asked by way of OpenCV: within 2 grey levels."""
        graph, planes = self.wrapped(net, *more), scene()
        before = rgb(*planes)
        with torch.no_grad():
            after = net(before).clamp(0, 1)
        changed = 0
        for got, plane, old, new in zip(graph(*planes), planes, ycc(before), ycc(after)):
            want = np.clip(plane + new - old, 0, 255)
            self.assertLessEqual(float(np.abs(got - want).max()), 2.0)
            changed = max(changed, int(np.abs(got.astype(int) - plane).max()))
        self.assertGreater(changed, 5)
        return graph

    def test_nafnet(self):
        meta = self.compare(Nafnet(end=3), "--gmac", "63.2").metadata
        self.assertEqual((meta["kind"], meta["multiple"], meta["format"]), ("predictor", "16", "sharpend/1"))
        self.assertEqual(meta["gmac_720p"], "63.2")

    def test_restormer(self):
        meta = self.compare(Restormer(end=3), "--licence", "MIT", "--name", "restormer", "--multiple", "8").metadata
        self.assertEqual((meta["licence"], meta["name"], meta["multiple"]), ("MIT", "restormer", "8"))

    def test_colours_are_in_order(self):
        self.compare(Darker())

    def test_what_a_network_leaves_alone_stays_as_it_was(self):
        planes = testcard.picture()
        for net in (Nafnet(end=0), Restormer(end=0)):
            for a, b in zip(self.wrapped(net)(*planes), planes):
                self.assertTrue((a == b).all())

    def test_other_ranges(self):
        class Offset(nn.Module):
            def forward(self, picture):  # 20 grey levels more of the first channel, of a network that speaks -1..1
                return picture + torch.tensor([40 / 255, 0, 0]).view(1, 3, 1, 1)

        y, cb, cr = (np.full(s, 128, np.uint8) for s in ((32, 32), (16, 16), (16, 16)))
        self.assertEqual([int(p[8, 8]) for p in self.wrapped(Offset(), "--low", "-1")(y, cb, cr)], [134, 125, 138])

    def test_blue_first_is_the_same_network_turned_round(self):
        class Turned(nn.Module):
            def forward(self, picture):
                return Darker()(picture.flip(1)).flip(1)

        for a, b in zip(self.wrapped(Turned(), "--bgr")(*scene()), self.wrapped(Darker())(*scene())):
            self.assertLessEqual(int(np.abs(a.astype(int) - b).max()), 1)

    def test_half_precision_and_older_opsets(self):
        planes = testcard.picture()
        path = write(Nafnet(end=0), self.path("half.onnx"), opset=11)
        wrap.main([path, self.path("out.onnx")])
        self.assertTrue((ort.Graph(self.path("out.onnx"))(*planes)[0] == planes[0]).all())
        x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT16, [1, 3, "h", "w"]) for n in "xy")
        graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "half", [x], [y])
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)]), path)
        wrap.main([path, self.path("out.onnx")])
        for a, b in zip(ort.Graph(self.path("out.onnx"))(*planes), planes):
            self.assertLessEqual(int(np.abs(a.astype(int) - b).max()), 1)

    def test_a_recorded_run_is_inside(self):
        graph = self.wrapped(Nafnet())
        want = testcard.fields(testcard.raw(testcard.picture()), testcard.raw(graph(*testcard.picture())))
        self.assertEqual({k: str(v) for k, v in want.items()}, {k: graph.metadata[k] for k in want})

    def test_what_does_not_fit_is_refused(self):
        class Two(nn.Module):
            def forward(self, x):
                return x, x

        class Gray(nn.Module):
            def forward(self, x):
                return x.mean(1, keepdim=True)

        refuse = lambda net, why, **how: self.assertRaisesRegex(wrap.Unfit, why, wrap.wrap, onnx.load(write(net, self.path("x.onnx"), **how)))
        refuse(Darker(), "free height and width", free=False)
        refuse(Darker(), "opset 11", opset=9)
        refuse(Two(), "expected one output, found: y, ")
        refuse(Gray(), r"expected float \[1, 3, H, W\]")

    def test_a_network_among_several_outputs(self):
        class Two(nn.Module):
            def forward(self, x):
                return x * 0, x * 1

        path, planes = write(Two(), self.path("two.onnx")), testcard.picture()
        second = onnx.load(path).graph.output[1].name
        wrap.main([path, self.path("out.onnx"), "--output", second])
        self.assertTrue((ort.Graph(self.path("out.onnx"))(*planes)[0] == planes[0]).all())


if __name__ == "__main__":
    unittest.main()
