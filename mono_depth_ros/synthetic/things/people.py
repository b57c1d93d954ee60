# SPDX-License-Identifier: Apache-2.0
"""People as convex solids, and their way of walking; body frame: x forward, y left, origin on the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.render.textures import Material, Pattern
from mono_depth_ros.synthetic.render.world import Float64, Moving, Solid
from mono_depth_ros.synthetic.street.road import RoadPath
from mono_depth_ros.synthetic.things.props import ball, box, labelled, limb, offset

_STEP_S = 1.0  # both feet once


@dataclass(frozen=True, slots=True)
class Swing:
    """A limb of somebody who walks: turns to and fro about the y axis at its hinge.

    Args:
        body: who walks.
        hinge_m: in the body's frame.
        amplitude_rad: largest turn.
        phase_rad: left and right differ by half a turn.
    """

    body: Moving
    hinge_m: tuple[float, float, float]
    amplitude_rad: float
    phase_rad: float

    def T_world_body(self, time_s: float) -> Float64:
        """Pose float64 [4, 4] of the limb's frame: at the hinge, z up when it hangs straight down."""
        angle = self.amplitude_rad * np.sin(2 * np.pi * time_s / _STEP_S + self.phase_rad)
        T = np.eye(4)
        T[0, [0, 2]], T[2, [0, 2]] = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
        T[:3, 3] = self.hinge_m
        return np.asarray(self.body.T_world_body(time_s) @ T)


