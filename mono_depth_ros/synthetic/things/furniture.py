# SPDX-License-Identifier: Apache-2.0
"""Pieces of furniture, each a handful of convex solids in a body frame.

Body frame: z up from the floor. Pieces for a wall have it at y = 0, x along it, and reach into the room along +y; free
pieces are centred on the origin.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.indoor.looks import RoomLook, cloth, metal, picture, plaster, shining
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid
from mono_depth_ros.synthetic.things.props import box, labelled, offset, placed, post


def table(rng: Rng, look: RoomLook, length_m: float | None = None) -> list[Solid]:
    """A table on four legs, a column, or a low one for a sofa."""
    low = length_m is None and rng.uniform() < 0.25
    height = float(rng.uniform(0.35, 0.5) if low else rng.uniform(0.7, 0.78))
    length, depth = length_m or float(rng.uniform(0.7, 1.9)), float(rng.uniform(0.6, 0.95))
    top, legs = look.wood, look.metal if rng.uniform() < 0.5 else look.second_wood
    if length_m is None and rng.uniform() < 0.2:
        radius = 0.5 * depth + 0.1
        solids = [
            post(offset(0, 0, height - 0.03), radius, 0.03, top),
            post(offset(0, 0, 0), 0.05, height - 0.03, legs),
        ]
        solids.append(post(offset(0, 0, 0), 0.6 * radius, 0.03, legs))
    else:
        solids = [box(offset(0, 0, height - 0.03), (length, depth, 0.03), top)]
        thick = float(rng.uniform(0.03, 0.07))
        for x in (-0.5, 0.5):
            for y in (-0.5, 0.5):
                at = offset(x * (length - thick - 0.06), y * (depth - thick - 0.06), 0)
                solids.append(box(at, (thick, thick, height - 0.03), legs))
    return [*labelled(Label.FURNITURE, solids), *things_on(rng, length * 0.8, depth * 0.7, height)]


def things_on(rng: Rng, length_m: float, depth_m: float, height_m: float, most: int = 7) -> list[Solid]:
    """Cups, books, boxes, a vase: what lies on a surface of this size and height, centred on the origin."""
    solids = []
    for _ in range(int(rng.integers(0, most + 1))):
        at = offset(rng.uniform(-0.5, 0.5) * length_m, rng.uniform(-0.5, 0.5) * depth_m, height_m, rng.uniform(0, 3))
        kind = int(rng.integers(0, 3))
        look = random_material(rng, random_rgb(rng, 0.9))
        fine = replace(look, frequency=3.0, pattern_size_m=(0.05, 0.07))
        if kind == 0:
            solids.append(post(at, float(rng.uniform(0.03, 0.07)), float(rng.uniform(0.08, 0.25)), fine))
        elif kind == 1:
            size = rng.uniform((0.12, 0.08, 0.02), (0.32, 0.22, 0.2))
            solids.append(box(at, (float(size[0]), float(size[1]), float(size[2])), fine))
        else:
            radius = float(rng.uniform(0.04, 0.1))
            solids.append(Solid(Shape.ELLIPSOID, at @ offset(0, 0, radius), (radius, radius, radius), fine))
    return labelled(Label.CLUTTER, solids)


def chair(rng: Rng, look: RoomLook) -> list[Solid]:
    """A chair that faces +y: four legs or an office chair's column."""
    seat_height, seat = float(rng.uniform(0.42, 0.5)), float(rng.uniform(0.38, 0.5))
    cover = look.cloth if rng.uniform() < 0.5 else look.second_wood
    solids = [box(offset(0, 0, seat_height - 0.05), (seat, seat, 0.05), cover)]
    back = float(rng.uniform(0.3, 0.55))
    solids.append(box(offset(0, -seat / 2 + 0.02, seat_height + 0.05), (seat * 0.92, 0.04, back), cover))
    if rng.uniform() < 0.4:
        solids.append(post(offset(0, 0, 0.06), 0.03, seat_height - 0.1, look.metal))
        for yaw in (0.0, np.pi / 2):
            solids.append(box(offset(0, 0, 0.02, yaw), (0.55, 0.05, 0.05), look.metal))
    else:
        legs = look.metal if rng.uniform() < 0.5 else look.second_wood
        for x in (-0.44, 0.44):
            for y in (-0.44, 0.44):
                solids.append(post(offset(x * seat, y * seat, 0), 0.018, seat_height - 0.04, legs))
    return labelled(Label.FURNITURE, solids)


