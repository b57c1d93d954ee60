# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""`mono-depth train` from a recipe to a checkpoint, and what a user sees on the way."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning.fabric")

from bag_maker import POINTS_TOPIC, drive_messages, odometry_message, write_bag

from mono_depth_ros.cli.main import main
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.training.checkpoint import load_checkpoint
from mono_depth_ros.training.export import export_model

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
    assert "goes on with another max_steps: 3 -> 4\n" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").training_state["step"] == 4


def test_a_mistaken_override_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(tmp_path, "max_step=4") == 1
    message = capsys.readouterr().err
    assert "max_step: unknown; did you mean max_steps?" in message
    assert message.count("\n") == 1


DRIVE_RECIPE = """\
name: drive
max_steps: 3
batch_size: 2
accelerator: cpu
threads: 1
trained_fx_px: null
validate_images: 2
drive: {width_px: 64, height_px: 32, held_out: 0.2}
network: {widths: [8, 8, 8, 8, 8, 8], blocks: [1, 1, 1, 1], packing_features: 2, norm_groups: 1}
augmentation: {empty: 0, rescale: 0}
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive of 14 images, the first three of them standing."""
    messages = drive_messages(images=14, speed_mps=5.0)
    standing = [m if not isinstance(m[2], type(odometry_message(0, 0.0, 0.0))) else _stand(m) for m in messages]
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", standing)


def _stand(message: tuple[str, int, Any]) -> tuple[str, int, Any]:
    topic, stamp_ns, odometry = message
    forward_m, speed_mps = odometry.pose.pose.position.x, odometry.twist.twist.linear.x
    if forward_m < 1.25:
        forward_m, speed_mps = 1.0, 0.0
    return topic, stamp_ns, odometry_message(stamp_ns, forward_m, speed_mps)


def _train_drive(folder: Path, bag: Path, *more: str) -> Path:
    recipe = folder / "drive.yaml"
    recipe.write_text(DRIVE_RECIPE)
    out = folder / "run"
    assert (
        main(
            [
                "train",
                str(recipe),
                f"data=bag:{bag}?points={POINTS_TOPIC}",
                *more,
                "--out",
                str(out),
                "--data",
                str(folder / "data"),
            ]
        )
        == 0
    )
    return out / "last.ckpt"


def test_three_commands_lead_from_a_bag_to_depth(tmp_path: Path, bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = _train_drive(tmp_path, bag, "modes=joint", "video.velocity=0.1", "drive.supervision=points",
                              "video.supervised=0.1")  # fmt: skip
    told = capsys.readouterr().err
    for expected in ("/odom", "14 frames", "speed 0.0 / 5.0 / 5.0 m/s", "dropped as standing", "ratio at points"):
        assert expected in told
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "model")]) == 0
    contract = OnnxEngine(tmp_path / "model").contract
    assert contract.metric
    assert contract.completes
    assert (contract.height_px, contract.width_px) == (32, 64)
    depth = ["--out", str(tmp_path / "depth"), "--model", str(tmp_path / "model"), "--points", POINTS_TOPIC]
    assert main(["replay", str(bag), *depth]) == 0
    assert "COMPLETION" in capsys.readouterr().out


def test_video_alone_gives_a_model_that_says_it_knows_no_metres(
    tmp_path: Path, bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = load_checkpoint(_train_drive(tmp_path, bag, "modes=prediction"))
    assert not checkpoint.metadata.metric
    contract = export_model(checkpoint, tmp_path / "model").contract
    assert not contract.metric
    assert not contract.completes
    # what was learned goes on in another run, with another objective
    start = tmp_path / "run" / "last.ckpt"
    (tmp_path / "more").mkdir()
    more = load_checkpoint(_train_drive(tmp_path / "more", bag, "modes=prediction", "video.velocity=0.1",
                                        f"init={start}", "network.widths=[16, 16, 16, 16, 16, 16]",
                                        "max_steps=1", "optimiser.rate=0", "optimiser.final_rate=0"))  # fmt: skip
    assert more.metadata.metric
    assert checkpoint.depth is not None
    assert more.depth is not None
    assert more.depth.config == checkpoint.depth.config
    for name, value in checkpoint.depth.weights.items():
        torch.testing.assert_close(more.depth.weights[name], value)
    assert "but" not in capsys.readouterr().err  # nothing about its network changed
    (tmp_path / "contrast").mkdir()
    _train_drive(
        tmp_path / "contrast", bag, "modes=prediction", f"init={start}", "network.image_input=local_contrast",
        "max_steps=1",
    )  # fmt: skip
    assert f"the network of {start}, but image_input: rgb -> local_contrast" in capsys.readouterr().err


def test_a_drive_recipe_without_a_drive_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "drive.yaml"
    recipe.write_text(DRIVE_RECIPE)
    assert main(["train", str(recipe), "--out", str(tmp_path / "run")]) == 1
    assert "data=MY_BAG" in capsys.readouterr().err
