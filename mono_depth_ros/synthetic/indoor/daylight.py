# SPDX-License-Identifier: Apache-2.0
"""Lamps and daylight of a building: fixtures under the ceiling, standing lamps, windows as panels of sky."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.synthetic.indoor.looks import RoomLook, shining
from mono_depth_ros.synthetic.indoor.plan import BuildingStyle, FloorPlan, Room
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.lamps import Lamp, RoomLight
from mono_depth_ros.synthetic.render.random_looks import Rng, random_light
from mono_depth_ros.synthetic.render.room_light import lamp_strength
from mono_depth_ros.synthetic.render.textures import Material, Rgb
from mono_depth_ros.synthetic.render.world import Float64, Light, Shape, Solid
from mono_depth_ros.synthetic.things.props import box, labelled, offset, post

SHINING = 1.2  # glow of a lamp that is on; screens have at most 1
_BRIGHTEST = 0.95  # irradiance of a table top: a camera's exposure does the rest
_STANDING_LAMP = 0.35  # its strength, beside a lamp under the ceiling
_MOST_LAMPS = 6  # per room that are computed; a hall's many tubes are merged into so many
_WITH_SHADOWS = 2  # lamps per room whose shadows are cast: shadows cost most of the time


@dataclass(frozen=True, slots=True)
class Mood:
    """The light of a whole building.

    Args:
        outdoors: sun and sky outside the windows.
        day: level of the daylight that comes in, 0 at night.
        lamps: level of the lamps, 0 when they are off.
        lamp_rgb: colour of the lamps, largest channel 1.
        kind: fixtures: 0 flat panels, 1 globes, 2 pendants, 3 tubes.
        ambient: share of the light that comes back from walls and floor.
    """

    outdoors: Light
    day: float
    lamps: float
    lamp_rgb: Rgb
    kind: int
    ambient: float


def random_mood(rng: Rng, style: BuildingStyle) -> Mood:
    """Day with or without lamps, or night with lamps; warm bulbs to cold tubes."""
    outdoors = replace(
        random_light(rng), rain=0.0, snow_fall=0.0, snow_cover=0.0
    )  # it neither rains nor snows in rooms
    night = rng.uniform() < 0.25
    if night:
        dark = float(rng.uniform(0.005, 0.06))
        outdoors = replace(
            outdoors, sun_rgb=(0.0, 0.0, 0.0), ambient_rgb=(dark, dark, 1.2 * dark), cloud_cover=0.0,
            horizon_rgb=(1.3 * dark, 1.2 * dark, 1.5 * dark), zenith_rgb=(0.3 * dark, 0.3 * dark, 0.6 * dark),
        )  # fmt: skip
    warmth = float(rng.uniform(0.0, 1.0)) if style == BuildingStyle.HOME else float(rng.uniform(0.0, 0.4))
    fixtures = {BuildingStyle.OFFICES: (0, 0, 3), BuildingStyle.HOME: (1, 2, 2, 0), BuildingStyle.HALL: (3, 3, 0)}[
        style
    ]
    return Mood(
        outdoors=outdoors,
        day=0.0 if night else float(rng.uniform(0.15, 0.8)),
        lamps=float(rng.uniform(0.25, 0.9)) if night or rng.uniform() < 0.65 else 0.0,
        lamp_rgb=(1.0, 1.0 - 0.22 * warmth, 1.0 - 0.5 * warmth),
        kind=int(rng.choice(fixtures)),
        ambient=float(rng.uniform(0.18, 0.55)),
    )


def room_fixtures(rng: Rng, plan: FloorPlan, room: Room, look: RoomLook, mood: Mood) -> tuple[list[Solid], list[Lamp]]:
    """Lamps under the ceiling: what is seen of them, and the light they give (strengths are set later)."""
    x0, x1, y0, y1 = room.inner(plan.wall_m)
    pitch = float(rng.uniform(2.2, 3.6)) * max(1.0, plan.height_m / 3.0)
    columns, rows = max(1, round((x1 - x0) / pitch)), max(1, round((y1 - y0) / pitch))
    drop = (0.02, 0.2, float(rng.uniform(0.5, 0.9)), 0.35)[mood.kind]
    glow = shining(rng, mood.lamp_rgb, SHINING if mood.lamps > 0 else 0.0)
    turned = x1 - x0 < y1 - y0
    solids, lamps = [], []
    for i in range(columns):
        for j in range(rows):
            x, y = x0 + (i + 0.5) / columns * (x1 - x0), y0 + (j + 0.5) / rows * (y1 - y0)
            z = plan.height_m - drop
            solids += _fixture(mood.kind, offset(x, y, z, np.pi / 2 if turned else 0.0), drop, glow, look)
            down = (0.0, 0.0, -1.0) if mood.kind in (0, 3) else None
            lamps.append(Lamp((x, y, z - 0.05), mood.lamp_rgb, down, 0.3))
    solids = [s if s.label == Label.CEILING else replace(s, label=Label.CLUTTER) for s in solids]
    return solids, _merged(lamps) if mood.lamps > 0 else []


def _fixture(kind: int, T: Float64, drop_m: float, glow: Material, look: RoomLook) -> list[Solid]:
    """A lamp whose lower end is at the frame's origin."""
    if kind == 0:
        return labelled(Label.CEILING, [box(T, (1.2, 0.3, 0.025), glow)])
    rod = [post(T, 0.008, drop_m, look.metal)]
    if kind == 1:
        return [*rod, Solid(Shape.ELLIPSOID, T @ offset(0, 0, 0.05), (0.16, 0.16, 0.13), glow)]
    if kind == 2:
        shade = post(T, 0.2, 0.14, look.second_wood)
        return [*rod, shade, post(T @ offset(0, 0, -0.004), 0.17, 0.01, glow)]
    rods = [post(T @ offset(x, 0, 0), 0.008, drop_m, look.metal) for x in (-0.5, 0.5)]
    body = box(T @ offset(0, 0, 0.03), (1.3, 0.14, 0.06), look.metal)
    return [*rods, body, box(T, (1.25, 0.1, 0.03), glow)]


