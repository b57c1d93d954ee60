# SPDX-License-Identifier: Apache-2.0
"""Rays from one point against hilly ground z = profile(x), without marching along each ray.

In the (x, z) plane a ray has the slope r = dz / dx, and from one origin the ground at distance d is seen at the slope
m(d) = (profile - z_origin) / d. A ray first meets the ground where the highest m so far reaches r: one sorted table per
side of the origin answers for all rays, and Newton steps on the closed form make the crossing exact.
"""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.render.textures import Float32, Float64
from mono_depth_ros.synthetic.street.road import HeightProfile

REACH_M = 6000.0  # beyond this the ground is not looked for
_NEWTON_STEPS = 2


def _distances() -> Float64:
    """Table of horizontal distances (m): dense near by, then growing by 1 %, so by less than 5 m within 500 m."""
    near = np.arange(0.25, 50.0, 0.25)
    return np.concatenate([near, 50.0 * 1.01 ** np.arange(1, int(np.log(REACH_M / 50.0) / np.log(1.01)) + 1)])


_TABLE_M = _distances()


def terrain_crossing(profile: HeightProfile, origin_world_m: Float64, directions_world: Float32) -> Float32:
    """Ray parameter of the first crossing with the ground.

    Args:
        profile: height of the ground along world x.
        origin_world_m: float64 [3], above the ground.
        directions_world: float32 [3, N], any length.

    Returns:
        float32 [N]; inf where a ray meets no ground within `REACH_M`.
    """
    reach = np.full(directions_world.shape[1], np.inf, dtype=np.float32)
    for sign in (1.0, -1.0):
        side = np.flatnonzero(directions_world[0] * sign >= 0.0 if sign > 0 else directions_world[0] < 0.0)
        if len(side):
            reach[side] = _one_side(profile, origin_world_m, directions_world[:, side].astype(np.float64), sign)
    return reach


def _one_side(profile: HeightProfile, origin_m: Float64, rays: Float64, sign: float) -> Float32:
    """Crossings of rays that all go towards sign * x."""
    level = np.maximum(np.abs(rays[0]), 1e-9)  # metres of x per unit of the ray parameter
    slope = rays[2] / level
    height = profile.at(origin_m[0] + sign * _TABLE_M)[0] - origin_m[2]
    highest = np.maximum.accumulate(height / _TABLE_M)
    reach = np.full(len(slope), np.inf, dtype=np.float32)
    met = np.flatnonzero(slope <= highest[-1])
    slope = slope[met]
    found = np.searchsorted(highest, slope)  # the first table entry that the ray no longer clears
    upper = _TABLE_M[found]
    lower = np.where(found > 0, _TABLE_M[found - 1], 0.0)
    # chord between the two entries, then Newton on ray height - ground height, kept between them
    above = np.where(found > 0, lower * slope - height[found - 1], _clearance(profile, origin_m))
    below = np.minimum(upper * slope - height[found], 0.0)
    above = np.maximum(above, 0.0)
    distance = lower + (upper - lower) * above / np.maximum(above - below, 1e-12)
    for _ in range(_NEWTON_STEPS):
        ground, grade = profile.at(origin_m[0] + sign * distance)
        rate = slope - sign * grade
        step = (distance * slope - (ground - origin_m[2])) / np.where(np.abs(rate) < 1e-9, 1e-9, rate)
        distance = np.clip(distance - step, lower, upper)
    reach[met] = distance / level[met]
    return reach


def _clearance(profile: HeightProfile, origin_m: Float64) -> float:
    """Height (m) of a point above the ground."""
    return float(origin_m[2] - profile.at(float(origin_m[0]))[0])
