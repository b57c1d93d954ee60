# SPDX-License-Identifier: Apache-2.0
"""What hangs on walls: pictures, boards, shelves, radiators under windows, sockets, switches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.indoor.looks import RoomLook, metal, picture, plaster
from mono_depth_ros.synthetic.indoor.plan import FloorPlan, Room, Side, Tile
from mono_depth_ros.synthetic.indoor.shell import slab
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.textures import Pattern
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid
from mono_depth_ros.synthetic.things.furniture import books
from mono_depth_ros.synthetic.things.props import offset


def footprint(solids: list[Solid]) -> tuple[Tile, float]:
    """Bounding rectangle x0, x1, y0, y1 of solids seen from above, and their top, in the frame they are given in."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
    points = np.concatenate(
        [(corners * s.half_size_m) @ s.T_parent_solid[:3, :3].T + s.T_parent_solid[:3, 3] for s in solids]
    )
    low, high = points.min(0), points.max(0)
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1])), float(high[2])


def wall_frame(side: Side, along_m: float, deep_m: float) -> Float64:
    """float64 [4, 4]: frame of a piece at a wall, on the floor: x along the wall, y into the room."""
    x, y = side.point(along_m, deep_m)
    yaw = {(0, 1): 0.0, (0, -1): np.pi, (1, 1): -np.pi / 2, (1, -1): np.pi / 2}[(side.along, side.inward)]
    return offset(x, y, 0.0, yaw)


def wall_things(rng: Rng, plan: FloorPlan, room: Room, look: RoomLook, standing: list[Solid]) -> list[Solid]:
    """Everything that hangs on the walls of a room, clear of what stands before them."""
    solids: list[Solid] = []
    radiators, bookish = rng.uniform() < 0.5, float(rng.uniform(0.0, 0.7))
    for side in room.sides:
        small = [*_switches(plan, side, look), *_sockets(rng, plan, side, look)]
        if radiators:
            small += _radiators(rng, plan, side)
        solids += [thing for thing in small if not _overlaps(thing, standing)]
        for _ in range(int(rng.integers(0, 4))):
            thing = _shelf(rng, plan, side, look) if rng.uniform() < bookish else _picture(rng, plan, side)
            if thing and not any(_overlaps(part, [*standing, *solids]) for part in thing):
                solids += thing
    return solids


def _free_stretch(rng: Rng, plan: FloorPlan, side: Side, width_m: float) -> tuple[float, float] | None:
    """A random stretch of a wall, 20 cm clear of its openings; None when the first guess is not."""
    start, end = side.from_m + plan.wall_m + width_m / 2 + 0.1, side.to_m - plan.wall_m - width_m / 2 - 0.1
    if end <= start:
        return None
    along = float(rng.uniform(start, end))
    span = (along - width_m / 2, along + width_m / 2)
    if any(o.from_m < span[1] + 0.2 and o.to_m > span[0] - 0.2 for o in side.openings):
        return None
    return span


def _picture(rng: Rng, plan: FloorPlan, side: Side) -> list[Solid]:
    """A picture in its frame, a poster, a board or a clock at eye height."""
    size, low = (float(rng.uniform(0.2, 1.6)), float(rng.uniform(0.2, 0.9))), float(rng.uniform(1.0, 1.5))
    span = _free_stretch(rng, plan, side, size[0])
    if span is None or low + size[1] > plan.height_m - 0.1:
        return []
    deep, high = plan.wall_m, low + size[1]
    frame = slab(side, span, (deep, deep + 0.02), (low, high), metal(rng), Label.CLUTTER)
    if rng.uniform() < 0.4:
        return [replace(frame, material=picture(rng))]
    rim = float(rng.uniform(0.015, 0.06))
    inner = (span[0] + rim, span[1] - rim)
    return [frame, slab(side, inner, (deep, deep + 0.024), (low + rim, high - rim), picture(rng), Label.CLUTTER)]


def _shelf(rng: Rng, plan: FloorPlan, side: Side, look: RoomLook) -> list[Solid]:
    """A board on the wall with books on it."""
    width, low, deep = float(rng.uniform(0.5, 1.4)), float(rng.uniform(1.2, 1.8)), float(rng.uniform(0.15, 0.28))
    span = _free_stretch(rng, plan, side, width)
    if span is None or low > plan.height_m - 0.5:
        return []
    wall = plan.wall_m
    solids = [slab(side, span, (wall, wall + deep), (low, low + 0.025), look.wood, Label.FURNITURE)]
    at = span[0] + 0.05
    while at < span[1] - 0.15:
        run = float(min(rng.uniform(0.1, 0.4), span[1] - at))
        size = (run, 0.8 * deep, float(rng.uniform(0.12, 0.3)))
        frame = wall_frame(side, at + run / 2, wall + 0.5 * deep) @ offset(0, 0, low + 0.026)
        solids.append(books(rng, frame, size))
        at += run + float(rng.uniform(0.0, 0.25))
    return solids


def _switches(plan: FloorPlan, side: Side, look: RoomLook) -> list[Solid]:
    """A light switch beside each door."""
    deep = (plan.wall_m, plan.wall_m + 0.012)
    return [
        slab(side, (o.to_m + 0.12, o.to_m + 0.2), deep, (1.05, 1.13), look.trim, Label.CLUTTER)
        for o in side.openings
        if o.kind == Label.DOOR and o.to_m + 0.25 < side.to_m - plan.wall_m
    ]


def _sockets(rng: Rng, plan: FloorPlan, side: Side, look: RoomLook) -> list[Solid]:
    """Sockets above the skirting."""
    solids = []
    for _ in range(int(rng.integers(0, 3))):
        span = _free_stretch(rng, plan, side, float(rng.choice([0.08, 0.16, 0.24])))
        if span is not None:
            deep = (plan.wall_m, plan.wall_m + 0.012)
            solids.append(slab(side, span, deep, (0.27, 0.35), look.trim, Label.CLUTTER))
    return solids


def _radiators(rng: Rng, plan: FloorPlan, side: Side) -> list[Solid]:
    """A ribbed radiator under each window whose sill is high enough."""
    solids = []
    for hole in side.openings:
        if hole.kind != Label.WINDOW or not 0.5 < hole.bottom_m < 1.5:
            continue
        wide, high = 0.9 * (hole.to_m - hole.from_m), min(0.6, hole.bottom_m - 0.22)
        white = plaster(rng, (0.75, 0.75, 0.72))
        ribs = replace(
            white, pattern=Pattern.STRIPES, pattern_size_m=(0.06, 0.06), pattern_fill=0.3, pattern_rgb=(0.4, 0.4, 0.38)
        )
        lying = np.eye(4)  # stripes lie across a solid's z axis: turn that along the wall
        lying[:3, :3] = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]
        frame = wall_frame(side, 0.5 * (hole.from_m + hole.to_m), plan.wall_m + 0.09) @ offset(0, 0, 0.1 + high / 2)
        solids.append(Solid(Shape.BOX, frame @ lying, (high / 2, 0.05, wide / 2), ribs, label=Label.FURNITURE))
    return solids


def _overlaps(solid: Solid, others: list[Solid]) -> bool:
    (x0, x1, y0, y1), top = footprint([solid])
    bottom = float(solid.T_parent_solid[2, 3]) - solid.half_size_m[2]
    for other in others:
        (a, b, c, d), high = footprint([other])
        low = 2.0 * float(other.T_parent_solid[2, 3]) - high
        if x0 < b and x1 > a and y0 < d and y1 > c and bottom < high and top > low:
            return True
    return False
