# SPDX-License-Identifier: Apache-2.0
"""Tapered boxes, porous surfaces, texture at every distance, rain, snow and reflections."""

from dataclasses import replace

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.shading import surface_at
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid, World, lit
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.road import RoadPaint, RoadPath

GREY = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
CAMERA = PinholeCamera(64, 48, 40.0, 40.0, 31.5, 23.5)
AHEAD = camera_pose(np.zeros(3), 0.0, 0.0, 0.0)


def _at(x: float, y: float, z: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3] = (x, y, z)
    return T


def test_a_leaning_front_is_as_far_as_its_plane_says() -> None:
    # back (-x) face: bottom edge at x = 8, top edge at x = 9: x = 8.5 + z / 2
    solid = Solid(Shape.TAPERED, _at(10.0, 0.0, 0.0), (2.0, 1.5, 1.0), GREY, taper=(0.0, 0.5, 0.2, 0.2))
    depth = render(World((solid,)), CAMERA, AHEAD, samples=1).depth_m
    slope = (np.arange(48) - CAMERA.cy_px) / CAMERA.fy_px  # metres down per metre of depth
    expected = 8.5 / (1.0 + slope / 2)
    inside = np.abs(slope * expected) < 0.95
    np.testing.assert_allclose(depth[inside, 32], expected[inside], rtol=1e-5)
    assert np.isnan(depth[slope * expected < -1.05, 32]).all()


def test_a_box_without_taper_is_a_box_and_normals_look_out_of_their_faces() -> None:
    taper = Solid(Shape.TAPERED, _at(6.0, 0.5, 0.2), (1.0, 2.0, 0.7), GREY)
    box = replace(taper, shape=Shape.BOX)
    depths = [render(World((solid,)), CAMERA, AHEAD, samples=1).depth_m for solid in (taper, box)]
    np.testing.assert_allclose(depths[0], depths[1], rtol=1e-6)
    roof = World((Solid(Shape.TAPERED, np.eye(4), (3.0, 2.0, 1.0), GREY, taper=(0.0, 0.0, 1.0, 1.0)),))
    points = np.array([[0, 1.0, 0], [0, -1.0, 0], [3.0, 0, 0]], np.float32).T
    _, normal, _ = surface_at(roof.at(0.0), np.zeros(3, np.int32), points)
    lean = np.array([0.0, 1.0, 1.0]) / np.sqrt(2)  # rises 2 m over 2 m
    np.testing.assert_allclose(normal.T, [lean, lean * (1, -1, 1), [1, 0, 0]], atol=1e-5)


def test_porous_things_let_through_the_share_that_they_promise() -> None:
    wall = Solid(Shape.BOX, _at(5.0, 0.0, 0.0), (0.005, 20.0, 20.0), GREY)
    behind = Solid(Shape.BOX, _at(9.0, 0.0, 0.0), (0.5, 40.0, 40.0), GREY)
    for share in (0.2, 0.5):
        world = World((replace(wall, porosity=(share, 0.3)), behind))
        depth = render(world, replace(CAMERA, width_px=128), AHEAD, samples=1).depth_m
        through = float((depth > 6.0).mean())
        # both faces of the sheet lie in the same clumps, so one hole is a hole through both
        assert share - 0.12 < through < share + 0.06
        points = np.random.default_rng(0).uniform(-8, 8, (3, 4000)).astype(np.float32)
        points[0] = 8.0
        assert lit(world.at(0.0), points, np.array([-1.0, 0.0, 0.0])).mean() == pytest.approx(through, abs=0.06)


def test_shapes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="taper: expected shares"):
        Solid(Shape.TAPERED, np.eye(4), (1, 1, 1), GREY, taper=(1.5, 0.6, 0.0, 0.0))
    with pytest.raises(ConfigError, match="porosity"):
        Solid(Shape.BOX, np.eye(4), (1, 1, 1), GREY, porosity=(1.0, 0.1))


