# SPDX-License-Identifier: Apache-2.0
"""How surfaces look: colours, noise and patterns as functions of the surface point in the solid's own frame.

Because they are functions of the 3-D point, two views of one surface agree. Details finer than a pixel fade to their
mean (a pixel's footprint is known in closed form): a real lens and sensor do the same, and far surfaces do not alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Rgb = tuple[float, float, float]

_CELLS = 32  # the noise lattice repeats after this many cells
_LATTICE: Float32 = np.random.default_rng(20210401).uniform(-1.0, 1.0, _CELLS**3).astype(np.float32)


class Pattern(IntEnum):
    """Regular structure painted over the noise."""

    NONE = 0
    WINDOWS = 1
    STRIPES = 2
    CHECKS = 3
    ROAD = 4


@dataclass(frozen=True, slots=True)
class RoadPath:
    """A winding centre line y(x) = sum of two sines; closed form, so paint, houses and cars all know where it is."""

    amplitude_m: tuple[float, float] = (0.0, 0.0)
    wavelength_m: tuple[float, float] = (200.0, 90.0)
    phase_rad: tuple[float, float] = (0.0, 0.0)

    def centre(self, x_m: Float64 | Float32 | float) -> tuple[Float64, Float64]:
        """Lateral position y (m) and slope dy/dx of the centre line at `x_m`, any shape."""
        x = np.asarray(x_m)
        y, slope = np.zeros_like(x, dtype=x.dtype), np.zeros_like(x, dtype=x.dtype)
        for amplitude, wavelength, phase in zip(self.amplitude_m, self.wavelength_m, self.phase_rad, strict=True):
            k = 2.0 * np.pi / wavelength
            y = y + amplitude * (np.sin(k * x + phase) - np.sin(phase))
            slope = slope + amplitude * k * np.cos(k * x + phase)
        return y, slope

    def pose(self, x_m: float, lateral_m: float) -> Float64:
        """float64 [4, 4]: body on the ground at `x_m`, `lateral_m` left of the centre line, x along the road."""
        y, slope = self.centre(float(x_m))
        yaw = float(np.arctan(slope))
        c, s = np.cos(yaw), np.sin(yaw)
        pose = np.eye(4)
        pose[:2, :2] = [[c, -s], [s, c]]
        pose[:3, 3] = [x_m - s * lateral_m, float(y) + c * lateral_m, 0.0]
        return pose


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


@dataclass(frozen=True, slots=True)
class Material:
    """Look of a solid; frequencies in 1/m, sizes in m.

    Args:
        rgb: main colour, linear 0..1.
        blotch_rgb: second colour, mixed in by low noise.
        frequency: lowest noise frequency.
        octaves: how many octaves of noise (each twice the frequency).
        roughness: amplitude of the noise, relative to the colour.
        pattern: regular structure.
        pattern_size_m: period along the surface's two axes.
        pattern_fill: share of a period that is painted, 0..1.
        pattern_rgb: colour of the pattern.
        gloss: 0 matt .. 1 mirrors the sky.
        gradient: relative brightening per metre of height.
        seed: where in the noise this solid lies.
        road: for Pattern.ROAD.
    """

    rgb: Rgb
    blotch_rgb: Rgb
    frequency: float = 0.5
    octaves: int = 3
    roughness: float = 0.3
    pattern: Pattern = Pattern.NONE
    pattern_size_m: tuple[float, float] = (3.0, 3.0)
    pattern_fill: float = 0.5
    pattern_rgb: Rgb = (0.1, 0.1, 0.12)
    gloss: float = 0.0
    gradient: float = 0.0
    seed: int = 0
    road: RoadPaint | None = None


def noise(points: Float32) -> Float32:
    """Smooth value noise in about [-1, 1], period 32 in each coordinate.

    Args:
        points: float32 [3, N], in lattice cells.

    Returns:
        float32 [N].

    >>> float(noise(np.zeros((3, 1), np.float32))[0]) == float(_LATTICE[0])
    True
    """
    base = np.floor(points)
    f = points - base
    f *= f * (3.0 - 2.0 * f)
    cell = base.astype(np.int32) & (_CELLS - 1)
    following = (cell + 1) & (_CELLS - 1)
    x0, x1 = cell[0], following[0]
    y0, y1 = cell[1] * _CELLS, following[1] * _CELLS
    z0, z1 = cell[2] * (_CELLS * _CELLS), following[2] * (_CELLS * _CELLS)
    planes = []
    for z in (z0, z1):
        lines = []
        for y in (y0, y1):
            yz = y + z
            low = _LATTICE.take(yz + x0)
            lines.append(low + f[0] * (_LATTICE.take(yz + x1) - low))
        planes.append(lines[0] + f[1] * (lines[1] - lines[0]))
    return np.asarray(planes[0] + f[2] * (planes[1] - planes[0]), dtype=np.float32)


def _column(materials: tuple[Material, ...], name: str) -> Float32:
    return np.array([getattr(material, name) for material in materials], dtype=np.float32)


def _visible(period_m: Float32 | np.float32, footprint_m: Float32) -> Float32:
    """How much of a detail of this period survives a pixel of this footprint, 0..1."""
    return np.clip(period_m / np.maximum(footprint_m, 1e-6) * 0.5 - 0.5, 0.0, 1.0)


def albedo(
    materials: tuple[Material, ...],
    index: npt.NDArray[np.int32],
    local_m: Float32,
    face_uv_m: Float32,
    footprint_m: Float32,
) -> Float32:
    """Colour of surface points.

    Args:
        materials: one per solid.
        index: int32 [N], the solid of each point.
        local_m: float32 [3, N], points in their solid's frame.
        face_uv_m: float32 [2, N], surface coordinates (horizontal, vertical) for patterns.
        footprint_m: float32 [N], size of a pixel on the surface.

    Returns:
        float32 [3, N], linear RGB.
    """
    seed = _column(materials, "seed")[index]
    frequency = _column(materials, "frequency")[index]
    octaves = _column(materials, "octaves")[index]
    place = local_m + seed * np.float32(7.31)
    blotch = noise(place * frequency)
    mix = np.clip(0.5 + blotch, 0.0, 1.0)
    rgb = _column(materials, "rgb").T[:, index]
    rgb = rgb + mix * (_column(materials, "blotch_rgb").T[:, index] - rgb)
    pattern = _column(materials, "pattern")[index].astype(np.int8)
    for kind in (Pattern.WINDOWS, Pattern.STRIPES, Pattern.CHECKS, Pattern.ROAD):
        chosen = np.flatnonzero(pattern == kind)
        if len(chosen):
            if kind == Pattern.ROAD:  # one road per world
                road = materials[int(index[chosen[0]])].road or RoadPaint(RoadPath())
                paint = _road(road, local_m[:, chosen], footprint_m[chosen], rgb[:, chosen])
                cover = np.ones(len(chosen), dtype=np.float32)
            else:
                cover, paint = _regular(kind, materials, index[chosen], face_uv_m[:, chosen], footprint_m[chosen])
            rgb[:, chosen] += cover * (paint - rgb[:, chosen])
    detail = np.zeros_like(blotch)
    amplitude = np.float32(1.0)
    for octave in range(1, int(octaves.max(initial=1)) + 1):
        fine = frequency * np.float32(2.0**octave) * np.float32(1.03)
        strength = amplitude * _visible(1.0 / fine, footprint_m) * (octave <= octaves)
        some = np.flatnonzero(strength > 0.02)
        if len(some):
            detail[some] += strength[some] * noise(place[:, some] * fine[some] + np.float32(octave * 5.7))
        amplitude = amplitude * np.float32(0.8)
    bright = 1.0 + _column(materials, "roughness")[index] * (detail + 0.3 * blotch)
    bright += _column(materials, "gradient")[index] * local_m[2]
    return np.asarray(np.clip(rgb * np.clip(bright, 0.15, 2.5), 0.0, 1.5), dtype=np.float32)


def _regular(
    kind: Pattern,
    materials: tuple[Material, ...],
    index: npt.NDArray[np.int32],
    uv: Float32,
    footprint: Float32,
) -> tuple[Float32, Float32]:
    """Cover [N] and colour [3, N] of windows, stripes and checks."""
    size = _column(materials, "pattern_size_m").T[:, index]
    fill = _column(materials, "pattern_fill")[index]
    paint = _column(materials, "pattern_rgb").T[:, index]
    cells = uv / size
    cell = np.floor(cells)
    inside = cells - cell
    if kind == Pattern.STRIPES:
        painted, mean = inside[1] < fill, fill
    elif kind == Pattern.CHECKS:
        painted, mean = (cell[0] + cell[1]) % 2 < 1, np.full_like(fill, 0.5)
    else:
        painted = (np.abs(inside[0] - 0.5) < 0.5 * fill) & (np.abs(inside[1] - 0.5) < 0.4)
        mean = 0.8 * fill
        # every pane differs a little, as curtains and reflections make it
        pane = noise(np.stack([cell[0] * 3.7, cell[1] * 5.3, _column(materials, "seed")[index]]).astype(np.float32))
        paint = paint * (1.0 + 0.8 * pane)
    sharp = _visible(np.minimum(size[0], size[1]) if kind != Pattern.STRIPES else size[1], footprint)
    return np.asarray(mean + sharp * (painted - mean), dtype=np.float32), np.asarray(
        np.clip(paint, 0, 1), dtype=np.float32
    )


def _road(road: RoadPaint, local_m: Float32, footprint_m: Float32, asphalt: Float32) -> Float32:
    """Colour [3, N] of the ground around a road: asphalt [3, N] with lines and a zebra, sidewalks, verges."""
    y, slope = road.path.centre(local_m[0])
    lateral = (local_m[1] - y) / np.sqrt(1.0 + slope * slope)
    along = local_m[0]
    away = np.abs(lateral)
    half = road.half_width_m
    crossing = np.abs(along - road.crossing_x_m)
    on_road = (away < half) | (crossing < half)
    walk = ~on_road & ((away < half + road.sidewalk_m) | (crossing < half + road.sidewalk_m))
    dash = (away < 0.08) & (np.mod(along, 2 * road.dash_m) < road.dash_m) & (crossing > half)
    edge = (np.abs(away - half + 0.25) < 0.07) & (crossing > half)
    zebra = (np.abs(crossing - half - 2.0) < 1.3) & (np.mod(lateral, 1.0) < 0.5) & (away < half)
    tiles = walk & ((np.mod(along, 0.9) < 0.05) | (np.mod(lateral, 0.9) < 0.05)) & (footprint_m < 0.1)
    thin = np.clip(0.15 / np.maximum(footprint_m, 1e-6), 0.0, 1.0)  # a line narrower than a pixel is fainter
    line = np.clip((dash | edge) * thin + zebra * _visible(np.float32(1.0), footprint_m), 0.0, 1.0)
    paint = np.where(walk, _rgb_column(road.sidewalk_rgb), _rgb_column(road.verge_rgb))
    paint = np.where(tiles, paint * 0.6, paint)
    paint = np.where(on_road, asphalt + (_rgb_column(road.line_rgb) - asphalt) * line, paint)
    return np.asarray(paint, dtype=np.float32)


def _rgb_column(rgb: Rgb) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]
