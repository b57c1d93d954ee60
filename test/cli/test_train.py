# SPDX-License-Identifier: Apache-2.0
"""`mono-depth train` from a recipe to a checkpoint, and what a user sees on the way."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning.fabric")

from mono_depth_ros.cli.main import main
from mono_depth_ros.training.checkpoint import load_checkpoint

RECIPE = """\
name: tiny
max_steps: 3
batch_size: 1
accelerator: cpu
render_workers: 1
validate_images: 1
rendered: {width_px: 64, height_px: 32, train_images: 2, val_images: 1, images_per_world: 1, shard_images: 2}
network: {widths: [8, 8, 8, 8, 8, 8], blocks: [1, 1, 1, 1], packing_features: 2, norm_groups: 1}
"""


def _train(folder: Path, *more: str) -> int:
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE)
    return main(["train", str(recipe), *more, "--out", str(folder / "run"), "--data", str(folder / "data")])


def test_one_command_renders_trains_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(tmp_path) == 0
    seen = capsys.readouterr()
    assert f"mono-depth export {tmp_path / 'run' / 'last.ckpt'} --out models/tiny" in seen.out
    assert "render 100.0 %  2/2 shards" in seen.err
    assert "step 3" in seen.err
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").training_state["step"] == 3
    # a second call must not destroy the first one's work
    assert _train(tmp_path) == 1
    assert "go on with --resume" in capsys.readouterr().err
    assert _train(tmp_path, "max_steps=4", "--resume") == 0
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").training_state["step"] == 4


def test_a_mistaken_override_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(tmp_path, "max_step=4") == 1
    message = capsys.readouterr().err
    assert "max_step: unknown; did you mean max_steps?" in message
    assert message.count("\n") == 1
