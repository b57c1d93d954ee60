# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Drives become caches, clips and batches: what is kept, what is dropped, what a mirror does."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning.fabric", reason="training needs lightning")

from corridor_drive import CAMERA, STEP_M, corridor_samples
from train_corridor import CONFIG, corridor_clips

from mono_depth_ros.datasets.excluded_frames import write_excluded_frames
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.objectives.view_synthesis import synthesize
from mono_depth_ros.training.augmentation import Augmentation
from mono_depth_ros.training.clip_batches import ClipRecipe, clip_batch_at, keep_mask, thinned
from mono_depth_ros.training.config import DriveConfig, PoseConfig
from mono_depth_ros.training.drive_cache import DriveCache, cache_folder, network_truth, prepare_drive, write_cache
from mono_depth_ros.training.drive_clips import DriveClips
from mono_depth_ros.training.sources import excluded_frames

pytestmark = pytest.mark.torch
SIZE = (CAMERA.width_px, CAMERA.height_px)
PLAIN = Augmentation(
    flip=0.0, empty=0.0, rescale=0.0, channel_shuffle=0.0, grey=0.0, gain_sigma=0.0, gamma_sigma=0.0,
    contrast_sigma=0.0, channel_gain_sigma=0.0, blur=0.0, noise_sigma=0.0,
)  # fmt: skip


def quiet(_done: int, _of: int) -> None:
    pass


def recipe(**changes: object) -> ClipRecipe:
    values = dict(
        seed=1, trained_fx_px=30.0, max_depth_m=100.0, beams=0, supervision="truth", augmentation=PLAIN,
        pose=PoseConfig(),
    )  # fmt: skip
    return ClipRecipe(**{**values, **changes})  # type: ignore[arg-type]


def test_a_cache_gives_back_what_the_drive_has(tmp_path: Path) -> None:
    samples = corridor_samples(6)
    write_cache(samples, "bag:/x", SIZE, 0, tmp_path / "cache", quiet)
    cache = DriveCache(tmp_path / "cache")
    assert len(cache) == 6
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(cache.images[index], sample.image_rgb)
        np.testing.assert_allclose(cache.poses[index], sample.T_world_camera)
        np.testing.assert_allclose(cache.truth(index), sample.truth_depth_m, rtol=1e-3)
        np.testing.assert_array_equal(cache.points(index), sample.points_camera_m)
        assert cache.camera(index) == CAMERA
        assert cache.speeds_mps[index] == sample.speed_mps


def test_a_smaller_network_sees_the_same_rays_and_the_nearest_truth(tmp_path: Path) -> None:
    sample = corridor_samples(1)[0]
    write_cache([sample], "bag:/x", (48, 32), 0, tmp_path / "cache", quiet)
    cache = DriveCache(tmp_path / "cache")
    small = cache.camera(0)
    assert small == CAMERA.resized(48, 32)
    truth = cache.truth(0)
    assert truth is not None
    assert sample.truth_depth_m is not None
    around = sample.truth_depth_m.reshape(32, 2, 48, 2).transpose(0, 2, 1, 3).reshape(32, 48, 4)
    known = np.isfinite(truth)
    off = np.nanmin(np.abs(around[known] - truth[known][:, None]), axis=1)
    assert (off < 1e-2 * truth[known]).all()  # it is one of its four pixels, no mixture


def test_sparse_truth_is_projected_not_looked_up() -> None:
    sample = corridor_samples(1)[0]
    assert sample.truth_depth_m is not None
    sparse = np.full_like(sample.truth_depth_m, np.nan)
    sparse[1::5, 1::7] = sample.truth_depth_m[1::5, 1::7]
    thin = replace(sample, truth_depth_m=sparse)
    found = network_truth(thin, CAMERA.resized(48, 32))
    assert found is not None
    assert np.isfinite(found).sum() == np.isfinite(sparse).sum()


