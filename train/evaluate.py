"""Measure the exported networks and write the tables, plots and pictures of ../models/README.md.

    python3 evaluate.py --photos DIR --pairs DIR
    python3 evaluate.py --photos DIR --only gain,tasks --share 0.1 --print /tmp/look

DIR of --photos holds the held-out photographs (data.HELD_OUT, or data.SPARE); --pairs is optional, NAME_blur.png and NAME_sharp.png.
The files themselves are run, by ONNX Runtime on one thread a section. Everything is seeded: the same files give the same figures.
"""
import argparse
import concurrent.futures
import functools
import multiprocessing
import os
import sys
import time

import card
import gain
import harmless
import history
import networks
import refinement
import scenes
import sheet
import tasks

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "models")


class Bench:
    """What the sections measure with; loaded when first used, in the process that uses it."""

    def __init__(self, args):
        self.args, self.pairs, self.clip = args, args.pairs, os.path.join(HERE, "..", "clips")
        self._photos = None

    @functools.cached_property
    def networks(self):
        return networks.Networks(self.args.predictor, self.args.denoiser)

    @functools.cached_property
    def other(self):
        return networks.Networks(self.args.predictor, self.args.compare) if self.args.compare else None

    @functools.cached_property
    def held_out(self):
        return scenes.held_out(self.args.photos)

    @property
    def names(self):
        return list(self.held_out)

    @property
    def photos(self):
        return list(self.held_out.values())

    def count(self, n):
        """A sample size, less for a quick look."""
        return max(1, round(n * self.args.share))

    def figure(self, name):
        folder = self.args.figures or os.path.join(self.args.models, "figures")
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)


def files(bench):
    """What was measured, from the files' own metadata."""
    keys = ("name", "kind", "parameters", "gmac_720p", "trained", "seed", "predictor_id", "revision")
    rows = [[m.get(k, "") for k in keys] for m in bench.networks.metadata()]
    head = ["name", "kind", "parameters", "GMAC at 1280x720 (a step)", "trained", "seed", "predictor_id", "revision"]
    return card.table(head, rows)


SECTIONS = dict(tasks=tasks.section, refinement=refinement.section, gain=gain.section, real=gain.real, sharp=harmless.sharp,
                flat=harmless.flat, tiles=harmless.tiles, sheet=sheet.section, history=history.section, files=files)


def measure(args, name):
    """(name, body, seconds); runs in a process of its own."""
    start = time.time()
    return name, SECTIONS[name](Bench(args)), time.time() - start


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photos", required=True)
    p.add_argument("--pairs", help="folder of real pairs")
    p.add_argument("--models", default=MODELS, help="folder of README.md and figures/")
    p.add_argument("--predictor", default=os.path.join(MODELS, "predictor-s.onnx"))
    p.add_argument("--denoiser", default=os.path.join(MODELS, "denoiser-s.onnx"))
    p.add_argument("--compare", help="a second denoiser of the same predictor, for the refinement table")
    p.add_argument("--log", help="what train.py printed for this predictor")
    p.add_argument("--only", default=",".join(SECTIONS), help="sections: %(default)s")
    p.add_argument("--share", type=float, default=1.0, help="of the samples; less for a quick look")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--print", metavar="FOLDER", dest="figures", help="print, with figures in FOLDER, instead of writing the card")
    args = p.parse_args(argv)
    if unknown := set(args.only.split(",")) - set(SECTIONS):
        p.error(f"no section {', '.join(sorted(unknown))}")
    return args


def main():
    args = arguments()
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, mp_context=spawn) as pool:
        for done in concurrent.futures.as_completed([pool.submit(measure, args, n) for n in args.only.split(",")]):
            name, body, seconds = done.result()
            print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
            if args.figures:
                print(f"## {name}\n\n{body}\n", flush=True)
            else:
                card.update(os.path.join(args.models, "README.md"), name, body)


if __name__ == "__main__":
    main()
