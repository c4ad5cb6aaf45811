"""Every number that training depends on, in one place; a checkpoint carries its own copy."""
import argparse
import dataclasses


@dataclasses.dataclass
class Settings:
    """One run. Each field is a command-line flag of train.py: --photos DIR, --minutes 60 ..."""

    kind: str = "predictor"      # or "denoiser"
    name: str = "predictor-s"
    photos: str = "photos"       # folder of sharp photographs, *.jpg *.png
    pairs: str = ""              # folder of NAME_blur.png / NAME_sharp.png, looked at and never trained on
    out: str = "predictor.pt"    # checkpoint; written every save_seconds, resumed from if it exists
    predictor: str = ""          # denoiser only: checkpoint of the frozen predictor

    seed: int = 1
    minutes: float = 60.0        # wall-clock budget, summed over resumes; the cosine ends with it
    iterations: int = 0          # if set, the budget is this many iterations instead
    save_seconds: float = 120.0
    eval_every: int = 500        # iterations
    threads: int = 2

    patch: int = 128             # luma pixels, side
    margin: int = 32             # pixels around a patch that the shake may pull in
    max_shake: float = 24.0      # px, longest path of the image centre during the exposure
    chunk: int = 512             # pairs synthesised at a time, in a process of their own
    reuse: int = 4               # times each pair is seen, flipped and turned differently
    batch: int = 32

    widths: tuple = (16, 32, 64, 96)
    blocks: tuple = (1, 2, 3, 4)
    emb: int = 0                 # width of the noise-level embedding; 0 = predictor

    muon_lr: float = 0.015       # 3x3 kernels, orthogonalised momentum
    adam_lr: float = 1e-3        # stem, output, biases, gains
    ema: float = 0.999
    clip: float = 0.5
    warmup: int = 100            # iterations
    bf16_until: float = 0.9      # share of the run in bfloat16 convolutions; the rest in float32
    chroma_weight: float = 0.25
    fft_weight: float = 0.2

    p_mean: float = 0.0          # denoiser: ln sigma ~ N(p_mean, p_std), in units of the residual's RMS
    p_std: float = 1.3


def from_args(argv=None):
    """Settings from the command line; tuples are given as 16,32,64,96."""
    parser = argparse.ArgumentParser(description=Settings.__doc__)
    for f in dataclasses.fields(Settings):
        kind = (lambda s: tuple(int(v) for v in s.split(","))) if isinstance(f.default, tuple) else type(f.default)
        parser.add_argument("--" + f.name.replace("_", "-"), type=kind, default=f.default)
    return Settings(**vars(parser.parse_args(argv)))
