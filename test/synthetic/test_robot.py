# SPDX-License-Identifier: Apache-2.0
"""The driving robot, and what its sensors say."""

import numpy as np
import pytest

from mono_depth_ros.datasets.rendered.simulation import SENSORS, SimulationPlan
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.synthetic.failures import CalibrationBump, FailurePlan, Outage, PacketLoss
from mono_depth_ros.synthetic.robot import SyntheticDrive

PLAN = SimulationPlan(seed=2, width_px=320, height_px=96, lidar_beams=16, samples=1, sensors=SENSORS)


@pytest.fixture(scope="module")
def drive() -> SyntheticDrive:
    return PLAN.drive()


def test_frames_depend_on_the_seed_and_index_alone(drive: SyntheticDrive) -> None:
    again = PLAN.drive()
    again.frame(3)  # asking for another frame first changes nothing
    first, second = drive.frame(7), again.frame(7)
    np.testing.assert_array_equal(first.views[0].image_rgb, second.views[0].image_rgb)
    np.testing.assert_array_equal(first.lidar.points_lidar, second.lidar.points_lidar)
    np.testing.assert_array_equal(first.planar.range_m, second.planar.range_m)
    np.testing.assert_array_equal(first.tof.range_m, second.tof.range_m)
    np.testing.assert_array_equal(first.T_odom_base, second.T_odom_base)
    assert first.stamp_ns == 700_000_000


def test_lidar_points_carried_to_the_stamp_land_on_the_true_depth(drive: SyntheticDrive) -> None:
    frame = drive.frame(20)
    view, points = frame.views[0], np.zeros_like(frame.lidar.points_lidar)
    T_camera_world = invert_rigid(drive.T_world_sensor("camera", 2.0))
    for offset_s in np.unique(frame.lidar.time_s):
        then = frame.lidar.time_s == offset_s
        T_camera_lidar = T_camera_world @ drive.T_world_sensor("lidar", 2.0 + float(offset_s))
        points[then] = transform_points(T_camera_lidar, frame.lidar.points_lidar[then])
    sparse = project_points(points, view.camera)
    error = np.abs(sparse.depth_m / view.truth_depth_m[sparse.rows, sparse.cols] - 1.0)
    assert len(sparse) > 500
    assert np.nanmedian(error) < 0.015
    assert np.nanmean(error > 0.1) < 0.2  # the rest: borders, where LiDAR and camera see past each other


def test_measured_speed_is_the_speed_of_the_poses(drive: SyntheticDrive) -> None:
    T_world_base = drive.course.T_world_base
    between = np.linalg.norm(T_world_base(2.05)[:3, 3] - T_world_base(1.95)[:3, 3]) / 0.1
    assert drive.frame(20).speed_mps == pytest.approx(between, rel=0.1)


def test_a_bump_moves_the_sensor_and_not_what_calibration_says() -> None:
    bumps = (CalibrationBump(0.5, rotation_deg=(0.0, 5.0, 0.0)), CalibrationBump(0.5, (4.0, 0, 0), sensor="camera"))
    plan = SimulationPlan(2, width_px=64, height_px=32, samples=1, bumps=bumps)
    bumped, steady = plan.drive(), SimulationPlan(2, width_px=64, height_px=32, samples=1).drive()
    before, after, without = bumped.frame(4), bumped.frame(6), steady.frame(6)
    np.testing.assert_array_equal(before.views[0].truth_depth_m, steady.frame(4).views[0].truth_depth_m)
    for moved, still in zip(after.views, without.views, strict=True):
        np.testing.assert_array_equal(moved.T_base_camera, still.T_base_camera)
        assert np.nanmean(np.abs(moved.truth_depth_m - still.truth_depth_m)) > 0.1
    assert after.lidar.points_lidar.shape != without.lidar.points_lidar.shape
    with pytest.raises(ConfigError, match="expected sensors of this robot"):
        SimulationPlan(2, bumps=(CalibrationBump(0.0, sensor="camera_rear"),)).drive()


def test_the_robot_never_drives_into_anything() -> None:
    for seed in range(6):
        drive = SimulationPlan(seed, width_px=64, height_px=32, samples=1, sensors=("odom",)).drive()
        for index in (0, 60, 120, 190):
            assert np.nanmin(drive.frame(index).views[0].truth_depth_m) > 0.4, (seed, index)


def test_a_drive_that_cannot_be_is_refused() -> None:
    plan = SimulationPlan(0)
    with pytest.raises(ConfigError, match="rate_hz: expected more than 0"):
        SyntheticDrive(plan.course(), plan.robot(), 0, rate_hz=0.0)
    with pytest.raises(ConfigError, match=r"expected one of \[1, 4"):
        SimulationPlan(0, lidar_beams=5).drive()


def test_an_outage_silences_one_sensor_for_its_time() -> None:
    plan = FailurePlan((Outage("lidar", 1.0, 2.0),))
    heard = [plan.delivered("lidar", t / 10, t) for t in range(30)]
    assert heard == [not 10 <= t < 20 for t in range(30)]
    assert all(plan.delivered("camera", t / 10, t) for t in range(30))


def test_packet_loss_is_random_but_repeatable() -> None:
    plan = FailurePlan(losses=(PacketLoss("lidar", 0.3),), seed=4)
    fates = [plan.delivered("lidar", 0.0, packet) for packet in range(1000)]
    assert fates == [plan.delivered("lidar", 9.0, packet) for packet in range(1000)]
    assert 0.25 < fates.count(False) / 1000 < 0.35
    with pytest.raises(ConfigError, match="probability"):
        PacketLoss("lidar", 1.3)
    with pytest.raises(ConfigError, match="from_s < to_s"):
        Outage("lidar", 2.0, 1.0)
