"""Write a checkpoint as an ONNX file that the daemon reads: planes in, planes out, all arithmetic inside the graph.

    python3 export.py predictor.pt ../models/predictor-s.onnx
    python3 export.py denoiser.pt ../models/denoiser-s.onnx --sampler ode --steps 4
    python3 export.py predictor-m.pt ../models/predictor-m.onnx --half
    python3 export.py --identity ../models/identity.onnx

H and W stay dynamic, and no Shape or Gather node appears, so that a runtime can plan the graph once a size is set.
"""
import argparse
import copy
import inspect
import os
import warnings

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn as nn
import torch.nn.functional as F

import model
import settings as settings_
import testcard
import train

FORMAT = "sharpend/1"
OPSET = 13
DATA = "Urban100 and Kodak PCD0992, less the held-out 16"  # of checkpoints that do not say
LICENCE = "Apache-2.0; photographs it was trained on: see models/README.md"


def fold(net):
    """A copy of a UNet with the gain of each block inside its second kernel, and the chroma reach left alone."""
    net = copy.deepcopy(net)
    for m in net.modules():
        if isinstance(m, model.Block):
            m.b.weight.data *= m.gain.data.view(-1, 1, 1, 1)
            m.b.bias.data *= m.gain.data.view(-1)
            m.gain = nn.Parameter(torch.ones(1), requires_grad=False)
            m.forward = _folded_forward.__get__(m)
    return net


def _folded_forward(block, x, t=None):
    h = block.a(x)
    if block.level is not None:
        h = h + block.level(t)[:, :, None, None]
    return x + block.b(F.relu(h))


def unshuffle(n):
    """Pixel-unshuffle of n planes as a fixed convolution: [B, n, H, W] to [B, 4n, H/2, W/2], plane by plane.

    The operator itself would be exported as Shape, Reshape and Transpose.
    """
    conv = nn.Conv2d(n, 4 * n, 2, 2, bias=False)
    w = torch.zeros(4 * n, n, 2, 2)
    for i in range(4 * n):
        w[i, i // 4, i % 4 // 2, i % 2] = 1
    conv.weight = nn.Parameter(w, requires_grad=False)
    return conv


def grey(p):
    """float32 to uint8, half to even."""
    return p.clamp(0, 255).round().to(torch.uint8)


class PredictorGraph(nn.Module):
    """(y, cb, cr) uint8 to the same, sharpened."""

    inputs = ["y", "cb", "cr"]
    outputs = ["y_sharp", "cb_sharp", "cr_sharp"]

    def __init__(self, predictor):
        super().__init__()
        self.net, self.unshuffle = fold(predictor.net), unshuffle(1)
        self.net.stem.weight.data /= 64
        self.net.out.weight.data *= predictor.reach.view(-1, 1, 1, 1)
        self.net.out.bias.data *= predictor.reach.view(-1)

    def forward(self, y, cb, cr):
        y, cb, cr = y.float(), cb.float(), cr.float()
        dy, dcb, dcr = self.net(torch.cat([self.unshuffle(y), cb, cr], 1) - 128).split((4, 1, 1), 1)
        return grey(y + F.pixel_shuffle(dy, 2)), grey(cb + dcb), grey(cr + dcr)


class DenoiserGraph(nn.Module):
    """(state, sigma, blurred, predicted) to the denoised residual D(state; sigma), in units of residual_scale."""

    inputs = ["state_y", "state_cb", "state_cr", "sigma", "blurred_y", "blurred_cb", "blurred_cr",
              "predicted_y", "predicted_cb", "predicted_cr"]
    outputs = ["denoised_y", "denoised_cb", "denoised_cr"]

    def __init__(self, denoiser):
        super().__init__()
        self.net, self.embed, self.unshuffle = fold(denoiser.net), denoiser.embed, unshuffle(3)
        self.register_buffer("rates", denoiser.rates[None] * 0.25)
        w = self.net.stem.weight.data  # columns: state 4+2, predicted 4+2, predicted - blurred 4+2
        w[:, 6:12] /= 64
        w[:, 12:] /= denoiser.unit()
        self.net.stem.weight.data = w[:, [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, 4, 5, 10, 11, 16, 17]].contiguous()

    def forward(self, x_y, x_cb, x_cr, sigma, b_y, b_cb, b_cr, p_y, p_cb, p_cr):
        s = sigma.reshape(1, 1, 1, 1)
        v = s * s + 1
        c_in, c_out = 1 / v.sqrt(), s / v.sqrt()
        a = sigma.reshape(1, 1).log() * self.rates
        t = self.embed(torch.cat([a.sin(), a.cos()], 1))
        p_y, p_cb, p_cr = p_y.float(), p_cb.float(), p_cr.float()
        luma = self.unshuffle(torch.cat([x_y * c_in, p_y - 128, p_y - b_y.float()], 1))
        z = torch.cat([luma, x_cb * c_in, x_cr * c_in, p_cb - 128, p_cr - 128, p_cb - b_cb.float(), p_cr - b_cr.float()], 1)
        f_y, f_cb, f_cr = self.net(z, t).split((4, 1, 1), 1)
        return x_y / v + F.pixel_shuffle(f_y, 2) * c_out, x_cb / v + f_cb * c_out, x_cr / v + f_cr * c_out


def graph_of(net):
    return (PredictorGraph if net.kind == "predictor" else DenoiserGraph)(net)


def example(graph, h=64, w=96):
    """Random inputs of a graph, H x W luma pixels."""
    out = []
    for name in graph.inputs:
        shape = (1, 1, h, w) if name.endswith("y") else (1, 1, h // 2, w // 2)
        if name == "sigma":
            out.append(torch.tensor([1.5]))
        elif name.startswith("state"):
            out.append(torch.randn(shape))
        else:
            out.append(torch.randint(0, 256, shape).to(torch.uint8))
    return tuple(out)


def dynamic_axes(names):
    full, half = {2: "height", 3: "width"}, {2: "half_height", 3: "half_width"}
    return {n: full if n.endswith(("y", "y_sharp")) else half for n in names if n != "sigma"}


def trace(net, inputs, path, **more):
    """torch.onnx.export by tracing: newer PyTorch would do otherwise unless told."""
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        more["dynamo"] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net.eval(), inputs, path, **more)


def write(graph, path, metadata, half=False):
    """Export, add the metadata, check and save; a torn file is never seen."""
    trace(graph, example(graph), path + ".part", opset_version=OPSET, input_names=graph.inputs, output_names=graph.outputs,
          dynamic_axes=dynamic_axes(graph.inputs + graph.outputs))
    proto = onnx.load(path + ".part")
    os.remove(path + ".part")
    if half:
        halve(proto)
    save(proto, path, metadata)


def save(proto, path, metadata):
    onnx.helper.set_model_props(proto, {k: str(v) for k, v in metadata.items()})
    proto.producer_name = "sharpend"
    onnx.checker.check_model(proto)
    onnx.save(proto, path + ".new")
    os.replace(path + ".new", path)


def describe(net, ck):
    """The metadata of a trained network, all of it measured or read from its checkpoint."""
    s = ck["settings"]
    done = ck["iteration"] / s["iterations"] if s["iterations"] else ck["seconds"] / (60 * s["minutes"])
    part = f", UNFINISHED ({100 * done:.0f} % of its schedule)" if 0 < done < 0.99 else ""
    return dict(format=FORMAT, kind=net.kind, name=s["name"], multiple=model.MULTIPLE,
                predictor_id=ck.get("predictor_id") or model.identity_of(net), revision=ck.get("revision") or train.revision(),
                seed=s["seed"], data=ck.get("data", DATA) + "; shaken by simulation", licence=LICENCE, parameters=model.parameters(net), gmac_720p=f"{model.gmac(net):.1f}",
                trained=train.history(ck) + part)


def refinement(net, ck, **given):
    """A denoiser's further metadata: what its training settled, unless `given` (and not None)."""
    s = settings_.Settings(**ck["settings"])
    about = dict(residual_scale_luma=f"{float(net.scale[0]):.6g}", residual_scale_chroma=f"{float(net.scale[1]):.6g}",
                 sigma_min=s.sigma_min, sigma_max=s.sigma_max, rho=s.rho, sampler="ode", steps=4)
    if s.teacher:
        about["distilled_steps"] = ",".join(map(str, s.student_steps))
    return about | {k: v for k, v in given.items() if v is not None}


def halve(proto):
    """Stores the kernels as float16, each cast back when the graph is loaded: half the file, the same arithmetic."""
    for t in [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) >= 1024]:
        kernel = onnx.numpy_helper.to_array(t)
        if np.abs(kernel).max() > np.finfo(np.float16).max:
            raise ValueError(f"{t.name}: float16 does not hold {np.abs(kernel).max():g}")
        t.CopyFrom(onnx.numpy_helper.from_array(kernel.astype(np.float16), t.name + "_half"))
        whole = t.name.removesuffix("_half")
        proto.graph.node.insert(0, onnx.helper.make_node("Cast", [t.name], [whole], name=whole + "_cast", to=onnx.TensorProto.FLOAT))


