# SPDX-License-Identifier: Apache-2.0
"""Lamp posts, signs, traffic lights, bins and other things on a pavement; body frame: x along the road."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid
from mono_depth_ros.synthetic.things.props import box, labelled, offset, post


def _metal(rng: Rng) -> Material:
    level = float(rng.uniform(0.03, 0.4))
    return random_material(rng, (level, level, level * 1.04), Pattern.NONE, gloss=0.05)


def _facing_back() -> Float64:
    """Turns a disc's axis (z) to -x: towards those who come along the road."""
    T = np.eye(4)
    T[:3, :3] = [[0, 0, -1.0], [0, 1.0, 0], [1.0, 0, 0]]
    return T


def lamp_post(rng: Rng) -> tuple[list[Solid], tuple[float, float, float]]:
    """A post with an arm over the road (towards -y), and where its lamp is."""
    metal, height, arm = _metal(rng), float(rng.uniform(5.0, 9.5)), float(rng.uniform(0.3, 2.5))
    head = Material((0.7, 0.7, 0.65), (0.7, 0.7, 0.65), roughness=0.05, gloss=0.1)
    solids = [
        post(offset(0, 0, -0.3), float(rng.uniform(0.06, 0.12)), height + 0.3, metal),
        post(offset(0, 0, -0.3), 0.16, 1.1, metal),
        box(offset(0, -arm / 2, height - 0.1), (0.08, arm, 0.08), metal),
        box(offset(0, -arm, height - 0.16), (0.25, 0.6, 0.12), head),
    ]
    return labelled(Label.POLE, solids), (0.0, -arm, height - 0.3)


def sign(rng: Rng) -> list[Solid]:
    """A traffic sign: a disc, square or board of two colours on a post, or one over the other."""
    metal, height = _metal(rng), float(rng.uniform(2.1, 3.4))
    solids = labelled(Label.POLE, [post(offset(0, 0, -0.3), 0.035, height + 0.3, metal)])
    up = height - 0.35
    for _ in range(int(rng.integers(1, 3))):
        strong = random_rgb(rng, 1.4, 0.3, 0.8) if rng.uniform() < 0.5 else (0.55, 0.03, 0.03)
        face = Material(strong, strong, roughness=0.05)
        inner = Material((0.75, 0.75, 0.72), (0.7, 0.7, 0.7), roughness=0.05)
        radius = float(rng.uniform(0.28, 0.42))
        if rng.uniform() < 0.55:
            disc = Solid(Shape.CYLINDER, offset(-0.05, 0, up) @ _facing_back(), (radius, radius, 0.012), face)
            middle = offset(-0.06, 0, up) @ _facing_back()
            plates = [disc, Solid(Shape.CYLINDER, middle, (radius * 0.72, radius * 0.72, 0.012), inner)]
        else:
            wide = radius * float(rng.uniform(1.4, 3.0))
            low = up - radius
            plates = [box(offset(-0.05, 0, low), (0.03, wide, 2 * radius), inner)]
            plates.append(box(offset(-0.06, 0, low + 0.05), (0.03, wide - 0.1, 2 * radius - 0.1), face))
        solids += labelled(Label.TRAFFIC_SIGN, plates)
        up -= 2 * radius + 0.05
        if up < 1.4:
            break
    return solids


def traffic_light(rng: Rng, over_road_m: float = 0.0) -> list[Solid]:
    """A post with three lamps, one of them on; three more over the road at y = `over_road_m` where that is not 0."""
    metal, height = _metal(rng), float(rng.uniform(2.8, 3.4)) if not over_road_m else float(rng.uniform(5.2, 6.2))
    solids = labelled(Label.POLE, [post(offset(0, 0, -0.3), 0.07, height + 0.3, metal)])
    places = [(0.0, min(height - 0.5, 2.7))]
    if over_road_m:
        arm = box(offset(0, over_road_m / 2, height - 0.1), (0.1, abs(over_road_m), 0.1), metal)
        solids += labelled(Label.POLE, [arm])
        places.append((over_road_m, height - 0.9))
    on = int(rng.integers(0, 3))
    colours = ((0.9, 0.05, 0.03), (0.9, 0.5, 0.03), (0.05, 0.8, 0.25))
    black = Material((0.015, 0.015, 0.015), (0.02, 0.02, 0.02), roughness=0.1)
    for y, z in places:
        parts = [box(offset(-0.1, y, z - 0.1), (0.2, 0.34, 1.02), black)]
        for number, rgb in enumerate(colours):
            shine = rgb if number == on else (rgb[0] * 0.1, rgb[1] * 0.1, rgb[2] * 0.1)
            look = Material(shine, shine, roughness=0.0, glow=1.5 if number == on else 0.0)
            at = offset(-0.21, y, z + 0.75 - 0.31 * number) @ _facing_back()
            parts.append(Solid(Shape.CYLINDER, at, (0.11, 0.11, 0.02), look))
        solids += labelled(Label.TRAFFIC_LIGHT, parts)
    return solids


def pavement_thing(rng: Rng) -> list[Solid]:
    """A bollard, bin, box, bench, cone or poster."""
    kind = int(rng.integers(0, 6))
    look = random_material(rng, random_rgb(rng, 0.9, 0.02, 0.6), None)
    if kind == 0:
        return labelled(Label.POLE, [post(offset(0, 0, -0.1), 0.08, float(rng.uniform(0.7, 1.1)), _metal(rng))])
    if kind == 1:
        return [post(offset(0, 0, -0.1), float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.8, 1.3)), look)]
    if kind == 2:  # bench
        legs = [box(offset(s * 0.6, 0, -0.1), (0.08, 0.4, 0.5), _metal(rng)) for s in (-1, 1)]
        seat = [box(offset(0, 0, 0.4), (1.6, 0.42, 0.06), look), box(offset(0, 0.2, 0.5), (1.6, 0.05, 0.4), look)]
        return legs + seat
    if kind == 3:  # cone
        orange = replace(look, rgb=(0.7, 0.16, 0.03), blotch_rgb=(0.7, 0.16, 0.03), pattern=Pattern.STRIPES)
        orange = replace(orange, pattern_size_m=(0.3, 0.25), pattern_rgb=(0.75, 0.75, 0.75), roughness=0.1)
        return [Solid(Shape.TAPERED, offset(0, 0, 0.35), (0.16, 0.16, 0.35), orange, taper=(0.85, 0.85, 0.85, 0.85))]
    size = rng.uniform(0.4, 1.6, 3)
    return [box(offset(0, 0, -0.1), (float(size[0]), float(size[1]), float(size[2]) + 0.1), look)]
