# SPDX-License-Identifier: Apache-2.0
"""A picture and its exact depth, from a world, a pinhole camera and a pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distorted_rays
from mono_depth_ros.synthetic.labels import Label
from mono_depth_ros.synthetic.room_light import RoomShade, room_shade
from mono_depth_ros.synthetic.textures import Rgb, albedo, noise
from mono_depth_ros.synthetic.world import (
    UNBOUNDED,
    Float32,
    Float64,
    Hits,
    Light,
    PosedWorld,
    Shape,
    World,
    cast_grid,
    lit,
)

NEAR_M = 0.05
_SUBPIXEL = ((0.0, 0.0), (0.4, 0.25), (-0.25, 0.4), (-0.35, -0.35))  # the first, the pixel's centre, gives the depth


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A rendered view.

    Args:
        image_rgb: uint8 [H, W, 3].
        depth_m: float32 [H, W], Z of the surface at each pixel's centre; NaN in the sky.
        solid: int32 [H, W], index of the solid at each pixel's centre; -1 in the sky.
        labels: uint8 [H, W], `Label` at each pixel's centre.
    """

    image_rgb: npt.NDArray[np.uint8]
    depth_m: Float32
    solid: npt.NDArray[np.int32]
    labels: npt.NDArray[np.uint8]


def ray_grid(
    camera: PinholeCamera, shift_u: float = 0.0, shift_v: float = 0.0, distortion: Distortion | None = None
) -> Float32:
    """Camera-frame rays float32 [3, H, W] with z = 1, through pixel centres moved by a part of a pixel."""
    if distortion is not None:
        return _distorted_grid(camera, shift_u, shift_v, distortion)
    x = (np.arange(camera.width_px) + shift_u - camera.cx_px) / camera.fx_px
    y = (np.arange(camera.height_px) + shift_v - camera.cy_px) / camera.fy_px
    rays = np.ones((3, camera.height_px, camera.width_px), dtype=np.float32)
    rays[0], rays[1] = x[None, :], y[:, None]
    return rays


@lru_cache(maxsize=32)  # six cameras of four samples each; the iteration behind it is slow
def _distorted_grid(camera: PinholeCamera, shift_u: float, shift_v: float, distortion: Distortion) -> Float32:
    moved = replace(camera, cx_px=camera.cx_px - shift_u, cy_px=camera.cy_px - shift_v)
    rays = np.ascontiguousarray(np.moveaxis(distorted_rays(moved, distortion), 2, 0))
    rays.flags.writeable = False
    return rays


def visible_windows(
    posed: PosedWorld, camera: PinholeCamera, T_world_camera: Float64, distortion: Distortion | None = None
) -> npt.NDArray[np.int64]:
    """Pixel rectangles int64 [S, 4] (v0, v1, u0, u1) outside which a solid cannot be seen; empty when it is behind.

    Args:
        posed: the world at one instant.
        camera: pinhole camera.
        T_world_camera: float64 [4, 4], optical frame.
        distortion: of the lens.
    """
    rotation, position = T_world_camera[:3, :3], T_world_camera[:3, 3]
    corners = (posed.corners_world_m() - position) @ rotation  # [S, 8, 3], camera frame
    z = corners[..., 2]
    slope = corners[..., :2] / np.maximum(z, NEAR_M)[..., None]
    low, high = slope.min(1), slope.max(1)
    if distortion is None:
        focal, centre = np.array([camera.fx_px, camera.fy_px]), np.array([camera.cx_px, camera.cy_px])
        (u0, v0), (u1, v1) = np.floor(low * focal + centre).T - 1, np.ceil(high * focal + centre).T + 2
    else:
        rays = ray_grid(camera, distortion=distortion)
        (u0, u1), (v0, v1) = _span(rays[0], low[:, 0], high[:, 0]), _span(rays[1].T, low[:, 1], high[:, 1])
    whole = (z.min(1) <= NEAR_M) | posed.unbounded()
    behind = (z.max(1) <= NEAR_M) & ~posed.unbounded()
    window = np.stack([np.where(whole, 0, v0), np.where(whole, camera.height_px, v1)], axis=1)
    window = np.concatenate([window, np.where(whole, 0, u0)[:, None], np.where(whole, camera.width_px, u1)[:, None]], 1)
    window[:, :2] = window[:, :2].clip(0, camera.height_px)
    window[:, 2:] = window[:, 2:].clip(0, camera.width_px)
    window[behind] = 0
    return window.astype(np.int64)


