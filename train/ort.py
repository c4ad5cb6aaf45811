"""ONNX Runtime from Python through its C interface: Debian packages no binding, and the daemon's own library serves.

    run = ort.Graph("../models/predictor-s.onnx")
    y, cb, cr = run(y, cb, cr)
"""
import ctypes
import os

import numpy as np
import onnx

# Places in struct OrtApi of onnxruntime_c_api.h, version 24; the header only ever appends.
API_VERSION = 24
ERROR_MESSAGE, CREATE_ENV, CREATE_SESSION, RUN, CREATE_OPTIONS = 2, 3, 7, 9, 10
OPTIMISATION, INTRA_THREADS, TENSOR_WITH_DATA, CPU_MEMORY = 23, 24, 49, 69
RELEASE_STATUS, RELEASE_SESSION, RELEASE_VALUE, RELEASE_OPTIONS = 93, 95, 96, 100
TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2}
DTYPES = {v: k for k, v in TYPES.items()}
WARNING, ALL_OPTIMISATIONS, ARENA, DEFAULT_MEMORY = 2, 99, 1, 0

_runtime = None


def library():
    """Path of the runtime: $SHARPEND_ONNXRUNTIME, or what `make lib` fetched."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("SHARPEND_ONNXRUNTIME") or os.path.join(here, "..", "lib", "libonnxruntime.so.1")


class Runtime:
    """The table of functions, one environment and one description of the memory."""

    def __init__(self, path):
        base = ctypes.CDLL(path).OrtGetApiBase
        base.restype = ctypes.POINTER(ctypes.c_void_p)
        table = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(base()[0])(API_VERSION)
        if not table:
            raise RuntimeError(f"{path}: older than ONNX Runtime 1.{API_VERSION}")
        self.table = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
        self.env = self.make(CREATE_ENV, ctypes.c_int(WARNING), b"train")
        self.memory = self.make(CPU_MEMORY, ctypes.c_int(ARENA), ctypes.c_int(DEFAULT_MEMORY))

    def function(self, place, result=ctypes.c_void_p):
        return ctypes.CFUNCTYPE(result)(self.table[place])

    def call(self, place, *args):
        """A function that returns a status; what it complains about is raised."""
        status = self.function(place)(*args)
        if status:
            text = self.function(ERROR_MESSAGE, ctypes.c_char_p)(ctypes.c_void_p(status)).decode()
            self.release(RELEASE_STATUS, ctypes.c_void_p(status))
            raise RuntimeError(text)

    def make(self, place, *args):
        """Likewise, of one that gives a handle through its last argument."""
        handle = ctypes.c_void_p()
        self.call(place, *args, ctypes.byref(handle))
        return handle

    def release(self, place, handle):
        self.function(place, None)(handle)

    def value(self, array, shape):
        """A tensor that shares the memory of `array`, which must be contiguous and outlive it."""
        dims = (ctypes.c_int64 * len(shape))(*shape)
        return self.make(TENSOR_WITH_DATA, self.memory, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes),
                         dims, ctypes.c_size_t(len(shape)), ctypes.c_int(TYPES[array.dtype]))


def runtime():
    global _runtime
    _runtime = _runtime or Runtime(library())
    return _runtime


class Graph:
    """A file of the model contract as a function of planes [H, W] or [H/2, W/2] and of `sigma`, in the file's order.

    The outputs have the shapes of the last three inputs: y, cb, cr.
    """

    def __init__(self, path, threads=1):
        proto = onnx.load(path)
        self.metadata = {p.key: p.value for p in proto.metadata_props}
        self.names = [[v.name for v in side] for side in (proto.graph.input, proto.graph.output)]
        self.type = DTYPES[proto.graph.output[0].type.tensor_type.elem_type]
        self.ort = runtime()
        options = self.ort.make(CREATE_OPTIONS)
        self.ort.call(INTRA_THREADS, options, ctypes.c_int(threads))
        self.ort.call(OPTIMISATION, options, ctypes.c_int(ALL_OPTIMISATIONS))
        self.session = self.ort.make(CREATE_SESSION, self.ort.env, os.fsencode(path), options)
        self.ort.release(RELEASE_OPTIONS, options)

    def __del__(self):
        if hasattr(self, "session"):
            self.ort.release(RELEASE_SESSION, self.session)

    def __call__(self, *inputs):
        inputs = [np.ascontiguousarray(a) for a in inputs]
        outputs = [np.empty(a.shape, self.type) for a in inputs[-3:]]
        values = [self.ort.value(a, (1, 1) + a.shape if a.ndim == 2 else a.shape) for a in inputs + outputs]
        try:
            self.run(values, len(inputs))
        finally:
            for v in values:
                self.ort.release(RELEASE_VALUE, v)
        return outputs

    def run(self, values, n):
        texts = [(ctypes.c_char_p * len(side))(*(s.encode() for s in side)) for side in self.names]
        ins, outs = ((ctypes.c_void_p * len(part))(*(v.value for v in part)) for part in (values[:n], values[n:]))
        self.ort.call(RUN, self.session, None, texts[0], ins, ctypes.c_size_t(n), texts[1], ctypes.c_size_t(len(values) - n), outs)
