# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.rig_cloud import RigView, merge_views

WIDTH_PX, HEIGHT_PX = 40, 24
CAMERA = PinholeCamera(WIDTH_PX, HEIGHT_PX, 20.0, 20.0, 19.5, 11.5)  # 90 degrees wide
RADIUS_M = 10.0


def mount(yaw_deg: float, x_m: float = 0.0, y_m: float = 0.0) -> np.ndarray:
    """T_base_camera of a camera that looks along base x turned by yaw."""
    yaw = np.deg2rad(yaw_deg)
    forward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    T_base_camera = np.eye(4)
    T_base_camera[:3, 0], T_base_camera[:3, 1], T_base_camera[:3, 2] = right, [0.0, 0.0, -1.0], forward
    T_base_camera[:3, 3] = (x_m, y_m, 0.0)
    return T_base_camera


def in_a_round_room(T_base_camera: np.ndarray, camera: PinholeCamera = CAMERA) -> RigView:
    """What a camera sees inside an upright cylinder around the base."""
    rays = camera.rays() @ T_base_camera[:3, :3].T
    centre = T_base_camera[:2, 3]
    a = np.sum(rays[..., :2] ** 2, axis=-1)
    b = rays[..., :2] @ centre
    depth_m = (-b + np.sqrt(b**2 - a * (centre @ centre - RADIUS_M**2))) / a
    image = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    return RigView(camera, depth_m.astype(np.float32), image, T_base_camera)


RING = [in_a_round_room(mount(yaw, np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw)))) for yaw in range(0, 360, 60)]


def azimuth_deg(points_m: np.ndarray) -> np.ndarray:
    return np.rad2deg(np.arctan2(points_m[:, 1], points_m[:, 0]))


def test_every_direction_of_a_ring_of_cameras_is_covered_once():
    points_m, _, owner, _ = merge_views(RING)
    assert np.allclose(np.linalg.norm(points_m[:, :2], axis=1), RADIUS_M, atol=1e-3)
    # Each camera keeps the sixth of the ring that it looks along, and a pixel more at its borders.
    for number, view in enumerate(RING):
        own = azimuth_deg(points_m[owner == number] @ view.T_base_camera[:3, :3][:, [2, 0, 1]])
        assert 26.0 < np.abs(own).max() < 33.0
    counts, _ = np.histogram(azimuth_deg(points_m), bins=36, range=(-180, 180))
    alone, _ = np.histogram(azimuth_deg(merge_views(RING[:1])[0]), bins=36, range=(-180, 180))
    assert counts.min() > 0
    assert counts.max() <= 1.3 * alone.max()


def test_the_sigma_of_a_point_is_that_of_its_own_view():
    told = [dataclasses.replace(RING[0], sigma_m=np.full_like(RING[0].depth_m, 0.3)), *RING[1:]]
    merged = merge_views(told)
    assert set(merged.sigma_m[merged.view == 0]) == {np.float32(0.3)}
    assert np.isnan(merged.sigma_m[merged.view > 0]).all()


def test_without_the_rule_overlaps_would_hold_points_of_two_cameras():
    merged = len(merge_views(RING)[0])
    assert merged < 0.85 * sum(view.depth_m.size for view in RING)


def test_of_a_wide_and_a_long_lens_the_long_one_gives_the_points():
    long = PinholeCamera(WIDTH_PX, HEIGHT_PX, 80.0, 80.0, 19.5, 11.5)
    _, _, owner, _ = merge_views([in_a_round_room(mount(0)), in_a_round_room(mount(0), long)])
    assert (owner == 1).sum() == WIDTH_PX * HEIGHT_PX
    inside_long = (WIDTH_PX / 4) * (HEIGHT_PX / 4)
    assert (owner == 0).sum() == pytest.approx(WIDTH_PX * HEIGHT_PX - inside_long, rel=0.1)


def test_what_a_better_camera_cannot_see_stays():
    wide = in_a_round_room(mount(0))
    # A box fills the better camera's view 2 m ahead; behind it the wide camera still sees the wall.
    long = PinholeCamera(WIDTH_PX, HEIGHT_PX, 80.0, 80.0, 19.5, 11.5)
    blocked = dataclasses.replace(
        in_a_round_room(mount(0), long), depth_m=np.full((HEIGHT_PX, WIDTH_PX), 2.0, np.float32)
    )
    _, _, owner, _ = merge_views([wide, blocked])
    assert (owner == 0).sum() == WIDTH_PX * HEIGHT_PX


def test_where_the_better_camera_knows_no_depth_the_other_one_fills_in():
    wide = in_a_round_room(mount(0))
    long = in_a_round_room(mount(0), PinholeCamera(WIDTH_PX, HEIGHT_PX, 80.0, 80.0, 19.5, 11.5))
    blind = dataclasses.replace(long, depth_m=np.full_like(long.depth_m, np.nan))
    points_m, _, owner, _ = merge_views([wide, blind])
    assert len(points_m) == WIDTH_PX * HEIGHT_PX and not owner.any()


def test_two_equal_cameras_give_the_points_of_the_first_whatever_their_order():
    twin = in_a_round_room(mount(17, 1.3, -0.4))
    points_m, _, owner, _ = merge_views([twin, twin])
    assert len(points_m) == WIDTH_PX * HEIGHT_PX and not owner.any()
    again = merge_views([twin, twin])[0]
    assert np.array_equal(points_m, again)


def test_a_stride_thins_the_cloud_and_no_camera_gives_no_point():
    assert len(merge_views(RING[:1], stride=2)[0]) == WIDTH_PX * HEIGHT_PX // 4
    points_m, colours, owner, _ = merge_views([])
    assert points_m.shape == (0, 3) and colours.shape == (0, 3) and owner.shape == (0,)
    with pytest.raises(ConfigError, match="stride"):
        merge_views(RING, stride=0)