def test_a_drive_is_read_once_and_half_a_cache_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def broken_drive(url: str) -> list[DepthSample]:
        asked.append(url)
        return corridor_samples(4)

    def breaking(url: str):  # type: ignore[no-untyped-def]
        yield from broken_drive(url)
        raise DataError("the disk is gone")

    monkeypatch.setattr("mono_depth_ros.training.drive_cache.open_dataset", breaking)
    with pytest.raises(DataError, match="disk is gone"):
        prepare_drive("my_bag", *SIZE, 0, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("mono_depth_ros.training.drive_cache.open_dataset", broken_drive)
    assert len(prepare_drive("my_bag", *SIZE, 0, tmp_path, quiet)) == 4
    assert len(prepare_drive("my_bag", *SIZE, 0, tmp_path, quiet)) == 4
    assert asked == ["bag:my_bag"] * 2  # a plain path is a bag; the finished cache was not made again
    folders = {cache_folder("my_bag", *size, limit, tmp_path) for size, limit in ((SIZE, 0), ((64, 32), 0), (SIZE, 3))}
    assert len(folders) == 3


def test_a_drive_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected images, got none"):
        write_cache([], "bag:/x", SIZE, 0, tmp_path / "cache", quiet)


def test_what_a_drive_leaves_out_is_told_with_its_facts(tmp_path: Path) -> None:
    class Drive(list[DepthSample]):
        left_out: ClassVar = {"/image: expected 8 bits": 3}

    write_cache(Drive(corridor_samples(12)), "bag:/x", SIZE, 0, tmp_path / "cache", quiet)
    clips = DriveClips([DriveCache(tmp_path / "cache")], DriveConfig(*SIZE, held_out=0.0), True)
    assert clips.facts[0].lines()[-1] == "  left out: 3 x /image: expected 8 bits"


def test_standing_frames_teach_nothing_and_are_counted(tmp_path: Path) -> None:
    clips = corridor_clips(CONFIG, tmp_path / "cache", frames=40, stand=12)
    fact = clips.facts[0]
    assert fact.standing == pytest.approx(12 / 39)
    assert fact.dropped_standing == 12
    assert fact.held_out == len(clips.held_out) == 6
    last = 40 - 6
    assert [clip.target for clip in clips.clips] == list(range(13, last - 1))
    assert all(clip.contexts == (clip.target - 1, clip.target + 1) for clip in clips.clips)
    assert fact.speed_mps == (0.0, 5.0, 5.0)
    text = "\n".join(fact.lines())
    for expected in ("40 frames", "31 %", "12 dropped as standing", "6 frames held out", "96x64", "200"):
        assert expected in text


def test_a_stride_and_a_hole_in_time(tmp_path: Path) -> None:
    samples = corridor_samples(12)
    later = [replace(s, stamp_ns=s.stamp_ns + 10**9 * (i >= 6)) for i, s in enumerate(samples)]
    write_cache(later, "bag:/x", SIZE, 0, tmp_path / "cache", quiet)
    drive = DriveCache(tmp_path / "cache")
    clips = DriveClips([drive], DriveConfig(*SIZE, stride=2, held_out=0.0), True)
    assert [clip.target for clip in clips.clips] == [2, 3, 8, 9]
    assert clips.clips[0].contexts == (0, 4)
    assert clips.facts[0].dropped_gap == 4


def test_what_the_recipe_needs_and_the_drive_lacks_is_said_at_once(tmp_path: Path) -> None:
    bare = [replace(s, speed_mps=None, T_world_camera=None) for s in corridor_samples(5, points=0, truth=False)]
    write_cache(bare, "bag:/bare", SIZE, 0, tmp_path / "cache", quiet)
    clips = DriveClips([DriveCache(tmp_path / "cache")], DriveConfig(*SIZE), True)
    assert len(clips.clips) > 0  # without odometry every frame may teach
    assert clips.facts[0].standing is None
    with pytest.raises(DataError) as caught:
        clips.require(distances=True, poses=True, points=True, truth=True)
    for expected in ("at least 4 clips", "speed or odometry", "pose for every image", "points", "truth"):
        assert expected in str(caught.value)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_batch_is_one_scene_however_it_is_mirrored(tmp_path: Path, flip: float) -> None:
    """Warping the contexts by the batch's own depth, motion and intrinsics gives the target back."""
    clips = corridor_clips(CONFIG, tmp_path / "cache")
    batch = clip_batch_at(clips, recipe(augmentation=replace(PLAIN, flip=flip)), range(3))
    data = batch.clips
    assert data is not None
    torch.testing.assert_close(data.distance_m, torch.full((3, 2), STEP_M))
    torch.testing.assert_close(data.focal, torch.full((3,), 2.0))
    metres = batch.truth_depth_m * data.focal[:, None, None, None]
    given = metres[batch.bvu[:, 0], 0, batch.bvu[:, 1], batch.bvu[:, 2]]
    torch.testing.assert_close(2.0 * batch.points_depth_m, given, rtol=2e-3, atol=0.0)
    for context in range(2):
        T = data.T_context_target[:, context]
        view = synthesize(data.context_rgb[:, context], metres, data.K, data.K, T)
        near = view.valid & (metres < 15.0)
        error = (view.image - data.target_rgb).abs()[near.expand_as(view.image)].mean()
        still = (data.context_rgb[:, context] - data.target_rgb).abs()[near.expand_as(view.image)].mean()
        assert error < 0.03
        assert still > 2.5 * error


def test_a_position_gives_the_same_clip_whenever_it_is_asked(tmp_path: Path) -> None:
    clips = corridor_clips(CONFIG, tmp_path / "cache")
    full = recipe(augmentation=Augmentation(empty=0.0, rescale=0.0), pose=PoseConfig(sparsify=1.0))
    first, again = clip_batch_at(clips, full, range(3, 5)), clip_batch_at(clips, full, range(3, 5))
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)
    alone = clip_batch_at(clips, full, range(4, 5))
    assert torch.equal(alone.rgb[0], first.rgb[1])
    assert not torch.equal(first.rgb, first.clips.target_rgb)  # type: ignore[union-attr]
    assert (first.clips.pose_target_rgb == 0).float().mean() > 0.02  # type: ignore[union-attr]


