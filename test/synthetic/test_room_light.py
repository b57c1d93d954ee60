# SPDX-License-Identifier: Apache-2.0
"""Light in rooms against the inverse square law, Lambert's law and straight shadows."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.lamps import Lamp, RoomLight
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.room_light import room_shade, unshadowed
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Light, Shape, Solid, World
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose

GREY = Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), roughness=0.0)
LAMP = Lamp((0.0, 0.0, 3.0), (4.0, 2.0, 1.0), radius_m=1e-3)
UP = np.array([[0.0], [0.0], [1.0]], np.float32)
EMPTY = World((Solid(Shape.BOX, np.eye(4), (0.1, 0.1, 0.1), GREY),)).at(0.0)


def _room(*lamps: Lamp, dark: float = 0.0) -> RoomLight:
    return RoomLight((-5.0, -5.0, -0.1), (5.0, 5.0, 3.5), 0.1, (0.0, 0.0, 0.0), lamps, corner_dark=dark)


def _light(room: RoomLight, points: list[list[float]], normal: np.ndarray = UP) -> np.ndarray:
    at = np.array(points, np.float32).T
    normals = np.repeat(normal, at.shape[1], axis=1)
    return room_shade((room,), EMPTY, np.zeros(1, bool), at, normals, normals, None).irradiance


def test_light_falls_with_the_square_of_the_distance_and_the_cosine() -> None:
    right_below, aside = _light(_room(LAMP), [[0.0, 0.0, 1.0], [1.5, 0.0, 1.0]]).T
    np.testing.assert_allclose(right_below, np.array([4.0, 2.0, 1.0]) / 4.0, rtol=1e-4)
    squared = 1.5**2 + 2.0**2
    np.testing.assert_allclose(aside, np.array([4.0, 2.0, 1.0]) / squared * 2.0 / np.sqrt(squared), rtol=1e-4)


def test_a_panel_shines_with_a_cosine_and_not_behind_itself() -> None:
    panel = Lamp((0.0, 0.0, 2.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), radius_m=1e-3)
    ahead, behind = _light(_room(panel), [[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])[0]
    assert ahead == pytest.approx(np.cos(np.pi / 4) ** 2 / 8.0, rel=1e-4)
    assert behind == 0.0


def test_ambient_light_fades_into_corners_but_not_on_the_wall_itself() -> None:
    room = RoomLight((-5, -5, -0.1), (5, 5, 3.5), 0.1, (1.0, 1.0, 1.0), corner_dark=0.4, corner_m=0.3)
    middle, edge, corner = _light(room, [[0, 0, 0], [4.9, 0, 0], [4.9, 4.9, 0]])[0]
    assert middle == pytest.approx(1.0, rel=1e-3)
    assert edge == pytest.approx(0.6, rel=1e-3)
    assert corner == pytest.approx(0.36, rel=1e-3)


def test_a_room_keeps_its_light_to_itself() -> None:
    inside, outside = _light(_room(LAMP), [[4.0, 0.0, 0.0], [6.0, 0.0, 0.0]])[0]
    assert inside > 0.0
    assert outside == 0.0


def test_a_shadow_is_a_cone_behind_the_solid_and_a_shade_hides_nothing() -> None:
    table, shade = np.eye(4), np.eye(4)
    table[2, 3], shade[2, 3] = 1.0, 3.0
    solids = (
        Solid(Shape.BOX, table, (0.5, 0.5, 0.01), GREY),
        Solid(Shape.CYLINDER, shade, (0.3, 0.3, 0.3), GREY),  # around the lamp
    )
    posed = World(solids).at(0.0)
    # lamp at 3 m, table top's edge at 0.5 m and 1 m: its shadow on the floor ends at 0.5 * 3 / 2 = 0.75 m (or so: it is
    # 1 cm thick)
    points = np.array([[0, 0, 0], [0.74, 0, 0], [0.77, 0, 0], [0.0, 0.0, 1.02]], np.float32).T
    seen = unshadowed(posed, np.array([0, 1]), points, np.array([0.0, 0.0, 3.0]))
    assert seen.tolist() == [False, False, True, True]


def test_a_lamp_lights_the_picture_of_its_room_and_glow_needs_no_lamp() -> None:
    camera, pose = PinholeCamera(32, 24, 20.0, 20.0, 15.5, 11.5), camera_pose(np.zeros(3), 0.0, 0.0, 0.0)

    def brightness(material: Material, *lamps: Lamp) -> float:
        room = RoomLight((-5.1, -5.1, -3.1), (5.1, 5.1, 3.1), 0.1, (0.0, 0.0, 0.0), lamps)
        walls = Solid(Shape.BOX, np.eye(4), (5.0, 5.0, 3.0), material)
        world = World((walls,), Light(sun_rgb=(0, 0, 0), rooms=(room,)))
        return float(render(world, camera, pose, samples=1).image_rgb.mean())

    dark = brightness(GREY)
    assert dark == 0.0
    assert brightness(GREY, Lamp((0.0, 0.0, 2.0), (9.0, 9.0, 9.0))) > 60.0
    glowing = Material((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), roughness=0.0, glow=1.0)
    assert brightness(glowing) == pytest.approx(255 * 0.5 ** (1 / 2.2), abs=2.0)


def test_samples_after_the_first_reuse_its_shadows() -> None:
    table = np.eye(4)
    table[:3, 3] = (2.0, 0.0, -2.0)
    solids = (Solid(Shape.BOX, np.eye(4), (5, 5, 3), GREY), Solid(Shape.BOX, table, (0.6, 0.6, 0.05), GREY))
    room = RoomLight((-5.1, -5.1, -3.1), (5.1, 5.1, 3.1), 0.1, (0.1, 0.1, 0.1), (Lamp((2.0, 0.0, 2.0), (9, 9, 9)),))
    world = World(solids, Light(sun_rgb=(0, 0, 0), rooms=(room,)))
    camera, pose = PinholeCamera(64, 48, 30.0, 30.0, 31.5, 23.5), camera_pose(np.zeros(3), 0.0, 0.5, 0.0)
    one, two = (render(world, camera, pose, samples=n).image_rgb.astype(int) for n in (1, 2))
    assert np.abs(one - two).mean() < 3.0
    unshaded = render(world, camera, pose, samples=1, shadows=False).image_rgb.astype(int)
    assert ((unshaded - one) > 40).mean() > 0.005  # the table's shadow on the floor


def test_what_looks_away_from_a_lamp_is_not_reached_by_it() -> None:
    """Else a second sample that sees another surface at an outline's pixel would be lit through the first."""
    at = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], np.float32).T
    normals = np.concatenate([UP, -UP], axis=1)
    shade = room_shade((_room(LAMP),), EMPTY, np.zeros(1, bool), at, normals, normals, None)
    assert shade.reached.tolist() == [[True, False]]


