# SPDX-License-Identifier: Apache-2.0
"""Floor plans: rectangular rooms that tile a building, and the doors and windows in their walls.

World frame: floor at z = 0. A room's tile reaches to the middle of its walls, so tiles leave no gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng

Tile = tuple[float, float, float, float]  # x0, x1, y0, y1 in metres
_MIN_HOME_ROOM_M = 2.6


class RoomKind(IntEnum):
    """What a room is for; it decides what stands in it."""

    OFFICE = 0
    MEETING = 1
    CORRIDOR = 2
    LIVING = 3
    BEDROOM = 4
    KITCHEN = 5
    HALL = 6
    STORE = 7


class BuildingStyle(IntEnum):
    """What a building is."""

    OFFICES = 0
    HOME = 1
    HALL = 2


@dataclass(frozen=True, slots=True)
class Opening:
    """A hole in a wall: `from_m` to `to_m` along the wall (a world coordinate), `bottom_m` to `top_m` in height."""

    from_m: float
    to_m: float
    bottom_m: float
    top_m: float
    kind: Label  # DOOR or WINDOW


@dataclass(frozen=True, slots=True)
class Side:
    """One wall of a room.

    Args:
        along: 0 when the wall runs along x, 1 along y.
        at_m: the tile's edge, in the other coordinate.
        inward: +1 when the room lies at larger values of that coordinate, else -1.
        from_m, to_m: the tile's extent along the wall.
        outer: whether the building ends here.
        openings: sorted, without overlap.
    """

    along: int
    at_m: float
    inward: int
    from_m: float
    to_m: float
    outer: bool = False
    openings: tuple[Opening, ...] = ()

    def point(self, along_m: float, deep_m: float) -> tuple[float, float]:
        """World x, y of a point: `along_m` is a world coordinate, `deep_m` counts from the tile's edge inwards."""
        across = self.at_m + self.inward * deep_m
        return (along_m, across) if self.along == 0 else (across, along_m)


@dataclass(frozen=True, slots=True)
class Room:
    """A room: what for, its tile, and its four walls."""

    kind: RoomKind
    tile: Tile
    sides: tuple[Side, ...]

    def inner(self, wall_m: float) -> Tile:
        """The tile less its walls' halves."""
        x0, x1, y0, y1 = self.tile
        return x0 + wall_m, x1 - wall_m, y0 + wall_m, y1 - wall_m


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """A building on one floor.

    Args:
        style: what it is.
        rooms: their tiles fill the building without overlap.
        height_m: from floor to ceiling.
        wall_m: half the thickness of a wall: the share of each of the two rooms.
    """

    style: BuildingStyle
    rooms: tuple[Room, ...]
    height_m: float
    wall_m: float

    def extent(self) -> Tile:
        """The building's bounding rectangle."""
        tiles = np.array([room.tile for room in self.rooms])
        return float(tiles[:, 0].min()), float(tiles[:, 1].max()), float(tiles[:, 2].min()), float(tiles[:, 3].max())


def random_plan(rng: Rng) -> FloorPlan:
    """Offices along a corridor, a home, or a hall with a few rooms beside it."""
    style = BuildingStyle(int(rng.choice(3, p=(0.36, 0.42, 0.22))))
    if style == BuildingStyle.OFFICES:
        tiles, height = _office_tiles(rng), float(rng.uniform(2.4, 3.3))
    elif style == BuildingStyle.HOME:
        tiles, height = _home_tiles(rng), float(rng.uniform(2.2, 3.0))
    else:
        tiles, height = _hall_tiles(rng), float(rng.uniform(3.2, 8.0))
    rooms = [Room(kind, tile, _sides(tile)) for kind, tile in tiles]
    plan = FloorPlan(style, tuple(rooms), height, float(rng.uniform(0.04, 0.14)))
    return _with_windows(rng, _with_doors(rng, plan))