def dining_group(rng: Rng, look: RoomLook) -> list[Solid]:
    """A table with chairs around it."""
    length = float(rng.uniform(1.1, 2.4))
    solids = table(rng, look, length)
    seats = max(1, int(length / 0.7))
    kind = int(rng.integers(0, 2**31))
    for side in (-1, 1):
        for number in range(seats):
            if rng.uniform() < 0.15:
                continue
            x = (number - 0.5 * (seats - 1)) * 0.65
            yaw = (0.0 if side < 0 else np.pi) + rng.normal(0, 0.12)
            at = offset(x, side * (0.55 + rng.uniform(0.0, 0.2)), 0, yaw)
            solids += placed(chair(np.random.default_rng(kind), look), at)
    return solids


def desk(rng: Rng, look: RoomLook) -> list[Solid]:
    """A desk at a wall with screen, drawers, chair."""
    length, depth, height = float(rng.uniform(1.1, 1.8)), float(rng.uniform(0.6, 0.8)), float(rng.uniform(0.7, 0.77))
    solids = [box(offset(0, depth / 2, height - 0.03), (length, depth, 0.03), look.wood)]
    for x in (-0.5, 0.5):
        solids.append(box(offset(x * (length - 0.05), depth / 2, 0), (0.04, depth * 0.9, height - 0.03), look.metal))
    if rng.uniform() < 0.6:
        solids.append(box(offset(0.3 * length, depth / 2, 0), (0.4, depth * 0.8, height - 0.1), look.second_wood))
    solids = labelled(Label.FURNITURE, solids)
    if rng.uniform() < 0.8:
        solids += placed(screen(rng), offset(rng.normal(0, 0.1), 0.22, height, rng.normal(0, 0.2)))
    solids += placed(things_on(rng, length * 0.85, depth * 0.5, height, 5), offset(0, 0.6 * depth, 0))
    at = offset(rng.normal(0, 0.15), depth + rng.uniform(0.0, 0.35), 0, np.pi + rng.normal(0, 0.6))
    return [*solids, *placed(chair(rng, look), at)]


def screen(rng: Rng) -> list[Solid]:
    """A monitor on its foot, facing +y; dark or lit."""
    width = float(rng.uniform(0.45, 0.75))
    frame = metal(rng)
    face = picture(rng)
    lit = rng.uniform() < 0.5
    face = replace(face, glow=float(rng.uniform(0.3, 1.0))) if lit else shining(rng, (0.02, 0.02, 0.025), 0.0)
    solids = [
        box(offset(0, 0, 0), (0.22, 0.16, 0.015), frame),
        box(offset(0, -0.03, 0), (0.05, 0.03, 0.25), frame),
        box(offset(0, 0, 0.12), (width, 0.03, width * 0.58), frame),
        box(offset(0, 0.016, 0.13), (width - 0.03, 0.006, width * 0.58 - 0.03), replace(face, gloss=0.12)),
    ]
    return labelled(Label.FURNITURE, solids)


def shelf(rng: Rng, look: RoomLook) -> list[Solid]:
    """A bookcase at a wall: boards, sides, and rows of books and boxes."""
    width, depth = float(rng.uniform(0.6, 1.8)), float(rng.uniform(0.25, 0.4))
    boards = int(rng.integers(2, 7))
    pitch = float(rng.uniform(0.28, 0.42))
    height = boards * pitch + 0.08
    solids = [box(offset(0, depth / 2, 0.05 + k * pitch), (width, depth, 0.025), look.wood) for k in range(boards + 1)]
    for x in (-0.5, 0.5):
        solids.append(box(offset(x * (width + 0.02), depth / 2, 0), (0.025, depth, height), look.wood))
    if rng.uniform() < 0.7:
        solids.append(box(offset(0, 0.008, 0), (width, 0.016, height), look.second_wood))
    solids = labelled(Label.FURNITURE, solids)
    for k in range(boards):
        x = -0.5 * width + 0.03
        while x < 0.5 * width - 0.1 and len(solids) < 40:
            run = float(min(rng.uniform(0.1, 0.5), 0.5 * width - 0.02 - x))
            if rng.uniform() < 0.75:
                tall = float(rng.uniform(0.12, pitch - 0.05))
                deep = float(rng.uniform(0.6, 0.95)) * depth
                solids.append(books(rng, offset(x + run / 2, 0.55 * depth, 0.063 + k * pitch), (run, deep, tall)))
            x += run + float(rng.uniform(0.0, 0.12))
    return solids


