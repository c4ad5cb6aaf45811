"""Record a run of a network inside its ONNX file, for the daemon to hold the file to before it switches to it.

    python3 embed.py predictor.pt ../models/predictor-s.onnx
    python3 embed.py denoiser.pt ../models/denoiser-s.onnx
    python3 embed.py --identity ../models/identity.onnx

Metadata golden_width, golden_height, golden_input, golden_output (base64) and, for a denoiser, golden_sigma. A predictor's
input and output are I420 bytes; a denoiser's input is its state (float32, little endian, I420 order), then the blurred and the
predicted picture, its output the denoised state. The output is PyTorch's, of the checkpoint: not of the file itself.
"""
import argparse
import base64
import os

import numpy as np
import onnx
import torch

import export
import golden
import train

WIDTH, HEIGHT, SIGMA = golden.WIDTH, golden.HEIGHT, 0.7


def tensor(planes):
    return [torch.from_numpy(np.ascontiguousarray(p))[None, None] for p in planes]


def run(graph, inputs):
    with torch.no_grad():
        return [p[0, 0].numpy() for p in graph.eval()(*inputs)]


def floats(planes):
    return b"".join(np.ascontiguousarray(p).astype("<f4").tobytes() for p in planes)


def shifted(planes):
    """Some other picture in the place of the predicted one: a denoiser must look at both."""
    return [np.clip(np.roll(p, 1, 1).astype(int) + 3, 0, 255).astype(np.uint8) for p in planes]


def noise(seed=5):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s).astype(np.float32) * np.float32(np.hypot(1, SIGMA))
            for s in ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))]


def record(net):
    """The golden metadata of a network; None stands for the identity."""
    blurred = golden.picture()
    about = dict(golden_width=WIDTH, golden_height=HEIGHT)
    if net is None:
        given, taken = golden.raw(blurred), golden.raw(blurred)
    elif net.kind == "predictor":
        given, taken = golden.raw(blurred), golden.raw(run(export.PredictorGraph(net), tensor(blurred)))
    else:
        state, predicted = noise(), shifted(blurred)
        inputs = [*tensor(state), torch.tensor([SIGMA]), *tensor(blurred), *tensor(predicted)]
        given = floats(state) + golden.raw(blurred) + golden.raw(predicted)
        taken = floats(run(export.DenoiserGraph(net), inputs))
        about["golden_sigma"] = SIGMA
    text = lambda b: base64.b64encode(b).decode()
    return about | dict(golden_input=text(given), golden_output=text(taken))


def embed(path, about):
    """Add metadata to an ONNX file, replacing keys that it has; a torn file is never seen."""
    proto = onnx.load(path)
    export.save(proto, path, {p.key: p.value for p in proto.metadata_props} | about)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", nargs="?")
    p.add_argument("path")
    p.add_argument("--identity", action="store_true", help="the file is the pass-through predictor")
    a = p.parse_args()
    embed(a.path, record(None if a.identity else train.load(a.checkpoint)[0]))
    print(f"{os.path.basename(a.path)}: a golden run of {WIDTH}x{HEIGHT} is inside")


if __name__ == "__main__":
    main()
