# SPDX-License-Identifier: Apache-2.0
"""House fronts, garden walls and fences; body frame: x along the street, the house on the +y side of y = 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern, Rgb
from mono_depth_ros.synthetic.render.world import Solid
from mono_depth_ros.synthetic.things.plants import hedge
from mono_depth_ros.synthetic.things.props import box, labelled, offset, post, wedge

SUNK_M = 4.0  # walls go on below the ground, so that slopes never show daylight under a house
_DARK_GLASS: Rgb = (0.02, 0.025, 0.03)


def _wall_rgb(rng: Rng) -> Rgb:
    """Plaster, brick, concrete, wood."""
    kind = rng.integers(0, 5)
    level = float(rng.uniform(0.12, 0.75))
    if kind == 0:  # brick
        red = float(rng.uniform(0.12, 0.4))
        return red, red * float(rng.uniform(0.35, 0.6)), red * float(rng.uniform(0.25, 0.45))
    if kind == 1:  # sand and cream
        return level, level * 0.85, level * float(rng.uniform(0.5, 0.75))
    if kind == 2:
        return random_rgb(rng, 0.8, 0.08, 0.7)
    return level, level * float(rng.uniform(0.94, 1.02)), level * float(rng.uniform(0.86, 1.04))


def building(rng: Rng, length_m: float) -> list[Solid]:
    """A house: walls with windows, shop front or not, a roof of some kind, and what is fixed to the front."""
    depth, height = float(rng.uniform(6, 16)), float(np.exp(rng.uniform(np.log(3.0), np.log(26.0))))
    rgb = _wall_rgb(rng)
    glazed = rng.uniform() < 0.85
    wall = random_material(rng, rgb, Pattern.WINDOWS if glazed else None)
    storey = float(rng.uniform(2.6, 3.8))
    wall = replace(
        wall,
        blotch_rgb=(rgb[0] * 0.75, rgb[1] * 0.75, rgb[2] * 0.72),
        roughness=float(rng.uniform(0.1, 0.5)),
        gloss=0.12 if rng.uniform() < 0.1 else 0.0,
    )
    if glazed:
        pane = _DARK_GLASS if rng.uniform() < 0.75 else random_rgb(rng, 0.3, 0.05, 0.5)
        period = (float(np.exp(rng.uniform(np.log(1.1), np.log(4.0)))), storey)
        wall = replace(wall, pattern_size_m=period, pattern_rgb=pane, pattern_fill=float(rng.uniform(0.3, 0.8)))
    solids = [box(offset(0, depth / 2, -SUNK_M), (length_m, depth, height + SUNK_M), wall)]
    trim = random_material(rng, random_rgb(rng, 0.3, 0.05, 0.8), Pattern.NONE, gloss=0.0)
    solids += _roof(rng, length_m, depth, height, trim) + _ground_floor(rng, length_m, min(storey, height), trim)
    for _ in range(int(rng.integers(0, 4))):  # bays, balconies, porches, boxes
        size = (float(rng.uniform(0.8, 3.5)), float(rng.uniform(0.3, 1.6)), float(rng.uniform(0.15, 2.6)))
        up = float(rng.uniform(0, max(0.1, height - size[2])))
        at = offset(float(rng.uniform(-0.45, 0.45)) * length_m, 0, up)
        solids.append(box(at, size, trim if rng.uniform() < 0.5 else random_material(rng)))
    return labelled(Label.BUILDING, solids)


def _roof(rng: Rng, length: float, depth: float, height: float, trim: Material) -> list[Solid]:
    tiles = random_material(rng, random_rgb(rng, 0.7, 0.03, 0.3), Pattern.STRIPES, gloss=0.0)
    tiles = replace(tiles, pattern_size_m=(0.3, 0.3), pattern_fill=0.8, roughness=0.4)
    solids = []
    if rng.uniform() < 0.5 and height < 14.0:
        eaves, rise = float(rng.uniform(0.2, 0.6)), depth * float(rng.uniform(0.2, 0.5))
        hip = float(rng.choice([0.0, 0.0, 0.4]))
        size = (length + 2 * eaves, depth + 2 * eaves, rise)
        solids.append(wedge(offset(0, depth / 2, height), size, (hip, hip, 1.0, 1.0), tiles))
    else:  # flat, with a cornice and what stands on it
        solids.append(box(offset(0, depth / 2, height - 0.15), (length + 0.4, depth + 0.5, 0.4), trim))
    if rng.uniform() < 0.5:
        at = offset(float(rng.uniform(-0.4, 0.4)) * length, depth * float(rng.uniform(0.3, 0.7)), height)
        size = (float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.5, 2.0)), float(rng.uniform(0.8, 2.6)))
        solids.append(box(at, size, random_material(rng, _wall_rgb(rng), Pattern.NONE, gloss=0.0)))
    return solids


def _ground_floor(rng: Rng, length: float, storey: float, trim: Material) -> list[Solid]:
    """Doors; in one house of three a shop: glass, awning, name."""
    solids = []
    if rng.uniform() < 0.33:
        glass = Material(_DARK_GLASS, (0.1, 0.1, 0.1), frequency=0.8, roughness=0.5, gloss=float(rng.uniform(0.1, 0.5)))
        shop = length * float(rng.uniform(0.5, 0.9))
        solids.append(box(offset(0, 0, 0.4), (shop, 0.1, storey * 0.62), glass))
        name = random_material(rng, random_rgb(rng, 1.0, 0.05, 0.7), Pattern.CHECKS)
        name = replace(name, pattern_size_m=(0.35, 0.4), roughness=0.2)
        solids.append(box(offset(0, -0.05, storey * 0.8), (shop, 0.25, 0.6), name))
        if rng.uniform() < 0.5:
            cloth = random_material(rng, random_rgb(rng, 1.0, 0.1, 0.7), Pattern.STRIPES)
            cover = wedge(offset(0, -0.6, storey * 0.66), (shop, 1.4, 0.5), (0.0, 0.0, 0.0, 1.9), cloth)
            solids.append(replace(cover, material=replace(cloth, pattern_size_m=(0.5, 0.5))))
    for _ in range(int(rng.integers(0, 3))):
        door = random_material(rng, random_rgb(rng, 0.8, 0.02, 0.5), Pattern.NONE)
        at = float(rng.uniform(-0.45, 0.45)) * length
        solids.append(box(offset(at, 0, -0.5), (float(rng.choice([1.0, 1.1, 2.6])), 0.06, 2.6), door))
    if rng.uniform() < 0.5:
        solids.append(box(offset(0, 0, storey - 0.15), (length, 0.18, 0.22), trim))
    return solids


def boundary(rng: Rng, length_m: float) -> list[Solid]:
    """A wall, fence, guard rail or hedge along x."""
    kind = rng.uniform()
    if kind < 0.3:
        return hedge(rng, length_m)
    if kind < 0.7:
        return fence(rng, length_m)
    height, thick = float(rng.uniform(0.5, 2.4)), float(rng.uniform(0.15, 0.5))
    look = random_material(rng, _wall_rgb(rng), Pattern.STRIPES if rng.uniform() < 0.3 else Pattern.NONE)
    top = random_material(rng, _wall_rgb(rng), Pattern.NONE, gloss=0.0)
    solids = [box(offset(0, 0, -0.4), (length_m, thick, height + 0.4), replace(look, pattern_size_m=(0.3, 0.3)))]
    solids.append(box(offset(0, 0, height), (length_m, thick + 0.1, 0.08), top))
    return labelled(Label.WALL, solids)


def fence(rng: Rng, length_m: float) -> list[Solid]:
    """Posts and rails; between them nothing, wire, pickets or a panel one can see through."""
    height = float(rng.uniform(0.8, 2.0))
    metal = random_material(rng, random_rgb(rng, 0.5, 0.02, 0.6), Pattern.NONE)
    gap = float(rng.uniform(2.0, 3.5))
    solids = [
        post(offset(x, 0, -0.3), 0.04, height + 0.35, metal) for x in np.arange(-length_m / 2, length_m / 2 + 0.1, gap)
    ]
    if rng.uniform() < 0.3:  # guard rail
        return labelled(Label.FENCE, [*solids, box(offset(0, -0.06, 0.45), (length_m, 0.06, 0.32), metal)])
    solids += [box(offset(0, 0, z * height), (length_m, 0.05, 0.06), metal) for z in (0.2, 0.9)]
    if rng.uniform() < 0.7:
        panel = box(offset(0, 0, 0.05), (length_m, 0.02, height - 0.05), metal)
        solids.append(replace(panel, porosity=(float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.03, 0.1)))))
    return labelled(Label.FENCE, solids)
