# SPDX-License-Identifier: Apache-2.0
"""How surfaces look: colours, noise and patterns as functions of the surface point in the solid's own frame.

Because they are functions of the 3-D point, two views of one surface agree. Details finer than a pixel fade to their
mean (a pixel's footprint is known in closed form): a real lens and sensor do the same, and far surfaces do not alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError

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
    GROUND = 4


class GroundPaint(Protocol):
    """Something that knows the colour of the ground by place; see `road.RoadPaint`."""

    def colour(self, ground_m: Float32, footprint_m: Float32, asphalt: Float32) -> Float32:
        """Colour float32 [3, N] at points float32 [3, N] (m), seen with pixels of this size float32 [N]."""
        ...

    def labels(self, ground_m: Float32) -> npt.NDArray[np.uint8]:
        """Label uint8 [N] of points float32 [3, N] (m)."""
        ...


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
        glow: light it gives off itself, in units of its colour: lamps, screens, blinds with daylight behind them.
        gradient: relative brightening per metre of height.
        seed: where in the noise this solid lies.
        ground: for Pattern.GROUND, and only there.

    Raises:
        ConfigError: on a pattern of ground without a ground, or the other way round.
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
    glow: float = 0.0
    gradient: float = 0.0
    seed: int = 0
    ground: GroundPaint | None = None

    def __post_init__(self) -> None:
        if (self.pattern == Pattern.GROUND) != (self.ground is not None):
            raise ConfigError(
                f"material: Pattern.GROUND and ground belong together, got {self.pattern!r}, {self.ground}"
            )


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


@lru_cache(maxsize=1)
def _hole_thresholds() -> Float64:
    """Quantiles of the noise of `is_hole`, float64 [101]."""
    places = np.random.default_rng(1).uniform(0, _CELLS, (3, 20_000)).astype(np.float32)
    return np.quantile(noise(places), np.linspace(0.0, 1.0, 101))


def is_hole(places: Float32, share: float) -> npt.NDArray[np.bool_]:
    """Which points of a porous surface are holes, bool [N].

    Args:
        places: float32 [3, N], in clumps.
        share: of all points, 0..1.
    """
    threshold = np.interp(100.0 * share, np.arange(101), _hole_thresholds())
    return np.asarray(noise(places) < np.float32(threshold))


@dataclass(frozen=True, slots=True, eq=False)
class MaterialTable:
    """S materials as columns, made once per world: float32 [S] each, colours and sizes float32 [3, S] and [2, S]."""

    rgb: Float32
    blotch_rgb: Float32
    frequency: Float32
    octaves: Float32
    roughness: Float32
    pattern: npt.NDArray[np.int8]
    pattern_size_m: Float32
    pattern_fill: Float32
    pattern_rgb: Float32
    gloss: Float32
    glow: Float32
    gradient: Float32
    seed: Float32
    grounds: tuple[GroundPaint | None, ...]


def material_table(materials: tuple[Material, ...]) -> MaterialTable:
    """Columns of materials."""

    def column(name: str) -> Float32:
        return np.ascontiguousarray(np.array([getattr(m, name) for m in materials], dtype=np.float32).T)

    return MaterialTable(
        rgb=column("rgb"),
        blotch_rgb=column("blotch_rgb"),
        frequency=column("frequency"),
        octaves=column("octaves"),
        roughness=column("roughness"),
        pattern=column("pattern").astype(np.int8),
        pattern_size_m=column("pattern_size_m"),
        pattern_fill=column("pattern_fill"),
        pattern_rgb=column("pattern_rgb"),
        gloss=column("gloss"),
        glow=column("glow"),
        gradient=column("gradient"),
        seed=column("seed"),
        grounds=tuple(m.ground for m in materials),
    )


def visible_share(period_m: Float32 | np.float32, footprint_m: Float32) -> Float32:
    """How much of a detail of this period survives a pixel of this footprint, 0..1."""
    return np.clip(period_m / np.maximum(footprint_m, 1e-6) * 0.5 - 0.5, 0.0, 1.0)


def albedo(
    table: MaterialTable,
    index: npt.NDArray[np.int32],
    local_m: Float32,
    face_uv_m: Float32,
    footprint_m: Float32,
) -> Float32:
    """Colour of surface points.

    Args:
        table: one material per solid.
        index: int32 [N], the solid of each point.
        local_m: float32 [3, N], points in their solid's frame.
        face_uv_m: float32 [2, N], surface coordinates (horizontal, vertical) for patterns.
        footprint_m: float32 [N], size of a pixel on the surface.

    Returns:
        float32 [3, N], linear RGB.
    """
    seed = table.seed[index]
    frequency = table.frequency[index]
    octaves = table.octaves[index]
    place = local_m + seed * np.float32(7.31)
    blotch = noise(place * frequency)
    mix = np.clip(0.5 + blotch, 0.0, 1.0)
    rgb = table.rgb[:, index]
    rgb = rgb + mix * (table.blotch_rgb[:, index] - rgb)
    pattern = table.pattern[index]
    for kind in (Pattern.WINDOWS, Pattern.STRIPES, Pattern.CHECKS, Pattern.GROUND):
        chosen = np.flatnonzero(pattern == kind)
        if len(chosen):
            ground = table.grounds[int(index[chosen[0]])]  # one ground per world
            if ground is not None and kind == Pattern.GROUND:
                paint = ground.colour(local_m[:, chosen], footprint_m[chosen], rgb[:, chosen])
                cover = np.ones(len(chosen), dtype=np.float32)
            else:
                cover, paint = _regular(kind, table, index[chosen], face_uv_m[:, chosen], footprint_m[chosen])
            rgb[:, chosen] += cover * (paint - rgb[:, chosen])
    detail = np.zeros_like(blotch)
    amplitude = np.float32(1.0)
    for octave in range(1, int(octaves.max(initial=1)) + 1):
        fine = frequency * np.float32(2.0**octave) * np.float32(1.03)
        strength = amplitude * visible_share(1.0 / fine, footprint_m) * (octave <= octaves)
        some = np.flatnonzero(strength > 0.02)
        if len(some):
            detail[some] += strength[some] * noise(place[:, some] * fine[some] + np.float32(octave * 5.7))
        amplitude = amplitude * np.float32(0.8)
    bright = 1.0 + table.roughness[index] * (detail + 0.3 * blotch)
    bright += table.gradient[index] * local_m[2]
    return np.asarray(np.clip(rgb * np.clip(bright, 0.15, 2.5), 0.0, 1.5), dtype=np.float32)


def _regular(
    kind: Pattern,
    table: MaterialTable,
    index: npt.NDArray[np.int32],
    uv: Float32,
    footprint: Float32,
) -> tuple[Float32, Float32]:
    """Cover [N] and colour [3, N] of windows, stripes and checks."""
    size = table.pattern_size_m[:, index]
    fill = table.pattern_fill[index]
    paint = table.pattern_rgb[:, index]
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
        pane = noise(np.stack([cell[0] * 3.7, cell[1] * 5.3, table.seed[index]]).astype(np.float32))
        paint = paint * (1.0 + 0.8 * pane) + 0.4 * np.clip(pane - 0.3, 0.0, 1.0)
        # frames of some centimetres around the pane, and a bar down its middle
        rim = np.minimum((0.5 * fill - np.abs(inside[0] - 0.5)) * size[0], (0.4 - np.abs(inside[1] - 0.5)) * size[1])
        bar = np.minimum(rim - 0.07, np.abs(inside[0] - 0.5) * size[0] - 0.03) < 0
        frame = np.where(table.seed[index] % 3 < 2, np.float32(0.6), np.float32(0.05))
        paint = paint + bar * np.clip(0.1 / np.maximum(footprint, 1e-6), 0.0, 1.0) * (frame - paint)
    sharp = visible_share(np.minimum(size[0], size[1]) if kind != Pattern.STRIPES else size[1], footprint)
    return np.asarray(mean + sharp * (painted - mean), dtype=np.float32), np.asarray(
        np.clip(paint, 0, 1), dtype=np.float32
    )
