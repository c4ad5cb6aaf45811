"""Make another deblurring network a predictor of ours: planes in, planes out, its own arithmetic in between.

    python3 wrap.py MODEL.onnx ../models/predictor-NAME.onnx --licence MIT --trained "GoPro, by its authors"

MODEL.onnx takes one RGB picture, float [1, 3, H, W] with H and W free, and gives one of the same size; opset 11 or later.
From PyTorch: torch.onnx.export(net, picture, "MODEL.onnx", input_names=["x"], output_names=["y"],
dynamic_axes={"x": {2: "h", 3: "w"}, "y": {2: "h", 3: "w"}}).

Colours are BT.601, full range. Chroma is doubled bilinearly on the way in; on the way out only what the network changed is
halved (2x2 means) and added to the planes that came, so that what it leaves alone comes out bit by bit as it went in.
"""
import argparse
import hashlib
import os

import numpy as np
import onnx
import onnx.numpy_helper

import export
import model
import testcard
import train

FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])  # of y, cb - 128, cr - 128
YCC = np.linalg.inv(RGB)


class Unfit(ValueError):
    """A network that cannot be wrapped, and why."""


def port(values, name, what):
    """The one float picture among a graph's inputs or outputs, or the one of that name."""
    fits = [v for v in values if name in ("", v.name)]
    if len(fits) != 1:
        raise Unfit(f"expected one {what}{' ' + name if name else ''}, found: {', '.join(v.name for v in values) or 'none'}")
    kind = fits[0].type.tensor_type
    dims = [d.dim_value for d in kind.shape.dim]
    if kind.elem_type not in FLOATS or len(dims) != 4 or dims[0] > 1 or dims[1] not in (0, 3):
        raise Unfit(f"{what} {fits[0].name}: expected float [1, 3, H, W], found {dims} of type {kind.elem_type}")
    if what == "input" and (dims[2] or dims[3]):
        raise Unfit(f"input {fits[0].name}: expected free height and width, found {dims[2]} x {dims[3]}: export it with dynamic_axes")
    return fits[0]


def check_opset(proto):
    for o in proto.opset_import:
        if o.domain in ("", "ai.onnx") and o.version < 11:
            raise Unfit(f"expected opset 11 or later, found {o.version}")


def prefix(graph, p="net/"):
    """Gives every value and node of a graph, and of the graphs inside its nodes, a name that none of ours has."""
    for v in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        v.name = p + v.name
    for n in graph.node:
        n.name = p + n.name
        for names in (n.input, n.output):
            names[:] = [p + v if v else v for v in names]
        for a in n.attribute:
            for g in [a.g] if a.HasField("g") else a.graphs:
                prefix(g, p)


class Builder:
    """Nodes and constants, one after the other."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value, kind=np.float32):
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(onnx.helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def front(b, low, high, bgr):
    """(planes y, cb, cr as float, RGB within low..high): nodes that make a network's input."""
    planes = [b.add("Cast", [n], n + "_float", to=onnx.TensorProto.FLOAT) for n in export.PredictorGraph.inputs]
    chroma = b.add("Concat", planes[1:], "chroma", axis=1)
    doubled = b.add("Resize", [chroma, b.constant("no_roi", []), b.constant("twice", [1, 1, 2, 2])], "chroma_doubled",
                    mode="linear", coordinate_transformation_mode="half_pixel")
    whole = b.add("Concat", [planes[0], doubled], "ycc", axis=1)
    span = (high - low) / 255
    m = RGB[::-1] if bgr else RGB
    weight = b.constant("to_rgb", (m * span)[..., None, None])
    bias = b.constant("to_rgb_bias", low - span * m @ [0, 128, 128])
    rgb = b.add("Conv", [whole, weight, bias], "rgb_unclipped")
    return planes, b.add("Clip", [rgb, b.constant("low", low), b.constant("high", high)], "rgb")


