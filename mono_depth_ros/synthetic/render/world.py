# SPDX-License-Identifier: Apache-2.0
"""Worlds made of convex solids, and exact ray casting against them.

World frame: x forward, y left, z up, metres (REP 103). A ray is origin + t * direction; with camera rays of z = 1 the
parameter t *is* the depth Z, so the truth needs no marching, no mesh and no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.pace import Pace
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.terrain import terrain_crossing
from mono_depth_ros.synthetic.render.textures import Material, is_hole
from mono_depth_ros.synthetic.street.road import HeightProfile, RoadPath

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

MIN_RAY = np.float32(1e-3)  # hits closer than this (in ray parameters) are the surface the ray starts from
_TINY = np.float32(1e-12)
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


class Shape(IntEnum):
    """A solid in its own frame, scaled by its half sizes: all but PLANE fill [-1, 1]^3 or less."""

    PLANE = 0  # z = 0, infinite
    BOX = 1
    ELLIPSOID = 2
    CYLINDER = 3  # axis z, with caps
    TERRAIN = 4  # z = profile(x) of the world frame, infinite
    TAPERED = 5  # a box whose top edges are drawn in, each side by its own share


UNBOUNDED = (Shape.PLANE, Shape.TERRAIN)


@dataclass(frozen=True, slots=True)
class Mover:
    """Something that drives along a road: its pose is a function of time only.

    Args:
        path: the road's centre line.
        start_m: position along world x at time 0.
        speed_mps: mean speed along world x; negative drives towards -x and faces there.
        lateral_m: offset to the left of the centre line.
        pace: how the speed varies around its mean.
    """

    path: RoadPath
    start_m: float
    speed_mps: float
    lateral_m: float
    pace: Pace = field(default_factory=Pace)

    def T_world_body(self, time_s: float) -> Float64:
        """Pose float64 [4, 4] of the body (x forward, z up, origin on the ground) at `time_s`."""
        T_world_body = self.path.pose(self.start_m + self.speed_mps * self.pace.elapsed_s(time_s), self.lateral_m)
        if self.speed_mps < 0:
            T_world_body = T_world_body @ np.diag([-1.0, -1.0, 1.0, 1.0])
        return T_world_body


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """One convex solid.

    Args:
        shape: which solid.
        T_parent_solid: float64 [4, 4], pose in the world, or in its mover's body frame when `mover` is given.
        half_size_m: half extents along the solid's axes (semi-axes of an ellipsoid; radii, half height of a cylinder).
        material: how it looks; evaluated in the solid's own frame, so texture moves with the solid.
        mover: index into `World.movers`, or -1 for something that stands still.
        label: what it is; a ground whose paint differs by place is labelled by its paint.
        taper: of a TAPERED box: how far the top edge is drawn in at the front (+x), back, left (+y) and right, in half
            sizes; a gable roof has (0, 0, 1, 1).
        porosity: share of the surface that is holes, and the size of a clump in m: leaves, hedges. Rays and light go
            through the holes.
        profile: of a TERRAIN, and of nothing else; a terrain lies in the world frame, its pose is the identity.

    Raises:
        ConfigError: on a wrong shape, a half size that is not positive, or a taper, porosity or profile that cannot be.
    """

    shape: Shape
    T_parent_solid: Float64
    half_size_m: tuple[float, float, float]
    material: Material
    mover: int = -1
    label: Label = Label.CLUTTER
    profile: HeightProfile | None = None
    taper: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    porosity: tuple[float, float] = (0.0, 0.3)

    def __post_init__(self) -> None:
        if np.shape(self.T_parent_solid) != (4, 4):
            raise ConfigError(f"T_parent_solid: expected shape (4, 4), got {np.shape(self.T_parent_solid)}")
        if len(self.half_size_m) != 3 or min(self.half_size_m) <= 0:
            raise ConfigError(f"half_size_m: expected three positive metres, got {self.half_size_m}")
        front, back, left, right = self.taper
        if min(self.taper) < 0 or front + back > 2 or left + right > 2 or not 0 <= self.porosity[0] < 1:
            raise ConfigError(
                f"taper: expected shares of at least 0, opposite ones at most 2 together, got {self.taper}; "
                f"porosity: expected a share in [0, 1), got {self.porosity[0]}"
            )
        if (self.shape == Shape.TERRAIN) != (self.profile is not None):
            raise ConfigError(f"profile: expected one for a TERRAIN and for nothing else, got {self.profile}")
        if self.shape == Shape.TERRAIN and (not np.array_equal(self.T_parent_solid, np.eye(4)) or self.mover >= 0):
            raise ConfigError("T_parent_solid: expected the identity for a TERRAIN, which stands still")


class Moving(Protocol):
    """What carries solids: a pose that is a function of time only."""

    def T_world_body(self, time_s: float) -> Float64:
        """Pose float64 [4, 4] of the body (x forward, z up, origin on the ground) at `time_s`."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Everything there is: solids, what moves them, and the light."""

    solids: tuple[Solid, ...]
    light: Light = field(default_factory=Light)
    movers: tuple[Moving, ...] = ()

    def at(self, time_s: float) -> PosedWorld:
        """The world frozen at `time_s`, as arrays ready for ray casting."""
        bodies = [mover.T_world_body(time_s) for mover in self.movers]
        poses = [s.T_parent_solid if s.mover < 0 else bodies[s.mover] @ s.T_parent_solid for s in self.solids]
        T_world_solid = np.array(poses, dtype=np.float64).reshape(-1, 4, 4)
        half = np.array([s.half_size_m for s in self.solids], dtype=np.float64).reshape(-1, 3)
        rotation = T_world_solid[:, :3, :3]
        return PosedWorld(
            shape=np.array([int(s.shape) for s in self.solids], dtype=np.int64),
            centre_world_m=T_world_solid[:, :3, 3],
            rotation_solid_world=np.ascontiguousarray(rotation.transpose(0, 2, 1)),
            half_size_m=half,
            taper=np.array([s.taper for s in self.solids], dtype=np.float64).reshape(-1, 4),
            porosity=np.array([s.porosity for s in self.solids], dtype=np.float64).reshape(-1, 2),
            profile=next((s.profile for s in self.solids if s.profile is not None), HeightProfile()),
        )


