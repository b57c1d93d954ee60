# SPDX-License-Identifier: Apache-2.0
"""The driving robot, its LiDAR and its failures."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.synthetic.failures import FailurePlan, Outage, PacketLoss
from mono_depth_ros.synthetic.lidar import LidarModel, elevation_table, scan
from mono_depth_ros.synthetic.robot import SyntheticDrive
from mono_depth_ros.synthetic.textures import Material
from mono_depth_ros.synthetic.world import Shape, Solid, World

GREY = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))


@pytest.fixture(scope="module")
def drive() -> SyntheticDrive:
    return SyntheticDrive(seed=2, width_px=320, height_px=96, lidar_beams=16, samples=1)


def test_frames_depend_on_the_seed_and_index_alone(drive: SyntheticDrive) -> None:
    again = SyntheticDrive(seed=2, width_px=320, height_px=96, lidar_beams=16, samples=1)
    again.frame(3)  # asking for another frame first changes nothing
    first, second = drive.frame(7), again.frame(7)
    np.testing.assert_array_equal(first.image_rgb, second.image_rgb)
    np.testing.assert_array_equal(first.points_lidar, second.points_lidar)
    np.testing.assert_array_equal(first.T_odom_base, second.T_odom_base)
    assert first.stamp_ns == 700_000_000


def test_lidar_points_land_on_the_true_depth(drive: SyntheticDrive) -> None:
    frame = drive.frame(20)
    T_camera_lidar = invert_rigid(frame.T_base_camera) @ frame.T_base_lidar
    sparse = project_points(transform_points(T_camera_lidar, frame.points_lidar), frame.camera)
    error = np.abs(sparse.depth_m / frame.truth_depth_m[sparse.rows, sparse.cols] - 1.0)
    assert len(sparse) > 500
    assert np.nanmedian(error) < 0.005
    assert np.nanmean(error > 0.1) < 0.1  # the rest: borders, where LiDAR and camera see past each other


def test_odometry_agrees_with_the_true_motion_and_drifts_a_little(drive: SyntheticDrive) -> None:
    true = invert_rigid(drive.T_world_base(0.0)) @ drive.T_world_base(4.0)
    measured = drive.odometry(40)
    away = np.linalg.norm(true[:3, 3])
    error = np.linalg.norm(true[:3, 3] - measured[:3, 3])
    assert away > 10.0
    assert 1e-4 < error < 0.03 * away
    np.testing.assert_allclose(measured[:3, :3] @ measured[:3, :3].T, np.eye(3), atol=1e-9)


def test_measured_speed_is_the_speed_of_the_poses(drive: SyntheticDrive) -> None:
    between = np.linalg.norm(drive.T_world_base(2.05)[:3, 3] - drive.T_world_base(1.95)[:3, 3]) / 0.1
    assert drive.frame(20).speed_mps == pytest.approx(between, rel=0.1)


def test_the_robot_never_drives_into_anything() -> None:
    for seed in range(6):
        drive = SyntheticDrive(seed, width_px=64, height_px=32, lidar_beams=1, samples=1)
        for index in (0, 60, 120, 190):
            assert np.nanmin(drive.frame(index).truth_depth_m) > 0.4, (seed, index)


def test_a_drive_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="rate_hz > 0"):
        SyntheticDrive(0, rate_hz=0.0)
    with pytest.raises(ConfigError, match=r"expected one of \[1, 4"):
        SyntheticDrive(0, lidar_beams=5)


def test_a_scan_of_flat_ground_lies_at_sensor_height_over_tangent() -> None:
    world = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY),))
    lidar = LidarModel((np.deg2rad(-10.0), np.deg2rad(5.0)), range_sigma_m=0.0, drop_out=0.0)
    mount = np.eye(4)
    mount[2, 3] = 1.7
    points = scan(world, lidar, mount, 0.0, np.random.default_rng(0))
    assert len(points) == lidar.directions().shape[2]  # one return per shot of the lower beam, none of the upper
    np.testing.assert_allclose(points[:, 2], -1.7, atol=1e-4)
    np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 1]), 1.7 / np.tan(np.deg2rad(10.0)), rtol=1e-4)


def test_range_noise_and_drop_out_have_the_size_asked_for() -> None:
    world = World((Solid(Shape.ELLIPSOID, np.eye(4), (10.0, 10.0, 10.0), GREY),))  # from inside: all ranges 10 m
    lidar = LidarModel(elevation_table(16), range_sigma_m=0.05, drop_out=0.3)
    points = scan(world, lidar, np.eye(4), 0.0, np.random.default_rng(1))
    ranges = np.linalg.norm(points, axis=1)
    assert ranges.std() == pytest.approx(0.05, rel=0.1)
    assert len(points) / lidar.directions()[0].size == pytest.approx(0.7, abs=0.02)


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
