# SPDX-License-Identifier: Apache-2.0
"""A road: its centre line, the height of the ground along it, and what the ground around it looks like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.render.textures import Float32, Float64, Rgb, noise, visible_share

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
    """What the ground around a road looks like, by distance from the centre line.

    Args:
        path: the road.
        half_width_m: of the road.
        sidewalk_m: width of each pavement.
        line_rgb, sidewalk_rgb, verge_rgb: colours.
        dash_m: length of a dash of the middle line, and of the gap after it.
        side_streets_x_m: where along world x streets cross; they run along world y.
        side_half_width_m: of those.
        zebra: whether crossings have one.
        wear: 0 new .. 1 old: patches, cracks and tracks in the asphalt.
        snow: 0 none .. 1 the ground is white but for the tracks.
    """

    path: RoadPath
    half_width_m: float = 3.5
    sidewalk_m: float = 2.0
    line_rgb: Rgb = (0.85, 0.85, 0.8)
    sidewalk_rgb: Rgb = (0.5, 0.5, 0.48)
    verge_rgb: Rgb = (0.25, 0.33, 0.15)
    dash_m: float = 6.0
    side_streets_x_m: tuple[float, ...] = ()
    side_half_width_m: float = 3.0
    zebra: bool = True
    wear: float = 0.0
    snow: float = 0.0

    def labels(self, ground_m: Float32) -> npt.NDArray[np.uint8]:
        """Label of ground points.

        Args:
            ground_m: float32 [3, N], world frame.

        Returns:
            uint8 [N]: ROAD, SIDEWALK or TERRAIN.
        """
        zone = self._zones(ground_m)
        return np.where(zone.road, Label.ROAD, np.where(zone.walk, Label.SIDEWALK, Label.TERRAIN)).astype(np.uint8)

    def colour(self, ground_m: Float32, footprint_m: Float32, asphalt: Float32) -> Float32:
        """Colour [3, N] of the ground: asphalt [3, N] with wear, lines and a zebra, kerbs, sidewalks, verges.

        Args:
            ground_m: float32 [3, N], world frame.
            footprint_m: float32 [N], size of a pixel on the ground.
            asphalt: float32 [3, N], colour of the bare road.
        """
        zone = self._zones(ground_m)
        along, away = ground_m[0], np.abs(zone.lateral)
        # grass with bare soil in it, tufts light and dark
        tufts = noise(ground_m * np.float32(1.9)) * visible_share(np.float32(0.5), footprint_m)
        bare = np.clip(2.5 * noise(ground_m * np.float32(0.23)) - 0.3, 0.0, 0.8)
        verge = _column(self.verge_rgb) * (1.0 + 0.6 * tufts)
        verge = verge + bare * (_column((0.16, 0.12, 0.08)) - verge)
        paint = np.where(zone.walk, _column(self.sidewalk_rgb), verge)
        joint = (np.mod(along, 0.9) < 0.04) | (np.mod(zone.lateral, 0.9) < 0.04)
        paint = np.where(zone.walk & joint & (footprint_m < 0.1), paint * 0.55, paint)
        kerb = (np.abs(away - self.half_width_m - 0.08) < 0.08) & zone.walk
        paint = np.where(kerb, paint * 1.25, paint)
        worn = asphalt if self.wear <= 0 else asphalt * self._wear(ground_m, away, footprint_m)
        line = self._lines(zone, along, away, footprint_m)
        paint = np.where(zone.road, worn + (_column(self.line_rgb) - worn) * line, paint)
        if self.snow > 0:
            patches = noise(ground_m * np.float32(0.5)) + 0.5 * noise(ground_m * np.float32(2.1))
            driven = np.where(zone.road, 0.75 * np.clip(1.3 - 0.9 * zone.track, 0.0, 1.0), 0.0)
            cover = np.clip(patches + 3.0 * self.snow - 0.6 - 3.0 * driven, 0.0, 1.0)
            paint = paint + cover * (np.float32(0.82) - paint)
        return np.asarray(paint, dtype=np.float32)

    def _lines(self, zone: _Zones, along: Float32, away: Float32, footprint_m: Float32) -> Float32:
        """How much line paint covers the road, 0..1 [N]."""
        half, free = self.half_width_m, zone.to_side_street > self.side_half_width_m
        dash = (away < 0.07) & (np.mod(along, 2 * self.dash_m) < self.dash_m) & free
        edge = (np.abs(away - half + 0.25) < 0.06) & free
        stop = (np.abs(zone.to_side_street - self.side_half_width_m - 0.8) < 0.2) & (away < half)
        thin = np.clip(0.14 / np.maximum(footprint_m, 1e-6), 0.0, 1.0)  # a line narrower than a pixel is fainter
        line = (dash | edge) * thin + stop * np.clip(0.4 / np.maximum(footprint_m, 1e-6), 0.0, 1.0)
        if self.zebra:
            bars = (np.abs(zone.to_side_street - self.side_half_width_m - 2.8) < 1.4) & (away < half)
            # finer than a pixel, bars and gaps make an even half tone
            sharp = visible_share(np.float32(1.0), footprint_m)
            line = line + bars * (0.5 + sharp * ((np.mod(zone.lateral, 1.0) < 0.5) - 0.5))
        return np.asarray(np.clip(line, 0.0, 1.0), dtype=np.float32)

    def _wear(self, ground_m: Float32, away: Float32, footprint_m: Float32) -> Float32:
        """Brightness factor [N] of old asphalt: wheel tracks, repaired rectangles, tarred cracks."""
        tracks = 1.0 - 0.2 * np.exp(-(((np.abs(away - self.half_width_m / 2) - 0.8) / 0.35) ** 2))
        cells = np.stack([np.floor(ground_m[0] / 5.3), np.floor(ground_m[1] / 1.9), np.zeros_like(away)])
        tone = noise((cells * np.float32(1.37) + np.float32(0.31)).astype(np.float32))
        patch = np.where(np.abs(tone) > 0.42, 1.0 + 0.8 * tone, 1.0)
        bends = noise(ground_m * np.float32(0.55)) + 0.35 * noise(ground_m * np.float32(2.3))
        width = np.maximum(0.012, 0.3 * footprint_m)
        crack = (np.abs(bends) < width) * np.clip(0.03 / np.maximum(footprint_m, 1e-6), 0.0, 1.0)
        worn = tracks * patch * (1.0 - 0.7 * crack)
        return np.asarray(1.0 + self.wear * (worn - 1.0), dtype=np.float32)

    def _zones(self, ground_m: Float32) -> _Zones:
        y, slope = self.path.centre(ground_m[0])
        lateral = (ground_m[1] - y) / np.sqrt(1.0 + slope * slope)
        away, half, side = np.abs(lateral), self.half_width_m, self.side_half_width_m
        to_side = np.full_like(away, 1e6)
        for x_m in self.side_streets_x_m:
            to_side = np.minimum(to_side, np.abs(ground_m[0] - x_m))
        road = (away < half) | (to_side < side)
        walk = ~road & ((away < half + self.sidewalk_m) | (to_side < side + self.sidewalk_m))
        track = np.abs(np.abs(away - half / 2) - 0.8)
        return _Zones(np.asarray(lateral, dtype=np.float32), road, walk, to_side, track)


@dataclass(frozen=True, slots=True, eq=False)
class _Zones:
    """Places of N ground points: offset to the left of the centre line, distance to the middle of the nearest side
    street and to a wheel track (m), and whether on a road or a sidewalk."""

    lateral: Float32
    road: npt.NDArray[np.bool_]
    walk: npt.NDArray[np.bool_]
    to_side_street: Float32
    track: Float32


def _column(rgb: Rgb) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]