def _cuts(rng: Rng, start: float, end: float, least: float, most: float) -> list[float]:
    """Positions from start to end, `least` to about `most` apart."""
    at = [start]
    while end - at[-1] > least + most:
        at.append(at[-1] + float(rng.uniform(least, most)))
    if end - at[-1] > 2 * least:
        at.append(0.5 * (at[-1] + end))
    return [*at, end]


def _office_tiles(rng: Rng) -> list[tuple[RoomKind, Tile]]:
    length, half = float(rng.uniform(9.0, 24.0)), float(rng.uniform(0.8, 1.5))
    tiles = [(RoomKind.CORRIDOR, (0.0, length, -half, half))]
    for side in (-1, 1):
        if side > 0 and rng.uniform() < 0.2:
            continue  # rooms on one side only, the corridor has windows
        depth = float(rng.uniform(3.2, 6.5))
        cuts = _cuts(rng, 0.0, length, 2.8, 6.5)
        for x0, x1 in pairwise(cuts):
            kind = (RoomKind.OFFICE, RoomKind.MEETING, RoomKind.STORE)[int(rng.choice(3, p=(0.65, 0.22, 0.13)))]
            tiles.append((kind, (x0, x1, half, half + depth) if side > 0 else (x0, x1, -half - depth, -half)))
    return tiles


def _home_tiles(rng: Rng) -> list[tuple[RoomKind, Tile]]:
    largest = float(rng.uniform(12.0, 26.0))
    waiting: list[Tile] = [(0.0, float(rng.uniform(7.0, 13.0)), 0.0, float(rng.uniform(5.5, 10.0)))]
    tiles: list[tuple[RoomKind, Tile]] = []
    kinds = (RoomKind.LIVING, RoomKind.BEDROOM, RoomKind.KITCHEN, RoomKind.CORRIDOR, RoomKind.OFFICE)
    while waiting:
        x0, x1, y0, y1 = waiting.pop()
        wide, deep = x1 - x0, y1 - y0
        if wide * deep > largest and max(wide, deep) > 2 * _MIN_HOME_ROOM_M:
            share = float(rng.uniform(0.35, 0.65))
            if wide > deep:
                cut = float(np.clip(x0 + share * wide, x0 + _MIN_HOME_ROOM_M, x1 - _MIN_HOME_ROOM_M))
                waiting += [(x0, cut, y0, y1), (cut, x1, y0, y1)]
            else:
                cut = float(np.clip(y0 + share * deep, y0 + _MIN_HOME_ROOM_M, y1 - _MIN_HOME_ROOM_M))
                waiting += [(x0, x1, y0, cut), (x0, x1, cut, y1)]
        else:
            tiles.append((kinds[int(rng.choice(5, p=(0.35, 0.25, 0.2, 0.06, 0.14)))], (x0, x1, y0, y1)))
    return tiles


def _hall_tiles(rng: Rng) -> list[tuple[RoomKind, Tile]]:
    length, width = float(rng.uniform(10.0, 26.0)), float(rng.uniform(8.0, 18.0))
    tiles = [(RoomKind.HALL, (0.0, length, 0.0, width))]
    if rng.uniform() < 0.6:
        depth = float(rng.uniform(3.0, 5.0))
        cuts = _cuts(rng, 0.0, length, 3.0, 8.0)
        for x0, x1 in pairwise(cuts):
            kind = RoomKind.STORE if rng.uniform() < 0.5 else RoomKind.OFFICE
            tiles.append((kind, (x0, x1, -depth, 0.0)))
    return tiles


def _sides(tile: Tile) -> tuple[Side, ...]:
    x0, x1, y0, y1 = tile
    return (Side(0, y0, 1, x0, x1), Side(0, y1, -1, x0, x1), Side(1, x0, 1, y0, y1), Side(1, x1, -1, y0, y1))


def _shared(first: Side, second: Side) -> tuple[float, float] | None:
    """The stretch (from, to) where two walls stand back to back, or None."""
    if first.along != second.along or first.inward == second.inward or abs(first.at_m - second.at_m) > 1e-9:
        return None
    start, end = max(first.from_m, second.from_m), min(first.to_m, second.to_m)
    return (start, end) if end - start > 1e-9 else None


