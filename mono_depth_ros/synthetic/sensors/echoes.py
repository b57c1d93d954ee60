# SPDX-License-Identifier: Apache-2.0
"""What comes back from surfaces that a ranging sensor shines on: how much, and whether it is heard."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.render.shading import surface_at
from mono_depth_ros.synthetic.render.textures import MaterialTable, albedo, material_table
from mono_depth_ros.synthetic.render.world import Float32, Float64, Hits, PosedWorld, World

# Oren and Nayar 1994 with a slope of 0.3 rad, light and eye at one place: A cos(t) + B sin(t)^2. Rough surfaces send
# back more at a grazing angle than Lambert's law says, or no LiDAR would see a road beyond 20 m.
_FLAT_SHARE = 1.0 - 0.5 * 0.09 / (0.09 + 0.33)
_ROUGH_SHARE = 0.45 * 0.09 / (0.09 + 0.09)
_SHARPNESS = 4.0  # how suddenly echoes are lost around the weakest power


@dataclass(frozen=True, slots=True, eq=False)
class Echoes:
    """What rays of a ranging sensor meet.

    Attributes:
        range_m: float32 [...], along the ray; inf where there is nothing.
        reflectance: float32 [...], share of the light that a surface sends back towards the sensor (1: white, seen
            head-on); 0 where there is nothing.
    """

    range_m: Float32
    reflectance: Float32


def echoes_of(
    world: World, posed: PosedWorld, origin_world_m: Float64, rays_world: Float32, hits: Hits, beam_rad: float = 3e-3
) -> Echoes:
    """Ranges and reflectances of rays that were cast.

    Args:
        world: for its materials.
        posed: the world at the instant of the cast.
        origin_world_m: float64 [3].
        rays_world: float32 [3, ...], the rays; ranges come out in metres whatever their length.
        hits: where they ended, of shape [...].
        beam_rad: divergence of a beam, for the detail of a texture that it sees.
    """
    flat, solid = rays_world.reshape(3, -1), hits.solid.reshape(-1)
    length = np.linalg.norm(flat, axis=0)
    range_m = hits.distance.reshape(-1) * length
    reflectance = np.zeros(len(solid), np.float32)
    struck = np.flatnonzero(solid >= 0)
    if len(struck):
        index, ray = solid[struck], flat[:, struck] / length[struck]
        points = origin_world_m.astype(np.float32)[:, None] + ray * range_m[struck]
        local, normal, uv = surface_at(posed, index, points)
        cosine = np.minimum(np.abs(np.sum(normal * ray, axis=0)), 1.0)
        footprint = range_m[struck] * np.float32(beam_rad) / np.sqrt(np.maximum(cosine, 0.05))
        table = _materials(world)
        colour, gloss = albedo(table, index, local, uv, footprint.astype(np.float32)), table.gloss[index]
        back = _FLAT_SHARE * cosine + _ROUGH_SHARE * (1.0 - cosine * cosine)
        # What a glossy surface mirrors goes elsewhere.
        reflectance[struck] = np.clip(colour.mean(axis=0), 0.0, 1.0) * (1.0 - gloss) * back
    shape = hits.solid.shape
    return Echoes(range_m.reshape(shape).astype(np.float32), reflectance.reshape(shape))


@lru_cache(maxsize=1)
def _materials(world: World) -> MaterialTable:
    return material_table(tuple(solid.material for solid in world.solids))


def chance_heard(echoes: Echoes, reach_10_percent_m: float) -> Float32:
    """Probability, float32 [...], that an echo is strong enough.

    Power falls with the square of the range: p = P^s / (P^s + W^s) with P = reflectance / range^2, and W the power from
    a surface of 10 % at `reach_10_percent_m`, where half of the echoes are lost. Data sheets state that reach.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        weakness = 0.1 / np.float32(reach_10_percent_m) ** 2 * echoes.range_m**2 / echoes.reflectance
        chance = 1.0 / (1.0 + weakness**_SHARPNESS)
    return np.where(np.isfinite(echoes.range_m) & (echoes.reflectance > 0), chance, 0.0).astype(np.float32)


def heard(echoes: Echoes, reach_10_percent_m: float, lost: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which echoes are measured, bool [...]: those strong enough, less a share `lost` of any."""
    return np.asarray(rng.uniform(size=echoes.range_m.shape) < chance_heard(echoes, reach_10_percent_m) * (1.0 - lost))
