# SPDX-License-Identifier: Apache-2.0
"""Putting convex solids together: placed, labelled, carried. Body frames have x along the road, y left, z up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Float64, Shape, Solid


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


def wedge(
    T: Float64, size_m: tuple[float, float, float], taper: tuple[float, float, float, float], material: Material
) -> Solid:
    """A tapered box of full size `size_m` that stands on its frame's origin; see `Solid.taper`."""
    half = (size_m[0] / 2, size_m[1] / 2, size_m[2] / 2)
    return Solid(Shape.TAPERED, T @ offset(0, 0, half[2]), half, material, taper=taper)


def ball(T: Float64, half_m: tuple[float, float, float], material: Material) -> Solid:
    """An ellipsoid around its frame's origin."""
    return Solid(Shape.ELLIPSOID, T, half_m, material)


def limb(start_m: Float64, end_m: Float64, radius_m: float, material: Material) -> Solid:
    """A cylinder between two points float64 [3]."""
    axis = np.asarray(end_m, dtype=np.float64) - start_m
    length = float(np.linalg.norm(axis))
    z = axis / length
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([x, np.cross(z, x), z], axis=1), start_m + axis / 2
    return Solid(Shape.CYLINDER, T, (radius_m, radius_m, length / 2), material)