def _merged(lamps: list[Lamp]) -> list[Lamp]:
    """At most so many lamps: neighbours in the list become one in their middle, as bright as they were together."""
    groups = np.array_split(np.arange(len(lamps)), min(len(lamps), _MOST_LAMPS))
    merged = []
    for group in groups:
        middle = np.mean([lamps[k].position_m for k in group], axis=0)
        spread = float(np.max(np.linalg.norm([lamps[k].position_m for k in group] - middle, axis=1)))
        first, number = lamps[group[0]], len(group)
        rgb = (first.rgb[0] * number, first.rgb[1] * number, first.rgb[2] * number)
        merged.append(replace(first, position_m=_point(middle), rgb=rgb, radius_m=first.radius_m + 0.5 * spread))
    return merged


def standing_lamps(solids: list[Solid]) -> list[Lamp]:
    """The light of what stands in a room and shines: lamps, but not screens, which glow less."""
    return [
        Lamp(_point(s.T_parent_solid[:3, 3]), _point(_STANDING_LAMP * np.asarray(s.material.rgb)), None, 0.25)
        for s in solids
        if s.material.glow >= SHINING
    ]


def daylight(plan: FloorPlan, room: Room, mood: Mood) -> list[Lamp]:
    """One panel for all windows of a wall: at their middle, as large as they are together."""
    lamps: list[Lamp] = []
    if mood.day <= 0:
        return lamps
    sky = np.asarray(mood.outdoors.horizon_rgb) / max(mood.outdoors.horizon_rgb)
    for side in room.sides:
        holes = [o for o in side.openings if o.kind == Label.WINDOW]
        if not holes:
            continue
        area = sum((o.to_m - o.from_m) * (o.top_m - o.bottom_m) for o in holes)
        x, y = side.point(float(np.mean([0.5 * (o.from_m + o.to_m) for o in holes])), plan.wall_m + 0.02)
        towards = (0.0, float(side.inward), 0.0) if side.along == 0 else (float(side.inward), 0.0, 0.0)
        middle = (x, y, 0.5 * (holes[0].bottom_m + holes[0].top_m))
        lamps.append(Lamp(middle, _point(sky * area), towards, max(0.3, 0.5 * float(np.sqrt(area)))))
    return lamps


def room_light(rng: Rng, plan: FloorPlan, room: Room, look: RoomLook, mood: Mood, lamps: list[Lamp]) -> RoomLight:
    """The light of a room: lamps and windows brought to the building's levels, and what its walls throw back."""
    windows = daylight(plan, room, mood)
    from_sky, from_lamps = (mood.day if windows else 0.0), (mood.lamps if lamps else 0.0)
    level = float(np.exp(rng.normal(0.0, 0.25)))
    level = min(level, _BRIGHTEST / ((1.0 + mood.ambient) * max(from_sky + from_lamps, 1e-6)))
    day, own = _levelled(plan, room, windows, level * from_sky), _levelled(plan, room, lamps, level * from_lamps)
    total = level * (from_sky + from_lamps * np.asarray(mood.lamp_rgb))
    total = np.maximum(total, 0.12)  # light from the rooms beside it
    tint = 0.5 + 0.5 * np.asarray(look.wall.rgb) / max(look.wall.rgb)
    strongest = sorted([*day, *own], key=lambda lamp: -max(lamp.rgb))
    shaded = [replace(lamp, shadows=number < _WITH_SHADOWS) for number, lamp in enumerate(strongest)]
    x0, x1, y0, y1 = room.tile
    low, high = (x0, y0, -plan.wall_m), (x1, y1, plan.height_m + plan.wall_m)
    return RoomLight(low, high, plan.wall_m, _point(mood.ambient * total * tint), tuple(shaded),
                     float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.2, 0.7)))  # fmt: skip


def _levelled(plan: FloorPlan, room: Room, lamps: list[Lamp], target: float) -> list[Lamp]:
    """Lamps scaled so that a table top in the room has this irradiance on average."""
    x0, x1, y0, y1 = room.inner(plan.wall_m)
    x, y = np.meshgrid(np.linspace(x0, x1, 7)[1:-1], np.linspace(y0, y1, 7)[1:-1])
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.75)]).astype(np.float32)
    total = 0.0
    for lamp in lamps:
        strength, towards = lamp_strength(lamp, points)
        total += float(np.mean(strength * np.maximum(towards[2], 0.0))) * max(lamp.rgb)
    scale = target / max(total, 1e-6)
    return [replace(lamp, rgb=_point(np.asarray(lamp.rgb) * scale)) for lamp in lamps]


def _point(values: Float64) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