def export(checkpoint, path, half=False, **given):
    """Writes the file and returns its metadata; `given` are a denoiser's sampler, steps, sigma_min, sigma_max, rho."""
    net, ck = train.load(checkpoint)
    about = describe(net, ck)
    if net.kind == "denoiser":
        about |= refinement(net, ck, **given)
    graph = graph_of(net)
    write(graph, path, about | testcard.record(graph), half)
    return about


def identity(path):
    """A predictor that returns what it is given: what a frame costs without the arithmetic."""
    u8, axes = onnx.TensorProto.UINT8, dynamic_axes(PredictorGraph.inputs + PredictorGraph.outputs)
    value = lambda n: onnx.helper.make_tensor_value_info(n, u8, [1, 1, axes[n][2], axes[n][3]])
    nodes = [onnx.helper.make_node("Identity", [i], [o]) for i, o in zip(PredictorGraph.inputs, PredictorGraph.outputs)]
    graph = onnx.helper.make_graph(nodes, "identity", [value(n) for n in PredictorGraph.inputs],
                                   [value(n) for n in PredictorGraph.outputs])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    proto.ir_version = 7
    save(proto, path, dict(format=FORMAT, kind="predictor", name="identity", multiple=model.MULTIPLE,
                           predictor_id="0" * 16, revision=train.revision(), seed=0, data="none", licence="Apache-2.0", parameters=0,
                           gmac_720p=0, trained="not trained: returns its input") | testcard.record(None))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", nargs="?")
    p.add_argument("path")
    p.add_argument("--identity", action="store_true", help="write the pass-through predictor instead")
    p.add_argument("--half", action="store_true", help="store kernels as float16")
    for name, kind in (("steps", int), ("sigma-min", float), ("sigma-max", float), ("rho", float)):
        p.add_argument("--" + name, type=kind, help="of a denoiser; default: what its training says")
    p.add_argument("--sampler", choices=["ode", "ancestral"])
    a = p.parse_args()
    if a.identity:
        identity(a.path)
        return
    about = export(a.checkpoint, a.path, a.half, sampler=a.sampler, steps=a.steps, sigma_min=a.sigma_min,
                   sigma_max=a.sigma_max, rho=a.rho)
    for k, v in about.items():
        print(f"{k}: {v}")


if __name__ == "__main__":
    main()