def test_the_sun_does_not_leak_into_a_closed_room_at_outlines() -> None:
    table, dark = np.eye(4), Material((0.05, 0.05, 0.05), (0.05, 0.05, 0.05), roughness=0.0)
    table[:3, 3] = (2.0, 0.0, -1.5)
    solids = (Solid(Shape.BOX, np.eye(4), (5, 5, 3), GREY), Solid(Shape.BOX, table, (0.6, 0.6, 0.3), dark))
    room = RoomLight((-5.1, -5.1, -3.1), (5.1, 5.1, 3.1), 0.1, (0.2, 0.2, 0.2))
    world = World(solids, Light(sun_direction=(0.6, 0.0, 0.8), sun_rgb=(3.0, 3.0, 3.0), rooms=(room,)))
    camera, pose = PinholeCamera(64, 48, 30.0, 30.0, 31.5, 23.5), camera_pose(np.zeros(3), 0.2, 0.5, 0.1)
    one, four = (int(render(world, camera, pose, samples=n).image_rgb.max()) for n in (1, 4))
    assert four <= one + 1
    assert one < 100  # ambient light alone


def test_rooms_and_lamps_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="radius_m"):
        Lamp((0, 0, 0), (1, 1, 1), radius_m=0.0)
    with pytest.raises(ConfigError, match="two walls"):
        RoomLight((0, 0, 0), (3, 3, 0.1), 0.1, (1, 1, 1))
