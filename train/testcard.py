"""The input of the recorded runs that hold one implementation to another: a drawn scene, shaken, 64x48.

`record` gives the metadata golden_width, golden_height, golden_input, golden_output (base64) and, of a denoiser, golden_sigma,
with which a model file shows what PyTorch made of that input. A predictor's input and output are I420 bytes; a denoiser's
input is its state (float32, little endian, I420 order), then the blurred and the predicted picture, its output the denoised state.
"""
import base64

import cv2
import numpy as np
import torch

WIDTH, HEIGHT, SIGMA = 64, 48, 0.7


def picture(seed=7):
    """Planes y [48, 64], cb, cr [24, 32], uint8. It depends on nothing but its seed, so that old files stay comparable."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    y = 120 + 60 * np.sin(xx / 9) * np.cos(yy / 7)
    for _ in range(9):
        left, top, w, h = rng.integers((0, 0, 4, 4), (WIDTH - 8, HEIGHT - 8, 24, 24))
        y[top:top + h, left:left + w] = rng.integers(0, 256)
    y = cv2.blur(y, (5, 3)) + rng.normal(0, 2, y.shape)
    cb, cr = 128 + 50 * np.sin(xx[::2, ::2] / 13), 128 + 50 * np.cos(yy[::2, ::2] / 11)
    return [np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (y, cb, cr)]


def shifted(planes):
    """Some other picture in the place of the predicted one: a denoiser must look at both."""
    return [np.clip(np.roll(p, 1, 1).astype(int) + 3, 0, 255).astype(np.uint8) for p in planes]


def noise(seed=5):
    """Standard normal planes of the picture's sizes, float32."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s, np.float32) for s in ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))]


def tensors(planes):
    return [torch.from_numpy(np.ascontiguousarray(p))[None, None] for p in planes]


def raw(planes):
    """The bytes of planes, arrays or tensors, one after the other; little endian."""
    arrays = [p.numpy() if torch.is_tensor(p) else p for p in planes]
    return b"".join(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in arrays)


def run(graph, inputs):
    with torch.no_grad():
        return graph.eval()(*inputs)


def fields(given, taken):
    """Metadata: what went in and what came out, bytes."""
    text = lambda b: base64.b64encode(b).decode()
    return dict(golden_width=WIDTH, golden_height=HEIGHT, golden_input=text(given), golden_output=text(taken))


def record(graph):
    """The metadata of a recorded run of a graph of export.py; None stands for the identity."""
    blurred = picture()
    if graph is None:
        return fields(raw(blurred), raw(blurred))
    if "sigma" not in graph.inputs:
        return fields(raw(blurred), raw(run(graph, tensors(blurred))))
    state, predicted = [n * np.float32(np.hypot(1, SIGMA)) for n in noise()], shifted(blurred)
    inputs = [*tensors(state), torch.tensor([SIGMA]), *tensors(blurred), *tensors(predicted)]
    given = raw(state) + raw(blurred) + raw(predicted)
    return fields(given, raw(run(graph, inputs))) | dict(golden_sigma=SIGMA)
