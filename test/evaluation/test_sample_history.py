# SPDX-License-Identifier: Apache-2.0
"""Samples of any data set as images with scans: what is known of their past, and what stands for a scan."""

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.dropout.fading_sweeps import FadingImage, FadingPlan
from mono_depth_ros.evaluation.dropout.sample_history import SampleHistory, beams_of_truth, known_history
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import transform_points
from mono_depth_ros.geometry.sparse_depth import project_points

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def sample(time_s=0.0, depth_m=10.0, pose=True, points=True, moved_m=0.0):
    """A wall; the camera has moved towards it along its z axis."""
    truth_m = np.full((48, 64), depth_m, np.float32)
    T_world_camera = np.eye(4)
    T_world_camera[2, 3] = moved_m
    return DepthSample(
        name=f"at {time_s}",
        stamp_ns=round(time_s * 1e9),
        camera_name="front",
        image_rgb=np.zeros((48, 64, 3), np.uint8),
        camera=CAMERA,
        points_camera_m=CAMERA.unproject(truth_m).reshape(-1, 3) if points else None,
        truth_depth_m=truth_m,
        truth_camera=CAMERA,
        T_world_camera=T_world_camera if pose else None,
    )


def drive(**options):
    """Ten images a second at 5 m/s."""
    return [sample(0.1 * at, 10.0 - 0.5 * at, moved_m=0.5 * at, **options) for at in range(5)]


def test_a_drive_with_poses_has_a_past_and_nothing_is_lost_by_looking():
    known = known_history(drive())
    assert (known.has_past, known.has_poses, known.reason) == (True, True, "")
    assert [found.stamp_ns for found in known.samples] == [round(0.1e9 * at) for at in range(5)]


@pytest.mark.parametrize(
    ("samples", "past", "reason"),
    [
        (drive(pose=False), True, "no poses"),
        ([sample(0.0), sample(5.0)], False, "5 s apart"),
        ([sample(0.0), sample(1e-9)], True, ""),
        ([sample(0.0)], False, "0 s apart"),
        ([sample(1.0), sample(0.0)], False, "no drive"),
    ],
    ids=["no poses", "far apart", "close", "single", "backwards"],
)
def test_what_is_no_drive_is_told(samples, past, reason):
    known = known_history(samples)
    assert known.has_past is past and reason in known.reason


def test_no_sample_is_an_error():
    with pytest.raises(DataError, match="at least one sample, got none"):
        known_history([])


def test_an_old_scan_carried_by_the_poses_lies_where_the_wall_is_now():
    history = SampleHistory(drive(), (0.0, 0.2))
    found = list(history)
    assert history.skipped == 2 and len(found) == 3
    image = found[-1].image
    old = image.scans[1]
    assert old.stamp_ns == image.stamp_ns - 200_000_000
    in_camera = transform_points(old.T_camera_lidar, old.points_lidar_m)
    assert in_camera[:, 2].mean() == pytest.approx(9.0, rel=1e-5)  # as it was measured
    assert transform_points(old.T_image_scan, in_camera)[:, 2].mean() == pytest.approx(8.0, rel=1e-5)
    assert found[-1].truth_m[0, 0] == pytest.approx(8.0)


def test_the_pretended_lidar_looks_ahead_with_z_up():
    (found,) = SampleHistory([sample()], (0.0,))
    points_lidar = found.image.scans[0].points_lidar_m
    assert points_lidar[:, 0].mean() == pytest.approx(10.0, rel=1e-5)
    assert points_lidar[0, 2] > 0 > points_lidar[-1, 2]  # the first pixel is above, the last below


def test_scans_of_another_drive_are_forgotten():
    history = SampleHistory([*drive(), *drive()], (0.0, 0.2))
    assert len(list(history)) == 6 and history.skipped == 4


def test_samples_without_points_get_64_beams_of_their_truth():
    (found,) = SampleHistory([sample(points=False)], (0.0,))
    (asked,) = SampleHistory([sample()], (0.0,), scan_from_truth=True)
    # 48 rows are fewer than 64 beams, so every pixel is one.
    for given in (found, asked):
        seen = transform_points(given.image.scans[0].T_camera_lidar, given.image.scans[0].points_lidar_m)
        assert len(project_points(seen, CAMERA)) == len(seen) == 48 * 64
    blind = dataclasses.replace(sample(points=False), truth_depth_m=None, truth_camera=None)
    history = SampleHistory([blind, sample()], (0.0,))
    assert len(list(history)) == 1 and history.skipped == 1


def test_a_beam_has_one_pixel_per_column():
    tall = PinholeCamera(8, 600, 300.0, 300.0, 3.5, 299.5)
    points = beams_of_truth(np.full((600, 8), 5.0, np.float32), tall)
    assert 60 * 8 <= len(points) <= 64 * 8
    sparse = project_points(points, tall)
    assert len(sparse) == len(points) and np.allclose(sparse.depth_m, 5.0)
    assert len(beams_of_truth(np.full((600, 8), np.nan, np.float32), tall)) == 0


def test_what_is_scored_is_the_truth_and_not_the_scan():
    """Points a tenth too far, as of a bad LiDAR; truth unknown in the left half."""
    wrong = sample()
    truth_m = wrong.truth_depth_m.copy()
    truth_m[:, :32] = np.nan
    wrong = dataclasses.replace(wrong, points_camera_m=wrong.points_camera_m * np.float32(1.1), truth_depth_m=truth_m)
    (given,) = SampleHistory([wrong], (0.0,))
    fading = FadingImage(given, FadingPlan(max_age_s=0.0))
    assert fading.held_out.cells.sum() > 100 and not fading.held_out.cells[:, :32].any()
    assert np.allclose(fading.held_out.truth_m, 10.0)


def test_without_a_past_no_sweep_of_age_is_left():
    names = [sweep.name for sweep in FadingPlan(max_age_s=0.0).sweeps()]
    assert names == ["beams", "points", "packet_loss", "rotation", "translation"]
