# SPDX-License-Identifier: Apache-2.0
"""Hilly ground: exact depth, poses that follow it, paint and labels on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.rendering import ray_grid, render
from mono_depth_ros.synthetic.render.terrain import terrain_crossing
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid, World
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.road import HeightProfile, RoadPaint, RoadPath

HILLS = HeightProfile((4.0, 0.6, 0.03), (260.0, 90.0, 20.0), (1.0, 2.0, 0.5))
CAMERA = PinholeCamera(96, 64, 70.0, 70.0, 47.5, 31.5)


def _marched(profile: HeightProfile, origin: np.ndarray, ray: np.ndarray) -> float:
    """First crossing by small steps and bisection: slow, and another method."""
    steps = np.arange(0.0, 600.0, 0.02)
    gap = origin[2] + steps * ray[2] - profile.at(origin[0] + steps * ray[0])[0]
    below = np.flatnonzero(gap <= 0)
    if not len(below):
        return np.inf
    low, high = steps[below[0] - 1], steps[below[0]]
    for _ in range(60):
        middle = 0.5 * (low + high)
        if origin[2] + middle * ray[2] - profile.at(origin[0] + middle * ray[0])[0] > 0:
            low = middle
        else:
            high = middle
    return float(high)


@settings(max_examples=25, deadline=None)
@given(st.floats(-100, 100), st.floats(0.3, 3.0), st.floats(-np.pi, np.pi), st.floats(-0.6, 0.03))
def test_depth_on_hills_is_where_a_slow_march_along_the_ray_finds_it(x, height, yaw, pitch) -> None:  # type: ignore[no-untyped-def]
    origin = np.array([x, 2.0, HILLS.at(x)[0] + height])
    rays = np.array([[np.cos(yaw), np.sin(yaw), np.tan(pitch)], [np.cos(yaw), -np.sin(yaw), np.tan(pitch - 0.1)]])
    found = terrain_crossing(HILLS, origin, rays.T.astype(np.float32))
    for reach, ray in zip(found, rays, strict=True):
        expected = _marched(HILLS, origin, ray)
        if expected < 590.0:
            # at a crest a ray may graze either side of it
            clearance = HILLS.at(origin[0] + reach * ray[0])[0] - origin[2] - reach * ray[2]
            assert abs(clearance) < 2e-3 * max(1.0, reach / 100)
            assert reach == pytest.approx(expected, rel=1e-3) or reach > expected


def test_a_rendered_hill_lies_on_its_profile_and_hides_what_is_behind_its_crest() -> None:
    world = World((Solid(Shape.TERRAIN, np.eye(4), (1, 1, 1), Material((0.5,) * 3, (0.4,) * 3), profile=HILLS),))
    crest = HeightProfile((3.0,), (120.0,), (0.0,))
    for profile in (HILLS, crest):
        ground = Solid(Shape.TERRAIN, np.eye(4), (1, 1, 1), world.solids[0].material, profile=profile)
        pose = camera_pose(np.array([5.0, 1.0, float(profile.at(5.0)[0]) + 1.4]), 0.1, 0.02, 0.03)
        depth = render(World((ground,)), CAMERA, pose, samples=1).depth_m
        seen = np.isfinite(depth)
        points = pose[:3, :3] @ (ray_grid(CAMERA).reshape(3, -1) * np.nan_to_num(depth.reshape(-1))) + pose[:3, 3:]
        gap = points[2] - profile.at(points[0])[0]
        near = np.nan_to_num(depth.reshape(-1), nan=np.inf) < 400.0
        assert np.abs(gap[near]).max() < 0.003
        assert 0.3 < seen.mean() < 0.9
    far = depth[seen]
    assert not ((far > 40.0) & (far < 75.0)).any()  # behind the crest at x = 30 the ground falls away from sight


def test_a_body_on_a_slope_leans_with_it_and_a_house_stands_plumb() -> None:
    path = RoadPath((8.0, 0.0), (200.0, 90.0), (0.5, 0.0), HILLS)
    for x in (0.0, 33.0, 140.0):
        pose, plumb = path.pose(x, -2.0), path.upright_pose(x, -2.0)
        np.testing.assert_allclose(pose[:3, 3], plumb[:3, 3])
        np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-12)
        assert pose[2, 3] == pytest.approx(float(HILLS.at(pose[0, 3])[0]))
        ahead = path.pose(x + 0.01, -2.0)[:3, 3] - pose[:3, 3]
        np.testing.assert_allclose(ahead / np.linalg.norm(ahead), pose[:3, 0], atol=0.01)
        np.testing.assert_allclose(plumb[:3, 2], [0, 0, 1])
    assert abs(RoadPath(profile=HILLS).pose(40.0, 0.0)[2, 0]) > 0.005


def test_the_ground_is_labelled_by_its_paint() -> None:
    paint = RoadPaint(RoadPath(), half_width_m=3.0, sidewalk_m=1.5, side_streets_x_m=(30.0,), side_half_width_m=2.0)
    spots = np.array([[10, 0], [10, 3.7], [10, 9], [30, 20], [32.5, 20], [36, 20]], np.float32)
    ground_m = np.concatenate([spots, np.zeros((6, 1), np.float32)], axis=1).T
    assert paint.labels(ground_m).tolist() == [
        Label.ROAD, Label.SIDEWALK, Label.TERRAIN, Label.ROAD, Label.SIDEWALK, Label.TERRAIN,
    ]  # fmt: skip
    look = Material((0.3,) * 3, (0.3,) * 3, pattern=Pattern.GROUND, ground=paint)
    car = np.eye(4)
    car[:3, 3] = (12.0, 0.0, 0.5)
    solids = (
        Solid(Shape.PLANE, np.eye(4), (1, 1, 1), look),
        Solid(Shape.BOX, car, (1, 0.8, 0.5), Material((0.5,) * 3, (0.5,) * 3), label=Label.CAR),
    )
    labels = render(World(solids), CAMERA, camera_pose(np.array([0, 0, 1.5]), 0, 0, 0), samples=1).labels
    assert labels.dtype == np.uint8
    assert labels[0, 0] == Label.SKY and labels[-1, 47] == Label.ROAD
    assert labels[36, 47] == Label.CAR
    assert {Label.SIDEWALK, Label.TERRAIN} <= set(labels[34:].reshape(-1).tolist())


def test_a_terrain_without_a_profile_or_out_of_its_place_is_refused() -> None:
    look = Material((0.5,) * 3, (0.5,) * 3)
    with pytest.raises(ConfigError, match="expected one for a TERRAIN"):
        Solid(Shape.TERRAIN, np.eye(4), (1, 1, 1), look)
    with pytest.raises(ConfigError, match="expected one for a TERRAIN"):
        Solid(Shape.BOX, np.eye(4), (1, 1, 1), look, profile=HILLS)
    moved = np.eye(4)
    moved[0, 3] = 1.0
    with pytest.raises(ConfigError, match="identity"):
        Solid(Shape.TERRAIN, moved, (1, 1, 1), look, profile=HILLS)
