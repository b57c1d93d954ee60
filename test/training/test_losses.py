# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""The loss of a batch of clips: right where depth and motion are right, and every term listens to its own evidence."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning.fabric", reason="training needs lightning")

from train_corridor import CONFIG, NETWORK, corridor_clips

from mono_depth_ros.networks.packnet_san import PackNetSan
from mono_depth_ros.training.batches import Batch
from mono_depth_ros.training.clip_batches import ClipRecipe, clip_batch_at
from mono_depth_ros.training.config import PoseConfig, TrainConfig, VideoObjectives
from mono_depth_ros.training.losses import objective, ratio_at_points
from mono_depth_ros.training.model import Outputs, TrainedModel
from mono_depth_ros.training.run_state import new_pose_network
from mono_depth_ros.training.schedule import Schedule, constant

pytestmark = pytest.mark.torch
ALL = VideoObjectives(
    scales=(1.0,), velocity=constant(1.0), supervised=constant(1.0), reprojected=constant(1.0),
    camera_height=constant(1.0), camera_height_m=1.5, smoothness=constant(1e-3),
)  # fmt: skip
METRES = ("velocity", "supervised", "reprojected", "camera_height")


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    clips = corridor_clips(CONFIG, tmp_path_factory.mktemp("drive") / "cache")
    recipe = ClipRecipe(1, 30.0, 100.0, 0, "truth", CONFIG.augmentation, PoseConfig())
    return clip_batch_at(clips, recipe, range(3))


def perfect(batch: Batch, scale: float = 1.0, moved: float = 1.0) -> Outputs:
    """Outputs that are the truth, but for a common scale of the depth and of the motion."""
    assert batch.clips is not None
    known = torch.isfinite(batch.truth_depth_m)
    inv_depth = torch.where(known, 1.0 / (batch.truth_depth_m * scale), torch.full_like(batch.truth_depth_m, 0.02))
    poses = torch.eye(4).repeat(3, 2, 1, 1)
    poses[..., :3, 3] = moved * batch.clips.T_context_target[..., :3, 3]
    return Outputs((inv_depth,), None, (), None, poses)


def values(outputs: Outputs, batch: Batch, config: TrainConfig = CONFIG, share: float = 0.0) -> dict[str, float]:
    return {name: float(value) for name, value in objective(outputs, batch, config, share).items()}


def test_truth_has_next_to_no_loss_and_a_wrong_scale_shows_in_every_metric_term(batch: Batch) -> None:
    config = replace(CONFIG, video=ALL)
    right, far = values(perfect(batch), batch, config), values(perfect(batch, 2.0, 2.0), batch, config)
    assert right["photometric"] < 0.06
    # twice as far with twice the motion is the same picture: only the metric terms can tell
    assert far["photometric"] == pytest.approx(right["photometric"], rel=0.02)
    assert far["smoothness"] == pytest.approx(right["smoothness"], rel=0.02)
    for name in METRES:
        assert right[name] < 0.03, name
        assert far[name] > 5 * right[name] + 0.1, name
    assert far["velocity"] == pytest.approx(0.5, abs=1e-3)
    assert far["camera_height"] == pytest.approx(0.693, abs=0.05)


def test_a_wrong_depth_or_a_wrong_motion_alone_shows_in_the_picture(batch: Batch) -> None:
    right = values(perfect(batch), batch)["photometric"]
    assert values(perfect(batch, scale=1.5), batch)["photometric"] > 1.3 * right
    assert values(perfect(batch, moved=0.5), batch)["photometric"] > 1.3 * right


def test_a_blur_lets_the_picture_tell_a_wrong_depth_from_noise(batch: Batch) -> None:
    assert batch.clips is not None
    noise = torch.Generator().manual_seed(0)
    noisy = [
        (rgb + 0.1 * torch.randn(rgb.shape, generator=noise)).clamp(0, 1)
        for rgb in (batch.clips.target_rgb, batch.clips.context_rgb)
    ]
    batch = replace(batch, clips=replace(batch.clips, target_rgb=noisy[0], context_rgb=noisy[1]))
    worse = []
    for side in (1, 3):
        config = replace(CONFIG, video=replace(ALL, blur_px=side))
        far, right = (values(perfect(batch, scale=1.5), batch, config), values(perfect(batch), batch, config))
        worse.append(far["photometric"] / right["photometric"])
        assert far["velocity"] == right["velocity"]
    assert worse[1] - 1.0 > 2.0 * (worse[0] - 1.0) > 0.0


def test_the_loss_is_the_weighted_sum_and_weights_follow_their_schedule(batch: Batch) -> None:
    video = replace(ALL, velocity=Schedule(((0.0, 0.0), (1.0, 4.0))), photometric=constant(2.0))
    config = replace(CONFIG, video=video)
    outputs = perfect(batch, 1.3, 1.5)
    for share in (0.0, 0.5):
        found = values(outputs, batch, config, share)
        expected = 2.0 * found["photometric"] + 1e-3 * found["smoothness"] + 4.0 * share * found["velocity"]
        expected += found["supervised"] + found["reprojected"] + found["camera_height"]
        assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_terms_that_no_one_asked_for_are_not_computed(batch: Batch) -> None:
    plain = replace(CONFIG, video=VideoObjectives())
    assert set(values(perfect(batch), batch, plain)) == {"photometric", "smoothness", "loss"}


def test_odometry_takes_the_place_of_a_pose_network(batch: Batch) -> None:
    outputs = perfect(batch)._replace(poses=None)
    found = values(outputs, batch, replace(CONFIG, video=ALL))
    assert "velocity" not in found  # odometry has the right speed by itself
    assert found["photometric"] == pytest.approx(values(perfect(batch), batch)["photometric"], rel=1e-3)


def test_the_ratio_at_points_is_that_of_the_depth(batch: Batch) -> None:
    assert ratio_at_points(perfect(batch), batch) == pytest.approx(1.0, abs=2e-3)
    assert ratio_at_points(perfect(batch, 0.25), batch) == pytest.approx(0.25, abs=1e-3)
    none = replace(batch, bvu=batch.bvu[:0], points_depth_m=batch.points_depth_m[:0])
    assert not ratio_at_points(perfect(batch), none) > 0


@pytest.mark.parametrize("modes", ["prediction", "completion", "joint"])
@pytest.mark.parametrize("source", ["single_stream", "pair", "two_stream", "odometry"])
def test_every_mode_and_source_of_poses_reaches_its_weights(batch: Batch, modes: str, source: str) -> None:
    config = replace(CONFIG, modes=modes, pose=PoseConfig(source=source), video=ALL)
    torch.manual_seed(0)
    network = PackNetSan(replace(NETWORK, sparse=modes != "prediction"))
    model = TrainedModel(network, new_pose_network(config), modes)
    assert batch.clips is not None
    clips = batch.clips
    outputs = model(batch.rgb, batch.bvu, batch.points_depth_m, clips.pose_target_rgb, clips.pose_context_rgb)
    terms = objective(outputs, batch, config, 0.0)
    assert ("photometric" in terms) == (modes != "completion")
    assert ("photometric_completed" in terms) == (modes != "prediction")
    assert ("consistency" in terms) == (modes == "joint")
    assert (outputs.poses is None) == (source == "odometry")
    terms["loss"].backward()
    without = [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not bool(torch.isfinite(value.grad).all()) or not bool((value.grad != 0).any())
    ]
    # heads of scales that are not asked for learn only through the finer scales that see them
    assert not without, without
