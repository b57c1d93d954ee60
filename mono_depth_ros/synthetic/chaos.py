# SPDX-License-Identifier: Apache-2.0
"""Worlds without a layout: random solids at random poses and scales around the origin.

Some of them are things of other worlds, out of scale and upside down. A model that can guess depth from layout alone
never learns to use LiDAR points; here there is nothing to guess from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.random_looks import Rng, random_light, random_material
from mono_depth_ros.synthetic.render.textures import Pattern
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid, World
from mono_depth_ros.synthetic.things.people import standing_person
from mono_depth_ros.synthetic.things.plants import bush, tree
from mono_depth_ros.synthetic.things.roadside import pavement_thing, sign
from mono_depth_ros.synthetic.things.vehicles import vehicle


def random_rotation(rng: Rng) -> Float64:
    """Uniform rotation float64 [3, 3], from a random unit quaternion."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def random_chaos(seed: int) -> World:
    """A chaos world; cameras belong within a metre of the origin, looking anywhere.

    Args:
        seed: which world; nothing else matters.
    """
    rng = np.random.default_rng([seed, 2])
    solids: list[Solid] = []
    if rng.uniform() < 0.55:  # a floor somewhere below, seldom level
        tilt = rng.normal(0.0, 0.25, 2) * (rng.uniform() < 0.6)
        solids.append(_plane(rng, tilt, -float(np.exp(rng.uniform(np.log(0.4), np.log(6.0))))))
    enclosed = rng.uniform()
    if enclosed < 0.35:  # a room or hall, seen from inside
        half = np.exp(rng.uniform(np.log(2.0), np.log(25.0), 3))
        centre = rng.uniform(-0.7, 0.7, 3) * half
        turn = random_rotation(rng) if rng.uniform() < 0.3 else _yaw(float(rng.uniform(0, np.pi)))
        # the origin stays at least 0.3 half sizes inside, in the room's own frame
        solids.append(Solid(Shape.BOX, _pose(turn @ centre, turn), tuple(half), random_material(rng)))
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    for _ in range(int(rng.integers(0, 6))):
        solids += _borrowed(rng, scale)
    for _ in range(int(rng.integers(15, 70))):
        solids.append(_thing(rng, scale))
    for _ in range(int(rng.integers(0, 4))):  # slabs: slopes, ceilings, leaning walls
        distance, direction = float(np.exp(rng.uniform(np.log(3.0), np.log(40.0)))), _direction(rng)
        size = (distance * float(rng.uniform(0.3, 2.0)), distance * float(rng.uniform(0.3, 2.0)), 0.05)
        solids.append(Solid(Shape.BOX, _pose(direction * distance, random_rotation(rng)), size, random_material(rng)))
    return World(tuple(solids), random_light(rng))


def _thing(rng: Rng, scale: float) -> Solid:
    distance = scale * float(np.exp(rng.uniform(np.log(1.5), np.log(60.0))))
    relative = np.exp(rng.uniform(np.log(0.04), np.log(0.4), 3))
    if rng.uniform() < 0.3:  # bars and sheets
        relative[int(rng.integers(0, 3))] *= 0.1
    half = np.maximum(relative * distance, 0.01)
    rotation = random_rotation(rng) if rng.uniform() < 0.6 else _yaw(float(rng.uniform(0, np.pi)))
    kinds = (Shape.BOX, Shape.ELLIPSOID, Shape.CYLINDER, Shape.TAPERED)
    shape = kinds[int(rng.choice(4, p=(0.45, 0.22, 0.18, 0.15)))]
    front, back, left, right = (float(share) for share in rng.uniform(0.0, 1.0, 4) * (shape == Shape.TAPERED))
    holes = (0.0, 1.0)
    if rng.uniform() < 0.1:
        holes = (float(rng.uniform(0.1, 0.6)), distance * float(rng.uniform(0.01, 0.05)))
    return Solid(
        shape,
        _pose(_direction(rng) * distance, rotation),
        (float(half[0]), float(half[1]), float(half[2])),
        random_material(rng),
        taper=(front, back, left, right),
        porosity=holes,
    )


def _borrowed(rng: Rng, scale: float) -> list[Solid]:
    """A thing of the other worlds where it does not belong: any size, any way up."""
    make = (vehicle, tree, bush, standing_person, sign, pavement_thing)[int(rng.integers(0, 6))]
    distance = scale * float(np.exp(rng.uniform(np.log(2.0), np.log(40.0))))
    size = distance * float(np.exp(rng.uniform(np.log(0.05), np.log(0.3))))
    turn = random_rotation(rng) if rng.uniform() < 0.5 else _yaw(float(rng.uniform(0, 2 * np.pi)))
    T_world_thing = _pose(_direction(rng) * distance, turn)
    out = []
    for solid in make(rng):
        T = solid.T_parent_solid.copy()
        T[:3, 3] *= size
        x, y, z = (half * size for half in solid.half_size_m)
        clump = (solid.porosity[0], solid.porosity[1] * size)
        out.append(replace(solid, T_parent_solid=T_world_thing @ T, half_size_m=(x, y, z), porosity=clump))
    return out


def _plane(rng: Rng, tilt_rad: Float64, height_m: float) -> Solid:
    cx, sx, cy, sy = np.cos(tilt_rad[0]), np.sin(tilt_rad[0]), np.cos(tilt_rad[1]), np.sin(tilt_rad[1])
    rotation = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    pattern = Pattern.CHECKS if rng.uniform() < 0.2 else Pattern.NONE
    return Solid(
        Shape.PLANE, _pose(rotation[:, 2] * height_m, rotation), (1.0, 1.0, 1.0), random_material(rng, None, pattern)
    )


def _direction(rng: Rng) -> Float64:
    """Any direction, but flattened towards the horizon, where cameras look."""
    direction = rng.normal(size=3) * (1.0, 1.0, 0.4)
    return np.asarray(direction / np.linalg.norm(direction))


def _yaw(angle_rad: float) -> Float64:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _pose(position_m: Float64, rotation: Float64) -> Float64:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, position_m
    return T
