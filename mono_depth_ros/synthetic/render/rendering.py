# SPDX-License-Identifier: Apache-2.0
"""A picture and its exact depth, from a world, a pinhole camera and a pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distorted_rays
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.shading import shade
from mono_depth_ros.synthetic.render.weather import fallen
from mono_depth_ros.synthetic.render.world import (
    Float32,
    Float64,
    Hits,
    PosedWorld,
    World,
    cast_grid,
)

NEAR_M = 0.05
_UNEVEN = 0.02  # of a range of 1, after gamma
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


def nearest_depth_m(posed: PosedWorld, T_world_camera: Float64) -> Float64:
    """Depth float64 [S] that nothing of a solid is nearer than; 0 for what has no end."""
    corners = (posed.corners_world_m() - T_world_camera[:3, 3]) @ T_world_camera[:3, 2]
    return np.where(posed.unbounded(), 0.0, np.maximum(corners.min(axis=1) - 1e-3, 0.0))


def render(
    world: World,
    camera: PinholeCamera,
    T_world_camera: Float64,
    time_s: float = 0.0,
    samples: int = 2,
    shadows: bool = True,
    distortion: Distortion | None = None,
    exposure: float = 1.0,
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
        exposure: brightness of the picture, relative; see `exposure.AutoExposure`.

    Returns:
        A Rendering; its depth is exact.

    Raises:
        ConfigError: on an unsupported number of samples.
        DataError: a lens that folds back within the image.
    """
    if not 1 <= samples <= len(_SUBPIXEL):
        raise ConfigError(f"samples: expected 1..{len(_SUBPIXEL)}, got {samples}")
    posed = world.at(time_s)
    windows, nearest = _culling(posed, camera, T_world_camera, distortion)
    rotation = T_world_camera[:3, :3].astype(np.float32)
    colour = np.zeros((3, camera.height_px, camera.width_px), dtype=np.float32)
    reached: npt.NDArray[np.bool_] | None = None
    first: Hits | None = None
    uneven: npt.NDArray[np.bool_] | None = None
    for number, shift in enumerate(_SUBPIXEL[:samples]):
        grid = ray_grid(camera, *shift, distortion)
        directions = (rotation @ grid.reshape(3, -1)).reshape(grid.shape)
        hits = cast_grid(posed, T_world_camera[:3, 3], directions, windows, nearest)
        sample, reached = shade(
            world, posed, camera.fx_px, T_world_camera[:3, 3], directions, hits, shadows, reached, uneven
        )
        colour += sample if uneven is None else np.where(uneven, sample, colour / number)
        if first is None:
            first = hits
            hidden = np.ones(len(windows), dtype=bool)
            hidden[first.solid[first.solid >= 0]] = False
            windows[hidden] = 0  # the other samples only smooth what this one shows, and only where it is uneven
            uneven = _uneven(colour)
    assert first is not None  # samples >= 1
    colour = fallen(world.light, colour / np.float32(samples), time_s) * np.float32(exposure)
    image = np.clip(colour, 0.0, 1.0) ** np.float32(1.0 / 2.2)
    depth = np.where(first.solid >= 0, first.distance, np.float32(np.nan))
    rays = (rotation @ ray_grid(camera, distortion=distortion).reshape(3, -1)).reshape(grid.shape)
    points = T_world_camera[:3, 3].astype(np.float32)[:, None, None] + rays * np.nan_to_num(depth)
    pixels = np.moveaxis(image * 255.0 + 0.5, 0, 2).astype(np.uint8)
    return Rendering(pixels, depth.astype(np.float32), first.solid, semantic_labels(world, first.solid, points))


def _culling(
    posed: PosedWorld, camera: PinholeCamera, T_world_camera: Float64, distortion: Distortion | None
) -> tuple[npt.NDArray[np.int64], Float64]:
    """Windows and nearest depths for `cast_grid`; what is smaller than a pixel is left out."""
    windows = visible_windows(posed, camera, T_world_camera, distortion)
    middle = (posed.centre_world_m - T_world_camera[:3, 3]) @ T_world_camera[:3, 2]
    windows[posed.radius_m() * max(camera.fx_px, camera.fy_px) < 0.5 * middle] = 0
    return windows, nearest_depth_m(posed, T_world_camera)


def _uneven(colour: Float32) -> npt.NDArray[np.bool_]:
    """Where [H, W] a linear picture [3, H, W] differs from a neighbour by more than a grey level or two."""
    tone = np.sqrt(np.clip(colour.mean(axis=0), 0.0, 1.0))
    highest = cv2.dilate(tone, np.ones((3, 3), np.uint8))
    lowest = cv2.erode(tone, np.ones((3, 3), np.uint8))
    return np.asarray(highest - lowest > _UNEVEN)


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
