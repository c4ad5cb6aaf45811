#!/usr/bin/env python3
"""Writes denoiser-dies.onnx: a denoiser whose run fails as soon as the camera's first luma sample is above 200.

Needs numpy and onnx (Debian: python3-onnx). The file is committed: run this only to change it.
"""

import os
import sys

import numpy as np
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tensorrt", "testdata"))
import generate as g  # noqa: E402

g.HERE = HERE
g.save.__defaults__ = ((), HERE)


def denoiser_dies():
    corner = [
        h.make_node("Slice", ["blurred_y", "begin", "end", "axes"], ["corner"]),
        h.make_node("Cast", ["corner"], ["index"], to=T.INT64),
        h.make_node("Gather", ["table", "index"], ["nothing"]),
        h.make_node("Add", ["state_y", "nothing"], ["state_y_in"]),
    ]
    more = [numpy_helper.from_array(np.zeros(201, np.float32), "table")] + [
        numpy_helper.from_array(np.array(v, np.int64), n)
        for n, v in (("begin", [0, 0]), ("end", [1, 1]), ("axes", [2, 3]))
    ]
    g.denoiser("denoiser-dies", nodes=corner + g.mix("y", "state_y_in") + g.mix("cb") + g.mix("cr"), more=more)


if __name__ == "__main__":
    denoiser_dies()