def test_supervision_is_what_the_recipe_says(tmp_path: Path) -> None:
    clips = corridor_clips(CONFIG, tmp_path / "cache")
    known = {}
    for what in ("none", "points", "truth"):
        batch = clip_batch_at(clips, recipe(supervision=what), range(2))
        known[what] = float(torch.isfinite(batch.truth_depth_m).float().mean())
    assert known["none"] == 0.0
    assert known["points"] == pytest.approx(200 / (96 * 64), rel=0.1)
    assert known["truth"] > 0.9
    few = clip_batch_at(clips, recipe(supervision="points", beams=4), range(2))
    assert 0 < torch.isfinite(few.truth_depth_m).sum() < 0.3 * 2 * 200


def test_points_are_thinned_in_many_ways() -> None:
    bins = np.arange(200, dtype=np.int16) % 64
    counts = [int(thinned(np.random.default_rng(seed), bins).sum()) for seed in range(200)]
    assert min(counts) == 0
    assert counts.count(200) > 10
    assert sum(0 < count < 60 for count in counts) > 30


def test_the_pose_input_loses_blocks_of_pixels() -> None:
    masks = [keep_mask(np.random.default_rng(seed), (32, 64), PoseConfig(sparsify=0.5)) for seed in range(40)]
    assert 8 < sum(mask is None for mask in masks) < 32
    kept = [float(mask.mean()) for mask in masks if mask is not None]
    assert min(kept) > 0.1
    assert max(kept) - min(kept) > 0.3
    blocks = next(mask for mask in masks if mask is not None).reshape(8, 4, 16, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_excluded_frames_are_no_targets_and_still_contexts(tmp_path: Path) -> None:
    write_cache(corridor_samples(12), "bag:/x", SIZE, 0, tmp_path / "cache", quiet)
    drive = DriveCache(tmp_path / "cache")
    every = DriveClips([drive], DriveConfig(held_out=0.0), hold_out=True)
    stamps = frozenset(("camera", int(drive.stamps_ns[frame])) for frame in (3, 4))
    some = DriveClips([drive], DriveConfig(held_out=0.0), True, [stamps])
    assert [clip for clip in every.clips if clip.target not in (3, 4)] == some.clips
    assert any(3 in clip.contexts for clip in some.clips)
    assert some.facts[0].dropped_excluded == 2 and "2 as excluded" in "\n".join(some.facts[0].lines())
    assert every.facts[0].dropped_excluded is None and "excluded" not in "\n".join(every.facts[0].lines())


def test_a_file_that_names_other_drives_is_refused_and_one_that_names_none_of_its_frames_is_not(tmp_path: Path) -> None:
    path = write_excluded_frames(tmp_path / "e.json", {f"bag:{tmp_path}/drive": frozenset()}, "a test")
    config = replace(CONFIG, data=(f"{tmp_path}/drive",), exclude=str(path))
    assert excluded_frames(config) == [frozenset()]
    assert excluded_frames(replace(config, exclude="")) == [None]
    with pytest.raises(DataError, match="exclude: expected a file that names frames of"):
        excluded_frames(replace(config, data=(f"{tmp_path}/other",)))