def books(rng: Rng, T: Float64, size_m: tuple[float, float, float]) -> Solid:
    """A row of books that stands on its frame's origin."""
    thick = float(rng.uniform(0.04, 0.1))
    look = random_material(rng, random_rgb(rng, 0.9), Pattern.STRIPES, gloss=0.0)
    look = replace(look, pattern_size_m=(thick, thick), pattern_rgb=random_rgb(rng, 0.9))
    lying = np.eye(4)  # stripes lie across a solid's z axis: turn that along the row
    lying[:3, :3] = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]
    half = (size_m[2] / 2, size_m[1] / 2, size_m[0] / 2)
    return Solid(Shape.BOX, T @ offset(0, 0, size_m[2] / 2) @ lying, half, look)


def cabinet(rng: Rng, look: RoomLook) -> list[Solid]:
    """A wardrobe, sideboard, fridge or chest of drawers: a body with doors a little proud of it."""
    tall = rng.uniform() < 0.45
    height = float(rng.uniform(1.6, 2.15) if tall else rng.uniform(0.5, 1.1))
    width, depth = float(rng.uniform(0.5, 2.0)), float(rng.uniform(0.35, 0.62))
    body = look.wood if rng.uniform() < 0.7 else plaster(rng)
    front = body if rng.uniform() < 0.5 else look.second_wood
    solids = [box(offset(0, depth / 2, 0), (width, depth, height), body)]
    doors = max(1, round(width / float(rng.uniform(0.4, 0.7))))
    rows = 1 if tall else int(rng.integers(1, 4))
    wide, high = width / doors, (height - 0.1) / rows
    for column in range(doors):
        for row in range(rows):
            x, z = -width / 2 + (column + 0.5) * wide, 0.08 + row * high
            solids.append(box(offset(x, depth + 0.008, z), (wide - 0.015, 0.02, high - 0.015), front))
            grip = offset(x + (0.4 * wide if tall else 0.0), depth + 0.03, z + 0.5 * high)
            solids.append(box(grip, (0.02, 0.02, 0.12) if tall else (0.12, 0.02, 0.02), look.metal))
    return [
        *labelled(Label.FURNITURE, solids),
        *placed(things_on(rng, width * 0.8, 0.2, height), offset(0, depth / 2, 0)),
    ]


def kitchen_row(rng: Rng, look: RoomLook) -> list[Solid]:
    """Cupboards with a worktop, and more cupboards above."""
    width, depth = float(rng.uniform(1.4, 3.2)), 0.6
    front, top = look.wood, look.second_wood
    doors = max(2, round(width / 0.6))
    wide = width / doors
    solids = [
        box(offset(0, depth / 2 - 0.02, 0.08), (width, depth - 0.04, 0.78), front),
        box(offset(0, depth / 2, 0.86), (width + 0.02, depth + 0.03, 0.04), top),
    ]
    for column in range(doors):
        x = -width / 2 + (column + 0.5) * wide
        solids.append(box(offset(x, depth - 0.03, 0.1), (wide - 0.012, 0.02, 0.74), front))
        solids.append(box(offset(x, depth - 0.005, 0.75), (0.15, 0.02, 0.015), look.metal))
    if rng.uniform() < 0.7:
        low = float(rng.uniform(1.35, 1.5))
        for column in range(doors):
            x = -width / 2 + (column + 0.5) * wide
            solids.append(box(offset(x, 0.17, low), (wide - 0.012, 0.34, 0.65), front))
    return [*labelled(Label.FURNITURE, solids), *placed(things_on(rng, width * 0.9, 0.3, 0.9, 6), offset(0, 0.3, 0))]


