# SPDX-License-Identifier: Apache-2.0
"""Colour of surface points: texture, sun and shadow, ambient light, mirrored surroundings, snow, haze; and the sky."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.room_light import RoomShade, room_shade
from mono_depth_ros.synthetic.render.textures import MaterialTable, Rgb, albedo, material_table, noise
from mono_depth_ros.synthetic.render.world import UNBOUNDED, Float32, Float64, Hits, PosedWorld, Shape, World, lit


def surface_at(
    posed: PosedWorld, solid: npt.NDArray[np.int32], points_world: Float32
) -> tuple[Float32, Float32, Float32]:
    """Local points [3, N] (m), outward normals [3, N] (world) and face coordinates [2, N] (m) of surface points."""
    rotation = posed.rotation_solid_world.astype(np.float32)[solid]  # [N, 3, 3]
    half = posed.half_size_m.astype(np.float32).T[:, solid]
    offset = points_world - posed.centre_world_m.astype(np.float32).T[:, solid]
    local = np.einsum("nij,jn->in", rotation, offset)
    unit = local / half
    shape = posed.shape[solid]
    normal = unit / half  # gradient of an ellipsoid
    flat = (shape == Shape.BOX) | ((shape == Shape.CYLINDER) & (np.abs(unit[2]) > 0.999)) | np.isin(shape, UNBOUNDED)
    axis = np.where(shape == Shape.BOX, np.argmax(np.abs(unit), axis=0), 2)
    facing = np.zeros_like(unit)
    sign = np.where(np.isin(shape, UNBOUNDED), 1.0, np.sign(np.take_along_axis(unit, axis[None], 0)[0]))
    np.put_along_axis(facing, axis[None], sign[None].astype(np.float32), 0)
    normal[2] = np.where(shape == Shape.CYLINDER, 0.0, normal[2])
    normal = np.where(flat, facing, normal)
    leaning = np.flatnonzero(shape == Shape.TAPERED)
    if len(leaning):
        normal[:, leaning], axis[leaning] = _tapered_normal(posed, solid[leaning], unit[:, leaning])
        flat[leaning] = True
    hilly = shape == Shape.TERRAIN
    if hilly.any():
        normal[0, hilly] = -posed.profile.at(points_world[0, hilly])[1]
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-9)
    around = np.arctan2(unit[1], unit[0]) * half[0]
    horizontal = np.where(flat, np.where(axis == 0, local[1], local[0]), around)
    vertical = np.where(flat & (axis == 2), local[1], local[2])
    uv = np.stack([horizontal, vertical]).astype(np.float32)
    return local.astype(np.float32), np.einsum("nij,in->jn", rotation, normal).astype(np.float32), uv


def _tapered_normal(
    posed: PosedWorld, solid: npt.NDArray[np.int32], unit: Float32
) -> tuple[Float32, npt.NDArray[np.int64]]:
    """Normals [3, N] in their solids' frames, and which axis [N] each face looks along."""
    taper = posed.taper.astype(np.float32).T[:, solid]  # front, back, left, right
    rise = 0.5 * taper * (unit[2] + 1.0)
    beyond = np.stack([unit[0] + rise[0], -unit[0] + rise[1], unit[1] + rise[2], -unit[1] + rise[3], unit[2], -unit[2]])
    face = np.argmax(beyond, axis=0)
    sides = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float32)
    normal = sides[face].T.copy()
    leans = np.flatnonzero(face < 4)
    normal[2, leans] = 0.5 * taper[face[leans], leans]
    return normal / posed.half_size_m.astype(np.float32).T[:, solid], face // 2


@lru_cache(maxsize=8)
def _materials(world: World) -> MaterialTable:
    return material_table(tuple(solid.material for solid in world.solids))