@dataclass(frozen=True, slots=True, eq=False)
class PosedWorld:
    """S solids at an instant: shape int64 [S], centres and half sizes float64 [S, 3], rotations [S, 3, 3] to solids.

    taper float64 [S, 4] and porosity float64 [S, 2] as in `Solid`;
    `profile` is the terrain's, level where there is none.
    """

    shape: npt.NDArray[np.int64]
    centre_world_m: Float64
    rotation_solid_world: Float64
    half_size_m: Float64
    taper: Float64
    porosity: Float64
    profile: HeightProfile

    def unbounded(self) -> npt.NDArray[np.bool_]:
        """Which solids have no end, bool [S]."""
        return np.isin(self.shape, UNBOUNDED)

    def radius_m(self) -> Float64:
        """Bounding-sphere radius float64 [S]; infinite for planes and terrain."""
        radius: Float64 = np.linalg.norm(self.half_size_m, axis=1)
        return np.where(self.unbounded(), np.inf, radius)

    def corners_world_m(self) -> Float64:
        """Corners float64 [S, 8, 3] of the solids' oriented bounding boxes (meaningless for planes)."""
        local = _CORNERS[None] * self.half_size_m[:, None, :]
        return np.asarray(np.einsum("skj,sji->ski", local, self.rotation_solid_world) + self.centre_world_m[:, None, :])


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Where rays end: `distance` float32 [...] in ray parameters (inf: nothing), `solid` int32 [...] (-1: nothing)."""

    distance: Float32
    solid: npt.NDArray[np.int32]


def interval(
    shape: Shape, origin: Float32, direction: Float32, taper: Float64 | None = None
) -> tuple[Float32, Float32]:
    """Ray parameters where rays enter and leave a unit solid (enter > leave: missed).

    Args:
        shape: which unit solid.
        origin: float32 [3, 1] or [3, N], in the solid's scaled frame.
        direction: float32 [3, 1] or [3, N], same frame, any length.
        taper: float64 [4], of a TAPERED box.

    Returns:
        (enter, leave), float32 [N] each.
    """
    safe = np.where(np.abs(direction) < _TINY, _TINY, direction)
    if shape == Shape.PLANE:
        crossing = -origin[2] / safe[2]
        return crossing, crossing
    if shape == Shape.BOX:
        inverse = np.float32(1.0) / safe
        middle = -origin * inverse
        half = np.abs(inverse)
        return np.max(middle - half, axis=0), np.min(middle + half, axis=0)
    if shape == Shape.TAPERED:
        return _tapered_interval(origin, direction, safe, np.zeros(4) if taper is None else taper)
    axes = 3 if shape == Shape.ELLIPSOID else 2
    enter, leave = _round_interval(origin[:axes], direction[:axes])
    if shape == Shape.CYLINDER:
        inverse = np.float32(1.0) / safe[2]
        middle = -origin[2] * inverse
        half = np.abs(inverse)
        enter, leave = np.maximum(enter, middle - half), np.minimum(leave, middle + half)
    return enter, leave


def taper_planes(taper: Float64) -> Float64:
    """The four leaning sides of a tapered unit box, float64 [4, 4]: inside where (a, b, c) . p <= d, per row."""
    sides = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    return np.column_stack([sides, 0.5 * taper, 1.0 - 0.5 * taper])


def _tapered_interval(origin: Float32, direction: Float32, safe: Float32, taper: Float64) -> tuple[Float32, Float32]:
    """Interval between top and bottom and inside the four leaning planes."""
    inverse = np.float32(1.0) / safe[2]
    middle, half = -origin[2] * inverse, np.abs(inverse)
    enter, leave = middle - half, middle + half
    for plane in taper_planes(taper).astype(np.float32):
        rate = plane[:3] @ direction
        rate = np.where(np.abs(rate) < _TINY, _TINY, rate)
        crossing = (plane[3] - plane[:3] @ origin) / rate
        enter = np.maximum(enter, np.where(rate < 0, crossing, -np.inf))
        leave = np.minimum(leave, np.where(rate > 0, crossing, np.inf))
    return enter.astype(np.float32), leave.astype(np.float32)


def _round_interval(origin: Float32, direction: Float32) -> tuple[Float32, Float32]:
    """Interval inside the unit circle or sphere, from the closest approach: that keeps float32 exact far away."""
    squared = np.maximum(np.sum(direction * direction, axis=0), _TINY)
    closest = -np.sum(origin * direction, axis=0) / squared
    nearest_point = origin + closest * direction
    room = np.float32(1.0) - np.sum(nearest_point * nearest_point, axis=0)
    half = np.sqrt(np.maximum(room, 0.0) / squared)
    missed = room < 0
    return np.where(missed, np.inf, closest - half).astype(np.float32), np.where(
        missed, -np.inf, closest + half
    ).astype(np.float32)


def first_crossing(enter: Float32, leave: Float32) -> Float32:
    """First surface in front of the ray's start: entering, or leaving when it starts inside; inf when there is none."""
    ahead = np.where(enter > MIN_RAY, enter, leave)
    return np.where((enter <= leave) & (ahead > MIN_RAY), ahead, np.inf).astype(np.float32)


