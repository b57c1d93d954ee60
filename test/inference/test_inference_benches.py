# SPDX-License-Identifier: Apache-2.0
"""bench/completion.py and bench/engine_speed.py: what they compare, and how."""

import importlib
import itertools

import numpy as np
import pytest
from dial_model import write_model

from mono_depth_ros.evaluation.method_depths import NetworkDepths
from mono_depth_ros.evaluation.protocols import PLAIN
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.completion import DEFAULT_COMPLETION_POLICY, NETWORK_ALONE
from mono_depth_ros.inference.network_image import FitToNetwork

MS_PER_LOOK = 250


@pytest.fixture
def clock(monkeypatch):
    """A clock that is 250 ms further at every look, so that what is timed takes as long."""
    looks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(looks) * MS_PER_LOOK * 1e-3)


@pytest.fixture(autouse=True)
def bench_folder(repository, monkeypatch):
    monkeypatch.syspath_prepend(repository / "bench")


def run_of_a_wall(
    camera: PinholeCamera, completed_m: float, truth_m: float
) -> tuple[NetworkDepths, np.ndarray, PinholeCamera]:
    """A network that is wrong everywhere, one row of right points, and the truth without it."""
    size = camera.height_px, camera.width_px
    cols = np.arange(0, camera.width_px, 2)
    given = SparseDepth(*size, np.full_like(cols, 20), cols, np.full(len(cols), truth_m, np.float32))
    fit = FitToNetwork(np.full((*size, 3), 99, np.uint8), camera, 1.0)
    depth_m = np.full(size, completed_m, np.float32)
    truth = np.full(size, truth_m, np.float32)
    truth[given.rows, given.cols] = np.nan
    return NetworkDepths(fit, depth_m, given, depth_m), truth, camera


def test_completion_policies_are_told_apart_and_scored_off_the_points(clock):
    bench = importlib.import_module("completion")
    policies = bench.policies()
    assert len(set(policies.values())) == len(policies)
    assert {NETWORK_ALONE, DEFAULT_COMPLETION_POLICY} <= set(policies.values())
    runs = [run_of_a_wall(PinholeCamera(96, 64, 60.0, 60.0, 47.5, 31.5), 12.0, 10.0)] * 2
    abs_rel, rmse_m, _ = bench.scored(NETWORK_ALONE, runs, PLAIN)
    assert (abs_rel, rmse_m) == pytest.approx((0.2, 2.0), rel=1e-5)
    abs_rel, _, took_ms = bench.scored(DEFAULT_COMPLETION_POLICY, runs, PLAIN)
    assert abs_rel < 0.05 and took_ms == MS_PER_LOOK


def test_engine_speed_prints_a_row_for_each_model_and_arithmetic(tmp_path, monkeypatch, capsys, clock):
    bench = importlib.import_module("engine_speed")
    model = write_model(tmp_path)
    monkeypatch.setattr("sys.argv", ["engine_speed.py", "--model", str(model), "--rounds", "1"])
    assert bench.main() == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 1
    name, size, arithmetic, prediction_ms, completion_ms = (cell.strip() for cell in rows[0].strip("|").split("|"))
    assert (name, size, arithmetic) == (str(model), "64x32", "CPUExecutionProvider, float32")
    assert float(prediction_ms) == float(completion_ms) == MS_PER_LOOK


def test_a_model_that_is_not_there_is_one_clear_line(monkeypatch, capsys):
    bench = importlib.import_module("engine_speed")
    monkeypatch.setattr("sys.argv", ["engine_speed.py", "--model", "nowhere"])
    assert bench.main() == 1
    assert capsys.readouterr().err.count("\n") == 1
