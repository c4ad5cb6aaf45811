"""The few-step student: its solver, its losses, its runs."""
import dataclasses
import os
import sys
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import distill
import export
import model
import sample
import train
from test_train import Folder, Inline, small


def quiet(*a, **k):
    pass


class Losses(unittest.TestCase):
    def picture(self, grain):
        """A grey packed picture with white noise of that many grey levels, [1, 6, 48, 48]."""
        return 128 + grain * torch.randn(1, 6, 48, 48, generator=torch.Generator().manual_seed(3))

    def test_energy_is_least_at_the_goal(self):
        sharp, soft = self.picture(20.0), self.picture(5.0)
        loss = lambda got, share: float(distill.energy_loss(got, sharp, soft, share))
        self.assertEqual(loss(sharp, 1.0), 0.0)
        self.assertGreater(loss(soft, 1.0), 1.0)
        self.assertAlmostEqual(loss(self.picture(10.0), 0.5), 0.0, delta=0.15)  # halfway in ln power

    def test_energy_does_not_depend_on_place(self):
        """Another piece of the same texture is nearly as good (0.6): what regression to one picture cannot say."""
        sharp = self.picture(20.0)
        other = 128 + 20.0 * torch.randn(1, 6, 48, 48, generator=torch.Generator().manual_seed(4))
        self.assertLess(float(distill.energy_loss(other, sharp, self.picture(1.0), 1.0)), 0.7)

    def test_samples_stray_no_further_than_the_mean_errs(self):
        away, error = torch.ones(2, 6, 4, 4), torch.stack([torch.full((6, 4, 4), 0.25), torch.full((6, 4, 4), 3.0)])
        got = distill.calibrated(away, error)
        torch.testing.assert_close(got[0], torch.full((6, 4, 4), 0.25))  # a sharp frame: little grain
        torch.testing.assert_close(got[1], torch.ones(6, 4, 4))

    def test_bands_tell_direction(self):
        x = torch.arange(64.0)
        rows = (100 * torch.sin(x * 2))[:, None].expand(64, 64)[None, None]
        across, along = distill.windows(rows), distill.windows(rows.transpose(2, 3))
        self.assertFalse(bool((across.argmax(-1) == along.argmax(-1)).any()))


class Run(Folder):
    def setUp(self):
        super().setUp()
        self.p = small(self.folder)
        train.train(self.p, Inline(), log=quiet)
        self.d = small(self.folder, kind="denoiser", name="denoiser-s", emb=8, predictor=self.p.out, out=self.path("d.pt"))
        train.train(self.d, Inline(), log=quiet)
        self.s = dataclasses.replace(self.d, teacher=self.d.out, init=self.d.out, out=self.path("s.pt"), sigma_min=0.4, warmup=1,
                                     teacher_steps=3)

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_starts_as_the_teacher(self):
        train.train(dataclasses.replace(self.s, iterations=1, muon_lr=0.0, adam_lr=0.0), Inline(), log=quiet, task=distill.Distillation)
        teacher, student = train.load(self.d.out)[0], train.load(self.s.out)[0]
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(teacher.state_dict().values(), student.state_dict().values())))

    def test_resume_and_export(self):
        whole = train.train(self.s, Inline(), log=quiet, task=distill.Distillation)
        part = dataclasses.replace(self.s, out=self.path("part.pt"))
        real, calls = distill.Distillation.loss, []

        def interrupted(*a):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return real(*a)

        distill.Distillation.loss = interrupted
        self.addCleanup(setattr, distill.Distillation, "loss", real)
        with self.assertRaises(KeyboardInterrupt):
            train.train(dataclasses.replace(part, save_seconds=-1), Inline(), log=quiet, task=distill.Distillation)
        self.assertEqual(torch.load(part.out)["iteration"], 2)
        again = train.train(part, Inline(), log=quiet, task=distill.Distillation)
        for a, b in zip(whole.state_dict().values(), again.state_dict().values()):
            self.assertTrue(torch.equal(a, b))
        meta = export.export(part.out, self.path("s.onnx"))
        self.assertEqual((meta["sigma_min"], meta["steps"], meta["distilled_steps"]), (0.4, 4, "1,2,4"))
        self.assertIn("after denoiser-s: 4 iterations", meta["trained"])

    def test_learns(self):
        """A few iterations on the same pairs bring two steps nearer to where the teacher's trajectory ends."""
        s = dataclasses.replace(self.s, batch=8, chunk=8, iterations=30, muon_lr=0.01, adam_lr=3e-3, ema=0.0, energy_weight=0.0)
        task = distill.Distillation(s, Inline(), torch.device("cpu"))
        run = train.Run(s, task, torch.device("cpu"))
        losses = [float(run.step(0.0)) for _ in range(30)]
        self.assertLess(np.mean(losses[-5:]), 0.9 * np.mean(losses[:5]))

    def test_a_teacher_of_another_predictor_is_refused(self):
        other = dataclasses.replace(self.p, seed=2, out=self.path("other.pt"))
        train.train(other, Inline(), log=quiet)
        with self.assertRaisesRegex(ValueError, "belongs to predictor"):
            distill.Distillation(dataclasses.replace(self.s, predictor=other.out), Inline(), torch.device("cpu"))


if __name__ == "__main__":
    unittest.main()
