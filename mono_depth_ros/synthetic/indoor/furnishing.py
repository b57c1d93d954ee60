# SPDX-License-Identifier: Apache-2.0
"""Where furniture goes: along walls and in the middle, clear of doors, of windows that it would hide, of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mono_depth_ros.synthetic.indoor.looks import RoomLook, cloth, plaster
from mono_depth_ros.synthetic.indoor.plan import FloorPlan, Room, RoomKind, Tile
from mono_depth_ros.synthetic.indoor.walls import footprint, wall_frame, wall_things
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.textures import Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid
from mono_depth_ros.synthetic.things import furniture
from mono_depth_ros.synthetic.things.people import standing_person
from mono_depth_ros.synthetic.things.props import box, offset, placed

_DOOR_CLEAR_M = 0.9  # kept free in front of a door
_TRIES = 6
Make = Callable[[Rng, RoomLook], list[Solid]]

_WALL_PIECES: dict[RoomKind, tuple[tuple[Make, float], ...]] = {
    RoomKind.OFFICE: ((furniture.desk, 3.0), (furniture.shelf, 1.5), (furniture.cabinet, 1.5), (furniture.sofa, 0.2)),
    RoomKind.MEETING: ((furniture.cabinet, 1.0), (furniture.shelf, 0.5)),
    RoomKind.CORRIDOR: ((furniture.cabinet, 1.0), (furniture.shelf, 0.5)),
    RoomKind.LIVING: ((furniture.sofa, 2.0), (furniture.shelf, 1.5), (furniture.cabinet, 1.5), (furniture.desk, 0.5)),
    RoomKind.BEDROOM: ((furniture.bed, 3.0), (furniture.cabinet, 2.0), (furniture.desk, 0.7), (furniture.shelf, 0.7)),
    RoomKind.KITCHEN: ((furniture.kitchen_row, 3.0), (furniture.cabinet, 1.5), (furniture.shelf, 0.3)),
    RoomKind.HALL: ((furniture.cabinet, 0.5), (furniture.shelf, 0.5)),
    RoomKind.STORE: ((furniture.shelf, 3.0), (furniture.cabinet, 1.0)),
}
_FREE_PIECES: dict[RoomKind, tuple[tuple[Make, float], ...]] = {
    RoomKind.OFFICE: ((furniture.plant, 1.0), (furniture.chair, 1.0), (furniture.boxes, 0.7)),
    RoomKind.MEETING: ((furniture.dining_group, 3.0), (furniture.plant, 1.0), (furniture.chair, 1.0)),
    RoomKind.CORRIDOR: ((furniture.plant, 1.0), (furniture.boxes, 0.6), (furniture.chair, 0.5)),
    RoomKind.LIVING: (
        (furniture.table, 2.0),
        (furniture.dining_group, 1.0),
        (furniture.plant, 1.5),
        (furniture.chair, 1),
    ),
    RoomKind.BEDROOM: ((furniture.chair, 1.0), (furniture.plant, 0.7), (furniture.boxes, 0.5)),
    RoomKind.KITCHEN: ((furniture.dining_group, 2.5), (furniture.chair, 0.7), (furniture.plant, 0.5)),
    RoomKind.HALL: (
        (furniture.boxes, 3.0),
        (furniture.table, 1.0),
        (furniture.plant, 0.4),
        (furniture.dining_group, 0.6),
    ),
    RoomKind.STORE: ((furniture.boxes, 3.0), (furniture.table, 0.5)),
}


@dataclass(slots=True)
class _Floor:
    """What is taken of a room's floor while it is being furnished.

    Args:
        inner: the room between its walls.
        taken: rectangles x0, x1, y0, y1 (m).
    """

    inner: Tile
    taken: list[Tile] = field(default_factory=list)

    def fits(self, area: Tile, gap_m: float) -> bool:
        """Whether a rectangle lies inside the room, and `gap_m` clear of what is there."""
        x0, x1, y0, y1 = area
        if x0 < self.inner[0] or x1 > self.inner[1] or y0 < self.inner[2] or y1 > self.inner[3]:
            return False
        return not any(
            x0 < b + gap_m and x1 > a - gap_m and y0 < d + gap_m and y1 > c - gap_m for a, b, c, d in self.taken
        )


def furnish(
    rng: Rng, plan: FloorPlan, room: Room, look: RoomLook, density: float, shell: list[Solid], glow: float
) -> list[Solid]:
    """Everything that stands in a room.

    Args:
        rng: source of randomness.
        plan: the building.
        room: one of its rooms.
        look: its materials.
        density: 0 bare .. 1 full.
        shell: the room's shell; door leaves take floor too.
        glow: of standing lamps; 0 when they are off.
    """
    floor = _Floor(room.inner(plan.wall_m))
    for side in room.sides:
        for hole in side.openings:
            if hole.kind == Label.DOOR:
                clear = [side.point(hole.from_m - 0.1, 0.0), side.point(hole.to_m + 0.1, plan.wall_m + _DOOR_CLEAR_M)]
                floor.taken.append(_rectangle(clear))
    floor.taken += [footprint([s])[0] for s in shell if s.label == Label.DOOR and s.half_size_m[1] == 0.02]
    solids: list[Solid] = []
    area = (floor.inner[1] - floor.inner[0]) * (floor.inner[3] - floor.inner[2])
    if room.kind == RoomKind.HALL:
        solids += _racks(rng, plan, floor, look, density)
    lining = 1.5 if room.kind == RoomKind.CORRIDOR else 4.0  # pieces along the walls of a room of 12 square metres
    for _ in range(round(density * lining * min(area / 12.0, 3.0))):
        solids += _at_wall(rng, plan, room, floor, _chosen(rng, _WALL_PIECES[room.kind]), look)
    for _ in range(int(rng.integers(0, 4))):
        solids += _in_the_middle(rng, floor, furniture.odds_and_ends, look)
    standing = 1.0 if room.kind == RoomKind.CORRIDOR else 2.5
    for _ in range(round(density * standing * min(area / 12.0, 5.0))):
        solids += _in_the_middle(rng, floor, _chosen(rng, _FREE_PIECES[room.kind]), look)
    if rng.uniform() < 0.15:
        solids += _in_the_middle(rng, floor, _somebody, look)
    if rng.uniform() < 0.4 and room.kind in (RoomKind.LIVING, RoomKind.BEDROOM, RoomKind.OFFICE):
        solids += _in_the_middle(rng, floor, partial(furniture.floor_lamp, glow=glow), look)
    return [*solids, *wall_things(rng, plan, room, look, solids), *_rug(rng, room, floor)]


def _somebody(rng: Rng, look: RoomLook) -> list[Solid]:
    del look
    return standing_person(rng)


def _chosen(rng: Rng, pieces: tuple[tuple[Make, float], ...]) -> Make:
    weights = np.array([weight for _, weight in pieces])
    return pieces[int(rng.choice(len(pieces), p=weights / weights.sum()))][0]


def _rectangle(points: list[tuple[float, float]]) -> Tile:
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return min(xs), max(xs), min(ys), max(ys)


def _at_wall(rng: Rng, plan: FloorPlan, room: Room, floor: _Floor, make: Make, look: RoomLook) -> list[Solid]:
    """One piece at a wall, or nothing when there is no place for it."""
    piece = make(rng, look)
    (x0, x1, _, _), top = footprint(piece)
    half = max(-x0, x1)
    for _ in range(_TRIES):
        side = room.sides[int(rng.integers(0, 4))]
        start, end = side.from_m + plan.wall_m + half, side.to_m - plan.wall_m - half
        if end <= start:
            continue
        along = float(rng.choice([start + 0.02, end - 0.02, rng.uniform(start, end)], p=(0.2, 0.2, 0.6)))
        hidden = [o for o in side.openings if o.from_m < along + half and o.to_m > along - half and o.bottom_m < top]
        if hidden:
            continue
        solids = placed(piece, wall_frame(side, along, plan.wall_m + 0.02))
        area, _ = footprint(solids)
        if floor.fits(area, 0.03):
            floor.taken.append(area)
            return solids
    return []


def _in_the_middle(rng: Rng, floor: _Floor, make: Make, look: RoomLook) -> list[Solid]:
    """One free-standing piece, or nothing when there is no place for it."""
    piece = make(rng, look)
    for _ in range(_TRIES):
        x, y = rng.uniform(floor.inner[0], floor.inner[1]), rng.uniform(floor.inner[2], floor.inner[3])
        yaw = float(rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi + (rng.normal(0, 0.1) if rng.uniform() < 0.4 else 0.0))
        solids = placed(piece, offset(x, y, 0.0, yaw))
        area, _ = footprint(solids)
        if floor.fits(area, 0.08 if rng.uniform() < 0.3 else 0.6):
            floor.taken.append(area)
            return solids
    return []


def _racks(rng: Rng, plan: FloorPlan, floor: _Floor, look: RoomLook, density: float) -> list[Solid]:
    """Rows of racks with aisles; columns in some halls; an empty gym in others."""
    solids: list[Solid] = []
    x0, x1, y0, y1 = floor.inner
    if rng.uniform() < 0.35:
        pitch, thick = float(rng.uniform(4.0, 7.0)), float(rng.uniform(0.25, 0.6))
        stone = plaster(rng)
        for x in np.arange(x0 + pitch, x1 - 1.5, pitch):
            for y in np.arange(y0 + pitch, y1 - 1.5, pitch):
                column = [box(offset(x, y, 0), (thick, thick, plan.height_m), stone)]
                floor.taken.append(footprint(column)[0])
                solids += [
                    Solid(s.shape, s.T_parent_solid, s.half_size_m, s.material, label=Label.POLE) for s in column
                ]
    if rng.uniform() < 0.25:
        return solids
    aisle, y = float(rng.uniform(1.9, 3.5)), y0 + 0.1
    while y < y1 - 1.3:
        x = x0 + float(rng.uniform(1.3, 2.5))
        while x < x1 - 2.5:
            piece = furniture.rack(rng, look, plan.height_m)
            (a, b, _, d), _ = footprint(piece)
            shelf = placed(piece, offset(x - a, y, 0))
            area, _ = footprint(shelf)
            if area[1] < x1 - 1.2 and floor.fits(area, 0.05) and rng.uniform() < 0.25 + 0.75 * density:
                floor.taken.append(area)
                solids += shelf
            x += b - a + float(rng.choice([0.1, 2.0], p=(0.7, 0.3)))
        y += d + aisle
        if len(solids) > 500:
            break
    return solids


def _rug(rng: Rng, room: Room, floor: _Floor) -> list[Solid]:
    """A rug of 8 mm, in living rooms mostly; robots drive over it."""
    share = {RoomKind.LIVING: 0.7, RoomKind.BEDROOM: 0.6, RoomKind.OFFICE: 0.2, RoomKind.CORRIDOR: 0.2}.get(
        room.kind, 0.05
    )
    if rng.uniform() > share:
        return []
    x0, x1, y0, y1 = floor.inner
    size = (float(rng.uniform(0.3, 0.6)) * (x1 - x0), float(rng.uniform(0.3, 0.6)) * (y1 - y0))
    at = offset(0.5 * (x0 + x1) + rng.normal(0, 0.1), 0.5 * (y0 + y1) + rng.normal(0, 0.1), 0.0)
    look = cloth(rng)
    if look.pattern == Pattern.NONE and rng.uniform() < 0.2:
        return [
            Solid(Shape.CYLINDER, at @ offset(0, 0, 0.004), (size[0] / 2, size[1] / 2, 0.004), look, label=Label.FLOOR)
        ]
    return [replace(box(at, (size[0], size[1], 0.008), look), label=Label.FLOOR)]