def sofa(rng: Rng, look: RoomLook) -> list[Solid]:
    """A sofa or armchair with its back to the wall."""
    width = float(rng.choice([rng.uniform(0.8, 1.0), rng.uniform(1.5, 2.4)], p=(0.3, 0.7)))
    depth, seat = float(rng.uniform(0.8, 1.0)), float(rng.uniform(0.38, 0.46))
    arm, back = float(rng.uniform(0.1, 0.22)), float(rng.uniform(0.7, 0.95))
    solids = [
        box(offset(0, depth / 2, 0.06), (width, depth, seat - 0.2), look.cloth),
        box(offset(0, 0.1, 0.06), (width, 0.2, back - 0.06), look.cloth),
    ]
    cushions = max(1, round((width - 2 * arm) / 0.7))
    wide = (width - 2 * arm) / cushions
    for number in range(cushions):
        x = -0.5 * width + arm + (number + 0.5) * wide
        solids.append(
            box(offset(x, 0.2 + (depth - 0.2) / 2, seat - 0.15), (wide - 0.02, depth - 0.2, 0.15), look.cloth)
        )
    for x in (-0.5, 0.5):
        solids.append(box(offset(x * (width - arm), depth / 2, 0.06), (arm, depth, seat + 0.12), look.cloth))
    for _ in range(int(rng.integers(0, 3))):
        pillow = offset(rng.uniform(-0.35, 0.35) * width, 0.27, seat + 0.16)
        solids.append(Solid(Shape.ELLIPSOID, pillow, (0.22, 0.09, 0.19), cloth(rng)))
    return labelled(Label.FURNITURE, solids)


def bed(rng: Rng, look: RoomLook) -> list[Solid]:
    """A bed with its head at the wall."""
    width, length = float(rng.uniform(0.9, 1.9)), float(rng.uniform(1.95, 2.15))
    top = float(rng.uniform(0.4, 0.6))
    sheets = cloth(rng)
    solids = [
        box(offset(0, length / 2, 0.08), (width + 0.06, length, top - 0.28), look.wood),
        box(offset(0, length / 2 + 0.02, top - 0.2), (width, length - 0.04, 0.2), plaster(rng, (0.75, 0.74, 0.7))),
        box(offset(0, 0.03, 0), (width + 0.08, 0.05, top + float(rng.uniform(0.2, 0.7))), look.wood),
        box(offset(0, 0.62 * length, top - 0.18), (width + 0.05, 0.72 * length, 0.22), sheets),
    ]
    for x in (-0.25, 0.25) if width > 1.3 else (0.0,):
        solids.append(Solid(Shape.ELLIPSOID, offset(x * width, 0.32, top + 0.06), (0.32, 0.2, 0.1), cloth(rng)))
    return labelled(Label.FURNITURE, solids)


def rack(rng: Rng, look: RoomLook, height_m: float) -> list[Solid]:
    """A warehouse rack at a wall or free: posts, beams, levels with boxes on pallets."""
    bays = int(rng.integers(1, 4))
    bay, depth = float(rng.uniform(1.6, 2.8)), float(rng.uniform(0.6, 1.1))
    level = float(rng.uniform(0.9, 1.7))
    levels = max(1, int((min(height_m, 6.0) - 0.4) / level))
    width, beams = bays * bay, metal(rng)
    solids = []
    for k in range(bays + 1):
        for y in (0.04, depth - 0.04):
            solids.append(box(offset(k * bay - width / 2, y, 0), (0.08, 0.08, levels * level + 0.3), look.metal))
    for row in range(1, levels + 1):
        solids.append(box(offset(0, depth / 2, row * level - 0.1), (width, depth, 0.1), beams))
    solids = labelled(Label.FURNITURE, solids)
    for k in range(bays):
        for row in range(levels + 1):
            if rng.uniform() < 0.25 or len(solids) > 55:
                continue
            size = rng.uniform((0.5 * bay, 0.6 * depth, 0.3), (0.9 * bay, 0.95 * depth, 0.8 * level))
            at = offset((k + 0.5) * bay - width / 2 + rng.normal(0, 0.05), depth / 2, row * level + 0.01)
            solids.append(
                replace(box(at, (float(size[0]), float(size[1]), float(size[2])), carton(rng)), label=Label.CLUTTER)
            )
    return solids


