"""Every number that training depends on, in one place; a checkpoint carries its own copy."""
import argparse
import dataclasses


# Widths and blocks by depth; the paper's have 26 M and 7 M parameters, and so have ours of that name.
SIZES = {
    "s": {"predictor": ((16, 32, 64, 96), (1, 2, 3, 4)), "denoiser": ((16, 32, 64, 96), (1, 2, 2, 3))},
    "m": {"predictor": ((32, 64, 128, 192), (1, 2, 3, 4)), "denoiser": ((32, 64, 128, 192), (1, 2, 2, 3))},
    "paper": {"predictor": ((64, 128, 256, 384), (3, 4, 4, 5)), "denoiser": ((32, 64, 128, 256), (3, 4, 4, 3))},
}


@dataclasses.dataclass
class Settings:
    """One run. Each field is a command-line flag of train.py: --photos DIR, --minutes 60 ..."""

    kind: str = "predictor"      # or "denoiser"
    name: str = "predictor-s"
    photos: str = "photos"       # folder of sharp photographs, *.jpg *.png
    pairs: str = ""              # folder of NAME_blur.png / NAME_sharp.png, looked at and never trained on
    out: str = "predictor.pt"    # checkpoint; written every save_seconds, resumed from if it exists
    init: str = ""               # checkpoint to start from: its averaged weights, and its shape
    predictor: str = ""          # denoiser only: checkpoint of the frozen predictor
    teacher: str = ""            # distill.py only: checkpoint of the plain denoiser

    seed: int = 1
    minutes: float = 60.0        # wall-clock budget, summed over resumes; the cosine ends with it
    iterations: int = 0          # if set, the budget is this many iterations instead
    save_seconds: float = 120.0
    eval_every: int = 500        # iterations
    threads: int = 2             # of the CPU, for the network
    workers: int = 0             # processes that make pairs; 0: one beside a CPU run, all cores but two beside a GPU

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

    sigma_min: float = 0.05      # the schedule that goes with the network: residual RMS, residual RMS, 1
    sigma_max: float = 8.0
    rho: float = 7.0
    teacher_steps: int = 10      # distill.py: network evaluations of the trajectory to learn
    student_steps: tuple = (1, 2, 4)
    share: tuple = (0.6, 0.9, 1.2)  # how far from the mean towards the trajectory's end each of student_steps goes
    energy_weight: float = 1.6   # of local fine detail like the sharp picture's


def _parser(default):
    if isinstance(default, tuple):
        return lambda text: tuple(type(default[0])(v) for v in text.split(","))
    return type(default)


def from_args(argv=None, **defaults):
    """Settings from the command line, over `defaults`; tuples are given as 16,32,64,96.

    --size s, m or paper stands for name, widths, blocks and emb; what is given besides it comes first.
    """
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--size", choices=SIZES)
    first.add_argument("--kind", choices=("predictor", "denoiser"), default=defaults.get("kind", "predictor"))
    early, _ = first.parse_known_args(argv)
    if early.size:
        widths, blocks = SIZES[early.size][early.kind]
        defaults = {"name": f"{early.kind}-{early.size}", "widths": widths, "blocks": blocks,
                    "emb": 64 if early.kind == "denoiser" else 0, **defaults}
    parser = argparse.ArgumentParser(description=Settings.__doc__)
    parser.add_argument("--size", choices=SIZES, help="widths, blocks, emb and name of one of: " + ", ".join(SIZES))
    for f in dataclasses.fields(Settings):
        default = defaults.get(f.name, f.default)
        parser.add_argument("--" + f.name.replace("_", "-"), type=_parser(f.default), default=default)
    given = vars(parser.parse_args(argv))
    del given["size"]
    return Settings(**given)
