# SPDX-License-Identifier: Apache-2.0
"""Random streets: a winding road, what stands beside it, and what drives on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mono_depth_ros.synthetic import props
from mono_depth_ros.synthetic.labels import Label
from mono_depth_ros.synthetic.random_looks import Rng, random_light, random_material, random_rgb
from mono_depth_ros.synthetic.road import RoadPaint, RoadPath
from mono_depth_ros.synthetic.textures import Material, Pattern
from mono_depth_ros.synthetic.world import Mover, Shape, Solid, World


@dataclass(frozen=True, slots=True, eq=False)
class Street:
    """A street world, with what a driver needs to know.

    Args:
        world: solids, movers and light.
        path: the centre line.
        lane_m: centre of the right lane, lateral offset to the left (so negative).
        half_width_m: half the road's width.
        length_m: how far along world x the street is furnished, from 0.
    """

    world: World
    path: RoadPath
    lane_m: float
    half_width_m: float
    length_m: float


@dataclass(frozen=True, slots=True)
class StreetStyle:
    """What one street is like; drawn once per street, so that streets differ from each other."""

    half_width_m: float
    sidewalk_m: float
    setback_m: float
    building_share: float
    tree_gap_m: float
    pole_gap_m: float
    parked_share: float
    person_gap_m: float
    wall_share: float
    traffic_gap_m: float


def random_style(rng: Rng) -> StreetStyle:
    """From country road to city canyon."""
    return StreetStyle(
        half_width_m=float(rng.uniform(2.6, 7.5)),
        sidewalk_m=float(rng.uniform(0.0, 4.0)),
        setback_m=float(rng.uniform(0.0, 8.0)),
        building_share=float(np.clip(rng.uniform(-0.2, 1.2), 0.0, 1.0)),
        tree_gap_m=float(np.exp(rng.uniform(np.log(4.0), np.log(80.0)))),
        pole_gap_m=float(np.exp(rng.uniform(np.log(8.0), np.log(60.0)))),
        parked_share=float(np.clip(rng.uniform(-0.3, 0.9), 0.0, 1.0)),
        person_gap_m=float(np.exp(rng.uniform(np.log(6.0), np.log(100.0)))),
        wall_share=float(np.clip(rng.uniform(-0.4, 0.8), 0.0, 1.0)),
        traffic_gap_m=float(np.exp(rng.uniform(np.log(14.0), np.log(150.0)))),
    )


def random_path(rng: Rng) -> RoadPath:
    """Straight for one street in three, else winding, never tighter than about 40 m radius."""
    if rng.uniform() < 0.33:
        return RoadPath()
    first, second = rng.uniform(120.0, 500.0), rng.uniform(60.0, 150.0)
    sharpest = 1.0 / 80.0  # 1/m, each sine
    amplitudes = [rng.uniform(0.0, 1.0) * sharpest * (w / (2 * np.pi)) ** 2 for w in (first, second)]
    return RoadPath(
        (float(min(amplitudes[0], 30.0)), float(min(amplitudes[1], 6.0))),
        (float(first), float(second)),
        (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi))),
    )


def random_street(seed: int, length_m: float = 140.0) -> Street:
    """A street that depends on nothing but its arguments.

    Args:
        seed: which street.
        length_m: furnished length along world x; things also stand 30 m before and 60 m behind it.
    """
    rng = np.random.default_rng([seed, 1])
    style, path = random_style(rng), random_path(rng)
    solids: list[Solid] = [_ground(rng, style, path)]
    solids += _background(rng, length_m)
    for side in (-1.0, 1.0):
        solids += _frontage(rng, style, path, side, length_m)
        solids += _furniture(rng, style, path, side, length_m)
        solids += _parked(rng, style, path, side, length_m)
    if rng.uniform() < 0.25:
        solids += _bridge(rng, style, path, float(rng.uniform(15.0, length_m)))
    lane = -style.half_width_m * 0.5
    movers, moving = _traffic(rng, style, path, lane, length_m)
    world = World(tuple(solids + moving), random_light(rng), tuple(movers))
    return Street(world, path, lane, style.half_width_m, length_m)


def _ground(rng: Rng, style: StreetStyle, path: RoadPath) -> Solid:
    grey = float(rng.uniform(0.06, 0.35))
    asphalt = (grey * float(rng.uniform(0.95, 1.1)), grey, grey * float(rng.uniform(0.9, 1.1)))
    green = (float(rng.uniform(0.1, 0.4)), float(rng.uniform(0.18, 0.4)), float(rng.uniform(0.05, 0.2)))
    verge = green if rng.uniform() < 0.6 else random_rgb(rng, 0.4)
    paint = RoadPaint(
        path=path,
        half_width_m=style.half_width_m,
        sidewalk_m=style.sidewalk_m,
        line_rgb=(0.0, 0.0, 0.0) if rng.uniform() < 0.05 else (0.8, 0.8, float(rng.uniform(0.3, 0.8))),
        sidewalk_rgb=random_rgb(rng, 0.3, 0.2, 0.7),
        verge_rgb=verge,
        dash_m=float(rng.uniform(1.5, 8.0)),
        crossing_x_m=float(rng.uniform(0.0, 150.0)) if rng.uniform() < 0.4 else 1e6,
    )
    look = Material(
        rgb=asphalt,
        blotch_rgb=(asphalt[0] * 0.8, asphalt[1] * 0.8, asphalt[2] * 0.8),
        frequency=float(rng.uniform(0.15, 0.8)),
        octaves=5,
        roughness=float(rng.uniform(0.05, 0.4)),
        pattern=Pattern.GROUND,
        seed=int(rng.integers(0, 10_000)),
        ground=paint,
        gloss=0.12 if rng.uniform() < 0.12 else 0.0,  # a wet road
    )
    return Solid(Shape.PLANE, np.eye(4), (1.0, 1.0, 1.0), look)


def _background(rng: Rng, length_m: float) -> list[Solid]:
    """Hills and far blocks, so that not every street ends in bare sky."""
    solids = []
    for _ in range(int(rng.integers(0, 5))):
        bearing, distance = rng.uniform(0, 2 * np.pi), rng.uniform(150, 500)
        size = (float(rng.uniform(60, 200)), float(rng.uniform(60, 200)), float(rng.uniform(8, 60)))
        reach = distance + max(size[:2])
        at = props.offset(length_m / 2 + reach * np.cos(bearing), reach * np.sin(bearing), 0.0, rng.uniform(0, 3))
        solids.append(
            Solid(
                Shape.ELLIPSOID,
                at,
                size,
                random_material(rng, (0.15, 0.22, 0.1), Pattern.NONE, gloss=0.0),
                label=Label.TERRAIN,
            )
        )
    if rng.uniform() < 0.5:  # the street bends away behind a house
        size = (float(rng.uniform(8, 20)), float(rng.uniform(20, 90)), float(rng.uniform(4, 25)))
        front = random_material(rng, None, Pattern.WINDOWS)
        house = props.box(props.offset(length_m + rng.uniform(30, 70), rng.uniform(-20, 20), -0.5), size, front)
        solids += props.labelled(Label.BUILDING, [house])
    return solids


def _frontage(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    solids: list[Solid] = []
    x = -30.0
    while x < length_m + 60.0:
        length = float(rng.uniform(6.0, 26.0))
        setback = style.half_width_m + style.sidewalk_m + 0.5 + style.setback_m * rng.uniform(0.6, 1.4)
        T_world_front = path.pose(x + length / 2, side * setback)
        if side < 0:
            T_world_front = T_world_front @ np.diag([-1.0, -1.0, 1.0, 1.0])
        if rng.uniform() < style.building_share:
            solids += props.placed(props.building(rng, length), T_world_front)
        elif rng.uniform() < style.wall_share:
            solids += props.placed(props.wall_or_hedge(rng, length), T_world_front)
        else:
            for _ in range(int(rng.integers(0, 4))):
                spot = props.offset(rng.uniform(-0.5, 0.5) * length, rng.uniform(1.0, 25.0), 0.0)
                solids += props.placed(
                    props.tree(rng) if rng.uniform() < 0.7 else props.bush(rng), T_world_front @ spot
                )
        x += length + (0.0 if rng.uniform() < 0.6 else float(rng.uniform(1.0, 12.0)))
    return solids


def _furniture(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    """Trees, poles, people and odd boxes between road and houses."""
    solids: list[Solid] = []
    kerb = style.half_width_m + 0.6
    makers = ((props.tree, style.tree_gap_m), (props.pole, style.pole_gap_m), (props.person, style.person_gap_m))
    for make, gap in makers:
        x = -10.0 + float(rng.uniform(0, gap))
        while x < length_m + 30.0:
            lateral = side * (kerb + rng.uniform(0.0, max(0.3, style.sidewalk_m)))
            at = path.pose(x, lateral) @ props.offset(0, 0, 0, rng.uniform(0, 2 * np.pi))
            solids += props.placed(make(rng), at)
            x += gap * float(rng.uniform(0.6, 1.5))
    for _ in range(int(rng.integers(0, 8))):
        size = tuple(float(s) for s in rng.uniform(0.3, 1.8, 3))
        at = path.pose(float(rng.uniform(0, length_m)), side * (kerb + rng.uniform(0.2, 3.0)))
        solids += props.placed(
            [props.box(props.offset(0, 0, 0), (size[0], size[1], size[2]), random_material(rng))], at
        )
    return solids


def _parked(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    solids: list[Solid] = []
    if style.half_width_m < 3.6:
        return solids
    x = -10.0
    while x < length_m + 20.0:
        x += float(rng.uniform(5.6, 8.0))
        if rng.uniform() < style.parked_share:
            turned = props.offset(0, 0, 0, float(rng.normal(0, 0.03)) + (np.pi if side > 0 else 0.0))
            solids += props.placed(props.car(rng), path.pose(x, side * (style.half_width_m - 1.05)) @ turned)
    return solids


def _bridge(rng: Rng, style: StreetStyle, path: RoadPath, x_m: float) -> list[Solid]:
    look, clear = random_material(rng, random_rgb(rng, 0.2, 0.2)), float(rng.uniform(4.2, 7.0))
    depth = float(rng.uniform(3.0, 14.0))
    deck = props.box(props.offset(0, 0, clear), (depth, 80.0, float(rng.uniform(0.8, 2.0))), look)
    stand = style.half_width_m + style.sidewalk_m + 0.8
    pillars = [props.box(props.offset(0, s * stand, -0.2), (min(depth, 2.0), 1.0, clear + 0.3), look) for s in (-1, 1)]
    return props.placed(props.labelled(Label.BUILDING, [deck, *pillars]), path.pose(x_m, 0.0))


def _traffic(
    rng: Rng, style: StreetStyle, path: RoadPath, lane_m: float, length_m: float
) -> tuple[list[Mover], list[Solid]]:
    """Cars in both lanes. Those in our lane start ahead of 10 m and are at least as fast as 4 m/s."""
    movers: list[Mover] = []
    solids: list[Solid] = []
    for sign in (1.0, -1.0):
        x = float(rng.uniform(10.0, 10.0 + style.traffic_gap_m))
        pace = float(rng.uniform(4.0, 14.0))
        while x < length_m + 40.0 and len(movers) < 16:
            movers.append(Mover(path, x, sign * pace, sign * lane_m + float(rng.normal(0, 0.15))))
            solids += props.carried(props.car(rng), len(movers) - 1)
            x += 8.0 + style.traffic_gap_m * float(rng.uniform(0.5, 2.0))
    return movers, solids
