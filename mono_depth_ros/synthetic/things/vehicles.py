# SPDX-License-Identifier: Apache-2.0
"""Cars, vans, trucks, buses and two-wheelers as convex solids; body frame: x forward, y left, origin on the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid
from mono_depth_ros.synthetic.things.people import rider
from mono_depth_ros.synthetic.things.props import box, labelled, limb, offset, wedge


def vehicle(rng: Rng) -> list[Solid]:
    """Any of them, in about the shares of a city."""
    kind = rng.choice(4, p=(0.74, 0.14, 0.08, 0.04))
    return (car, van, truck, bus)[kind](rng)


def _paint(rng: Rng) -> Material:
    """Car paint: mostly black, white, silver and grey, else a strong colour; smooth and glossy."""
    tone = rng.uniform()
    if tone < 0.7:
        level = float(rng.choice([0.01, 0.025, 0.06, 0.16, 0.3, 0.55, 0.75]) * rng.uniform(0.8, 1.25))
        rgb = (level, level * float(rng.uniform(0.96, 1.04)), level * float(rng.uniform(0.94, 1.08)))
    else:
        rgb = random_rgb(rng, saturation=1.0, dark=0.1, bright=0.6)
    look = random_material(rng, rgb, Pattern.NONE, gloss=float(rng.uniform(0.08, 0.3)))
    return replace(look, roughness=float(rng.uniform(0.0, 0.08)), blotch_rgb=rgb)


def _plain(rgb: tuple[float, float, float], gloss: float = 0.0, glow: float = 0.0) -> Material:
    return Material(rgb, rgb, roughness=0.05, gloss=gloss, glow=glow)


def _glass(rng: Rng) -> Material:
    return _plain((0.015, 0.02, 0.022), gloss=float(rng.uniform(0.05, 0.3)))


def _wheels(length_m: float, width_m: float, radius_m: float, axles: tuple[float, ...]) -> list[Solid]:
    """Tyres with hubs, and the dark of the wheel arches."""
    rubber, metal = _plain((0.012, 0.012, 0.012)), _plain((0.3, 0.3, 0.32), gloss=0.1)
    solids = []
    for x in axles:
        arch = offset(x * length_m, 0, radius_m * 1.02, roll_rad=np.pi / 2)
        solids.append(Solid(Shape.CYLINDER, arch, (radius_m * 1.15, radius_m * 1.15, width_m / 2 + 0.004), rubber))
        for side in (-1, 1):
            axle = offset(x * length_m, side * (width_m / 2 - 0.09), radius_m, roll_rad=np.pi / 2)
            solids.append(Solid(Shape.CYLINDER, axle, (radius_m, radius_m, 0.11), rubber))
            hub = offset(x * length_m, side * (width_m / 2 - 0.08), radius_m, roll_rad=np.pi / 2)
            solids.append(Solid(Shape.CYLINDER, hub, (radius_m * 0.6, radius_m * 0.6, 0.11), metal))
    return solids


def _lamps(rng: Rng, length_m: float, width_m: float, height_m: float) -> list[Solid]:
    """Head lamps, tail lamps and number plates."""
    lit_up = float(rng.choice([0.0, 0.0, 1.5]))
    white, red = _plain((0.6, 0.6, 0.55), 0.2, lit_up), _plain((0.45, 0.02, 0.015), 0.15, 0.5 * lit_up)
    plate = _plain((0.6, 0.6, 0.55))
    solids = []
    wide, tall = width_m * float(rng.uniform(0.12, 0.22)), float(rng.uniform(0.12, 0.3))
    for side in (-1, 1):
        y = side * (width_m / 2 - wide / 2 - 0.02)
        solids.append(box(offset(length_m / 2 - 0.03, y, height_m), (0.1, wide, 0.14), white))
        solids.append(box(offset(-length_m / 2 + 0.03, y, height_m), (0.1, wide, tall), red))
    solids.append(box(offset(-length_m / 2, 0, height_m - 0.1), (0.04, 0.5, 0.12), plate))
    solids.append(box(offset(length_m / 2, 0, 0.4), (0.04, 0.5, 0.12), plate))
    return solids


def car(rng: Rng) -> list[Solid]:
    """A saloon, hatchback, estate or pick-up: sill, body, glass house, roof, bumpers."""
    length, width = float(rng.uniform(3.6, 4.9)), float(rng.uniform(1.65, 1.9))
    height, belt = float(rng.uniform(1.38, 1.85)), float(rng.uniform(0.82, 0.98))
    paint, glass, dark = _paint(rng), _glass(rng), _plain((0.02, 0.02, 0.022))
    trim = dark if rng.uniform() < 0.4 else paint
    body = wedge(offset(0, 0, 0.3), (length, width, belt - 0.3), (0.1, 0.06, 0.06, 0.06), paint)
    floor = box(offset(0, 0, 0.17), (length * 0.9, width * 0.94, 0.16), dark)
    ends = [box(offset(s * (length / 2 - 0.06), 0, 0.28), (0.2, width * 0.96, 0.22), trim) for s in (-1, 1)]
    tail = float(rng.choice([0.0, 0.02, 0.12, 0.3]))  # pick-up and saloon: a boot; estate: none
    cabin = length * (0.8 - tail - float(rng.uniform(0.12, 0.2)))
    back = -length / 2 + tail * length + cabin / 2 + 0.06
    rise = height - belt
    screen, rear = float(rng.uniform(0.5, 0.9)) * 2 / cabin, float(rng.uniform(0.15, 0.7)) * 2 / cabin
    lean = min(1.0, 1.3 / (screen + rear))  # a short cabin keeps a roof
    screen, rear = screen * lean, rear * lean
    house = wedge(offset(back, 0, belt - 0.02), (cabin, width * 0.92, rise), (screen, rear, 0.2, 0.2), glass)
    roof_length = cabin * (1 - (screen + rear) / 2)
    middle = back + cabin * (rear - screen) / 4
    roof = wedge(
        offset(middle, 0, height - 0.07), (roof_length * 1.03, width * 0.76, 0.08), (0.03, 0.03, 0.05, 0.05), paint
    )
    pillar = box(offset(middle - roof_length * 0.1, 0, belt), (0.09, width * 0.86, rise * 0.97), paint)
    solids = [body, floor, *ends, house, roof, pillar]
    solids += [box(offset(back + cabin * 0.4, s * (width / 2 + 0.08), belt), (0.1, 0.16, 0.12), trim) for s in (-1, 1)]
    solids += _wheels(length, width, float(rng.uniform(0.29, 0.36)), (-0.3, 0.31))
    return labelled(Label.CAR, solids + _lamps(rng, length, width, belt - 0.3))


def van(rng: Rng) -> list[Solid]:
    """A delivery van or minibus: one body with a leaning front."""
    length, width, height = float(rng.uniform(4.6, 6.2)), float(rng.uniform(1.85, 2.1)), float(rng.uniform(1.9, 2.7))
    paint, glass, dark = _paint(rng), _glass(rng), _plain((0.02, 0.02, 0.022))
    belt = float(rng.uniform(1.0, 1.25))
    solids = [
        box(offset(0, 0, 0.35), (length, width, belt - 0.35), paint),
        wedge(offset(-0.04 * length, 0, belt), (length * 0.92, width, height - belt), (0.3, 0.0, 0.06, 0.06), paint),
        wedge(
            offset(0.25 * length, 0, belt + 0.05),
            (length * 0.36, width * 1.01, (height - belt) * 0.6),
            (0.42, 0.0, 0.03, 0.03),
            glass,
        ),
        box(offset(-0.49 * length, 0, belt + 0.1), (0.1, width * 0.7, (height - belt) * 0.5), glass),
        box(offset(0, 0, 0.2), (length * 0.94, width * 0.9, 0.2), dark),
    ]
    if rng.uniform() < 0.4:  # a firm's name
        sign = random_material(rng, random_rgb(rng, 0.9), Pattern.STRIPES)
        sign = replace(sign, pattern_size_m=(0.5, 0.25))
        solids.append(box(offset(-0.15 * length, 0, belt + 0.1), (length * 0.4, width * 1.012, 0.5), sign))
    solids += _wheels(length, width, 0.34, (-0.3, 0.32))
    return labelled(Label.CAR, solids + _lamps(rng, length, width, belt - 0.35))


def truck(rng: Rng) -> list[Solid]:
    """A lorry: cab, load, chassis, bars."""
    length, width, height = float(rng.uniform(6.5, 11.0)), float(rng.uniform(2.3, 2.55)), float(rng.uniform(2.7, 3.8))
    paint, glass, dark = _paint(rng), _glass(rng), _plain((0.02, 0.02, 0.022))
    cab = float(rng.uniform(1.7, 2.3))
    front = length / 2 - cab / 2
    load_length = length - cab - 0.3
    load = random_material(rng, random_rgb(rng, 0.8), Pattern.STRIPES if rng.uniform() < 0.5 else Pattern.NONE)
    load = replace(load, roughness=0.15, pattern_size_m=(0.4, 0.8))
    middle = -length / 2 + load_length / 2
    if rng.uniform() < 0.25:  # a tank
        axis = offset(middle, 0, 0.55 * height + 0.3) @ np.array(
            [[0, 0, 1.0, 0], [0, 1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 1.0]]
        )
        tank = Solid(Shape.CYLINDER, axis, (0.42 * height, width / 2, load_length / 2), replace(load, gloss=0.3))
    else:
        tank = box(offset(middle, 0, 1.05), (load_length, width, height - 1.05), load)
    solids = [
        wedge(offset(front, 0, 0.5), (cab, width * 0.98, height * 0.88 - 0.5), (0.15, 0.0, 0.03, 0.03), paint),
        box(offset(front + cab * 0.08, 0, height * 0.5), (cab * 0.86, width, height * 0.26), glass),
        tank,
        box(offset(0, 0, 0.55), (length * 0.97, width * 0.5, 0.4), dark),
        box(offset(-length / 2, 0, 0.45), (0.1, width * 0.95, 0.14), _plain((0.5, 0.05, 0.03))),
        box(offset(middle, 0, 0.5), (load_length * 0.5, width * 0.96, 0.35), dark),
    ]
    solids += _wheels(length, width, 0.48, (-0.36, -0.24, 0.34))
    return labelled(Label.TRUCK, solids + _lamps(rng, length, width, 0.8))


def bus(rng: Rng) -> list[Solid]:
    """A city bus: a long box with a band of windows and doors."""
    length, width, height = float(rng.uniform(9.0, 12.5)), 2.5, float(rng.uniform(2.9, 3.3))
    paint, glass, dark = _paint(rng), _glass(rng), _plain((0.02, 0.02, 0.022))
    frame = replace(glass, pattern=Pattern.WINDOWS, pattern_size_m=(1.4, 2.0), pattern_fill=0.9, pattern_rgb=glass.rgb)
    solids = [
        box(offset(0, 0, 0.3), (length, width, height - 0.3), paint),
        box(offset(0, 0, 1.25), (length * 0.97, width * 1.01, height * 0.33), replace(frame, rgb=paint.rgb)),
        box(offset(length * 0.03, 0, 1.1), (length * 0.95, width * 0.9, height * 0.45), glass),
        box(offset(0, 0, 0.15), (length * 0.96, width * 0.94, 0.2), dark),
        box(offset(0, 0, height), (length * 0.4, width * 0.6, 0.25), paint),
    ]
    solids += _wheels(length, width, 0.48, (-0.28, 0.3))
    return labelled(Label.BUS, solids + _lamps(rng, length, width, 0.7))


def two_wheeler(rng: Rng, ridden: bool) -> list[Solid]:
    """A bicycle or motorcycle, standing or with somebody on it."""
    motor = rng.uniform() < 0.35
    radius = 0.3 if motor else 0.34
    metal, rubber = random_material(rng, None, Pattern.NONE, gloss=0.1), _plain((0.015, 0.015, 0.015))
    solids = []
    for x in (-0.52, 0.52):
        wheel = Solid(Shape.CYLINDER, offset(x, 0, radius, roll_rad=np.pi / 2), (radius, radius, 0.03), rubber)
        solids.append(replace(wheel, porosity=(0.0 if motor else 0.75, 0.05)))
    fork, seat, pedals = np.array([0.38, 0, 0.95]), np.array([-0.25, 0, 0.85]), np.array([-0.08, 0, 0.3])
    thick = 0.07 if motor else 0.02
    solids += [limb(np.array([0.52, 0, radius]), fork, 0.02, metal), limb(pedals, fork * (0.9, 1, 0.9), thick, metal)]
    solids += [limb(pedals, seat, thick, metal), limb(np.array([-0.52, 0, radius]), seat * (1, 1, 0.9), 0.015, metal)]
    solids.append(box(offset(0.36, 0, 0.95), (0.03, 0.55, 0.03), rubber))
    if motor:
        solids.append(box(offset(0.0, 0, 0.4), (0.6, 0.25, 0.4), metal))
    out = labelled(Label.MOTORCYCLE if motor else Label.BICYCLE, solids)
    return out + (rider(rng) if ridden else [])
