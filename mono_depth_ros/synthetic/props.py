# SPDX-License-Identifier: Apache-2.0
"""Things that stand in a street, each a handful of convex solids in a body frame (x along the road, y left, z up)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.labels import Label
from mono_depth_ros.synthetic.random_looks import Rng, random_material, random_rgb
from mono_depth_ros.synthetic.textures import Material, Pattern
from mono_depth_ros.synthetic.world import Float64, Shape, Solid

DARK_GLASS = (0.04, 0.05, 0.06)


def offset(x_m: float, y_m: float, z_m: float, yaw_rad: float = 0.0, roll_rad: float = 0.0) -> Float64:
    """float64 [4, 4]: a translation, then a turn about z, then about x."""
    cy, sy, cr, sr = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(roll_rad), np.sin(roll_rad)
    T = np.eye(4)
    T[:3, :3] = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    T[:3, 3] = (x_m, y_m, z_m)
    return T


def placed(solids: list[Solid], T_world_body: Float64) -> list[Solid]:
    """Solids of a body frame, moved to where the body stands."""
    return [replace(solid, T_parent_solid=T_world_body @ solid.T_parent_solid) for solid in solids]


def carried(solids: list[Solid], mover: int) -> list[Solid]:
    """Solids of a body frame, tied to a mover."""
    return [replace(solid, mover=mover) for solid in solids]


def labelled(label: Label, solids: list[Solid]) -> list[Solid]:
    """Solids that are all the same kind of thing."""
    return [replace(solid, label=label) for solid in solids]


def box(T: Float64, size_m: tuple[float, float, float], material: Material) -> Solid:
    """A box of full size `size_m` that stands on its frame's origin."""
    half = (size_m[0] / 2, size_m[1] / 2, size_m[2] / 2)
    return Solid(Shape.BOX, T @ offset(0, 0, half[2]), half, material)


def post(T: Float64, radius_m: float, height_m: float, material: Material) -> Solid:
    """An upright cylinder that stands on its frame's origin."""
    return Solid(Shape.CYLINDER, T @ offset(0, 0, height_m / 2), (radius_m, radius_m, height_m / 2), material)


def car(rng: Rng) -> list[Solid]:
    """A car, van or truck: body, cabin, wheels, lights."""
    kind = rng.choice(3, p=(0.7, 0.2, 0.1))
    length = (rng.uniform(3.6, 4.9), rng.uniform(4.6, 5.8), rng.uniform(6.0, 11.0))[kind]
    width = (rng.uniform(1.65, 1.9), rng.uniform(1.8, 2.1), rng.uniform(2.2, 2.5))[kind]
    height = (rng.uniform(1.35, 1.75), rng.uniform(1.9, 2.5), rng.uniform(2.6, 3.8))[kind]
    paint = random_material(
        rng, random_rgb(rng, saturation=0.9, dark=0.03), Pattern.NONE, gloss=float(rng.uniform(0, 0.25))
    )
    paint = replace(paint, roughness=float(rng.uniform(0.02, 0.15)))
    glass = random_material(rng, DARK_GLASS, Pattern.NONE, gloss=float(rng.uniform(0.1, 0.5)))
    rubber = random_material(rng, (0.03, 0.03, 0.03), Pattern.NONE, gloss=0.0)
    lamp = random_material(rng, (0.6, 0.05, 0.04), Pattern.NONE, gloss=0.1)
    belt = height * (0.55 if kind == 0 else 0.5)
    solids = [box(offset(0, 0, 0.22), (length, width, belt - 0.22), paint)]
    if kind == 0:
        cabin = length * rng.uniform(0.45, 0.6)
        back = -length * rng.uniform(0.02, 0.12)
        solids.append(box(offset(back, 0, belt), (cabin, width * 0.86, height - belt - 0.05), glass))
        solids.append(box(offset(back, 0, height - 0.06), (cabin * 0.8, width * 0.82, 0.06), paint))
    else:
        solids.append(box(offset(0, 0, belt), (length, width, height - belt), paint))
        solids.append(
            box(offset(length * 0.3, 0, belt + 0.1), (length * 0.38, width * 1.01, (height - belt) * 0.55), glass)
        )
    radius = 0.32 if kind < 2 else 0.5
    for x in (-0.31 * length, 0.31 * length):
        for y in (-0.5, 0.5):
            axle = offset(x, y * (width - 0.18), radius, roll_rad=np.pi / 2)
            solids.append(Solid(Shape.CYLINDER, axle, (radius, radius, 0.1), rubber))
    for y in (-0.38, 0.38):
        solids.append(box(offset(-length / 2, y * width, belt - 0.25), (0.04, 0.25, 0.15), lamp))
    return labelled(Label.TRUCK if kind == 2 else Label.CAR, solids)


def tree(rng: Rng) -> list[Solid]:
    """A trunk and a few overlapping balls of leaves; or a conifer's stack of them."""
    height = float(rng.uniform(3.0, 12.0))
    bark = random_material(rng, (0.16, 0.11, 0.07), Pattern.NONE, gloss=0.0)
    green = (float(rng.uniform(0.05, 0.35)), float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.02, 0.12)))
    leaves = replace(random_material(rng, green, Pattern.NONE, gloss=0.0), frequency=1.2, octaves=5, roughness=1.0)
    radius = float(rng.uniform(0.08, 0.3))
    solids = [post(offset(0, 0, -0.2), radius, height * 0.6, bark)]
    for _ in range(int(rng.integers(2, 6))):
        spread = height * 0.16
        x, y, z = rng.normal(0, spread), rng.normal(0, spread), height * rng.uniform(0.5, 0.85)
        size = height * rng.uniform(0.12, 0.28, 3)
        solids.append(
            Solid(Shape.ELLIPSOID, offset(x, y, z, rng.uniform(0, 3)), (size[0], size[1], size[2] * 0.8), leaves)
        )
    return labelled(Label.VEGETATION, solids)