def back(b, planes, rgb, result, low, high, bgr):
    """Nodes that bring what the network changed to the planes."""
    result = b.add("Clip", [result, "low", "high"], "result_clipped")
    change = b.add("Sub", [result, rgb], "change")
    m = YCC[:, ::-1] if bgr else YCC
    for i, (plane, name) in enumerate(zip(planes, export.PredictorGraph.outputs)):
        d = b.add("Conv", [change, b.constant(name + "_of", (m[i:i + 1] * 255 / (high - low))[..., None, None])], name + "_change")
        if i:
            d = b.add("AveragePool", [d], name + "_halved", kernel_shape=[2, 2], strides=[2, 2])
        grey = b.add("Round", [b.add("Add", [plane, d], name + "_sum")], name + "_round")
        grey = b.add("Clip", [grey, b.constant(name + "_0", 0), b.constant(name + "_255", 255)], name + "_clip")
        b.add("Cast", [grey], name, to=onnx.TensorProto.UINT8)


def wrap(proto, low=0.0, high=1.0, bgr=False, source="", output=""):
    """An RGB network as a predictor's graph; no metadata yet."""
    check_opset(proto)
    graph = proto.graph
    given = {t.name for t in graph.initializer}
    x = port([v for v in graph.input if v.name not in given], source, "input")
    y = port(graph.output, output, "output")
    kind = x.type.tensor_type.elem_type
    b = Builder()
    planes, rgb = front(b, low, high, bgr)
    prefix(graph)  # renames x and y, too
    enter = b.add("Cast", [rgb], x.name, to=kind) if kind != onnx.TensorProto.FLOAT else b.add("Identity", [rgb], x.name)
    n, leave = len(b.nodes), y.name
    if y.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        leave = b.add("Cast", [leave], "result", to=onnx.TensorProto.FLOAT)
    back(b, planes, rgb, leave, low, high, bgr)
    nodes = b.nodes[:n] + list(graph.node) + b.nodes[n:]
    ports = lambda names: [onnx.helper.make_tensor_value_info(v, onnx.TensorProto.UINT8, [1, 1, a[2], a[3]])
                           for v, a in export.dynamic_axes(names).items()]
    whole = onnx.helper.make_graph(nodes, "wrapped", ports(export.PredictorGraph.inputs), ports(export.PredictorGraph.outputs),
                                   list(graph.initializer) + b.constants, sparse_initializer=graph.sparse_initializer)
    out = onnx.helper.make_model(whole, opset_imports=proto.opset_import, functions=proto.functions)
    out.ir_version = max(7, proto.ir_version)
    return out


def describe(path, proto, a):
    """The contract's metadata of a wrapped network."""
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:16]
    name = a.name or os.path.splitext(os.path.basename(path))[0]
    parameters = sum(int(np.prod(t.dims)) for t in proto.graph.initializer)
    return dict(format=export.FORMAT, kind="predictor", name=name, multiple=a.multiple, predictor_id=digest,
                revision=train.revision(), data=a.data, licence=a.licence, trained=a.trained, parameters=parameters,
                gmac_720p=a.gmac, wrapped=os.path.basename(path))


def recorded(path):
    """The metadata of a recorded run, by ONNX Runtime; none where it is not at hand."""
    import ort

    try:
        graph = ort.Graph(path)
    except OSError as e:
        print(f"no recorded run inside: {e}")
        return {}
    blurred = testcard.picture()
    return testcard.fields(testcard.raw(blurred), testcard.raw(graph(*blurred)))


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("path")
    p.add_argument("--name", help="default: the file's")
    p.add_argument("--multiple", type=int, default=model.MULTIPLE, help="height and width must divide by it; even")
    p.add_argument("--low", type=float, default=0.0, help="value of black")
    p.add_argument("--high", type=float, default=1.0, help="value of white")
    p.add_argument("--bgr", action="store_true", help="the network wants blue first")
    p.add_argument("--input", default="", help="name, if it has several")
    p.add_argument("--output", default="", help="name, if it has several")
    for key in ("data", "licence", "trained", "gmac"):
        p.add_argument("--" + key, default="unknown: ask the network's authors", help="for the metadata")
    a = p.parse_args(argv)
    if a.multiple < 2 or a.multiple % 2:
        p.error("--multiple must be even: chroma has half the size")
    proto = onnx.load(a.model)
    about = describe(a.model, proto, a)
    try:
        whole = wrap(proto, a.low, a.high, a.bgr, a.input, a.output)
    except Unfit as e:
        p.error(f"{a.model}: {e}")
    export.save(whole, a.path, about)
    export.save(whole, a.path, about | recorded(a.path))


if __name__ == "__main__":
    main()
