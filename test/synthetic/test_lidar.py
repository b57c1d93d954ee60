# SPDX-License-Identifier: Apache-2.0
"""LiDAR, planar scanner and time of flight in worlds whose ranges are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import transform_points
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Shape, Solid, World
from mono_depth_ros.synthetic.sensors.echoes import Echoes, chance_heard
from mono_depth_ros.synthetic.sensors.lidar import PACKETS, LidarModel, elevation_table, scan
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScanner, ZoneSensor, planar_scan, zone_scan

GREY = Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), roughness=0.0)
BLACK = Material((0.01, 0.01, 0.01), (0.01, 0.01, 0.01), roughness=0.0)
PERIOD_S = 0.1
GROUND = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY),))


def at(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = (x, y, z)
    return pose


def ball(material: Material = GREY) -> World:
    """All ranges 10 m, from its middle."""
    return World((Solid(Shape.ELLIPSOID, np.eye(4), (10.0, 10.0, 10.0), material),))


def room(half_m: float = 10.0) -> World:
    return World((Solid(Shape.BOX, np.eye(4), (half_m, half_m, half_m), GREY),))


def take(world: World, lidar: LidarModel, pose: np.ndarray, seed: int = 0):
    return scan(world, lidar, lambda _: pose, 0.0, 0.0, np.random.default_rng(seed), np.eye(4))


def perfect(elevations_rad: tuple[float, ...]) -> LidarModel:
    return LidarModel(elevations_rad, range_sigma_m=0.0, drop_out=0.0, reach_10_percent_m=1e4)


def test_a_scan_of_flat_ground_lies_at_sensor_height_over_tangent() -> None:
    lidar = perfect((np.deg2rad(-10.0), np.deg2rad(5.0)))
    points = take(GROUND, lidar, at(z=1.7)).points_lidar
    assert len(points) == lidar.directions().shape[2]  # one return per shot of the lower beam, none of the upper
    np.testing.assert_allclose(points[:, 2], -1.7, atol=1e-4)
    np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 1]), 1.7 / np.tan(np.deg2rad(10.0)), rtol=1e-4)


def test_range_noise_and_drop_out_have_the_size_asked_for() -> None:
    lidar = LidarModel(elevation_table(16), range_sigma_m=0.05, drop_out=0.3, reach_10_percent_m=1e4)
    points = take(ball(), lidar, np.eye(4), 1).points_lidar
    ranges = np.linalg.norm(points, axis=1)
    assert ranges.std() == pytest.approx(0.05, rel=0.1)
    assert len(points) / lidar.directions()[0].size == pytest.approx(0.7, abs=0.02)


def test_dark_far_and_grazing_surfaces_are_lost() -> None:
    lidar = LidarModel(elevation_table(4), drop_out=0.0, reach_10_percent_m=10.0)
    bright, dark = (len(take(ball(look), lidar, np.eye(4)).ring) for look in (GREY, BLACK))
    assert dark < 0.1 * bright
    near, far = (float(chance_heard(Echoes(np.float32([r]), np.float32([0.1])), 10.0)[0]) for r in (5.0, 20.0))
    assert near > 0.95 and far < 0.05
    assert chance_heard(Echoes(np.float32([10.0]), np.float32([0.1])), 10.0)[0] == pytest.approx(0.5)
    # On the ground, what is far is also seen at a grazing angle.
    lidar = LidarModel(tuple(np.deg2rad((-20.0, -1.5))), drop_out=0.0)
    steep, grazing = np.bincount(take(GROUND, lidar, at(z=1.7)).ring, minlength=2)
    assert steep == lidar.directions().shape[2] and 0 < grazing < 0.7 * steep


def test_rings_are_beams_and_intensity_is_reflectance() -> None:
    lidar = perfect(tuple(np.deg2rad((5.0, 0.0, -5.0))))
    measured = take(ball(), lidar, np.eye(4))
    elevation = np.rad2deg(np.arcsin(measured.points_lidar[:, 2] / 10.0))
    np.testing.assert_allclose(elevation, np.array([5.0, 0.0, -5.0])[measured.ring], atol=1e-3)
    assert measured.ring.dtype == np.uint16
    head_on = 255.0 * 0.5 * (1.0 - 0.5 * 0.09 / 0.42)
    np.testing.assert_allclose(measured.intensity, head_on, rtol=0.01)


def test_a_rolling_scan_is_exact_at_the_time_of_each_point() -> None:
    # The sensor drives at 20 m/s in a room of which the walls are at 10 m.
    measured = scan(
        room(), perfect((0.0,)), lambda t: at(x=20.0 * t), 0.0, PERIOD_S, np.random.default_rng(0), np.eye(4)
    )
    assert len(np.unique(measured.time_s)) == PACKETS
    assert -0.05 < measured.time_s.min() < -0.04 and 0.04 < measured.time_s.max() < 0.05
    azimuth = np.arctan2(measured.points_lidar[:, 1], measured.points_lidar[:, 0])
    np.testing.assert_allclose(measured.time_s, azimuth / (2 * np.pi) * PERIOD_S, atol=0.5 * PERIOD_S / PACKETS + 1e-4)
    world = measured.points_lidar + np.float32([20.0, 0.0, 0.0]) * measured.time_s[:, None]
    np.testing.assert_allclose(np.abs(world[:, :2]).max(axis=1), 10.0, atol=1e-3)
    # Taken for one instant, the points miss the walls by up to a metre.
    assert np.abs(np.abs(measured.points_lidar[:, :2]).max(axis=1) - 10.0).max() > 0.5


def test_what_moves_during_a_scan_is_where_it_is_at_the_time_of_each_point() -> None:
    @dataclass(frozen=True)
    class Train:
        def T_world_body(self, time_s: float) -> np.ndarray:
            return at(x=30.0 * time_s)

    side = Solid(Shape.BOX, at(x=0.0, y=6.0), (2.0, 1.0, 3.0), GREY, mover=0)
    world = World((Solid(Shape.BOX, np.eye(4), (50.0, 50.0, 50.0), GREY), side), movers=(Train(),))
    lidar = perfect((0.0,))
    measured = scan(world, lidar, lambda _: np.eye(4), 1.0, PERIOD_S, np.random.default_rng(0), np.eye(4))
    near = np.abs(measured.points_lidar[:, 1] - 5.0) < 0.01
    assert near.any() and measured.points_lidar[near, 0].min() > 25.0  # it has gone on by now
    measured = scan(world, lidar, lambda _: np.eye(4), 0.0, PERIOD_S, np.random.default_rng(0), np.eye(4))
    near = np.abs(measured.points_lidar[:, 1] - 5.0) < 0.01
    there = measured.points_lidar[near, 0] - 30.0 * measured.time_s[near]
    assert near.sum() > 20 and np.abs(there).max() <= 2.0 + 1e-3
    # At the left, where the sensor looks after a quarter of its period, the train has driven 0.75 m.
    assert measured.points_lidar[near, 0].mean() == pytest.approx(0.75, abs=0.2)


def test_a_planar_scanner_measures_the_walls_of_a_room() -> None:
    scanner = PlanarScanner(rays=360, angle_step_rad=np.deg2rad(1.0), range_sigma_m=0.0, drop_out=0.0)
    turn = planar_scan(room(4.0), scanner, lambda _: np.eye(4), 0.0, PERIOD_S, np.random.default_rng(0), np.eye(4))
    angle = scanner.azimuths()
    expected = 4.0 / np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle)))
    np.testing.assert_allclose(turn.range_m, expected, rtol=1e-4)
    assert turn.time_step_s == pytest.approx(PERIOD_S / 360)
    away = planar_scan(room(40.0), scanner, lambda _: np.eye(4), 0.0, 0.0, np.random.default_rng(0), np.eye(4))
    assert np.isinf(away.range_m).all() and (away.intensity == 0).all()


def test_a_zone_measures_the_mean_over_its_part_of_the_view() -> None:
    sensor = ZoneSensor(range_sigma_m=0.0, reach_10_percent_m=1e3)
    wall = World((Solid(Shape.BOX, at(x=3.0), (1.0, 50.0, 50.0), GREY),))
    zones = zone_scan(wall, sensor, np.eye(4), 0.0, np.random.default_rng(0), np.eye(4))
    np.testing.assert_allclose(zones.points()[..., 0], 2.0, rtol=0.01)
    # The wall ends at the middle of the view: the left half sees nothing; left is y > 0 and the first columns.
    half = World((Solid(Shape.BOX, at(x=3.0, y=-50.0), (1.0, 50.0, 50.0), GREY),))
    seen = np.isfinite(zone_scan(half, sensor, np.eye(4), 0.0, np.random.default_rng(0), np.eye(4)).range_m)
    assert not seen[:, :4].any() and seen[:, 4:].all()
    points = zone_scan(half, sensor, np.eye(4), 0.0, np.random.default_rng(0), np.eye(4)).points()
    assert np.isnan(points[:, :4]).all() and (points[0, 4:, 2] > 0).all()


def test_a_single_point_sensor_sees_ahead_and_not_too_far() -> None:
    sensor = ZoneSensor(1, np.deg2rad(10.0), range_sigma_m=0.0, reach_10_percent_m=1e3)
    ranges = []
    for distance_m in (2.0, 5.0):
        wall = World((Solid(Shape.BOX, at(x=distance_m + 1.0), (1.0, 50.0, 50.0), GREY),))
        ranges.append(float(zone_scan(wall, sensor, np.eye(4), 0.0, np.random.default_rng(0), np.eye(4)).range_m[0, 0]))
    assert ranges[0] == pytest.approx(2.0, rel=0.01) and ranges[1] == np.inf


def test_sensors_that_cannot_be_are_refused() -> None:
    for make in (
        lambda: LidarModel(()),
        lambda: LidarModel((2.0,)),
        lambda: PlanarScanner(rays=1000),
        lambda: ZoneSensor(zones=0),
    ):
        with pytest.raises(ConfigError, match="expected"):
            make()


def test_points_of_a_turned_sensor_are_in_its_own_frame() -> None:
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])  # looks back
    turned[:3, 3] = (1.0, 0.0, 0.0)
    measured = take(room(), perfect((0.0,)), turned)
    walls = np.abs(transform_points(turned, measured.points_lidar)[:, :2]).max(axis=1)
    np.testing.assert_allclose(walls, 10.0, atol=1e-4)