def bush(rng: Rng) -> list[Solid]:
    """A low ball of leaves."""
    green = (float(rng.uniform(0.05, 0.3)), float(rng.uniform(0.12, 0.35)), 0.06)
    leaves = replace(random_material(rng, green, Pattern.NONE, gloss=0.0), frequency=1.5, octaves=4, roughness=0.9)
    size = rng.uniform(0.4, 1.3, 3)
    ball = Solid(Shape.ELLIPSOID, offset(0, 0, 0.3 * size[2]), (size[0], size[1], size[2]), leaves)
    return labelled(Label.VEGETATION, [ball])


def pole(rng: Rng) -> list[Solid]:
    """A lamp post, sign post, traffic light or bollard."""
    metal = random_material(rng, random_rgb(rng, 0.2), Pattern.NONE)
    height = float(rng.choice([0.9, 2.6, 3.5, 6.0, 9.0]) * rng.uniform(0.85, 1.15))
    solids = labelled(Label.POLE, [post(offset(0, 0, -0.1), float(rng.uniform(0.03, 0.12)), height, metal)])
    if 2.0 < height < 4.5:
        face = random_material(rng, random_rgb(rng, 1.0, 0.2), None)
        size = (0.05, float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.3, 1.0)))
        solids += labelled(Label.TRAFFIC_SIGN, [box(offset(-0.06, 0, height - size[2]), size, face)])
    elif height >= 4.5:
        arm = float(rng.uniform(0.8, 2.5)) * float(rng.choice([-1, 1]))
        bar = box(offset(0, arm / 2, height - 0.15), (0.1, abs(arm), 0.1), metal)
        solids += labelled(Label.POLE, [bar, box(offset(0, arm, height - 0.25), (0.25, 0.6, 0.15), metal)])
    return solids


def person(rng: Rng) -> list[Solid]:
    """A standing or walking person, 1.2 to 1.95 m."""
    height = float(rng.uniform(1.2, 1.95))
    skin = random_material(rng, (float(rng.uniform(0.2, 0.7)), 0.3, 0.2), Pattern.NONE, gloss=0.0)
    shirt, trousers = random_material(rng, gloss=0.0), random_material(rng, random_rgb(rng, 0.5, 0.02, 0.4), gloss=0.0)
    stride = float(rng.uniform(0.0, 0.25))
    solids = [post(offset(s * stride, s * 0.09, 0), 0.08, 0.5 * height, trousers) for s in (-1, 1)]
    torso = Solid(Shape.ELLIPSOID, offset(0, 0, 0.65 * height), (0.14, 0.24, 0.21 * height), shirt)
    head = Solid(Shape.ELLIPSOID, offset(0, 0, 0.92 * height), (0.1, 0.09, 0.07 * height), skin)
    return labelled(Label.PERSON, [*solids, torso, head])


def building(rng: Rng, length_m: float) -> list[Solid]:
    """A house front along x at y = 0, the house on the +y side: walls, roof, storeys' details."""
    depth, height = float(rng.uniform(6, 18)), float(np.exp(rng.uniform(np.log(3.0), np.log(28.0))))
    pattern = Pattern.WINDOWS if rng.uniform() < 0.75 else None
    wall = random_material(rng, random_rgb(rng, 0.5, 0.1), pattern)
    if pattern == Pattern.WINDOWS:
        storey = float(rng.uniform(2.5, 4.0))
        glass = DARK_GLASS if rng.uniform() < 0.6 else random_rgb(rng, 0.3)
        wall = replace(wall, pattern_size_m=(float(rng.uniform(1.2, 4.5)), storey), pattern_rgb=glass)
    solids = [box(offset(0, depth / 2, -0.5), (length_m, depth, height + 0.5), wall)]
    roof = random_material(rng, random_rgb(rng, 0.6, 0.08, 0.5), None)
    if rng.uniform() < 0.5:  # a gable: a bar on its edge, half sunk into the house
        pitch = depth / np.sqrt(2.0)
        gable = Solid(
            Shape.BOX,
            offset(0, depth / 2, height, roll_rad=np.pi / 4),
            (length_m / 2 + 0.3, pitch / 2, pitch / 2),
            roof,
        )
        solids.append(gable)
    for _ in range(int(rng.integers(0, 5))):  # bays, balconies, porches, shops' awnings
        size = (float(rng.uniform(0.8, 3.5)), float(rng.uniform(0.4, 2.2)), float(rng.uniform(0.15, 3.0)))
        at = offset(rng.uniform(-0.45, 0.45) * length_m, 0, float(rng.uniform(0, max(0.1, height - size[2]))))
        solids.append(box(at, size, random_material(rng)))
    return labelled(Label.BUILDING, solids)


def wall_or_hedge(rng: Rng, length_m: float) -> list[Solid]:
    """A wall, fence or hedge along x."""
    height, thick = float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.1, 0.8))
    if rng.uniform() < 0.4:
        look = replace(random_material(rng, (0.1, 0.22, 0.06), Pattern.NONE, gloss=0.0), octaves=5, roughness=0.9)
        label = Label.VEGETATION
    else:
        look, label = random_material(rng, random_rgb(rng, 0.4)), Label.WALL
    return labelled(label, [box(offset(0, 0, -0.1), (length_m, thick, height), look)])
