# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""What a run leaves to be looked at: one line per report, none twice after a resume, and pictures of what it sees."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from mono_depth_ros.training.batches import Batch
from mono_depth_ros.training.curves import HISTORY, Curves, Progress, panel, read_history
from mono_depth_ros.training.model import Outputs
from mono_depth_ros.training.validation import DriveScores

pytestmark = pytest.mark.torch


def progress(step: int) -> Progress:
    scores = DriveScores(0.5, 0.2, 0.7, float("nan"), 3)
    return Progress(step, 100, step / 100, 1.0 * step, 1.0, 2.0, {"loss": 1.0 / step}, 0.7, 1e-3, scores)


def test_a_resumed_run_writes_no_step_twice_and_survives_a_torn_line(tmp_path: Path) -> None:
    curves = Curves(tmp_path, 0)
    for step in (10, 20, 30):
        curves.log(progress(step))
    curves.close()
    with open(tmp_path / HISTORY, "a", encoding="utf-8") as lines:
        lines.write('{"step": 40, "elap')  # killed while writing
    assert [line["step"] for line in read_history(tmp_path)] == [10, 20, 30]
    resumed = Curves(tmp_path, 20)
    resumed.log(progress(30))
    resumed.close()
    history = read_history(tmp_path)
    assert [line["step"] for line in history] == [10, 20, 30]
    assert history[-1]["scores"]["ratio"] == 0.7
    assert history[-1]["losses"] == {"loss": 1.0 / 30}


def test_a_picture_shows_image_modes_and_what_supervises() -> None:
    torch.manual_seed(0)
    truth = torch.full((1, 1, 8, 16), float("nan"))
    truth[0, 0, 2, 3] = 4.0
    points = torch.zeros(0)
    batch = Batch(torch.rand(1, 3, 8, 16), truth, points.long().reshape(0, 3), points, points, torch.ones(1))
    inv_depth = torch.rand(1, 1, 8, 16)
    both = panel(batch, Outputs((inv_depth,), (inv_depth,), (), None, None))
    assert both.shape == (3, 4 * 8, 16)
    np.testing.assert_array_equal(both[:, 8:16], both[:, 16:24])
    assert panel(batch, Outputs((inv_depth,), None, (), None, None)).shape == (3, 3 * 8, 16)
    supervised = both[:, 24:].astype(int).sum(axis=0)
    assert supervised[2, 3] > 0
    assert (supervised > 0).sum() == 1