def shade(
    world: World,
    posed: PosedWorld,
    fx_px: float,
    position_m: Float64,
    directions: Float32,
    hits: Hits,
    shadows: bool,
    reached: npt.NDArray[np.bool_] | None,
    wanted: npt.NDArray[np.bool_] | None = None,
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Colour of a grid of rays.

    Args:
        world: what there is.
        posed: the same at one instant.
        fx_px: focal length, which tells how large a pixel is on a surface.
        position_m: float64 [3], where the rays start, world frame.
        directions: float32 [3, H, W], world frame, z = 1 in the camera frame.
        hits: where the rays end.
        shadows: whether light is stopped by what is in its way.
        reached: as an earlier call for the same pixels returned it; None: find out.
        wanted: bool [H, W], the pixels whose colour is needed; the others come back black. None: all.

    Returns:
        Linear colour float32 [3, H, W], and which pixels the sun (first row) and the rooms' lamps reach: bool
        [1 + lamps, H * W]. That is found once, at the pixels' centres, and handed on to the other samples.
    """
    light = world.light
    height, width = hits.solid.shape
    flat = directions.reshape(3, -1)
    length = np.linalg.norm(flat, axis=0)
    solid = hits.solid.reshape(-1)
    colour = np.zeros_like(flat)
    asked = True if wanted is None else wanted.reshape(-1)
    above, struck = np.flatnonzero((solid < 0) & asked), np.flatnonzero((solid >= 0) & asked)
    colour[:, above] = sky(light, flat[:, above] / length[above])
    if reached is None:
        lamps = sum(len(room.lamps) for room in light.rooms)
        reached, known = np.ones((1 + lamps, height * width), dtype=bool), not shadows
    else:
        known = True
    if len(struck):
        distance = hits.distance.reshape(-1)[struck] * length[struck]
        view = flat[:, struck] / length[struck]
        found = reached[:, struck] if known else None
        colour[:, struck], reached[:, struck] = _shade_points(
            world, posed, fx_px, position_m, view, distance, length[struck], solid[struck], found
        )
    return colour.reshape(3, height, width), reached


def _shade_points(
    world: World,
    posed: PosedWorld,
    fx_px: float,
    position_m: Float64,
    view: Float32,
    distance: Float32,
    stretch: Float32,
    index: npt.NDArray[np.int32],
    reached: npt.NDArray[np.bool_] | None,
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Colour [3, N] and reached lights [1 + lamps, N] of surface points along unit rays `view` at `distance` (m)."""
    light, table = world.light, _materials(world)
    points = position_m.astype(np.float32)[:, None] + view * distance
    local, normal, uv = surface_at(posed, index, points)
    incidence = np.sum(normal * view, axis=0)
    normal = np.where(incidence > 0, -normal, normal)  # inside of a room, underside of a plane
    facing_us = np.abs(incidence)
    footprint = distance / np.float32(fx_px) / np.sqrt(np.maximum(facing_us, 0.05))
    surface = albedo(table, index, local, uv, footprint.astype(np.float32))
    if light.snow_cover > 0:
        surface = _snowed(light, surface, points, normal, np.array([g is None for g in table.grounds])[index])
    towards, soft = _shadow_direction(light)
    if reached is None:
        stopped = _stopped(posed, points, normal, distance / stretch, towards, away=not soft)
    sun = ~stopped if reached is None else reached[0]
    ambient = _column(light.ambient_rgb) * ((0.75 + 0.25 * normal[2]) * (0.55 + 0.45 * sun if soft else 1.0))
    haze = 1.0 - np.exp(-distance / np.float32(light.haze_m))
    bounced = (view + 2.0 * facing_us * normal).astype(np.float32)
    indoors: RoomShade | None = None
    if light.rooms:
        lamps = None if reached is None else reached[1:]
        indoors = room_shade(light.rooms, posed, table.glow <= 0, points, normal, bounced, lamps)
        ambient = np.where(indoors.inside, indoors.irradiance, ambient)
        haze = np.where(indoors.inside, 0.0, haze)
    sunlight = _column(light.sun_rgb) * sun
    slope = np.maximum(np.asarray(light.sun_direction, dtype=np.float32) @ normal, 0.0)
    shaded = surface * (ambient + sunlight * slope + table.glow[index])
    mirrors = np.flatnonzero(table.gloss[index] > 0)
    if len(mirrors):
        shown = mirrored(light, bounced[:, mirrors], sunlight[:, mirrors])
        if indoors is not None:
            shown = np.where(indoors.inside[mirrors], indoors.mirrored[:, mirrors], shown)
        # Schlick's rise of reflection towards grazing rays; wet ground has puddles and nearly dry places
        gloss = table.gloss[index[mirrors]]
        puddles = np.array([ground is not None for ground in table.grounds])[index[mirrors]]
        pools = np.clip(0.5 + 1.3 * noise(points[:, mirrors] * np.float32(0.37)), 0.1, 1.0)
        gloss = np.where(puddles, gloss * pools, gloss)
        strength = np.minimum(gloss * (0.6 + 3.0 * (1.0 - facing_us[mirrors]) ** 4), 0.8)
        shaded[:, mirrors] += strength * (shown - shaded[:, mirrors])
    shaded = shaded + haze * (_column(light.horizon_rgb) - shaded)
    every = sun[None] if indoors is None else np.concatenate([sun[None], indoors.reached])
    return shaded.astype(np.float32), every


def _shadow_direction(light: Light) -> tuple[Float64, bool]:
    """Unit vector towards the light that casts shadows, and whether that is the sky of an overcast day, not the sun."""
    if max(light.sun_rgb) >= 0.5 * max(light.ambient_rgb):
        return np.asarray(light.sun_direction, dtype=np.float64), False
    sun = np.asarray(light.sun_direction, dtype=np.float64)
    high = np.array([0.3 * sun[0], 0.3 * sun[1], 1.0])
    return high / np.linalg.norm(high), True


def _stopped(
    posed: PosedWorld, points: Float32, normal: Float32, depth: Float32, towards: Float64, away: bool
) -> npt.NDArray[np.bool_]:
    """Which points [N] something hides from a light; those that look away from it are not asked, and are `away`.

    The sun lights none of those; but at an outline the next sample may see another surface, which it must not light.
    """
    facing = np.flatnonzero(towards.astype(np.float32) @ normal > 0.0)
    stopped = np.full(points.shape[1], away)
    lifted = points[:, facing] + normal[:, facing] * (0.02 + 0.002 * depth[facing])
    stopped[facing] = ~lit(posed, lifted, towards)
    return stopped


def _snowed(light: Light, surface: Float32, points: Float32, normal: Float32, bare: npt.NDArray[np.bool_]) -> Float32:
    """Colours with snow on what looks up; the ground around a road has its snow in its paint."""
    lying = np.clip(4.0 * (normal[2] - 0.45), 0.0, 1.0) * bare
    patches = np.clip(noise(points * np.float32(0.9)) * 1.5 + 4.0 * light.snow_cover - 1.0, 0.0, 1.0)
    return np.asarray(surface + lying * patches * (np.float32(0.85) - surface), dtype=np.float32)


def _column(rgb: Rgb) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]


