# SPDX-License-Identifier: Apache-2.0
"""Rigs of cameras, and what a distorted lens sees."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distort
from mono_depth_ros.synthetic.chaos import random_chaos
from mono_depth_ros.synthetic.render.rendering import ray_grid, render, visible_windows
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Shape, Solid, World, cast_grid
from mono_depth_ros.synthetic.sensors.camera_rig import CAR, RIG_NAMES, CameraMount, check_rig, named_rig, pinhole
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.course import street_course

LENS = Distortion(-0.2, 0.05, 0.002, -0.001, 0.0)
CAMERA = PinholeCamera(96, 64, 60.0, 62.0, 46.0, 33.0)


def test_six_cameras_look_all_around_and_stereo_ahead():
    camera = pinhole(64, 48, 81.0)
    six = named_rig("rig6", CAR, camera)
    headings = sorted(np.rad2deg(np.arctan2(*m.T_base_camera()[[1, 0], 2])) % 360 for m in six)
    np.testing.assert_allclose(headings, [0, 60, 120, 180, 240, 300], atol=1e-6)
    left, right = named_rig("stereo", CAR, camera)
    np.testing.assert_allclose(left.T_base_camera()[:3, :3], right.T_base_camera()[:3, :3])
    np.testing.assert_allclose(left.T_base_camera()[:3, 3] - right.T_base_camera()[:3, 3], [0, 0.54, 0])
    assert all(not check_rig(named_rig(name, CAR, camera)) for name in RIG_NAMES)
    assert named_rig("single", CAR, camera)[0].name == "camera"


@pytest.mark.parametrize("seed", [7, 14, 27])  # a narrow road with oncoming traffic, parked trucks, parked buses
def test_no_camera_of_a_rig_on_the_street_is_inside_of_what_stands_or_drives_there(seed):
    course = street_course(seed, 6.0)
    azimuth = np.linspace(0.0, 2 * np.pi, 12, endpoint=False)
    around = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(12)]).astype(np.float32)
    nearest_m = []
    for time_s in np.arange(0.0, 6.0, 0.5):
        T_world_base, posed = course.T_world_base(time_s), course.world.at(time_s)
        rays, everywhere = (T_world_base[:3, :3] @ around)[:, None], np.tile([0, 1, 0, 12], (len(posed.shape), 1))
        for mount in named_rig("rig6", CAR, pinhole(64, 48, 81.0)):
            position = (T_world_base @ mount.T_base_camera())[:3, 3]
            nearest_m.append(cast_grid(posed, position, rays.astype(np.float32), everywhere).distance.min())
    assert min(nearest_m) > 0.08


def test_rigs_that_cannot_be_are_refused():
    camera = pinhole(64, 48, 81.0)
    for make in (
        lambda: named_rig("rig9", CAR, camera),
        lambda: pinhole(64, 48, 180.0),
        lambda: CameraMount("Left Camera", camera, (0, 0, 1)),
        lambda: CameraMount("lidar", camera, (0, 0, 1)),
        lambda: CameraMount("left", pinhole(16, 16, 81.0), (0, 0, 1)),
        lambda: CameraMount("left", camera, (0, 0, float("nan"))),
    ):
        with pytest.raises(ConfigError, match="expected"):
            make()
    mount = CameraMount("left", camera, (0, 0, 1))
    assert "different names" in check_rig((mount, mount))[0] and "1 to 6" in check_rig(())[0]


def test_the_depth_of_a_distorted_lens_is_exact():
    look = Material((0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    behind = np.eye(4)
    behind[:3, 3] = (6.0, 0.0, 0.0)
    world = World((Solid(Shape.BOX, behind, (1.0, 30.0, 30.0), look),))
    pose = camera_pose(np.zeros(3), 0.3, 0.0, 0.0)
    depth = render(world, CAMERA, pose, samples=1, distortion=LENS).depth_m
    # Points of the wall x = 5, with their own depth and pixel.
    y, z = np.meshgrid(np.linspace(-2.0, 4.0, 15), np.linspace(-2.0, 2.0, 11))
    wall = np.stack([np.full_like(y, 5.0), y, z, np.ones_like(y)], -1) @ np.linalg.inv(pose).T
    seen = distort(wall[..., :2] / wall[..., 2:3], LENS)
    u, v = CAMERA.fx_px * seen[..., 0] + CAMERA.cx_px, CAMERA.fy_px * seen[..., 1] + CAMERA.cy_px
    inside = (u > 1) & (u < 94) & (v > 1) & (v < 62)
    assert inside.sum() > 50
    # Inverse depth of a plane is nearly linear from pixel to pixel, also here.
    for u_px, v_px, depth_m in zip(u[inside], v[inside], wall[inside][:, 2], strict=True):
        col, row = int(u_px), int(v_px)
        a, b = u_px - col, v_px - row
        corners = 1.0 / depth[row : row + 2, col : col + 2]
        between = (1 - b) * ((1 - a) * corners[0, 0] + a * corners[0, 1]) + b * (
            (1 - a) * corners[1, 0] + a * corners[1, 1]
        )
        assert 1.0 / between == pytest.approx(depth_m, rel=2e-4)


def test_windows_of_a_distorted_lens_cut_nothing_off():
    for seed in range(4):
        posed = random_chaos(seed).at(0.0)
        pose = camera_pose(np.zeros(3), 1.3 * seed, 0.1, -0.2)
        grid = ray_grid(CAMERA, distortion=LENS)
        rays = (pose[:3, :3].astype(np.float32) @ grid.reshape(3, -1)).reshape(grid.shape)
        windows = visible_windows(posed, CAMERA, pose, LENS)
        assert ((windows[:, 1] - windows[:, 0]) * (windows[:, 3] - windows[:, 2])).mean() < 0.6 * 96 * 64
        whole, cut = cast_grid(posed, pose[:3, 3], rays), cast_grid(posed, pose[:3, 3], rays, windows)
        np.testing.assert_array_equal(whole.solid, cut.solid)
        np.testing.assert_array_equal(whole.distance, cut.distance)
