"""Record a run of a network inside its ONNX file, for the daemon to hold the file to before it switches to it.

    python3 embed.py predictor.pt ../models/predictor-s.onnx
    python3 embed.py denoiser.pt ../models/denoiser-s.onnx
    python3 embed.py --identity ../models/identity.onnx

export.py does so itself; this is for files written without. The output is PyTorch's, of the checkpoint: not of the file.
"""
import argparse
import os

import onnx

import export
import testcard
import train


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
    embed(a.path, testcard.record(None if a.identity else export.graph_of(train.load(a.checkpoint)[0])))
    print(f"{os.path.basename(a.path)}: a golden run of {testcard.WIDTH}x{testcard.HEIGHT} is inside")


if __name__ == "__main__":
    main()
