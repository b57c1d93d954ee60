# SPDX-License-Identifier: Apache-2.0
"""Which pixels become points of the cloud."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import ScaleEstimate, ScaleSource
from mono_depth_ros.stream.cloud import CloudPolicy, cloud_depth, floating, result_cloud

CAMERA = PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5)
ALL = CloudPolicy(edge_filter=False, max_depth_m=1e4, max_height_m=1e4)
# Looks along base x from 1.5 m above the ground.
T_BASE_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], float)


def result_of(depth_m: np.ndarray) -> DepthResult:
    """A completed image."""
    scale = ScaleEstimate(1.0, float("nan"), ScaleSource.MODEL, 0.0)
    image = np.arange(depth_m.size * 3, dtype=np.uint32).astype(np.uint8).reshape(*depth_m.shape, 3)
    return DepthResult(0, "optical", CAMERA, depth_m, image, Mode.COMPLETION, Reason.POINTS_USED, 9, scale, (), ())


def car_in_front_of_a_wall(ramp_px: int) -> np.ndarray:
    """8 m up to column 30, 20 m from there on, and between them a ramp."""
    columns = np.arange(CAMERA.width_px)
    share = np.clip((columns - 30 + 1) / (ramp_px + 1), 0, 1)
    return np.tile((8.0 + 12.0 * share).astype(np.float32), (CAMERA.height_px, 1))


def ground() -> np.ndarray:
    """The road from 1.5 m above it, at 60 m and nearer; the wall behind it at 60 m."""
    with np.errstate(divide="ignore"):
        depth_m = 1.5 * CAMERA.fy_px / np.maximum(np.arange(CAMERA.height_px) - CAMERA.cy_px, 0)
    return np.tile(np.minimum(depth_m, 60.0).astype(np.float32)[:, None], (1, CAMERA.width_px))


def test_a_sharp_edge_loses_nothing_and_a_ramp_all_that_is_on_neither_surface():
    assert not floating(car_in_front_of_a_wall(0)).any()
    columns = np.flatnonzero(floating(car_in_front_of_a_wall(3)).all(axis=0))
    assert columns.tolist() == [30, 31, 32]


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_the_ground_does_not_float_however_far_apart_its_rows_lie(share):
    # At a fifth of the height, as seen by a low robot, rows are 10 % apart from 1.5 m on.
    depth_m = share * ground()
    assert not floating(depth_m)[25:].any()


def test_a_thin_post_is_nearest_in_its_place_and_stays():
    depth_m = np.full((CAMERA.height_px, CAMERA.width_px), 20.0, np.float32)
    depth_m[:, 12] = 6.0
    assert not floating(depth_m).any()


def test_the_rim_of_what_stands_before_the_sky_stays_and_a_ramp_into_the_sky_goes():
    depth_m = np.full((CAMERA.height_px, CAMERA.width_px), 20.0, np.float32)
    depth_m[:, 30:] = np.nan
    assert not floating(depth_m)[:, :30].any()
    depth_m[:, 29] = 40.0
    assert floating(depth_m)[:, 29].all()


def test_a_pixel_that_a_measured_point_confirms_does_not_float():
    depth_m = car_in_front_of_a_wall(3)
    points = SparseDepth(
        CAMERA.height_px,
        CAMERA.width_px,
        np.array([5, 20]),
        np.array([31, 31]),
        np.array([depth_m[5, 31], 8.0], np.float32),
    )
    still = floating(depth_m, points)
    assert not still[4:7, 31].any() and still[8:, 31].all()


def test_what_floats_is_left_out_unless_that_is_switched_off():
    result = result_of(car_in_front_of_a_wall(3))
    kept = cloud_depth(result, dataclasses.replace(ALL, edge_filter=True), None)
    assert np.isnan(kept[:, 30:33]).all() and np.isfinite(kept[:, :30]).all() and np.isfinite(kept[:, 33:]).all()
    assert np.array_equal(cloud_depth(result, ALL, None), result.depth_m)


def test_points_beyond_the_largest_depth_are_left_out():
    kept = cloud_depth(result_of(ground()), dataclasses.replace(ALL, max_depth_m=30.0), None)
    assert np.nanmax(kept) <= 30.0 and np.isnan(kept[0]).all() and np.isfinite(kept[-1]).all()


@pytest.mark.parametrize("base_height_m", [0.0, 0.5])
def test_points_above_the_largest_height_over_the_ground_are_left_out(base_height_m):
    wall_m = np.full((CAMERA.height_px, CAMERA.width_px), 10.0, np.float32)
    policy = dataclasses.replace(ALL, max_height_m=3.0, base_height_m=base_height_m)
    known = np.isfinite(cloud_depth(result_of(wall_m), policy, T_BASE_CAMERA))
    height_m = 1.5 + base_height_m + (CAMERA.cy_px - np.arange(CAMERA.height_px)) / CAMERA.fy_px * 10.0
    assert np.array_equal(known.all(axis=1), height_m <= 3.0) and np.array_equal(known.any(axis=1), height_m <= 3.0)


def test_where_nobody_knows_the_cameras_place_the_height_leaves_nothing_out():
    wall_m = np.full((CAMERA.height_px, CAMERA.width_px), 10.0, np.float32)
    assert np.isfinite(cloud_depth(result_of(wall_m), dataclasses.replace(ALL, max_height_m=-99.0), None)).all()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_strided_cloud_has_every_nth_point_of_the_full_one(stride):
    result = result_of(ground())
    points_m, colours, *marks = result_cloud(result, dataclasses.replace(ALL, stride=stride), None)
    np.testing.assert_array_equal(points_m, CAMERA.unproject(result.depth_m)[::stride, ::stride])
    np.testing.assert_array_equal(colours, result.image_rgb[::stride, ::stride])
    assert marks == [None, None]


def test_marked_points_carry_the_sigma_of_their_pixel_and_the_mode():
    result = result_of(ground())
    marked = dataclasses.replace(ALL, marked=True, stride=2)
    untold = result_cloud(result, marked, None)
    assert np.isnan(untold.sigma_m).all() and set(untold.mode.ravel()) == {int(Mode.COMPLETION)}
    told = dataclasses.replace(result, sigma_m=0.1 * result.depth_m, mode=Mode.PREDICTION)
    cloud = result_cloud(told, marked, None)
    np.testing.assert_array_equal(cloud.sigma_m, 0.1 * cloud.points_m[..., 2])
    assert set(cloud.mode.ravel()) == {int(Mode.PREDICTION)} and cloud.mode.shape == (20, 30)
