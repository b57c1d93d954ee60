# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Cameras of one rig teach each other: metres from their baselines, one motion, and nothing from the robot itself."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning.fabric", reason="training needs lightning")

from corridor_drive import CAMERA, corridor_samples
from train_corridor import CONFIG

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.objectives.photometric import PhotometricOptions
from mono_depth_ros.objectives.view_synthesis import synthesize
from mono_depth_ros.training.augmentation import Augmentation
from mono_depth_ros.training.batches import Batch, ClipTensors
from mono_depth_ros.training.clip_batches import ClipRecipe
from mono_depth_ros.training.config import DriveConfig, PoseConfig, RigConfig
from mono_depth_ros.training.drive_cache import DriveCache, write_cache
from mono_depth_ros.training.drive_clips import DriveClips
from mono_depth_ros.training.rig_batches import rig_batch_at
from mono_depth_ros.training.rig_clips import RigClips, overlap, still_pixels
from mono_depth_ros.training.rig_losses import motion_consistency, spatial_loss, spatio_temporal_loss, unoccluded
from mono_depth_ros.training.sources import camera_url

pytestmark = pytest.mark.torch
SIZE = (CAMERA.width_px, CAMERA.height_px)
OPTIONS = PhotometricOptions()
RIG = RigConfig(cameras=("left", "right"))
PLACES_M = {"left": -0.3, "right": 0.3}
PLAIN = Augmentation(
    flip=0.0, empty=0.0, rescale=0.0, channel_shuffle=0.0, grey=0.0, gain_sigma=0.0, gamma_sigma=0.0,
    contrast_sigma=0.0, channel_gain_sigma=0.0, blur=0.0, noise_sigma=0.0,
)  # fmt: skip


def rig_clips(folder: Path, rig: RigConfig = RIG, late_ns: int = 1_000_000, frames: int = 12) -> RigClips:
    """Two cameras side by side, 0.6 m apart, that drive down the corridor."""
    caches = []
    for number, (name, x_m) in enumerate(PLACES_M.items()):
        if not (folder / name).exists():
            samples = corridor_samples(frames, x_m=x_m, late_ns=number * late_ns)
            write_cache(samples, f"bag:/{name}", SIZE, 0, folder / name, lambda _done, _of: None)
        caches.append(DriveCache(folder / name))
    return RigClips(DriveClips(caches, DriveConfig(held_out=0.0), hold_out=True), rig)


def rig_batch(folder: Path, flip: float = 0.0, moments: int = 2) -> Batch:
    recipe = ClipRecipe(1, None, 100.0, 0, "truth", replace(PLAIN, flip=flip), PoseConfig())
    return rig_batch_at(rig_clips(folder), recipe, 2, range(2 * moments))


def clips_and_depth(batch: Batch) -> tuple[ClipTensors, torch.Tensor]:
    assert batch.clips is not None and batch.clips.rig is not None
    return batch.clips, torch.nan_to_num(batch.truth_depth_m, nan=60.0, posinf=60.0)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_other_camera_tells_metres_also_in_a_mirror(tmp_path: Path, flip: float) -> None:
    clips, depth_m = clips_and_depth(rig_batch(tmp_path, flip))
    factors = (0.5, 0.8, 1.0, 1.25, 2.0)
    losses = [float(spatial_loss(depth_m * factor, clips, clips.rig, OPTIONS).mean()) for factor in factors]
    assert factors[int(np.argmin(losses))] == 1.0 and losses[2] < 0.5 * min(losses[1], losses[3])
    motions = clips.T_context_target.unbind(1)
    losses = [
        float(spatio_temporal_loss(depth_m * factor, motions, clips, clips.rig, OPTIONS).mean()) for factor in factors
    ]
    assert factors[int(np.argmin(losses))] == 1.0


def test_the_spatial_term_leads_a_wrong_scale_to_the_right_one(tmp_path: Path) -> None:
    clips, depth_m = clips_and_depth(rig_batch(tmp_path))
    log_scale = torch.tensor(0.35, requires_grad=True)
    optimiser = torch.optim.Adam([log_scale], lr=0.03)
    for _ in range(40):
        optimiser.zero_grad()
        spatial_loss(depth_m * log_scale.exp(), clips, clips.rig, OPTIONS).mean().backward()
        optimiser.step()
    assert log_scale.item() == pytest.approx(0.0, abs=0.04)


