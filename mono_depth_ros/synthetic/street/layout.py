# SPDX-License-Identifier: Apache-2.0
"""What stands along a street: houses, also of side streets, trees, poles, people, parked cars, a bridge, hills."""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Pattern
from mono_depth_ros.synthetic.render.world import Shape, Solid
from mono_depth_ros.synthetic.street.road import RoadPath
from mono_depth_ros.synthetic.street.style import BEFORE_M, BEHIND_M, StreetStyle
from mono_depth_ros.synthetic.things import props
from mono_depth_ros.synthetic.things.buildings import boundary, building
from mono_depth_ros.synthetic.things.people import standing_person
from mono_depth_ros.synthetic.things.plants import bush, tree
from mono_depth_ros.synthetic.things.roadside import lamp_post, pavement_thing, sign, traffic_light
from mono_depth_ros.synthetic.things.vehicles import car, two_wheeler, vehicle

_TURNED = np.diag([-1.0, -1.0, 1.0, 1.0])


def background(rng: Rng, path: RoadPath, length_m: float) -> list[Solid]:
    """Hills and far blocks, so that not every street ends in bare sky."""
    solids = []
    for _ in range(int(rng.integers(0, 5))):
        bearing, distance = rng.uniform(0, 2 * np.pi), rng.uniform(150, 500)
        size = (float(rng.uniform(60, 200)), float(rng.uniform(60, 200)), float(rng.uniform(8, 60)))
        reach = distance + max(size[:2])
        at = props.offset(length_m / 2 + reach * np.cos(bearing), reach * np.sin(bearing), -3.0, rng.uniform(0, 3))
        look = random_material(rng, (0.08, 0.12, 0.06), Pattern.NONE, gloss=0.0)
        solids.append(Solid(Shape.ELLIPSOID, at, size, look, label=Label.TERRAIN))
    if rng.uniform() < 0.5:  # the street bends away behind a house
        size = (float(rng.uniform(8, 20)), float(rng.uniform(20, 90)), float(rng.uniform(4, 25)))
        front = random_material(rng, None, Pattern.WINDOWS)
        x = length_m + float(rng.uniform(30, 70))
        at = props.offset(x, rng.uniform(-20, 20), float(path.profile.at(x)[0]) - 2.0)
        solids += props.labelled(Label.BUILDING, [props.box(at, size, front)])
    return solids


