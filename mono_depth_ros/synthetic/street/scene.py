# SPDX-License-Identifier: Apache-2.0
"""Random streets: a winding road over hills, what stands beside it, what moves on it, and its light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.pace import Pace
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.lamps import Lamp, RoomLight
from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.random_looks import Rng, random_rgb, random_street_light
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Mover, Shape, Solid, World
from mono_depth_ros.synthetic.street import layout
from mono_depth_ros.synthetic.street.road import RoadPaint, RoadPath
from mono_depth_ros.synthetic.street.style import StreetStyle, random_path, random_style
from mono_depth_ros.synthetic.street.traffic import START_M, cars, walkers

LEAD_SHARE = 0.25  # of all streets: a car drives ahead of the robot at the robot's own speed
_NIGHT_LAMPS = 10  # the nearest to the start; each costs time in every picture


@dataclass(frozen=True, slots=True, eq=False)
class Street:
    """A street world, with what a driver needs to know.

    Args:
        world: solids, movers and light.
        path: the centre line.
        lane_m: centre of the right lane, lateral offset to the left (so negative).
        half_width_m: half the road's width.
        length_m: how far along world x the street is furnished, from 0.
        start_m: world x where a drive begins.
        lead: index into the world's movers of the car to follow at its own speed (`following`); -1: none.
    """

    world: World
    path: RoadPath
    lane_m: float
    half_width_m: float
    length_m: float
    start_m: float = START_M
    lead: int = -1

    def cars_ahead(self) -> tuple[Mover, ...]:
        """Cars that drive our way in our lane."""
        return tuple(
            mover
            for mover in self.world.movers
            if isinstance(mover, Mover)
            and mover.speed_mps > 2.0
            and abs(mover.lateral_m - self.lane_m) < 0.5 * self.half_width_m
        )

    def lead_speed_mps(self) -> float:
        """Speed along world x of the car to follow.

        Raises:
            ConfigError: there is none.
        """
        mover = self.world.movers[self.lead] if self.lead >= 0 else None
        if not isinstance(mover, Mover):
            raise ConfigError("street: expected a lead vehicle, got none; look at `lead` before asking for its speed")
        return mover.speed_mps


def following(street: Street, speed_mps: float, pace: Pace) -> Street:
    """The same street where all cars ahead in our lane drive like us: seen from us, the lead vehicle stands still.

    That is the case in which motion alone puts a car at infinite depth.

    Args:
        street: with or without a lead vehicle.
        speed_mps: our mean speed along world x.
        pace: how it varies; we are at start + speed * pace.elapsed_s(time), a car ahead always a constant gap further.
    """
    movers = tuple(
        replace(mover, speed_mps=speed_mps, pace=pace) if mover in street.cars_ahead() else mover
        for mover in street.world.movers
    )
    return replace(street, world=replace(street.world, movers=movers))


def random_street(seed: int, length_m: float = 140.0) -> Street:
    """A street that depends on nothing but its arguments.

    Args:
        seed: which street.
        length_m: furnished length along world x; things also stand 30 m before and 60 m behind it.
    """
    rng = np.random.default_rng([seed, 1])
    style, path = random_style(rng, length_m), random_path(rng)
    light = random_street_light(rng)
    solids: list[Solid] = [ground(rng, style, path, light)]
    solids += layout.background(rng, path, length_m)
    for side in (-1.0, 1.0):
        solids += layout.frontage(rng, style, path, side, length_m)
        solids += layout.furniture(rng, style, path, side, length_m)
        solids += layout.parked(rng, style, path, side, length_m)
    solids += layout.side_street_fronts(rng, style, path) + layout.crossing_lights(rng, style, path)
    posts, heads = layout.street_lamps(rng, style, path, length_m)
    solids += posts
    if rng.uniform() < 0.25:
        solids += layout.bridge(rng, style, path, float(rng.uniform(15.0, length_m)))
    lane = -style.half_width_m * 0.5
    gap = float(rng.uniform(9.0, 28.0)) if rng.uniform() < LEAD_SHARE else None
    movers, moving = cars(rng, style, path, lane, length_m, gap)
    people, walking = walkers(rng, style, path, length_m, len(movers))
    if max(light.horizon_rgb) < 0.15:
        light = _lamp_lit(rng, light, heads)
    world = World(tuple(solids + moving + walking), light, tuple(movers + people))
    return Street(world, path, lane, style.half_width_m, length_m, lead=-1 if gap is None else 0)


def ground(rng: Rng, style: StreetStyle, path: RoadPath, light: Light) -> Solid:
    """The ground, painted as road, pavements and verges; wet in rain, white in snow."""
    grey = float(np.exp(rng.uniform(np.log(0.04), np.log(0.3))))
    asphalt = (grey * float(rng.uniform(0.95, 1.08)), grey, grey * float(rng.uniform(0.88, 1.08)))
    tone = float(rng.uniform(0.05, 0.22))
    green = (tone * float(rng.uniform(0.5, 1.1)), tone, tone * float(rng.uniform(0.2, 0.5)))
    paint = RoadPaint(
        path=path,
        half_width_m=style.half_width_m,
        sidewalk_m=style.sidewalk_m,
        line_rgb=asphalt if rng.uniform() < 0.08 else (0.75, 0.75, float(rng.uniform(0.2, 0.75))),
        sidewalk_rgb=random_rgb(rng, 0.3, 0.12, 0.55),
        verge_rgb=green if rng.uniform() < 0.65 else random_rgb(rng, 0.5, 0.05, 0.5),
        dash_m=float(rng.uniform(1.5, 8.0)),
        side_streets_x_m=style.side_streets_x_m,
        side_half_width_m=style.side_half_width_m,
        zebra=bool(rng.uniform() < 0.7),
        wear=float(rng.uniform(0.2, 1.0)),
        snow=light.snow_cover,
    )
    wet = light.rain > 0 or rng.uniform() < 0.06
    look = Material(
        rgb=asphalt,
        blotch_rgb=(asphalt[0] * 0.7, asphalt[1] * 0.7, asphalt[2] * 0.7),
        frequency=float(rng.uniform(0.2, 0.8)),
        octaves=10,  # down to grains of some millimetres
        roughness=float(rng.uniform(0.15, 0.7)),
        pattern=Pattern.GROUND,
        seed=int(rng.integers(0, 10_000)),
        ground=paint,
        gloss=float(rng.uniform(0.1, 0.3)) if wet else 0.0,
    )
    if path.profile.level:
        return Solid(Shape.PLANE, np.eye(4), (1.0, 1.0, 1.0), look, label=Label.ROAD)
    return Solid(Shape.TERRAIN, np.eye(4), (1.0, 1.0, 1.0), look, label=Label.ROAD, profile=path.profile)


def _lamp_lit(rng: Rng, light: Light, heads: list[tuple[float, float, float]]) -> Light:
    """Night: the street's lamps light it, as those of a room do that has the whole street inside."""
    warm = float(rng.uniform(0.3, 0.9))
    power = float(rng.uniform(12.0, 45.0))
    rgb = (power, power * (0.75 + 0.25 * warm), power * (0.4 + 0.6 * warm))
    nearest = sorted(heads, key=lambda head: abs(head[0] - 25.0))[:_NIGHT_LAMPS]
    lamps = tuple(Lamp(head, rgb, (0.0, 0.0, -1.0), radius_m=1.0, shadows=False) for head in nearest)
    room = RoomLight((-900.0, -900.0, -90.0), (1500.0, 900.0, 400.0), 0.1, light.ambient_rgb, lamps, corner_dark=0.0)
    return replace(light, rooms=(room,))
