# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and hedges: porous crowns on branching wood, so that light and sight go through them as in leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material
from mono_depth_ros.synthetic.render.textures import Material, Pattern, Rgb
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid
from mono_depth_ros.synthetic.things.props import ball, box, labelled, limb, offset, post


def _leaves(rng: Rng) -> Material:
    """Green, now and then autumn; strong noise at all sizes makes light and dark clumps."""
    tone = float(rng.uniform(0.07, 0.28))
    green: Rgb = (tone * float(rng.uniform(0.5, 1.1)), tone, tone * float(rng.uniform(0.15, 0.5)))
    if rng.uniform() < 0.08:
        green = (tone * 2.2, tone * float(rng.uniform(0.6, 1.3)), tone * 0.25)
    dark = (green[0] * 0.35, green[1] * 0.4, green[2] * 0.5)
    return Material(
        green,
        dark,
        frequency=float(rng.uniform(1.2, 2.5)),
        octaves=6,
        roughness=float(rng.uniform(0.7, 1.2)),
        seed=int(rng.integers(0, 10_000)),
    )


def _bark(rng: Rng) -> Material:
    tone = float(rng.uniform(0.02, 0.16))
    look = random_material(rng, (tone, tone * 0.75, tone * 0.55), Pattern.NONE, gloss=0.0)
    return replace(look, frequency=4.0, octaves=4, roughness=0.6)


def tree(rng: Rng) -> list[Solid]:
    """A broad tree, a conifer, or a bare one."""
    kind = rng.choice(3, p=(0.7, 0.2, 0.1))
    return labelled(Label.VEGETATION, (_broad, _conifer, _bare)[kind](rng))


def _wood(rng: Rng, height: float, bark: Material, branches: int, reach: float) -> tuple[list[Solid], list[Float64]]:
    """A trunk and branches, and where the branches end."""
    radius = float(rng.uniform(0.018, 0.035)) * height
    fork = height * float(rng.uniform(0.3, 0.45))
    lean = rng.normal(0, 0.02, 2) * height
    top = np.array([lean[0], lean[1], height * 0.7])
    solids = [
        post(offset(0, 0, -0.3), radius, fork + 0.3, bark),
        limb(np.array([0, 0, fork - 0.1]), top, radius * 0.7, bark),
    ]
    tips = [top]
    for number in range(branches):
        turn = 2.4 * number + float(rng.uniform(0, 1))
        out = height * reach * float(rng.uniform(0.6, 1.1))
        start = np.array([0, 0, fork]) + (top - (0, 0, fork)) * float(rng.uniform(0.0, 0.6))
        tip = start + np.array([np.cos(turn) * out, np.sin(turn) * out, height * float(rng.uniform(0.1, 0.3))])
        solids.append(limb(start, tip, radius * 0.4, bark))
        tips.append(tip)
    return solids, tips


def _broad(rng: Rng) -> list[Solid]:
    height = float(np.exp(rng.uniform(np.log(3.5), np.log(14.0))))
    leaves, bark = _leaves(rng), _bark(rng)
    solids, tips = _wood(rng, height, bark, int(rng.integers(2, 6)), float(rng.uniform(0.14, 0.26)))
    open_share, clump = float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.09, 0.22))
    for tip in tips:
        size = height * rng.uniform(0.13, 0.24, 3)
        at = offset(tip[0], tip[1], tip[2], float(rng.uniform(0, 3)))
        crown = ball(at, (float(size[0]), float(size[1]), float(size[2]) * 0.85), leaves)
        solids.append(replace(crown, porosity=(open_share, clump)))
    return solids


def _conifer(rng: Rng) -> list[Solid]:
    height = float(rng.uniform(4.0, 14.0))
    leaves, bark = _leaves(rng), _bark(rng)
    dark = replace(leaves, rgb=(leaves.rgb[0] * 0.6, leaves.rgb[1] * 0.6, leaves.rgb[2] * 0.8))
    solids = [post(offset(0, 0, -0.3), 0.02 * height, 0.5 * height, bark)]
    layers, wide = int(rng.integers(3, 6)), float(rng.uniform(0.13, 0.22)) * height
    for layer in range(layers):
        share = layer / layers
        half = (wide * (1 - 0.8 * share), wide * (1 - 0.8 * share), 0.6 * height / layers)
        at = offset(0, 0, height * (0.18 + 0.75 * share) + half[2] * 0.6, float(rng.uniform(0, 1.5)))
        cone = Solid(Shape.TAPERED, at, half, dark, taper=(0.9, 0.9, 0.9, 0.9))
        solids.append(replace(cone, porosity=(0.35, float(rng.uniform(0.1, 0.2)))))
    return solids


def _bare(rng: Rng) -> list[Solid]:
    height = float(rng.uniform(4.0, 11.0))
    bark = _bark(rng)
    solids, tips = _wood(rng, height, bark, 6, 0.22)
    for tip in tips:
        for _ in range(2):
            end = tip + rng.normal(0, 0.08 * height, 3) + (0, 0, 0.1 * height)
            solids.append(limb(tip, end, 0.006 * height, bark))
    twigs = ball(offset(0, 0, 0.75 * height), (0.3 * height, 0.3 * height, 0.3 * height), bark)
    solids.append(replace(twigs, porosity=(0.86, 0.12)))
    return solids


def bush(rng: Rng) -> list[Solid]:
    """One to three low balls of leaves."""
    leaves = _leaves(rng)
    solids = []
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(0.35, 1.1, 3)
        at = offset(float(rng.normal(0, 0.6)), float(rng.normal(0, 0.6)), 0.3 * float(size[2]))
        low = ball(at, (float(size[0]), float(size[1]), float(size[2])), leaves)
        solids.append(replace(low, porosity=(float(rng.uniform(0.1, 0.4)), 0.09)))
    return labelled(Label.VEGETATION, solids)


def hedge(rng: Rng, length_m: float) -> list[Solid]:
    """A cut hedge along x."""
    height, thick = float(rng.uniform(0.6, 2.2)), float(rng.uniform(0.4, 1.0))
    body = box(offset(0, 0, -0.4), (length_m, thick, height + 0.4), _leaves(rng))
    return labelled(Label.VEGETATION, [replace(body, porosity=(0.2, 0.09))])