def solid_crossing(
    posed: PosedWorld, index: int, origin: Float32, direction: Float32, limit: Float32 | None = None
) -> Float32:
    """First surface of one solid along rays, holes left out.

    Args:
        posed: the world at one instant.
        index: which solid, not a TERRAIN.
        origin: float32 [3, 1] or [3, N], in the solid's scaled frame.
        direction: float32 [3, 1] or [3, N], same frame.
        limit: float32 [N], hits beyond it are of no interest: their holes are not looked for.

    Returns:
        Ray parameters float32 [N]; inf where there is none.
    """
    enter, leave = interval(Shape(posed.shape[index]), origin, direction, posed.taper[index])
    reach = first_crossing(enter, leave)
    share, clump_m = posed.porosity[index]
    if share > 0:
        to_clumps = (posed.half_size_m[index] / clump_m).astype(np.float32)[:, None]
        shift = np.float32(index % 29 * 3.7)

        def holes(rays: npt.NDArray[np.int64], at: Float32) -> npt.NDArray[np.bool_]:
            along = direction if direction.shape[1] == 1 else direction[:, rays]
            place = (origin if origin.shape[1] == 1 else origin[:, rays]) + at[rays] * along
            return is_hole(place * to_clumps + shift, float(share))

        struck = np.flatnonzero(reach < (np.inf if limit is None else limit))
        through = struck[holes(struck, reach)]
        reach[through] = np.where(leave[through] > reach[through], leave[through], np.inf)
        far = through[np.isfinite(reach[through])]  # a hole in the near side shows the far side, or a hole in it
        reach[far[holes(far, reach)]] = np.inf
    return reach


