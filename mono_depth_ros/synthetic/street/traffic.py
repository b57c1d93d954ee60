# SPDX-License-Identifier: Apache-2.0
"""What moves in a street: cars in both lanes, cyclists, people who walk along it and across it."""

from __future__ import annotations

from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.world import Mover, Moving, Solid
from mono_depth_ros.synthetic.street.road import RoadPath
from mono_depth_ros.synthetic.street.style import StreetStyle
from mono_depth_ros.synthetic.things import props
from mono_depth_ros.synthetic.things.people import Crosser, walking_person
from mono_depth_ros.synthetic.things.vehicles import two_wheeler, vehicle

START_M = -6.0  # where a drive begins, world x
_MOST_CARS, _MOST_WALKERS = 16, 8
_SAFE_M = 45.0  # people cross only so far ahead that they are over before a robot of 8 m/s comes


def cars(
    rng: Rng, style: StreetStyle, path: RoadPath, lane_m: float, length_m: float, lead_gap_m: float | None
) -> tuple[list[Moving], list[Solid]]:
    """Cars in both lanes; those in our lane start ahead of x = 10 m, or the first of them `lead_gap_m` ahead of us.

    All cars of a lane have one speed, so none drives into another.
    """
    movers: list[Moving] = []
    solids: list[Solid] = []
    for sign in (1.0, -1.0):
        x = float(rng.uniform(10.0, 10.0 + style.traffic_gap_m))
        if sign > 0 and lead_gap_m is not None:
            x = START_M + lead_gap_m
        pace = float(rng.uniform(4.0, 14.0))
        while x < length_m + 40.0 and len(movers) < _MOST_CARS:
            lateral = sign * lane_m + float(rng.normal(0, 0.15))
            movers.append(Mover(path, x, sign * pace, lateral))
            solids += props.carried(vehicle(rng), len(movers) - 1)
            x += 12.0 + style.traffic_gap_m * float(rng.uniform(0.5, 2.0))
    return movers, solids


def walkers(
    rng: Rng, style: StreetStyle, path: RoadPath, length_m: float, first_mover: int
) -> tuple[list[Moving], list[Solid]]:
    """People on the pavements and over the road, cyclists at the edge of the road.

    Args:
        rng: source of randomness.
        style, path: the street.
        length_m: how far people walk there.
        first_mover: how many movers the world has already.
    """
    movers: list[Moving] = []
    solids: list[Solid] = []
    number = min(_MOST_WALKERS, int(rng.poisson(min(60.0, length_m) / style.person_gap_m)))
    for _ in range(number):
        way = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.7, 1.8))
        side = float(rng.choice([-1.0, 1.0]))
        lateral = side * (style.half_width_m + 0.5 + float(rng.uniform(0.1, max(0.3, style.sidewalk_m - 0.4))))
        body: Moving = Mover(path, float(rng.uniform(-5.0, 70.0)), way, lateral)
        if length_m > _SAFE_M + 20.0 and rng.uniform() < 0.3:
            edge = style.half_width_m + 1.0
            x = float(rng.uniform(_SAFE_M, _SAFE_M + 20.0))
            body = Crosser(path, x, side * edge, -side * edge, abs(way) + 0.5, float(rng.uniform(-4.0, 0.0)), False)
        ways, parts = walking_person(rng, body, first_mover + len(movers))
        movers += ways
        solids += parts
    if rng.uniform() < 0.3 and style.half_width_m > 3.2:
        start = float(rng.uniform(15.0, 60.0))
        body = Mover(path, start, -float(rng.uniform(3.0, 7.0)), style.half_width_m - 0.7)
        solids += props.carried(two_wheeler(rng, ridden=True), first_mover + len(movers))
        movers.append(body)
    return movers, solids
