# SPDX-License-Identifier: Apache-2.0
"""Ray casting against what geometry says by hand."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.chaos import random_chaos, random_rotation
from mono_depth_ros.synthetic.render.rendering import ray_grid, render, visible_windows
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Light, Mover, Shape, Solid, World, cast_grid, lit
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.road import RoadPath
from mono_depth_ros.synthetic.street.scene import random_street

GREY = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
CAMERA = PinholeCamera(64, 48, 40.0, 45.0, 31.0, 24.5)


def _at(x: float, y: float, z: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = (x, y, z)
    return T


def test_a_ground_plane_has_depth_camera_height_over_ray_slope() -> None:
    world = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY),))
    depth = render(world, CAMERA, camera_pose(np.array([3.0, -2.0, 1.5]), 0.0, 0.0, 0.0), samples=1).depth_m
    slope = (np.arange(48) - CAMERA.cy_px) / CAMERA.fy_px
    expected = np.where(slope > 0, 1.5 / np.where(slope > 0, slope, 1.0), np.nan)
    np.testing.assert_allclose(depth, np.repeat(expected[:, None], 64, axis=1), rtol=1e-5)


def test_a_pitched_camera_sees_the_ground_plane_where_trigonometry_says() -> None:
    world = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY),))
    pitch = 0.3
    depth = render(world, CAMERA, camera_pose(np.array([0.0, 0.0, 2.0]), 1.1, pitch, 0.0), samples=1).depth_m
    slope = (np.arange(48) - CAMERA.cy_px) / CAMERA.fy_px
    falls = np.sin(pitch) + slope * np.cos(pitch)  # metres of fall per metre of depth
    expected = np.where(falls > 0, 2.0 / np.where(falls > 0, falls, 1.0), np.nan)
    np.testing.assert_allclose(depth[:, 20], expected, rtol=1e-4)


def test_the_front_of_a_box_has_constant_depth_and_ends_at_its_edges() -> None:
    world = World((Solid(Shape.BOX, _at(10.0, 0.0, 0.0), (1.0, 2.0, 1.0), GREY),))
    depth = render(world, CAMERA, camera_pose(np.zeros(3), 0.0, 0.0, 0.0), samples=1).depth_m
    x = (np.arange(64) - CAMERA.cx_px) / CAMERA.fx_px * 9.0
    y = (np.arange(48) - CAMERA.cy_px) / CAMERA.fy_px * 9.0
    inside = (np.abs(y) <= 1.0)[:, None] & (np.abs(x) <= 2.0)[None]
    np.testing.assert_array_equal(np.isfinite(depth), inside)
    np.testing.assert_allclose(depth[inside], 9.0, rtol=1e-6)


def test_a_sphere_is_hit_where_the_quadratic_says() -> None:
    world = World((Solid(Shape.ELLIPSOID, _at(12.0, 0.5, -0.5), (2.0, 2.0, 2.0), GREY),))
    depth = render(world, CAMERA, camera_pose(np.zeros(3), 0.0, 0.0, 0.0), samples=1).depth_m
    rays = CAMERA.rays().astype(np.float64)
    centre = np.array([-0.5, 0.5, 12.0])  # the same point in the optical frame
    a, b, c = (rays * rays).sum(-1), rays @ centre, centre @ centre - 4.0
    room = b * b - a * c
    expected = np.where(room >= 0, (b - np.sqrt(np.maximum(room, 0))) / a, np.nan)
    edge = np.abs(room) < 1e-3
    np.testing.assert_allclose(depth[~edge], expected[~edge], rtol=1e-4)


def test_an_upright_cylinder_shows_side_and_cap() -> None:
    world = World((Solid(Shape.CYLINDER, _at(6.0, 0.0, -2.0), (1.0, 1.0, 1.0), GREY),))
    view = render(world, CAMERA, camera_pose(np.zeros(3), 0.0, 0.3, 0.0), samples=1)
    rays = ray_grid(CAMERA).reshape(3, -1)
    points = camera_pose(np.zeros(3), 0.0, 0.3, 0.0)[:3, :3] @ (rays * view.depth_m.reshape(-1))
    points = points[:, np.isfinite(view.depth_m.reshape(-1))] - np.array([[6.0], [0.0], [-2.0]])
    on_side = np.abs(np.hypot(points[0], points[1]) - 1.0) < 1e-3
    on_cap = np.abs(points[2] - 1.0) < 1e-3
    assert (on_side | on_cap).all()
    assert on_side.sum() > 50
    assert on_cap.sum() > 15


def test_from_inside_a_room_the_far_wall_is_seen() -> None:
    world = World((Solid(Shape.BOX, _at(1.0, 0.0, 0.0), (5.0, 4.0, 3.0), GREY),))
    depth = render(world, CAMERA, camera_pose(np.zeros(3), 0.0, 0.0, 0.0), samples=1).depth_m
    assert np.isfinite(depth).all()
    assert depth[24, 31] == pytest.approx(6.0, rel=1e-5)


def test_culling_never_changes_what_is_seen() -> None:
    for seed in range(3):
        posed = random_chaos(seed).at(0.0)
        T_world_camera = camera_pose(np.array([0.1, 0.2, 0.0]), 0.7 * seed, 0.1, 0.2)
        rays = (T_world_camera[:3, :3].astype(np.float32) @ ray_grid(CAMERA).reshape(3, -1)).reshape(3, 48, 64)
        everywhere = cast_grid(posed, T_world_camera[:3, 3], rays)
        windows = visible_windows(posed, CAMERA, T_world_camera)
        culled = cast_grid(posed, T_world_camera[:3, 3], rays, windows)
        np.testing.assert_array_equal(everywhere.solid, culled.solid)
        np.testing.assert_array_equal(everywhere.distance, culled.distance)
        assert (windows[:, 1] <= windows[:, 0]).any()  # something was culled, so the comparison means something


def test_depth_does_not_depend_on_colour_samples() -> None:
    street = random_street(3)
    T_world_camera = street.path.pose(10.0, street.lane_m) @ camera_pose(np.array([0.0, 0.0, 1.5]), 0.0, 0.0, 0.0)
    one, three = (render(street.world, CAMERA, T_world_camera, samples=n) for n in (1, 3))
    np.testing.assert_array_equal(one.depth_m, three.depth_m)
    assert (one.image_rgb != three.image_rgb).any()


def test_shadow_lies_where_the_sun_is_hidden() -> None:
    slab = Solid(Shape.BOX, _at(0.0, 0.0, 5.0), (1.0, 1.0, 0.1), GREY)
    posed = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY), slab)).at(0.0)
    sun = np.array([0.6, 0.0, 0.8])
    # the shadow on the ground is shifted by 5 * 0.6 / 0.8 = 3.75 m away from the sun
    points = np.array([[-3.75, 0.0, 0.01], [-3.0, 0.5, 0.01], [0.0, 0.0, 0.01], [-5.5, 0.0, 0.01]], np.float32).T
    assert lit(posed, points, sun).tolist() == [False, False, True, True]


def test_moving_cars_move_along_the_road_and_face_their_way() -> None:
    path = RoadPath((10.0, 0.0), (200.0, 90.0), (0.4, 0.0))
    ahead, oncoming = Mover(path, 20.0, 8.0, -2.0), Mover(path, 80.0, -6.0, 2.0)
    moved = ahead.T_world_body(2.0)[:3, 3] - ahead.T_world_body(0.0)[:3, 3]
    assert moved[0] == pytest.approx(16.0, abs=0.5)
    assert np.linalg.norm(moved) == pytest.approx(16.0 * np.hypot(1, path.centre(28.0)[1]), rel=0.03)
    assert ahead.T_world_body(0.0)[0, 0] > 0.9
    assert oncoming.T_world_body(0.0)[0, 0] < -0.9
    y, slope = path.centre(20.0)
    offset = ahead.T_world_body(0.0)[:2, 3] - (20.0, float(y))
    assert offset @ np.array([1.0, float(slope)]) == pytest.approx(0.0, abs=1e-9)  # square to the centre line
    assert np.linalg.norm(offset) == pytest.approx(2.0)


def test_a_moving_car_changes_the_picture_and_its_depth() -> None:
    car = Solid(Shape.BOX, _at(0.0, 0.0, 0.75), (2.0, 0.9, 0.75), GREY, mover=0)
    world = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY), car), Light(), (Mover(RoadPath(), 12.0, 5.0, 0.0),))
    T_world_camera = camera_pose(np.array([0.0, 0.0, 1.0]), 0.0, 0.0, 0.0)
    for time_s in (0.0, 1.0, 2.0):
        depth = render(world, CAMERA, T_world_camera, time_s, samples=1).depth_m
        assert depth[25, 31] == pytest.approx(12.0 + 5.0 * time_s - 2.0, rel=1e-5)  # the car's rear


def test_same_seed_same_street_other_seed_another() -> None:
    first, again, other = random_street(5), random_street(5), random_street(6)
    assert len(first.world.solids) == len(again.world.solids)
    np.testing.assert_array_equal(first.world.at(1.0).centre_world_m, again.world.at(1.0).centre_world_m)
    assert first.half_width_m != other.half_width_m


def test_random_rotations_are_rotations() -> None:
    rotation = random_rotation(np.random.default_rng(0))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_flat_solid_is_refused() -> None:
    with pytest.raises(ConfigError, match="half_size_m: expected three positive"):
        Solid(Shape.BOX, np.eye(4), (1.0, 0.0, 1.0), GREY)
    with pytest.raises(ConfigError, match="samples"):
        render(World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY),)), CAMERA, np.eye(4), samples=9)