def frontage(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    """Houses, fences and gardens on one side, with gaps where side streets leave."""
    solids: list[Solid] = []
    x = -BEFORE_M
    while x < length_m + BEHIND_M:
        length = float(rng.uniform(6.0, 24.0))
        if not style.free_of_side_streets(x + length / 2, length / 2):
            if style.free_of_side_streets(x + 3.0, 3.0):
                length = 6.0
            else:
                x += 2.0
                continue
        setback = style.half_width_m + style.sidewalk_m + 0.5 + style.setback_m * rng.uniform(0.6, 1.4)
        T_world_front = path.upright_pose(x + length / 2, side * setback)
        T_world_lawn = path.pose(x + length / 2, side * (style.half_width_m + style.sidewalk_m + 0.6))
        if side < 0:
            T_world_front, T_world_lawn = T_world_front @ _TURNED, T_world_lawn @ _TURNED
        built = rng.uniform() < style.building_share
        if built:
            solids += props.placed(building(rng, length), T_world_front)
        if rng.uniform() < style.boundary_share * (0.3 if built else 1.0):
            solids += props.placed(boundary(rng, length), T_world_lawn)
        if not built:
            solids += _garden(rng, style, path, side, x, length)
        x += length + (0.0 if rng.uniform() < 0.6 else float(rng.uniform(1.0, 12.0)))
    return solids


def _garden(rng: Rng, style: StreetStyle, path: RoadPath, side: float, x: float, length: float) -> list[Solid]:
    """Trees and bushes off the road."""
    solids: list[Solid] = []
    for _ in range(int(rng.integers(0, 4))):
        lateral = style.half_width_m + style.sidewalk_m + float(rng.uniform(1.5, 25.0))
        at = path.upright_pose(x + float(rng.uniform(0, 1)) * length, side * lateral)
        solids += props.placed(tree(rng) if rng.uniform() < 0.7 else bush(rng), at)
    return solids


def side_street_fronts(rng: Rng, style: StreetStyle, path: RoadPath) -> list[Solid]:
    """Houses along the side streets, what closes their view, and cars that wait in them."""
    solids: list[Solid] = []
    edge = style.side_half_width_m + style.sidewalk_m + 0.5
    for x_m in style.side_streets_x_m:
        ground, middle = float(path.profile.at(x_m)[0]), float(path.centre(x_m)[0])
        for side in (-1.0, 1.0):
            first = style.half_width_m + style.sidewalk_m + style.setback_m + 16.0
            for face in (-1.0, 1.0):
                y = first
                while y < first + 45.0:
                    length = float(rng.uniform(8.0, 22.0))
                    T = np.eye(4)
                    T[:3, :3] = [[0.0, face, 0.0], [-face, 0.0, 0.0], [0.0, 0.0, 1.0]]
                    T[:3, 3] = (x_m + face * edge, middle + side * (y + length / 2), ground)
                    if rng.uniform() < max(style.building_share, 0.2):
                        solids += props.placed(building(rng, length), T)
                    elif rng.uniform() < 0.6:
                        solids += props.placed(tree(rng), T @ props.offset(0.0, 3.0, 0.0))
                    y += length + float(rng.choice([0.0, 5.0]))
            end = props.offset(x_m, middle + side * (first + 75.0), ground - 2.0)
            solids += props.labelled(
                Label.BUILDING,
                [props.box(end, (40.0, 12.0, float(rng.uniform(5, 16))), random_material(rng, None, Pattern.WINDOWS))],
            )
            if rng.uniform() < 0.6:
                wait = props.offset(
                    x_m + side * 1.4, middle + side * (style.half_width_m + style.sidewalk_m + 4.5), ground
                )
                solids += props.placed(vehicle(rng), wait @ props.offset(0, 0, 0, -side * np.pi / 2))
    return solids


def street_lamps(
    rng: Rng, style: StreetStyle, path: RoadPath, length_m: float
) -> tuple[list[Solid], list[tuple[float, float, float]]]:
    """Lamp posts on both sides in turn, and where their lamps hang in the world."""
    solids: list[Solid] = []
    heads = []
    gap, side = max(style.pole_gap_m, 14.0), 1.0
    x = -10.0 + float(rng.uniform(0, gap))
    while x < length_m + 30.0:
        if style.free_of_side_streets(x, -1.0):
            at = path.upright_pose(x, side * (style.half_width_m + 0.5))
            at = at if side > 0 else at @ _TURNED
            parts, head = lamp_post(rng)
            solids += props.placed(parts, at)
            spot = at @ np.array([*head, 1.0])
            heads.append((float(spot[0]), float(spot[1]), float(spot[2])))
        x, side = x + gap * float(rng.uniform(0.9, 1.1)), -side if rng.uniform() < 0.8 else side
    return solids, heads


def furniture(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    """Trees, signs, people, two-wheelers and odd things between road and houses."""
    solids: list[Solid] = []
    kerb = style.half_width_m + 0.6
    makers = ((tree, style.tree_gap_m), (sign, style.pole_gap_m * 1.5), (standing_person, style.person_gap_m * 2))
    for make, gap in makers:
        x = -10.0 + float(rng.uniform(0, gap))
        while x < length_m + 30.0:
            lateral = side * (kerb + rng.uniform(0.0, max(0.3, style.sidewalk_m)))
            turn = float(rng.uniform(0, 2 * np.pi)) if make is not sign else (np.pi if side > 0 else 0.0)
            at = path.upright_pose(x, lateral) @ props.offset(0, 0, 0, turn + float(rng.normal(0, 0.1)))
            if style.free_of_side_streets(x, -1.0 if make is sign else 0.0):
                solids += props.placed(make(rng), at)
            x += gap * float(rng.uniform(0.6, 1.5))
    for _ in range(int(rng.integers(0, 9))):
        lateral = side * (kerb + float(rng.uniform(0.1, 3.0)))
        at = path.upright_pose(float(rng.uniform(0, length_m)), lateral) @ props.offset(0, 0, 0, rng.normal(0, 0.2))
        thing = two_wheeler(rng, ridden=False) if rng.uniform() < 0.2 else pavement_thing(rng)
        solids += props.placed(thing, at)
    return solids


def crossing_lights(rng: Rng, style: StreetStyle, path: RoadPath) -> list[Solid]:
    """Traffic lights for both directions, before the side street."""
    solids: list[Solid] = []
    for x_m in style.side_streets_x_m if style.lights else ():
        for way in (1.0, -1.0):
            stop = x_m - way * (style.side_half_width_m + style.sidewalk_m * 0.5 + 1.5)
            at = path.upright_pose(stop, -way * (style.half_width_m + 0.5))
            reach = style.half_width_m * 0.6 if rng.uniform() < 0.4 else 0.0
            solids += props.placed(traffic_light(rng, reach), at if way > 0 else at @ _TURNED)
    return solids


def parked(rng: Rng, style: StreetStyle, path: RoadPath, side: float, length_m: float) -> list[Solid]:
    """Cars at the kerb, where the road is wide enough."""
    solids: list[Solid] = []
    if style.half_width_m < 3.6:
        return solids
    x = -10.0
    while x < length_m + 20.0:
        x += float(rng.uniform(5.6, 8.0))
        if rng.uniform() < style.parked_share and style.free_of_side_streets(x, 3.0):
            turned = props.offset(0, 0, 0, float(rng.normal(0, 0.03)) + (np.pi if side > 0 else 0.0))
            thing = vehicle(rng) if style.half_width_m > 4.8 else car(rng)  # a parked truck leaves room to pass
            solids += props.placed(thing, path.pose(x, side * (style.half_width_m - 1.05)) @ turned)
    return solids


def bridge(rng: Rng, style: StreetStyle, path: RoadPath, x_m: float) -> list[Solid]:
    """A bridge over the road, with pillars and a railing."""
    look, clear = random_material(rng, random_rgb(rng, 0.2, 0.1, 0.5), Pattern.NONE), float(rng.uniform(4.6, 7.0))
    depth, thick = float(rng.uniform(3.0, 14.0)), float(rng.uniform(0.8, 2.0))
    deck = props.box(props.offset(0, 0, clear), (depth, 120.0, thick), look)
    stand = style.half_width_m + style.sidewalk_m + 0.8
    pillars = [props.box(props.offset(0, s * stand, -2.0), (min(depth, 2.0), 1.0, clear + 2.1), look) for s in (-1, 1)]
    rails = [props.box(props.offset(s * depth / 2, 0, clear + thick), (0.06, 120.0, 1.0), look) for s in (-1, 1)]
    return props.placed(props.labelled(Label.BUILDING, [deck, *pillars, *rails]), path.upright_pose(x_m, 0.0))