def carton(rng: Rng) -> Material:
    """Cardboard, wrapped goods, or a crate of any colour."""
    if rng.uniform() < 0.55:
        tone = float(rng.uniform(0.5, 1.1))
        brown = (0.42 * tone, 0.3 * tone, 0.19 * tone)
        return replace(random_material(rng, brown, gloss=0.0), roughness=float(rng.uniform(0.05, 0.3)))
    return random_material(rng, random_rgb(rng, 0.9))


def boxes(rng: Rng, look: RoomLook) -> list[Solid]:
    """A pile of cartons, one to four."""
    del look
    solids, height = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        size = rng.uniform(0.2, 0.65, 3)
        at = offset(rng.normal(0, 0.05), rng.normal(0, 0.05), height, rng.normal(0, 0.3))
        solids.append(box(at, (float(size[0]), float(size[1]), float(size[2])), carton(rng)))
        height += float(size[2])
        if height > 1.4:
            break
    return labelled(Label.CLUTTER, solids)


def odds_and_ends(rng: Rng, look: RoomLook) -> list[Solid]:
    """What lies about: a waste bin, a bag, shoes, a ball, a toy; low things that a robot must see."""
    solids = []
    for _ in range(int(rng.integers(1, 4))):
        at = offset(rng.normal(0, 0.25), rng.normal(0, 0.25), 0.0, rng.uniform(0, 3))
        stuff = cloth(rng) if rng.uniform() < 0.5 else random_material(rng, random_rgb(rng, 0.9))
        kind = int(rng.integers(0, 4))
        if kind == 0:
            solids.append(post(at, float(rng.uniform(0.1, 0.18)), float(rng.uniform(0.2, 0.4)), look.metal))
        elif kind == 1:
            size = rng.uniform((0.15, 0.1, 0.1), (0.4, 0.2, 0.35))
            solids.append(box(at, (float(size[0]), float(size[1]), float(size[2])), stuff))
        elif kind == 2:
            for side in (-0.07, 0.07):
                shoe = at @ offset(0.0, side, 0.05)
                solids.append(Solid(Shape.ELLIPSOID, shoe, (0.14, 0.05, 0.05), stuff))
        else:
            radius = float(rng.uniform(0.05, 0.16))
            solids.append(Solid(Shape.ELLIPSOID, at @ offset(0, 0, radius), (radius, radius, radius), stuff))
    return labelled(Label.CLUTTER, solids)


def plant(rng: Rng, look: RoomLook) -> list[Solid]:
    """A pot with leaves."""
    radius, tall = float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.4, 1.6))
    pot = look.second_wood if rng.uniform() < 0.4 else plaster(rng)
    green = (float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.12, 0.4)), float(rng.uniform(0.02, 0.12)))
    leaf = replace(random_material(rng, green, Pattern.NONE, gloss=0.0), frequency=4.0, octaves=5, roughness=0.9)
    solids = labelled(Label.CLUTTER, [post(offset(0, 0, 0), radius, 1.6 * radius, pot)])
    leaves = [post(offset(0, 0, 1.5 * radius), 0.02, tall * 0.6, leaf)]
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.normal(0, 0.5 * radius, 2)
        size = tall * rng.uniform(0.08, 0.28, 3)
        at = offset(x, y, 1.6 * radius + tall * rng.uniform(0.3, 0.8), rng.uniform(0, 3), rng.normal(0, 0.6))
        leaves.append(Solid(Shape.ELLIPSOID, at, (size[0], 0.4 * size[1], size[2]), leaf))
    return [*solids, *labelled(Label.VEGETATION, leaves)]


def floor_lamp(rng: Rng, look: RoomLook, glow: float) -> list[Solid]:
    """A standing lamp; the last solid is its shade, which shines when `glow` is above 0."""
    height = float(rng.uniform(1.3, 1.8))
    warm = (0.9, float(rng.uniform(0.7, 0.85)), float(rng.uniform(0.45, 0.7)))
    shade = post(offset(0, 0, height - 0.15), float(rng.uniform(0.12, 0.22)), 0.28, shining(rng, warm, glow))
    foot = [post(offset(0, 0, 0), 0.14, 0.03, look.metal), post(offset(0, 0, 0), 0.015, height, look.metal)]
    return labelled(Label.FURNITURE, [*foot, shade])
