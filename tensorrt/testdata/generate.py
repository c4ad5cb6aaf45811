#!/usr/bin/env python3
"""Writes the small models that the tests of package tensorrt use, and probe.onnx beside the package.

Right ones keep the model contract "sharpend/1"; each wrong one breaks it in one way.
Needs numpy and onnx (Debian: python3-onnx). The files are committed: run this only to change them.
"""

import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
PLANES = ("y", "cb", "cr")
FULL, HALF = ["1", "1", "H", "W"], ["1", "1", "H/2", "W/2"]

PREDICTOR_META = {
    "format": "sharpend/1", "kind": "predictor", "name": "test-predictor", "multiple": "16",
    "predictor_id": "0123456789abcdef", "revision": "none", "seed": "0", "data": "none",
    "licence": "CC0-1.0", "parameters": "0", "gmac_720p": "0", "trained": "never",
}
DENOISER_META = dict(
    PREDICTOR_META, kind="denoiser", name="test-denoiser", residual_scale_luma="4", residual_scale_chroma="2.5",
    sigma_min="0.01", sigma_max="20", rho="7", sampler="ode", steps="5",
)


def port(name, dtype, shape):
    return h.make_tensor_value_info(name, dtype, [int(d) if d.isdigit() else d for d in shape])


def shape(plane):
    return FULL if plane == "y" else HALF


def scalar(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.array(value, dtype), name)


def save(name, nodes, inputs, outputs, meta, initializers=(), folder=HERE):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializers))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=7, producer_name="sharpend tests")
    h.set_model_props(model, meta)
    onnx.checker.check_model(model)
    with open(os.path.join(folder, name + ".onnx"), "wb") as file:
        file.write(model.SerializeToString())


def plus_one(plane, source=None, gain="one_gain"):
    """plane_sharp = clip(gain * plane + 1, 0, 255)"""
    return [
        h.make_node("Cast", [source or plane], [plane + "_f"], to=T.FLOAT),
        h.make_node("Mul", [plane + "_f", gain], [plane + "_g"]),
        h.make_node("Add", [plane + "_g", "one"], [plane + "_a"]),
        h.make_node("Clip", [plane + "_a", "zero", "top"], [plane + "_c"]),
        h.make_node("Cast", [plane + "_c"], [plane + "_sharp"], to=T.UINT8),
    ]


def predictor(name, meta=PREDICTOR_META, folder=HERE, nodes=None, inputs=None, outputs=None, gain=1.0, more=()):
    constants = [scalar("one", 1), scalar("zero", 0), scalar("top", 255), scalar("one_gain", gain), *more]
    save(
        name,
        nodes or [n for p in PLANES for n in plus_one(p)],
        inputs or [port(p, T.UINT8, shape(p)) for p in PLANES],
        outputs or [port(p + "_sharp", T.UINT8, shape(p)) for p in PLANES],
        meta, constants, folder,
    )


def denoiser_ports():
    inputs = [port("state_" + p, T.FLOAT, shape(p)) for p in PLANES] + [port("sigma", T.FLOAT, ["1"])]
    inputs += [port("blurred_" + p, T.UINT8, shape(p)) for p in PLANES]
    inputs += [port("predicted_" + p, T.UINT8, shape(p)) for p in PLANES]
    return inputs, [port("denoised_" + p, T.FLOAT, shape(p)) for p in PLANES]


def mix(p, state=None):
    """denoised = 0.5 state + 0.1 sigma + 0.01 (predicted - blurred): a wrongly bound input shows in the numbers."""
    return [
        h.make_node("Mul", [state or "state_" + p, "half"], [p + "_s"]),
        h.make_node("Mul", ["sigma", "tenth"], [p + "_t"]),
        h.make_node("Cast", ["blurred_" + p], [p + "_b"], to=T.FLOAT),
        h.make_node("Cast", ["predicted_" + p], [p + "_p"], to=T.FLOAT),
        h.make_node("Sub", [p + "_p", p + "_b"], [p + "_d"]),
        h.make_node("Mul", [p + "_d", "hundredth"], [p + "_e"]),
        h.make_node("Add", [p + "_s", p + "_t"], [p + "_u"]),
        h.make_node("Add", [p + "_u", p + "_e"], ["denoised_" + p]),
    ]


def denoiser(name, meta=DENOISER_META, nodes=None, half=0.5, more=()):
    inputs, outputs = denoiser_ports()
    constants = [scalar("half", half), scalar("tenth", 0.1), scalar("hundredth", 0.01), *more]
    save(name, nodes or [n for p in PLANES for n in mix(p)], inputs, outputs, meta, constants)