@dataclass(frozen=True, slots=True)
class Crosser:
    """Somebody who walks straight across a road and back again, or a car that goes through a side street once.

    Args:
        path: the road.
        x_m: where along it; the way leads along world y, where the ground is level.
        from_m, to_m: offsets from the centre line, metres to the left.
        speed_mps: on the way.
        start_s: when it is at `from_m`.
        returns: whether it turns round at the end; else it goes on for ever.
    """

    path: RoadPath
    x_m: float
    from_m: float
    to_m: float
    speed_mps: float
    start_s: float = 0.0
    returns: bool = True

    def T_world_body(self, time_s: float) -> Float64:
        """Pose float64 [4, 4] of the body."""
        way = abs(self.to_m - self.from_m)
        gone = self.speed_mps * (time_s - self.start_s)
        sense = float(np.sign(self.to_m - self.from_m))
        back = False
        if self.returns:
            gone = gone % (2 * way)
            back = gone > way
            gone = 2 * way - gone if back else gone
        facing = -sense if back else sense
        T = np.eye(4)
        T[:2, :2] = [[0.0, -facing], [facing, 0.0]]
        T[:3, 3] = (
            self.x_m,
            float(self.path.centre(self.x_m)[0]) + self.from_m + sense * gone,
            float(self.path.profile.at(self.x_m)[0]),
        )
        return T


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A person in parts: `trunk` in the body's frame, limbs as (hinge, solids in the limb's frame, phase)."""

    trunk: list[Solid]
    limbs: list[tuple[tuple[float, float, float], list[Solid], float]]


def _cloth(rng: Rng, bright: float) -> Material:
    rgb = random_rgb(rng, 0.9, 0.01, bright)
    return replace(random_material(rng, rgb, Pattern.NONE, gloss=0.0), frequency=3.0, octaves=4, roughness=0.25)


def figure(rng: Rng) -> Figure:
    """A child or an adult, with or without a bag, hat or long coat; 1.0 to 1.95 m."""
    height = float(rng.uniform(1.5, 1.95) if rng.uniform() < 0.85 else rng.uniform(1.0, 1.4))
    tone = float(rng.uniform(0.05, 0.55))
    skin = Material((tone, tone * 0.68, tone * 0.52), (tone, tone * 0.6, tone * 0.45), roughness=0.1)
    shirt, trousers, dark = _cloth(rng, 0.7), _cloth(rng, 0.3), _cloth(rng, 0.08)
    hip, shoulder, wide = 0.5 * height, 0.82 * height, float(rng.uniform(0.1, 0.14)) * height
    trunk = [
        ball(offset(0, 0, 0.67 * height), (0.075 * height, wide, 0.17 * height), shirt),
        ball(offset(0, 0, 0.53 * height), (0.07 * height, wide * 0.85, 0.09 * height), trousers),
        ball(offset(0.01, 0, 0.93 * height), (0.055 * height, 0.045 * height, 0.067 * height), skin),
        ball(offset(-0.015, 0, 0.955 * height), (0.055 * height, 0.05 * height, 0.055 * height), dark),
    ]
    if rng.uniform() < 0.35:
        bag = random_material(rng, random_rgb(rng, 0.9, 0.02, 0.5), Pattern.NONE, gloss=0.0)
        trunk.append(box(offset(-0.12 * height, 0, 0.6 * height), (0.1, 0.3, 0.22 * height), bag))
    limbs = []
    for side in (-1.0, 1.0):
        leg = [limb(np.zeros(3), np.array([0, 0, -hip + 0.05]), 0.043 * height, trousers)]
        leg.append(box(offset(0.05, 0, -hip), (0.26, 0.09, 0.08), dark))
        limbs.append(((0.0, side * wide * 0.5, hip), leg, 0.0 if side < 0 else np.pi))
        arm = [limb(np.zeros(3), np.array([0.02, side * 0.03, -0.3 * height]), 0.03 * height, shirt)]
        arm.append(ball(offset(0.03, side * 0.03, -0.34 * height), (0.04, 0.03, 0.05), skin))
        limbs.append(((0.0, side * wide * 0.95, shoulder - 0.03), arm, np.pi if side < 0 else 0.0))
    return Figure(
        labelled(Label.PERSON, trunk), [(hinge, labelled(Label.PERSON, part), phase) for hinge, part, phase in limbs]
    )


def standing_person(rng: Rng) -> list[Solid]:
    """A person who stands, limbs where they happen to be."""
    who = figure(rng)
    stance = float(rng.uniform(0.0, 0.4))
    solids = list(who.trunk)
    for hinge, part, phase in who.limbs:
        angle = stance * np.cos(phase)
        T = np.eye(4)
        T[0, [0, 2]], T[2, [0, 2]] = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
        T[:3, 3] = hinge
        solids += [replace(solid, T_parent_solid=T @ solid.T_parent_solid) for solid in part]
    return solids


def walking_person(rng: Rng, body: Moving, first_mover: int) -> tuple[list[Moving], list[Solid]]:
    """Somebody carried by `body`, with limbs that swing: the movers (body first) and the solids tied to them.

    Args:
        rng: source of randomness.
        body: how the person moves.
        first_mover: index that `body` gets in the world's movers; the limbs follow.
    """
    who = figure(rng)
    movers: list[Moving] = [body]
    solids = [replace(solid, mover=first_mover) for solid in who.trunk]
    stride = float(rng.uniform(0.3, 0.55))
    for hinge, part, phase in who.limbs:
        solids += [replace(solid, mover=first_mover + len(movers)) for solid in part]
        movers.append(Swing(body, hinge, stride, phase))
    return movers, solids


def rider(rng: Rng) -> list[Solid]:
    """Somebody who sits on a two-wheeler."""
    shirt, trousers = _cloth(rng, 0.7), _cloth(rng, 0.3)
    skin = Material((0.4, 0.28, 0.2), (0.4, 0.28, 0.2), roughness=0.1)
    hip, neck, hands = np.array([-0.25, 0, 0.95]), np.array([0.0, 0, 1.45]), np.array([0.36, 0, 0.98])
    solids = [limb(hip, neck, 0.15, shirt), ball(offset(0.06, 0, 1.6), (0.1, 0.08, 0.13), skin)]
    solids.append(ball(offset(0.04, 0, 1.66), (0.12, 0.1, 0.1), random_material(rng, None, Pattern.NONE, gloss=0.1)))
    for side in (-0.2, 0.2):
        out = np.array([0.0, side, 0.0])
        knee = np.array([0.15, side * 0.6, 0.75])
        solids += [
            limb(neck + out - (0, 0, 0.08), hands + out, 0.05, shirt),
            limb(hip + out * 0.5, knee, 0.08, trousers),
        ]
        solids.append(limb(knee, np.array([-0.05, side * 0.6, 0.25]), 0.06, trousers))
    return labelled(Label.RIDER, solids)
