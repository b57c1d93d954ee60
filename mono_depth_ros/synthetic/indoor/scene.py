# SPDX-License-Identifier: Apache-2.0
"""Random buildings from inside: offices along a corridor, homes, halls with racks; depths of 0.3 to 10 m mostly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.synthetic.indoor.daylight import (
    SHINING,
    Mood,
    random_mood,
    room_fixtures,
    room_light,
    standing_lamps,
)
from mono_depth_ros.synthetic.indoor.furnishing import furnish
from mono_depth_ros.synthetic.indoor.looks import RoomLook, random_room_look
from mono_depth_ros.synthetic.indoor.outside import outside
from mono_depth_ros.synthetic.indoor.plan import BuildingStyle, FloorPlan, random_plan
from mono_depth_ros.synthetic.indoor.shell import random_window_dress, room_shell
from mono_depth_ros.synthetic.indoor.space import FreeSpace, free_space
from mono_depth_ros.synthetic.render.lamps import RoomLight
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.world import Solid, World

ROBOT_CLEARANCE_M = 0.28  # a robot of 0.22 m radius, and a hand's breadth
_ATTEMPTS = 4
_WALKABLE = 0.3  # share of the floor that must be one region for the robot


@dataclass(frozen=True, slots=True, eq=False)
class Indoor:
    """A building, with what a robot in it needs to know.

    Args:
        world: solids and light; nothing moves.
        plan: rooms, doors and windows.
        space: where a robot can go.
        style: what the building is.
    """

    world: World
    plan: FloorPlan
    space: FreeSpace
    style: BuildingStyle


def random_indoor(seed: int) -> Indoor:
    """A building that depends on nothing but its seed.

    Args:
        seed: which building; one in which a robot cannot go far is furnished more sparsely.
    """
    rng = np.random.default_rng([seed, 20])
    plan = random_plan(rng)
    mood = random_mood(rng, plan.style)
    looks = _looks(rng, plan)
    density = float(rng.uniform(0.35, 1.0))
    for attempt in range(_ATTEMPTS):
        furnished = _furnished(np.random.default_rng([seed, 21, attempt]), plan, mood, looks, density * 0.6**attempt)
        space = free_space(furnished.at(0.0), plan.extent())
        if space.region(ROBOT_CLEARANCE_M).mean() > _WALKABLE or attempt == _ATTEMPTS - 1:
            break
    return Indoor(furnished, plan, space, plan.style)


def _looks(rng: Rng, plan: FloorPlan) -> list[RoomLook]:
    """Materials per room; rooms of a building share some, as real ones do."""
    common = random_room_look(rng)
    looks = []
    for _ in plan.rooms:
        own = random_room_look(rng)
        same_floor, same_wall, same_wood = rng.uniform(size=3) < (0.6, 0.5, 0.5)
        looks.append(
            replace(
                own,
                floor=common.floor if same_floor else own.floor,
                wall=common.wall if same_wall else own.wall,
                wood=common.wood if same_wood else own.wood,
                ceiling=common.ceiling,
                trim=common.trim,
            )
        )
    return looks


def _furnished(rng: Rng, plan: FloorPlan, mood: Mood, looks: list[RoomLook], density: float) -> World:
    """Shells first: rays to the sun meet them first and end there."""
    shells: list[Solid] = []
    things: list[Solid] = []
    lights: list[RoomLight] = []
    sky = np.asarray(mood.outdoors.horizon_rgb)
    behind_blinds = 0.9 * sky / sky.max() * min(1.0, 0.05 + 1.5 * mood.day)
    day_rgb = (float(behind_blinds[0]), float(behind_blinds[1]), float(behind_blinds[2]))
    for room, look in zip(plan.rooms, looks, strict=True):
        shell = room_shell(rng, plan, room, look, random_window_dress(rng, day_rgb))
        standing = furnish(rng, plan, room, look, density, shell, SHINING if mood.lamps > 0 else 0.0)
        fixtures, lamps = room_fixtures(rng, plan, room, look, mood)
        lights.append(room_light(rng, plan, room, look, mood, [*lamps, *standing_lamps(standing)]))
        shells += shell
        things += [*standing, *fixtures]
    return World((*shells, *things, *outside(rng, plan)), replace(mood.outdoors, rooms=tuple(lights)))