def mirrored(light: Light, directions: Float32, sunlight: Float32) -> Float32:
    """What a mirror shows: the sky, the sun where it reaches, and a dull uneven skyline for what stands around.

    Args:
        light: sun and sky.
        directions: float32 [3, N], unit, where the mirror looks.
        sunlight: float32 [3, N], the sun at the mirror; 0 in shadow.

    Returns:
        float32 [3, N].
    """
    shown = sky(light, directions)
    place = np.stack([directions[0] * 2.1, directions[1] * 2.1, np.full_like(directions[0], light.seed % 31)])
    skyline = 0.14 + 0.2 * noise(place)
    around = np.clip((skyline - directions[2]) * 12.0, 0.0, 1.0)
    shown = shown + around * (0.3 * _column(light.horizon_rgb) - shown)
    spot = np.clip(np.asarray(light.sun_direction, dtype=np.float32) @ directions, 0.0, 1.0) ** 200
    return np.asarray(shown + 4.0 * spot * sunlight, dtype=np.float32)


def sky(light: Light, directions: Float32) -> Float32:
    """Colour float32 [3, N] of the sky in unit directions float32 [3, N], world frame."""
    up = np.clip(directions[2], 0.0, 1.0)
    horizon, zenith = _column(light.horizon_rgb), _column(light.zenith_rgb)
    colour = horizon + np.sqrt(up) * (zenith - horizon)
    if light.cloud_cover > 0:
        plane = directions[:2] / (up + 0.15)
        place = np.concatenate([plane * 1.7, np.full_like(up, light.seed % 31)[None]]).astype(np.float32)
        cloud = noise(place) + 0.5 * noise(place * 2.3) + 0.3 * noise(place * 5.1)
        cover = np.clip(cloud * 1.5 + 2.0 * light.cloud_cover - 1.0, 0.0, 1.0) * np.clip(up * 6.0, 0.0, 1.0)
        colour = colour + cover * (np.float32(min(0.9, 1.15 * max(light.horizon_rgb))) - colour)
    glow = np.clip(np.asarray(light.sun_direction, dtype=np.float32) @ directions, 0.0, 1.0) ** 40
    below = directions[2] < 0  # under the horizon without ground: a duller horizon
    colour = np.where(below, horizon * (1.0 + 0.4 * np.clip(directions[2], -1.0, 0.0)), colour)
    return np.asarray(np.clip(colour + min(0.5, max(light.sun_rgb)) * glow, 0.0, 1.2), dtype=np.float32)
