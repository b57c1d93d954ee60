# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Whole processes: a run that is killed without warning, and a run of two processes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning.fabric", reason="training needs lightning")

import train_corridor

from mono_depth_ros.training.checkpoint import load_checkpoint
from mono_depth_ros.training.curves import read_history

pytestmark = pytest.mark.torch


def start(folder: Path, changes: dict[str, object], *flags: str) -> "subprocess.Popen[str]":
    """The corridor run as a process."""
    paths = [str(Path(train_corridor.__file__).parent), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, train_corridor.__file__, str(folder), json.dumps(changes), *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def weights_hash(path: Path) -> str:
    """sha256 over everything that was learned: weights, averages, running statistics and the optimiser."""
    checkpoint = load_checkpoint(path)
    assert checkpoint.depth is not None
    assert checkpoint.pose is not None
    state = checkpoint.training_state
    moments = [value for entry in state["optimiser"]["state"].values() for value in entry.values()]
    tensors = [
        *(weights[name] for weights in (checkpoint.depth.weights, checkpoint.pose.weights) for name in sorted(weights)),
        *(state["weights"][name] for name in sorted(state["weights"])),
        *moments,
        state["random"],
    ]
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_a_run_killed_without_warning_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    changes = {"max_steps": 8, "checkpoint_steps": 2}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_corridor.run(whole, changes, resume=False)  # makes the cache, too
    victim = start(killed, changes)
    while not (killed / "last.ckpt").exists():
        assert victim.poll() is None, victim.communicate()
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    step = load_checkpoint(killed / "last.ckpt").training_state["step"]
    assert 0 < step < 8  # it was killed in the middle
    train_corridor.run(killed, changes, resume=True)
    assert weights_hash(killed / "last.ckpt") == weights_hash(whole / "last.ckpt")
    assert [line["step"] for line in read_history(killed)] == [line["step"] for line in read_history(whole)]


def test_two_processes_learn_as_one_with_the_same_batch(tmp_path: Path) -> None:
    changes = {"max_steps": 3, "batch_size": 4}
    train_corridor.run(tmp_path / "one", changes, resume=False)
    finish(start(tmp_path / "two", {**changes, "devices": 2}))
    alone, together = (read_history(tmp_path / name)[-1] for name in ("one", "two"))
    assert alone["step"] == together["step"] == 3
    assert alone["losses"].keys() == together["losses"].keys()
    for name, value in alone["losses"].items():  # they differ by rounding, which grows from step to step
        assert together["losses"][name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    weights = [load_checkpoint(tmp_path / name / "last.ckpt").training_state["weights"] for name in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=2e-2, atol=2e-3, msg=name)