def cast_grid(
    posed: PosedWorld,
    origin_world_m: Float64,
    directions_world: Float32,
    windows: npt.NDArray[np.int64] | None = None,
    nearest: Float64 | None = None,
) -> Hits:
    """Nearest hit of a grid of rays that start at one point.

    Args:
        posed: the world at one instant.
        origin_world_m: float64 [3].
        directions_world: float32 [3, H, W], any length; the distance is in units of it.
        windows: int64 [S, 4] (v0, v1, u0, u1): the only part of the grid each solid can appear in (None: everywhere).
        nearest: float64 [S], no hit of a solid is nearer than this; with it, solids behind what is seen already cost
            next to nothing.

    Returns:
        Hits of shape [H, W].
    """
    _, height, width = directions_world.shape
    distance = np.full((height, width), np.inf, dtype=np.float32)
    solid = np.full((height, width), -1, dtype=np.int32)
    order = range(len(posed.shape)) if nearest is None else np.argsort(nearest, kind="stable")
    unit_world = posed.rotation_solid_world / posed.half_size_m[:, :, None]
    origins = np.einsum("skj,sj->sk", unit_world, origin_world_m - posed.centre_world_m).astype(np.float32)
    unit_world = unit_world.astype(np.float32)
    for index in order:
        v0, v1, u0, u1 = (0, height, 0, width) if windows is None else windows[index]
        if v0 >= v1 or u0 >= u1:
            continue
        if nearest is not None and distance[v0:v1, u0:u1].max() < nearest[index]:
            continue
        rays = directions_world[:, v0:v1, u0:u1].reshape(3, -1)
        if posed.shape[index] == Shape.TERRAIN:
            reach = terrain_crossing(posed.profile, origin_world_m, rays).reshape(v1 - v0, u1 - u0)
        else:
            limit = distance[v0:v1, u0:u1].reshape(-1)
            reach = solid_crossing(posed, int(index), origins[index][:, None], unit_world[index] @ rays, limit)
            reach = reach.reshape(v1 - v0, u1 - u0)
        nearer = reach < distance[v0:v1, u0:u1]
        if nearer.any():
            np.copyto(distance[v0:v1, u0:u1], reach, where=nearer)
            np.copyto(solid[v0:v1, u0:u1], np.int32(index), where=nearer)
    return Hits(distance, solid)


def lit(posed: PosedWorld, points_world_m: Float32, towards_light: Float64) -> npt.NDArray[np.bool_]:
    """Which surface points see the light.

    Args:
        posed: the world at one instant.
        points_world_m: float32 [3, N], already lifted a little off their surface.
        towards_light: float64 [3], unit vector.

    Returns:
        bool [N].
    """
    side = np.cross(towards_light, [0.0, 1.0, 0.0] if abs(towards_light[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    plane = np.stack([side, np.cross(towards_light, side)])  # seen along the light, a solid is inside a rectangle
    flat = plane.astype(np.float32) @ points_world_m
    order = np.argsort(flat[0])  # sorted, the points in a solid's stripe lie side by side
    flat, points, seen = flat[:, order], points_world_m[:, order], np.ones(len(order), dtype=bool)
    outline = posed.corners_world_m() @ plane.T
    low, high = outline.min(axis=1) - 1e-3, outline.max(axis=1) + 1e-3
    first, last = np.searchsorted(flat[0], low[:, 0]), np.searchsorted(flat[0], high[:, 0])
    for index in np.flatnonzero((first < last) & ~posed.unbounded()):
        stripe = slice(first[index], last[index])
        inside = (flat[1, stripe] > low[index, 1]) & (flat[1, stripe] < high[index, 1]) & seen[stripe]
        near = np.flatnonzero(inside) + first[index]
        if not len(near):
            continue
        unit_world = posed.rotation_solid_world[index] / posed.half_size_m[index][:, None]
        origin = unit_world.astype(np.float32) @ (
            points[:, near] - posed.centre_world_m[index].astype(np.float32)[:, None]
        )
        reach = solid_crossing(posed, int(index), origin, (unit_world @ towards_light).astype(np.float32)[:, None])
        seen[near[np.isfinite(reach)]] = False
    back = np.empty_like(seen)
    back[order] = seen
    return back
