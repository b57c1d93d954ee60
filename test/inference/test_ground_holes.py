# SPDX-License-Identifier: Apache-2.0
"""A hole is what lies well below the ground that the rest of a depth image shows, at any scale."""

import numpy as np
import pytest

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.ground_plane import GroundPlane, NoGround
from mono_depth_ros.inference.ground_holes import HolePolicy, find_ground_holes

CAMERA = PinholeCamera(192, 64, 110.0, 110.0, 95.5, 31.5)
HEIGHT_M = 1.5
ROWS = np.arange(64)[:, None] + np.zeros((1, 192))


def road(far_m: float = 60.0) -> DepthMap:
    """A level road up to a wall."""
    with np.errstate(divide="ignore"):
        depth = np.where(CAMERA.cy_px < ROWS, CAMERA.fy_px * HEIGHT_M / (ROWS - CAMERA.cy_px), far_m)
    return np.minimum(depth, far_m).astype(np.float32)


def with_car(depth_m: DepthMap, car_m: float) -> DepthMap:
    """With a car of 20 x 10 pixels at this depth."""
    found = depth_m.copy()
    found[40:50, 90:110] = car_m
    return found


def test_a_road_without_a_car_has_no_hole() -> None:
    found = find_ground_holes(road(), CAMERA)
    assert isinstance(found.plane, GroundPlane) and found.plane.height == pytest.approx(HEIGHT_M, rel=1e-3)
    assert not found.is_hole and not found.below.any()


def test_a_car_nearer_than_the_road_is_no_hole() -> None:
    assert not find_ground_holes(with_car(road(), 4.0), CAMERA).is_hole


@pytest.mark.parametrize("car_m", [100.0, 1e4, np.inf, np.nan])
def test_a_car_that_is_infinitely_far_is_a_hole(car_m: float) -> None:
    found = find_ground_holes(with_car(road(), car_m), CAMERA)
    assert found.is_hole and found.share == pytest.approx(200 / (64 * 192))
    assert found.below[40:50, 90:110].all() and found.below.sum() == 200


def test_the_scale_of_the_depth_does_not_matter() -> None:
    true, scaled = (find_ground_holes(factor * with_car(road(), 100.0), CAMERA) for factor in (1.0, 0.03))
    np.testing.assert_array_equal(true.below, scaled.below)
    assert scaled.plane.height == pytest.approx(0.03 * HEIGHT_M, rel=1e-3)


def test_how_far_below_counts_in_heights_of_the_camera() -> None:
    depth = road() * np.where(ROWS > 45, np.float32(1.4), np.float32(1.0))
    depth[:, :120] = road()[:, :120]
    assert not find_ground_holes(depth, CAMERA, policy=HolePolicy(margin=0.5)).is_hole
    assert find_ground_holes(depth, CAMERA, policy=HolePolicy(margin=0.3)).is_hole


def test_scattered_pixels_are_no_hole_however_many() -> None:
    depth = road()
    depth[36::3, ::3] = 1e3
    found = find_ground_holes(depth, CAMERA)
    assert found.below.sum() > 100 and not found.is_hole


def test_what_lies_near_the_horizon_is_not_judged() -> None:
    depth = road()
    depth[33:37, 60:140] = 1e3  # rays that fall by less than 0.05
    assert not find_ground_holes(depth, CAMERA).is_hole


def test_without_a_plane_nothing_is_said() -> None:
    rng = np.random.default_rng(0)
    found = find_ground_holes(rng.uniform(1.0, 50.0, (64, 192)).astype(np.float32), CAMERA)
    assert isinstance(found.plane, NoGround) and not found.is_hole


def test_a_plane_that_much_lies_below_is_not_the_ground() -> None:
    depth = road()
    depth[36:, :80] = 1e3
    found = find_ground_holes(depth, CAMERA)
    assert isinstance(found.plane, NoGround) and found.plane.reason == "too_much_below_plane" and not found.is_hole