def _road(height_m: float, pitch_rad: float, octaves: int = 10) -> np.ndarray:
    """Grey picture [48, 64] of bare asphalt."""
    paint = RoadPaint(RoadPath(), half_width_m=1e5, line_rgb=(0.3, 0.3, 0.3))
    look = Material(
        (0.3,) * 3, (0.25,) * 3, frequency=0.3, octaves=octaves, roughness=0.4, pattern=Pattern.GROUND, ground=paint
    )
    world = World((Solid(Shape.PLANE, np.eye(4), (1, 1, 1), look),), Light(cloud_cover=0.0, haze_m=1e9))
    pose = camera_pose(np.array([3.0, 20.0, height_m]), 0.0, pitch_rad, 0.0)
    return render(world, CAMERA, pose, samples=1).image_rgb.mean(axis=2)


def test_a_road_shows_detail_between_neighbouring_pixels_at_one_metre_and_from_ten() -> None:
    for height_m in (1.0, 10.0):
        picture = _road(height_m, np.pi / 2)
        assert np.abs(np.diff(picture, axis=1)).mean() > 1.5, height_m
    assert np.abs(np.diff(_road(1.0, np.pi / 2, octaves=4), axis=1)).mean() < 1.2  # without the fine octaves: a blur


def test_far_road_does_not_flicker_when_the_camera_moves_by_a_centimetre() -> None:
    looks = [_road(1.5, 0.05 + shift) for shift in (0.0, 1e-4)]
    horizon = int(np.ceil(CAMERA.cy_px - 40.0 * np.tan(0.05))) + 2
    far = np.abs(looks[0] - looks[1])[horizon : horizon + 3]
    assert far.mean() < 2.0


def test_rain_and_snow_are_in_the_picture_and_never_in_the_depth() -> None:
    world = World((Solid(Shape.BOX, _at(8.0, 0.0, 0.0), (1.0, 3.0, 2.0), GREY),))
    dry = render(world, CAMERA, AHEAD)
    for weather in ({"rain": 1.0}, {"snow_fall": 1.0}):
        wet = replace(world, light=replace(world.light, **weather))
        now, same, later = (render(wet, CAMERA, AHEAD, time_s) for time_s in (0.0, 0.0, 0.1))
        np.testing.assert_array_equal(now.depth_m, dry.depth_m)
        np.testing.assert_array_equal(now.image_rgb, same.image_rgb)
        assert 0.005 < (now.image_rgb != dry.image_rgb).any(-1).mean() < 0.6
        assert (now.image_rgb != later.image_rgb).any()


def test_snow_lies_on_what_looks_up() -> None:
    world = World((Solid(Shape.BOX, _at(8.0, 0.0, -1.0), (4.0, 3.0, 1.0), GREY),), Light(snow_cover=1.0))
    pose = camera_pose(np.array([0.0, 0.0, 3.0]), 0.0, 0.35, 0.0)
    white, bare = (
        render(replace(world, light=Light(snow_cover=cover)), CAMERA, pose, samples=1).image_rgb.mean(-1)
        for cover in (1.0, 0.0)
    )
    brighter = white - bare
    top, front = brighter[26:30, 32].mean(), brighter[40:44, 32].mean()
    assert top > 20 and abs(front) < 1.0


def test_paint_that_shines_shows_the_sun_only_where_it_reaches() -> None:
    gloss = replace(GREY, gloss=0.5)
    light = Light(sun_direction=(0.0, 0.0, 1.0), cloud_cover=0.0)
    roof = Solid(Shape.BOX, _at(0.0, 0.0, 9.0), (3.0, 3.0, 0.1), GREY)
    pose = camera_pose(np.array([0.0, 0.0, 4.0]), 0.0, np.pi / 2, 0.0)
    plane = Solid(Shape.PLANE, np.eye(4), (1, 1, 1), gloss)
    open_sky, shaded = (
        render(World(solids, light), CAMERA, pose, samples=1).image_rgb for solids in ((plane,), (plane, roof))
    )
    assert open_sky[24, 32].min() > 1.3 * shaded[24, 32].max()
