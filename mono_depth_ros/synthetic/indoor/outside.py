# SPDX-License-Identifier: Apache-2.0
"""What is seen through a building's windows: ground some storeys below, houses, trees, hills that close the view."""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.indoor.plan import BuildingStyle, FloorPlan
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid
from mono_depth_ros.synthetic.things.props import box, labelled, offset, placed, post

_HILLS = 7


def outside(rng: Rng, plan: FloorPlan) -> list[Solid]:
    """Things around a building; few, since windows are small."""
    x0, x1, y0, y1 = plan.extent()
    storey = 0.0 if plan.style == BuildingStyle.HALL else float(rng.choice([0.0, 3.2, 6.4, 9.6]))
    below = -storey - float(rng.uniform(0.15, 0.5))
    green = (0.12, 0.2, 0.06) if rng.uniform() < 0.6 else random_rgb(rng, 0.2, 0.1, 0.4)
    ground = random_material(rng, green, Pattern.NONE, gloss=0.0)
    solids = [Solid(Shape.PLANE, offset(0, 0, below), (1.0, 1.0, 1.0), ground, label=Label.TERRAIN)]
    middle = offset(0.5 * (x0 + x1), 0.5 * (y0 + y1), below)
    reach = 0.5 * float(np.hypot(x1 - x0, y1 - y0))
    for bearing in np.arange(8) * (np.pi / 4):
        away = reach + float(rng.uniform(5.0, 30.0))
        at = middle @ offset(0, 0, 0, bearing + rng.uniform(0, 0.7)) @ offset(away, 0, 0, np.pi / 2)
        solids += placed(_house(rng) if rng.uniform() < 0.55 else _tree(rng), at)
    for bearing in np.arange(_HILLS) * (2 * np.pi / _HILLS):
        size = (60.0, 110.0, float(rng.uniform(6.0, 35.0)) + storey)
        look = random_material(rng, (0.12, 0.2, 0.08), Pattern.NONE, gloss=0.0)
        at = middle @ offset(0, 0, 0, bearing) @ offset(200.0, 0, 0)
        solids.append(Solid(Shape.ELLIPSOID, at, size, look, label=Label.TERRAIN))
    return solids


def _house(rng: Rng) -> list[Solid]:
    """A block with windows and a flat roof, its front towards the building."""
    size = (float(rng.uniform(8.0, 26.0)), float(rng.uniform(6.0, 12.0)), float(rng.uniform(4.0, 18.0)))
    front = random_material(rng, random_rgb(rng, 0.5, 0.15, 0.8), Pattern.WINDOWS, gloss=0.0)
    roof = box(offset(0, -size[1] / 2, size[2]), (size[0] + 0.6, size[1] + 0.6, 0.4), random_material(rng))
    return labelled(Label.BUILDING, [box(offset(0, -size[1] / 2, 0), size, front), roof])


def _tree(rng: Rng) -> list[Solid]:
    height = float(rng.uniform(4.0, 12.0))
    green = (float(rng.uniform(0.05, 0.25)), float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.02, 0.1)))
    leaves = random_material(rng, green, Pattern.NONE, gloss=0.0)
    solids = [post(offset(0, 0, -0.2), 0.03 * height, 0.6 * height, random_material(rng, (0.15, 0.1, 0.07)))]
    for _ in range(3):
        x, y = rng.normal(0, 0.1 * height, 2)
        size = height * rng.uniform(0.15, 0.28, 3)
        crown = offset(x, y, height * rng.uniform(0.55, 0.85))
        solids.append(Solid(Shape.ELLIPSOID, crown, (float(size[0]), float(size[1]), float(size[2])), leaves))
    return labelled(Label.VEGETATION, solids)