def _span(slopes: Float32, low: Float64, high: Float64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First column, and the one behind the last, that may have rays between two slopes; a pixel of margin included.

    Args:
        slopes: float32 [H, W], growing from column to column.
        low, high: float64 [S].
    """
    largest_so_far = np.maximum.accumulate(slopes.max(0))
    smallest_from_here = np.minimum.accumulate(slopes.min(0)[::-1])[::-1]
    first = np.searchsorted(largest_so_far, low, side="left") - 2
    return first, np.searchsorted(smallest_from_here, high, side="right") + 2


def render(
    world: World,
    camera: PinholeCamera,
    T_world_camera: Float64,
    time_s: float = 0.0,
    samples: int = 2,
    shadows: bool = True,
    distortion: Distortion | None = None,
) -> Rendering:
    """Render a view.

    Args:
        world: what there is.
        camera: pinhole camera of the image.
        T_world_camera: float64 [4, 4], pose of the optical frame.
        time_s: instant at which moving things are looked at.
        samples: colour samples per pixel, 1..4; the first lies at the pixel's centre.
        shadows: whether the sun casts shadows.
        distortion: of the lens; rays are cast through the raw image's pixels, so its depth is exact too.

    Returns:
        A Rendering; its depth is exact.

    Raises:
        ConfigError: on an unsupported number of samples.
        DataError: a lens that folds back within the image.
    """
    if not 1 <= samples <= len(_SUBPIXEL):
        raise ConfigError(f"samples: expected 1..{len(_SUBPIXEL)}, got {samples}")
    posed = world.at(time_s)
    windows = visible_windows(posed, camera, T_world_camera, distortion)
    rotation = T_world_camera[:3, :3].astype(np.float32)
    colour = np.zeros((3, camera.height_px, camera.width_px), dtype=np.float32)
    reached: npt.NDArray[np.bool_] | None = None
    first: Hits | None = None
    for shift in _SUBPIXEL[:samples]:
        grid = ray_grid(camera, *shift, distortion)
        directions = (rotation @ grid.reshape(3, -1)).reshape(grid.shape)
        hits = cast_grid(posed, T_world_camera[:3, 3], directions, windows)
        sample, reached = _shade(world, posed, camera, T_world_camera[:3, 3], directions, hits, shadows, reached)
        colour += sample
        first = hits if first is None else first
    assert first is not None  # samples >= 1
    image = np.clip(colour / samples, 0.0, 1.0) ** np.float32(1.0 / 2.2)
    depth = np.where(first.solid >= 0, first.distance, np.float32(np.nan))
    rays = (rotation @ ray_grid(camera, distortion=distortion).reshape(3, -1)).reshape(grid.shape)
    points = T_world_camera[:3, 3].astype(np.float32)[:, None, None] + rays * np.nan_to_num(depth)
    pixels = np.moveaxis(image * 255.0 + 0.5, 0, 2).astype(np.uint8)
    return Rendering(pixels, depth.astype(np.float32), first.solid, semantic_labels(world, first.solid, points))


def semantic_labels(world: World, solid: npt.NDArray[np.int32], points_world_m: Float32) -> npt.NDArray[np.uint8]:
    """Labels uint8 [...] of surface points.

    Args:
        world: what there is.
        solid: int32 [...], index of the solid at each point; -1 for the sky.
        points_world_m: float32 [3, ...]; only looked at where the ground's paint tells the label.
    """
    table = np.array([*(s.label for s in world.solids), Label.SKY], dtype=np.uint8)
    labels = table[solid]  # index -1 is the last entry, the sky
    for index, ground in enumerate(world.solids):
        if ground.material.ground is not None:
            painted = solid == index
            labels[painted] = ground.material.ground.labels(points_world_m[:, painted])
    return labels


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
    hilly = shape == Shape.TERRAIN
    if hilly.any():
        normal[0, hilly] = -posed.profile.at(points_world[0, hilly])[1]
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-9)
    around = np.arctan2(unit[1], unit[0]) * half[0]
    horizontal = np.where(flat, np.where(axis == 0, local[1], local[0]), around)
    vertical = np.where(flat & (axis == 2), local[1], local[2])
    uv = np.stack([horizontal, vertical]).astype(np.float32)
    return local.astype(np.float32), np.einsum("nij,in->jn", rotation, normal).astype(np.float32), uv


def _shade(
    world: World,
    posed: PosedWorld,
    camera: PinholeCamera,
    position: Float64,
    directions: Float32,
    hits: Hits,
    shadows: bool,
    reached: npt.NDArray[np.bool_] | None,
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Linear colour [3, H, W], and which pixels the sun (first row) and the rooms' lamps reach.

    That is found once, at the pixels' centres, and handed on to the other samples.
    """
    light = world.light
    height, width = hits.solid.shape
    flat = directions.reshape(3, -1)
    length = np.linalg.norm(flat, axis=0)
    colour = sky(light, flat / length)
    solid = hits.solid.reshape(-1)
    struck = np.flatnonzero(solid >= 0)
    lamps = sum(len(room.lamps) for room in light.rooms)
    reach_known = reached is not None
    reached = np.ones((1 + lamps, height * width), dtype=bool) if reached is None else reached
    if len(struck):
        index, reach = solid[struck], hits.distance.reshape(-1)[struck]
        ray, ray_length = flat[:, struck], length[struck]
        points = position.astype(np.float32)[:, None] + ray * reach
        local, normal, uv = surface_at(posed, index, points)
        incidence = np.sum(normal * ray, axis=0) / ray_length
        normal = np.where(incidence > 0, -normal, normal)  # inside of a room, underside of a plane
        footprint = reach * ray_length / np.float32(camera.fx_px) / np.sqrt(np.maximum(np.abs(incidence), 0.05))
        surface = albedo(tuple(s.material for s in world.solids), index, local, uv, footprint.astype(np.float32))
        towards_sun = np.asarray(light.sun_direction, dtype=np.float32)
        slope = np.maximum(towards_sun @ normal, 0.0)
        if not reach_known and shadows:
            facing = np.flatnonzero(slope > 0.0)
            lifted = points[:, facing] + normal[:, facing] * (0.02 + 0.002 * reach[facing])
            reached[0, struck[facing]] = lit(posed, lifted, np.asarray(light.sun_direction, dtype=np.float64))
        ambient = _column(light.ambient_rgb) * (0.75 + 0.25 * normal[2])
        haze = 1.0 - np.exp(-reach * ray_length / np.float32(light.haze_m))
        bounced = (ray / ray_length + 2.0 * np.abs(incidence) * normal).astype(np.float32)
        indoors: RoomShade | None = None
        if light.rooms:
            known = reached[1:, struck] if reach_known or not shadows else None
            indoors = room_shade(light.rooms, posed, _opaque(world), points, normal, bounced, known)
            reached[1:, struck] = indoors.reached
            ambient = np.where(indoors.inside, indoors.irradiance, ambient)
            haze = np.where(indoors.inside, 0.0, haze)
        direct = _column(light.sun_rgb) * (slope * reached[0, struck])
        glow = np.array([s.material.glow for s in world.solids], dtype=np.float32)[index]
        shaded = surface * (ambient + direct + glow)
        gloss = np.array([s.material.gloss for s in world.solids], dtype=np.float32)[index]
        mirrors = np.flatnonzero(gloss > 0)
        if len(mirrors):
            shown = sky(light, bounced[:, mirrors])
            if indoors is not None:
                shown = np.where(indoors.inside[mirrors], indoors.mirrored[:, mirrors], shown)
            shaded[:, mirrors] += gloss[mirrors] * (shown - shaded[:, mirrors])
        colour[:, struck] = shaded + haze * (_column(light.horizon_rgb) - shaded)
    return colour.reshape(3, height, width), reached


def _opaque(world: World) -> npt.NDArray[np.bool_]:
    """Which solids bool [S] cast shadows from lamps: all but those that shine."""
    return np.array([s.material.glow <= 0 for s in world.solids])


def _column(rgb: Rgb) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]


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
        colour = colour + cover * (np.float32(0.9) - colour)
    glow = np.clip(np.asarray(light.sun_direction, dtype=np.float32) @ directions, 0.0, 1.0) ** 40
    below = directions[2] < 0  # under the horizon without ground: a duller horizon
    colour = np.where(below, horizon * (1.0 + 0.4 * np.clip(directions[2], -1.0, 0.0)), colour)
    return np.asarray(np.clip(colour + 0.5 * glow, 0.0, 1.2), dtype=np.float32)
