# SPDX-License-Identifier: Apache-2.0
"""Materials of rooms: plaster, wallpaper, wood, tiles, carpet, cloth, metal; now and then anything at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern, Rgb

_WILD = 0.12  # share of surfaces that look like nothing in particular: habits of colour must not replace depth


def _seed(rng: Rng) -> int:
    return int(rng.integers(0, 10_000))


def _shade(rng: Rng, rgb: Rgb, spread: float) -> Rgb:
    red, green, blue = (float(np.clip(c * np.exp(rng.normal(0.0, spread)), 0.01, 0.95)) for c in rgb)
    return red, green, blue


def _scaled(rgb: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(c * factor, 0.97) for c in rgb)
    return red, green, blue


def plaster(rng: Rng, rgb: Rgb | None = None) -> Material:
    """Painted wall: light, nearly even, with stains and the grain of a roller; sometimes wallpaper."""
    if rng.uniform() < 0.5 * _WILD and rgb is None:
        return replace(random_material(rng, gloss=0.0), octaves=5)
    light = float(rng.uniform(0.35, 0.9))
    base = rgb or _scaled(random_rgb(rng, 0.45 if rng.uniform() < 0.5 else 0.08, 0.95, 1.0), light)
    papered = rng.uniform() < 0.15
    period = float(rng.uniform(0.08, 0.6))
    return Material(
        rgb=base,
        blotch_rgb=_scaled(base, float(rng.uniform(0.86, 0.99))),
        frequency=float(np.exp(rng.uniform(np.log(0.4), np.log(6.0)))),
        octaves=int(rng.integers(4, 7)),
        roughness=float(rng.uniform(0.02, 0.18)),
        pattern=(Pattern.STRIPES, Pattern.CHECKS)[int(rng.integers(2))] if papered else Pattern.NONE,
        pattern_size_m=(period, period),
        pattern_rgb=_shade(rng, base, 0.25),
        gradient=float(rng.normal(0.0, 0.03)),
        seed=_seed(rng),
    )


def wood(rng: Rng, gloss: float | None = None) -> Material:
    """Boards, from birch to wenge, or painted."""
    light = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    base: Rgb = (light, light * float(rng.uniform(0.6, 0.85)), light * float(rng.uniform(0.3, 0.65)))
    if rng.uniform() < 0.25:
        base = random_rgb(rng, 0.4, 0.05, 0.9)
    board = float(rng.uniform(0.07, 0.3))
    return Material(
        rgb=base,
        blotch_rgb=_scaled(base, float(rng.uniform(0.55, 0.9))),
        frequency=float(rng.uniform(1.0, 4.0)),
        octaves=5,
        roughness=float(rng.uniform(0.08, 0.45)),
        pattern=Pattern.STRIPES if rng.uniform() < 0.5 else Pattern.NONE,
        pattern_size_m=(board, board),
        pattern_fill=float(rng.uniform(0.04, 0.12)),
        pattern_rgb=_scaled(base, 0.5),
        gloss=float(max(0.0, rng.uniform(-0.1, 0.2))) if gloss is None else gloss,
        seed=_seed(rng),
    )


def floor(rng: Rng) -> Material:
    """Boards, tiles, stone, linoleum or carpet; the smooth ones shine."""
    if rng.uniform() < _WILD:
        return random_material(rng)
    kind = int(rng.choice(4, p=(0.35, 0.25, 0.2, 0.2)))
    shine = float(max(0.0, rng.uniform(-0.15, 0.4)))
    if kind == 0:
        boards = wood(rng, shine)
        return replace(boards, pattern=Pattern.STRIPES)
    base = random_rgb(rng, 0.35, 0.08, 0.75)
    tile = float(rng.uniform(0.2, 0.9))
    if kind == 1:
        other = _shade(rng, base, float(rng.uniform(0.03, 0.5)))
        return Material(
            base, _scaled(base, 0.9), 0.8, 5, float(rng.uniform(0.05, 0.3)), Pattern.CHECKS, (tile, tile), 0.5, other,
            shine, seed=_seed(rng),
        )  # fmt: skip
    if kind == 2:
        return Material(base, _scaled(base, 0.85), 1.5, 6, float(rng.uniform(0.1, 0.4)), gloss=shine, seed=_seed(rng))
    return Material(
        base, _shade(rng, base, 0.15), float(rng.uniform(2, 6)), 5, float(rng.uniform(0.2, 0.6)), seed=_seed(rng)
    )


def cloth(rng: Rng) -> Material:
    """Sofas, beds, chairs, curtains, rugs."""
    base = random_rgb(rng, 0.8, 0.04, 0.85)
    pattern = (Pattern.NONE, Pattern.STRIPES, Pattern.CHECKS)[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
    period = float(rng.uniform(0.04, 0.4))
    return Material(
        rgb=base,
        blotch_rgb=_shade(rng, base, 0.12),
        frequency=float(rng.uniform(2.0, 5.0)),
        octaves=5,
        roughness=float(rng.uniform(0.1, 0.45)),
        pattern=pattern,
        pattern_size_m=(period, period * float(rng.uniform(0.5, 2.0))),
        pattern_rgb=random_rgb(rng, 0.7),
        seed=_seed(rng),
    )


def metal(rng: Rng) -> Material:
    """Legs, frames, racks, lamps' feet: grey, black or enamelled."""
    base = (
        random_rgb(rng, 0.9, 0.1, 0.8)
        if rng.uniform() < 0.3
        else _scaled((1.0, 1.0, 1.0), float(rng.uniform(0.03, 0.6)))
    )
    return Material(
        base,
        _scaled(base, 0.9),
        2.0,
        4,
        float(rng.uniform(0.03, 0.2)),
        gloss=float(rng.uniform(0.0, 0.4)),
        seed=_seed(rng),
    )


def shining(rng: Rng, rgb: Rgb, glow: float) -> Material:
    """A lamp, a screen or a blind with daylight behind it."""
    return Material(rgb, _scaled(rgb, 0.95), 1.0, 2, 0.05, glow=glow, seed=_seed(rng))


def picture(rng: Rng) -> Material:
    """A poster or painting: large blotches of two colours, or a pattern."""
    look = random_material(rng, random_rgb(rng, 0.9), gloss=float(rng.uniform(0.0, 0.15)))
    period = float(rng.uniform(0.05, 0.5))
    return replace(
        look, blotch_rgb=random_rgb(rng, 0.9), frequency=float(rng.uniform(2.0, 6.0)), pattern_size_m=(period, period)
    )


@dataclass(frozen=True, slots=True)
class RoomLook:
    """What one room is made of."""

    wall: Material
    floor: Material
    ceiling: Material
    trim: Material  # skirting, door and window frames
    wood: Material
    second_wood: Material
    cloth: Material
    metal: Material


def random_room_look(rng: Rng) -> RoomLook:
    """Materials of one room."""
    white = _scaled((1.0, 0.98, 0.95), float(rng.uniform(0.6, 0.9)))
    ceiling = plaster(rng, white if rng.uniform() < 0.8 else None)
    if rng.uniform() < 0.3:  # panels
        size = float(rng.uniform(0.4, 0.8))
        ceiling = replace(
            ceiling, pattern=Pattern.CHECKS, pattern_size_m=(size, size), pattern_rgb=_scaled(ceiling.rgb, 0.93)
        )
    trim = plaster(rng, white) if rng.uniform() < 0.6 else wood(rng)
    return RoomLook(plaster(rng), floor(rng), ceiling, trim, wood(rng), wood(rng), cloth(rng), metal(rng))