def heavy():
    """A chain of convolutions over the luma: seconds of work at 1920x1080, for Terminate."""
    kernel = numpy_helper.from_array(np.full((1, 1, 5, 5), 1 / 25, np.float32), "kernel")
    nodes, last = [], "state_y"
    for i in range(120):
        nodes.append(h.make_node("Conv", [last, "kernel"], [f"c{i}"], pads=[2, 2, 2, 2]))
        nodes.append(h.make_node("Tanh", [f"c{i}"], [f"t{i}"]))
        last = f"t{i}"
    nodes += mix("y", last) + mix("cb") + mix("cr")
    denoiser("heavy", nodes=nodes, more=[kernel])


def dies():
    """A predictor whose Run fails as soon as the first luma sample is above 200, as a lost device would."""
    table = numpy_helper.from_array(np.zeros(201, np.float32), "table")
    corner = [
        h.make_node("Slice", ["y", "begin", "end", "axes"], ["corner"]),
        h.make_node("Cast", ["corner"], ["index"], to=T.INT64),
        h.make_node("Gather", ["table", "index"], ["nothing"]),
        h.make_node("Cast", ["y"], ["y_raw"], to=T.FLOAT),
        h.make_node("Add", ["y_raw", "nothing"], ["y_in"]),
    ]
    more = [table] + [
        numpy_helper.from_array(np.array(v, np.int64), n)
        for n, v in (("begin", [0, 0]), ("end", [1, 1]), ("axes", [2, 3]))
    ]
    nodes = corner + plus_one("y", "y_in") + plus_one("cb") + plus_one("cr")
    predictor("dies", nodes=nodes, more=more)


def without(meta, *keys):
    return {k: v for k, v in meta.items() if k not in keys}


def wrong_models():
    y, cb, cr = (port(p, T.UINT8, shape(p)) for p in PLANES)
    nodes = [n for p in PLANES for n in plus_one(p)]
    renamed = [h.make_node("Identity", ["luma"], ["y"])] + nodes
    predictor("wrong-names", nodes=renamed, inputs=[port("luma", T.UINT8, FULL), cb, cr])
    predictor("wrong-types", inputs=[port("y", T.FLOAT, FULL), cb, cr])
    predictor("wrong-shapes", inputs=[port("y", T.UINT8, ["1", "3", "H", "W"]), cb, cr])
    predictor("wrong-fixed", inputs=[port("y", T.UINT8, ["1", "1", "360", "640"]), cb, cr])
    predictor("wrong-no-metadata", meta={})
    predictor("wrong-format", meta=dict(PREDICTOR_META, format="sharpend/2"))
    predictor("wrong-multiple", meta=dict(PREDICTOR_META, multiple="7"))
    predictor("wrong-several", meta=without(PREDICTOR_META, "predictor_id"), inputs=[port("y", T.FLOAT, FULL), cb, cr])
    denoiser("wrong-schedule", dict(without(DENOISER_META, "steps"), sigma_min="30", rho="seven", sampler="euler"))
    predictor("wrong-black", gain=0.0)  # keeps the contract, but paints black: only a real run shows it
    tall = [n for p in ("y", "cr") for n in plus_one(p)] + plus_one("cb", "y")
    predictor("wrong-chroma", nodes=tall, outputs=[
        port("y_sharp", T.UINT8, FULL), port("cb_sharp", T.UINT8, ["1", "1", "h", "w"]), port("cr_sharp", T.UINT8, HALF)])
    denoiser("wrong-nan", half=float("nan"))
    with open(os.path.join(HERE, "wrong-not-onnx.onnx"), "w") as file:
        file.write("version https://example.invalid/spec/v1\nthis is a text file under a model's name\n")
    with open(os.path.join(HERE, "predictor.onnx"), "rb") as file:
        data = file.read()
    with open(os.path.join(HERE, "wrong-cut.onnx"), "wb") as file:
        file.write(data[: len(data) // 2])


if __name__ == "__main__":
    predictor("predictor")
    predictor("probe", folder=os.path.dirname(HERE), meta=dict(PREDICTOR_META, name="probe"))
    denoiser("denoiser")
    denoiser("denoiser-stranger", dict(DENOISER_META, predictor_id="fedcba9876543210"))
    heavy()
    dies()
    wrong_models()