def test_cameras_of_one_rig_make_one_motion(tmp_path: Path) -> None:
    clips, _ = clips_and_depth(rig_batch(tmp_path))
    true = clips.T_context_target.clone()
    assert float(motion_consistency(true.unbind(1), clips.rig).max()) < 1e-8
    shift = torch.zeros(len(true), requires_grad=True)
    moved = true + torch.nn.functional.pad(shift.view(-1, 1, 1, 1), (3, 0, 2, 1))  # along z
    loss = motion_consistency(moved.unbind(1), clips.rig).sum()
    assert float(loss) < 1e-8
    (motion_consistency((moved + 0.0).unbind(1), clips.rig).sum() + (moved[0] - true[0]).sum()).backward()
    assert shift.grad is not None and torch.isfinite(shift.grad).all()
    other = true.clone()
    other[1, :, 2, 3] += 0.2  # one camera says it went farther
    assert float(motion_consistency(other.unbind(1), clips.rig)[0]) == pytest.approx(0.04, rel=1e-3)


def test_the_robot_itself_teaches_nothing(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "left.png"), np.pad(np.full((64, 48), 255, np.uint8), ((0, 0), (0, 48))))
    rig = replace(RIG, masks=(f"left={tmp_path / 'left.png'}",))
    recipe = ClipRecipe(1, None, 100.0, 0, "truth", PLAIN, PoseConfig())
    batch = rig_batch_at(rig_clips(tmp_path, rig), recipe, 2, range(2))
    clips, depth_m = clips_and_depth(batch)
    view = synthesize(clips.context_rgb[:, 0], depth_m, clips.K, clips.K, clips.T_context_target[:, 0])
    counted = unoccluded(view, clips)
    assert not counted[0, :, :, 48:].any() and counted[0, :, :, 10:40].any() and counted[1, :, :, 60:90].any()
    depth_m.requires_grad_()
    spatial_loss(depth_m, clips, clips.rig, OPTIONS).sum().backward()
    assert not depth_m.grad[0, :, :, 50:].any()


def test_what_never_changes_is_the_robot() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (20, 40, 60, 3)).astype(np.uint8)
    images[:, 30:, 10:50] = 77
    still = still_pixels(images)
    assert still[33:, 14:46].all() and not still[:26].any()


def test_moments_need_every_camera_at_about_the_same_time(tmp_path: Path) -> None:
    assert len(rig_clips(tmp_path / "near").moments) == 10
    with pytest.raises(DataError, match=r"within 0\.03 s, got none"):
        rig_clips(tmp_path / "far", late_ns=45_000_000)


def test_cameras_that_see_nothing_of_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="see something of each other"):
        rig_clips(tmp_path, replace(RIG, least_overlap=0.99))


def test_a_camera_without_a_known_place_is_refused(tmp_path: Path) -> None:
    rig_clips(tmp_path)
    mounts = np.load(tmp_path / "right" / "mounts.npy")
    np.save(tmp_path / "right" / "mounts.npy", np.full_like(mounts, np.nan))
    with pytest.raises(DataError, match="where camera right is mounted"):
        rig_clips(tmp_path)


def test_cameras_side_by_side_see_much_of_each_other_and_back_to_back_nothing() -> None:
    beside, behind = np.eye(4), np.diag([-1.0, 1.0, -1.0, 1.0])
    beside[0, 3] = 0.5
    assert overlap(CAMERA, CAMERA, beside, 10.0) > 0.9
    assert overlap(CAMERA, CAMERA, behind, 10.0) == 0.0


def test_a_recipe_names_its_cameras_well() -> None:
    with pytest.raises(ConfigError, match="two and more"):
        RigConfig(cameras=("front",))
    with pytest.raises(ConfigError, match="batch_size: expected a multiple of cameras times devices, 2"):
        replace(CONFIG, data=("bag:/x",), batch_size=3, rig=RIG)
    assert camera_url("bag:a?points=none", "left") == "bag:a?points=none&camera=/left"
    with pytest.raises(ConfigError, match="without a camera"):
        camera_url("bag:a?camera=/left", "left")
