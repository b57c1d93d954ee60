# SPDX-License-Identifier: Apache-2.0
"""A road: its centre line, the height of the ground along it, and what the ground around it looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.labels import Label
from mono_depth_ros.synthetic.textures import Float32, Float64, Rgb, visible_share

_SineTerms = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class HeightProfile:
    """Height of the ground z(x) = sum of sines, 0 at x = 0; the same for every y, so hills are ridges across the road.

    Args:
        amplitude_m, wavelength_m, phase_rad: one per sine; no sines for level ground.
    """

    amplitude_m: tuple[float, ...] = ()
    wavelength_m: tuple[float, ...] = ()
    phase_rad: tuple[float, ...] = ()

    @property
    def level(self) -> bool:
        """Whether the ground is the plane z = 0."""
        return not any(self.amplitude_m)

    def at(self, x_m: Float64 | Float32 | float) -> tuple[Float64, Float64]:
        """Height (m) and slope dz/dx at world `x_m`, any shape."""
        return _sines(x_m, (self.amplitude_m, self.wavelength_m, self.phase_rad))


@dataclass(frozen=True, slots=True)
class RoadPath:
    """A winding centre line y(x) = sum of two sines; closed form, so paint, houses and cars all know where it is."""

    amplitude_m: tuple[float, float] = (0.0, 0.0)
    wavelength_m: tuple[float, float] = (200.0, 90.0)
    phase_rad: tuple[float, float] = (0.0, 0.0)
    profile: HeightProfile = field(default_factory=HeightProfile)

    def centre(self, x_m: Float64 | Float32 | float) -> tuple[Float64, Float64]:
        """Lateral position y (m) and slope dy/dx of the centre line at `x_m`, any shape."""
        return _sines(x_m, (self.amplitude_m, self.wavelength_m, self.phase_rad))

    def upright_pose(self, x_m: float, lateral_m: float) -> Float64:
        """float64 [4, 4]: something that stands plumb on the ground (a house, a pole), x along the road, z up."""
        y, slope = self.centre(float(x_m))
        yaw = float(np.arctan(slope))
        c, s = np.cos(yaw), np.sin(yaw)
        pose = np.eye(4)
        pose[:2, :2] = [[c, -s], [s, c]]
        x = x_m - s * lateral_m
        pose[:3, 3] = [x, float(y) + c * lateral_m, float(self.profile.at(x)[0])]
        return pose

    def pose(self, x_m: float, lateral_m: float) -> Float64:
        """float64 [4, 4]: body on the ground at `x_m`, `lateral_m` left of the centre line, x along the road.

        The body leans with the ground: z is the ground's normal, as wheels have it.
        """
        pose = self.upright_pose(x_m, lateral_m)
        grade = float(self.profile.at(pose[0, 3])[1])
        up = np.array([-grade, 0.0, 1.0]) / np.hypot(1.0, grade)
        forward = np.array([pose[0, 0], pose[1, 0], grade * pose[0, 0]])  # the heading, laid onto the ground
        forward /= np.linalg.norm(forward)
        pose[:3, :3] = np.stack([forward, np.cross(up, forward), up], axis=1)
        return pose


def _sines(x_m: Float64 | Float32 | float, terms: _SineTerms) -> tuple[Float64, Float64]:
    """Sum of sines that is 0 at x = 0, and its derivative."""
    x = np.asarray(x_m)
    value, slope = np.zeros_like(x, dtype=x.dtype), np.zeros_like(x, dtype=x.dtype)
    for amplitude, wavelength, phase in zip(*terms, strict=True):
        if amplitude:
            k = 2.0 * np.pi / wavelength
            value = value + amplitude * (np.sin(k * x + phase) - np.sin(phase))
            slope = slope + amplitude * k * np.cos(k * x + phase)
    return value, slope


@dataclass(frozen=True, slots=True)
class RoadPaint:
    """What the ground around a road looks like, by distance from the centre line."""

    path: RoadPath
    half_width_m: float = 3.5
    sidewalk_m: float = 2.0
    line_rgb: Rgb = (0.85, 0.85, 0.8)
    sidewalk_rgb: Rgb = (0.5, 0.5, 0.48)
    verge_rgb: Rgb = (0.25, 0.33, 0.15)
    dash_m: float = 6.0
    crossing_x_m: float = 1e6  # a crossing road, or far away for none

    def labels(self, ground_m: Float32) -> npt.NDArray[np.uint8]:
        """Label of ground points.

        Args:
            ground_m: float32 [3, N], world frame.

        Returns:
            uint8 [N]: ROAD, SIDEWALK or TERRAIN.
        """
        _, on_road, walk, _ = self._zones(ground_m)
        return np.where(on_road, Label.ROAD, np.where(walk, Label.SIDEWALK, Label.TERRAIN)).astype(np.uint8)

    def colour(self, ground_m: Float32, footprint_m: Float32, asphalt: Float32) -> Float32:
        """Colour [3, N] of the ground: asphalt [3, N] with lines and a zebra, sidewalks, verges.

        Args:
            ground_m: float32 [3, N], world frame.
            footprint_m: float32 [N], size of a pixel on the ground.
            asphalt: float32 [3, N], colour of the bare road.
        """
        lateral, on_road, walk, crossing = self._zones(ground_m)
        along, away, half = ground_m[0], np.abs(lateral), self.half_width_m
        dash = (away < 0.08) & (np.mod(along, 2 * self.dash_m) < self.dash_m) & (crossing > half)
        edge = (np.abs(away - half + 0.25) < 0.07) & (crossing > half)
        zebra = (np.abs(crossing - half - 2.0) < 1.3) & (np.mod(lateral, 1.0) < 0.5) & (away < half)
        tiles = walk & ((np.mod(along, 0.9) < 0.05) | (np.mod(lateral, 0.9) < 0.05)) & (footprint_m < 0.1)
        thin = np.clip(0.15 / np.maximum(footprint_m, 1e-6), 0.0, 1.0)  # a line narrower than a pixel is fainter
        line = np.clip((dash | edge) * thin + zebra * visible_share(np.float32(1.0), footprint_m), 0.0, 1.0)
        paint = np.where(walk, _column(self.sidewalk_rgb), _column(self.verge_rgb))
        paint = np.where(tiles, paint * 0.6, paint)
        paint = np.where(on_road, asphalt + (_column(self.line_rgb) - asphalt) * line, paint)
        return np.asarray(paint, dtype=np.float32)

    def _zones(self, ground_m: Float32) -> tuple[Float32, npt.NDArray[np.bool_], npt.NDArray[np.bool_], Float32]:
        """Offset to the left of the centre line, on a road, on a sidewalk, distance from the crossing's centre: [N]."""
        y, slope = self.path.centre(ground_m[0])
        lateral = (ground_m[1] - y) / np.sqrt(1.0 + slope * slope)
        away, half = np.abs(lateral), self.half_width_m
        crossing = np.abs(ground_m[0] - self.crossing_x_m)
        on_road = (away < half) | (crossing < half)
        walk = ~on_road & ((away < half + self.sidewalk_m) | (crossing < half + self.sidewalk_m))
        return np.asarray(lateral, dtype=np.float32), on_road, walk, crossing


def _column(rgb: Rgb) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]