def _with_doors(rng: Rng, plan: FloorPlan) -> FloorPlan:
    """Doors so that every room can be reached, and some more; a shared opening is cut into both rooms' walls."""
    rooms = list(plan.rooms)
    pairs = [
        (a, i, b, j, stretch)
        for a, first in enumerate(rooms)
        for b in range(a + 1, len(rooms))
        for i, side in enumerate(first.sides)
        for j, other in enumerate(rooms[b].sides)
        if (stretch := _shared(side, other)) is not None
    ]
    order = sorted(rng.permutation(len(pairs)), key=lambda k: not _hub(rooms[pairs[k][0]]))  # corridors first
    group = list(range(len(rooms)))
    for k in order:
        a, i, b, j, (start, end) = pairs[k]
        joined = group[a] == group[b]
        if end - start < 1.5 or (joined and rng.uniform() > (0.3 if plan.style == BuildingStyle.HOME else 0.06)):
            continue
        door = _door(rng, plan, start, end)
        rooms[a], rooms[b] = _opened(rooms[a], i, door), _opened(rooms[b], j, door)
        group = [group[a] if g == group[b] else g for g in group]
    return replace(plan, rooms=tuple(rooms))


def _hub(room: Room) -> bool:
    return room.kind in (RoomKind.CORRIDOR, RoomKind.HALL)


def _door(rng: Rng, plan: FloorPlan, start: float, end: float) -> Opening:
    wide = plan.style == BuildingStyle.HALL or (plan.style == BuildingStyle.HOME and rng.uniform() < 0.25)
    room = end - start - 0.5
    width = float(min(rng.uniform(1.3, 2.4) if wide else rng.uniform(0.85, 1.15), room))
    left = start + 0.25 + float(rng.uniform(0.0, room - width))
    top = min(float(rng.uniform(2.0, 2.3)) + (0.4 if wide else 0.0), plan.height_m - 0.08)
    return Opening(left, left + width, 0.0, top, Label.DOOR)


def _opened(room: Room, side: int, opening: Opening) -> Room:
    """The room with one more opening in a wall; doors lie in stretches of their own, so they never touch."""
    openings = tuple(sorted((*room.sides[side].openings, opening), key=lambda o: o.from_m))
    sides = list(room.sides)
    sides[side] = replace(sides[side], openings=openings)
    return replace(room, sides=tuple(sides))


def _with_windows(rng: Rng, plan: FloorPlan) -> FloorPlan:
    """Windows in walls to the outside; their sill and top are the building's."""
    extent = plan.extent()
    edges = {0: (extent[2], extent[3]), 1: (extent[0], extent[1])}
    high = plan.style == BuildingStyle.HALL and rng.uniform() < 0.6
    low_sill = 0.05 if rng.uniform() < 0.15 else float(rng.uniform(0.5, 1.1))
    sill = float(rng.uniform(0.55, 0.7)) * plan.height_m if high else low_sill
    top = plan.height_m - float(rng.uniform(0.15, 0.5))
    share = float(rng.uniform(0.3, 1.0))
    rooms = []
    for room in plan.rooms:
        sides = list(room.sides)
        for number, side in enumerate(sides):
            if not any(abs(side.at_m - edge) < 1e-9 for edge in edges[side.along]):
                continue
            sides[number] = replace(side, outer=True)
            if rng.uniform() > share or top - sill < 0.4:
                continue
            panes = max(1, int((side.to_m - side.from_m) / rng.uniform(1.6, 4.0)))
            pitch = (side.to_m - side.from_m - 0.4) / panes
            width = pitch * float(rng.uniform(0.45, 0.85))
            holes = [
                Opening(middle - width / 2, middle + width / 2, sill, top, Label.WINDOW)
                for middle in side.from_m + 0.2 + pitch * (np.arange(panes) + 0.5).astype(float)
            ]
            sides[number] = replace(sides[number], openings=tuple(holes))
        rooms.append(replace(room, sides=tuple(sides)))
    return replace(plan, rooms=tuple(rooms))
