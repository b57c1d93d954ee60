# SPDX-License-Identifier: Apache-2.0
"""What a building is made of before anything stands in it: floors, ceilings, walls, frames, doors, windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.synthetic.indoor.looks import RoomLook, cloth, plaster, shining, wood
from mono_depth_ros.synthetic.indoor.plan import FloorPlan, Opening, Room, Side
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid
from mono_depth_ros.synthetic.things.props import offset

_PROUD_M = 0.012  # skirting and frames stand out of the wall by this much


@dataclass(frozen=True, slots=True)
class WindowDress:
    """What hangs in the windows of one room.

    Args:
        blind: share of the window that a blind covers from the top, 0..1.
        curtains: whether cloth hangs beside the windows.
        bars: how many bars divide a window.
        day_rgb: light behind a blind.
    """

    blind: float
    curtains: bool
    bars: int
    day_rgb: tuple[float, float, float]


def random_window_dress(rng: Rng, day_rgb: tuple[float, float, float]) -> WindowDress:
    """Half of the rooms have bare windows."""
    blind = float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.7), 1.0], p=(0.4, 0.2, 0.25, 0.15)))
    return WindowDress(blind, bool(rng.uniform() < 0.35), int(rng.integers(0, 3)), day_rgb)


def slab(
    side: Side,
    along_m: tuple[float, float],
    deep_m: tuple[float, float],
    height_m: tuple[float, float],
    look: Material,
    label: Label,
) -> Solid:
    """An upright box given in a wall's terms.

    Args:
        side: the wall.
        along_m: from, to; world coordinate along the wall.
        deep_m: from, to; into the room, counted from the tile's edge.
        height_m: bottom, top.
        look, label: of the solid.
    """
    x, y = side.point(0.5 * (along_m[0] + along_m[1]), 0.5 * (deep_m[0] + deep_m[1]))
    half = [0.5 * (along_m[1] - along_m[0]), 0.5 * (deep_m[1] - deep_m[0]), 0.5 * (height_m[1] - height_m[0])]
    yaw = 0.0 if side.along == 0 else np.pi / 2
    T = offset(x, y, 0.5 * (height_m[0] + height_m[1]), yaw)
    return Solid(Shape.BOX, T, (half[0], half[1], half[2]), look, label=label)


def room_shell(rng: Rng, plan: FloorPlan, room: Room, look: RoomLook, dress: WindowDress) -> list[Solid]:
    """Floor, ceiling, four walls with their openings, skirting, frames and what hangs in the windows.

    The first two solids are floor and ceiling: shadow rays meet them first and end there.
    """
    x0, x1, y0, y1 = room.tile
    across = Side(0, y0, 1, x0, x1)
    whole, thick = ((x0, x1), (0.0, y1 - y0)), plan.wall_m
    solids = [
        slab(across, *whole, (plan.height_m, plan.height_m + thick), look.ceiling, Label.CEILING),
        slab(across, *whole, (-thick, 0.0), look.floor, Label.FLOOR),
    ]
    skirting = float(rng.uniform(0.05, 0.14)) if rng.uniform() < 0.75 else 0.0
    feature = plaster(rng) if rng.uniform() < 0.25 else look.wall
    for number, side in enumerate(room.sides):
        solids += _wall(plan, side, feature if number == 0 else look.wall)
        if skirting:
            solids += _skirting(plan, side, skirting, look.trim)
        for opening in side.openings:
            if opening.kind == Label.WINDOW:
                solids += _window(rng, plan, side, opening, look, dress)
            elif side.inward > 0:  # the other room's wall has the same door
                solids += _door(rng, plan, side, opening, look)
    return solids


def _wall(plan: FloorPlan, side: Side, look: Material) -> list[Solid]:
    deep, solids, start = (0.0, plan.wall_m), [], side.from_m
    for hole in side.openings:
        stretch = (hole.from_m, hole.to_m)
        solids.append(slab(side, (start, hole.from_m), deep, (0.0, plan.height_m), look, Label.WALL))
        solids.append(slab(side, stretch, deep, (hole.top_m, plan.height_m), look, Label.WALL))
        if hole.bottom_m > 0:
            solids.append(slab(side, stretch, deep, (0.0, hole.bottom_m), look, Label.WALL))
        start = hole.to_m
    return [*solids, slab(side, (start, side.to_m), deep, (0.0, plan.height_m), look, Label.WALL)]


def _skirting(plan: FloorPlan, side: Side, height_m: float, look: Material) -> list[Solid]:
    deep, solids, start = (plan.wall_m, plan.wall_m + _PROUD_M), [], side.from_m + plan.wall_m
    for hole in [o for o in side.openings if o.bottom_m <= height_m]:
        if hole.from_m - start > 0.12:
            solids.append(slab(side, (start, hole.from_m - 0.06), deep, (0.0, height_m), look, Label.WALL))
        start = hole.to_m + 0.06
    end = side.to_m - plan.wall_m
    return [*solids, slab(side, (start, end), deep, (0.0, height_m), look, Label.WALL)] if end - start > 0.1 else solids


def _door(rng: Rng, plan: FloorPlan, side: Side, hole: Opening, look: RoomLook) -> list[Solid]:
    """Frame, and often a leaf that stands open into the room."""
    deep, rim = (-plan.wall_m - _PROUD_M, plan.wall_m + _PROUD_M), 0.06
    solids = [
        slab(side, (hole.from_m - rim, hole.from_m + 0.02), deep, (0.0, hole.top_m + rim), look.trim, Label.DOOR),
        slab(side, (hole.to_m - 0.02, hole.to_m + rim), deep, (0.0, hole.top_m + rim), look.trim, Label.DOOR),
        slab(side, (hole.from_m, hole.to_m), deep, (hole.top_m - 0.02, hole.top_m + rim), look.trim, Label.DOOR),
    ]
    width = hole.to_m - hole.from_m
    if width > 1.3 or rng.uniform() < 0.35:
        return solids
    swing, left = float(np.deg2rad(rng.uniform(88.0, 115.0))), rng.uniform() < 0.5
    sign = 1.0 if left else -1.0
    along, deep_step = sign * np.cos(swing) * width, np.sin(swing) * width
    hinge = hole.from_m - 0.01 if left else hole.to_m + 0.01
    start, end = side.point(hinge, deep[1]), side.point(hinge + along, deep[1] + deep_step)
    yaw = float(np.arctan2(end[1] - start[1], end[0] - start[0]))
    middle = offset(0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]), 0.5 * hole.top_m, yaw)
    leaf = Solid(Shape.BOX, middle, (width / 2, 0.02, hole.top_m / 2 - 0.015), wood(rng), label=Label.DOOR)
    grip = middle @ offset(0.42 * width, 0.0, -0.02, roll_rad=np.pi / 2)
    return [*solids, leaf, Solid(Shape.CYLINDER, grip, (0.025, 0.025, 0.07), look.metal, label=Label.DOOR)]


def _window(rng: Rng, plan: FloorPlan, side: Side, hole: Opening, look: RoomLook, dress: WindowDress) -> list[Solid]:
    """Sill, bars, blind, curtains; the pane itself is clear and let light and rays through."""
    wall, across, upright = plan.wall_m, (hole.from_m, hole.to_m), (hole.bottom_m, hole.top_m)
    bar = (0.3 * wall, 0.7 * wall)
    solids = [slab(side, across, (0.0, wall + 0.08), (hole.bottom_m - 0.03, hole.bottom_m), look.trim, Label.WINDOW)]
    for end in (hole.from_m + 0.02, hole.to_m - 0.02):
        solids.append(slab(side, (end - 0.03, end + 0.03), (0.0, wall), upright, look.trim, Label.WINDOW))
    for number in range(dress.bars):
        middle = hole.from_m + (number + 1) / (dress.bars + 1) * (hole.to_m - hole.from_m)
        solids.append(slab(side, (middle - 0.025, middle + 0.025), bar, upright, look.trim, Label.WINDOW))
    if dress.blind > 0:
        slats = float(rng.uniform(0.03, 0.12))
        panel = replace(
            shining(rng, dress.day_rgb, 0.8), pattern=Pattern.STRIPES, pattern_size_m=(slats, slats), pattern_fill=0.2,
            pattern_rgb=(0.3, 0.3, 0.3),
        )  # fmt: skip
        low = hole.top_m - dress.blind * (hole.top_m - hole.bottom_m)
        solids.append(slab(side, across, (0.75 * wall, 0.9 * wall), (low, hole.top_m), panel, Label.WINDOW))
    if dress.curtains:
        look_of_cloth = replace(cloth(rng), pattern=Pattern.NONE)
        wide = 0.22 * (hole.to_m - hole.from_m)
        foot = 0.03 if rng.uniform() < 0.5 else max(0.05, hole.bottom_m - 0.15)
        for start in (hole.from_m - 0.5 * wide, hole.to_m - 0.5 * wide):
            hang = (min(plan.height_m - 0.05, hole.top_m + 0.12), foot)
            where = (wall + 0.09, wall + 0.16)
            solids.append(slab(side, (start, start + wide), where, (hang[1], hang[0]), look_of_cloth, Label.WINDOW))
    return solids
