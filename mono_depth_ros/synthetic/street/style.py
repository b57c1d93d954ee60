# SPDX-License-Identifier: Apache-2.0
"""What one street is like: widths, what stands there and how densely, where it bends, climbs and is crossed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.street.road import HeightProfile, RoadPath

BEFORE_M, BEHIND_M = 30.0, 60.0  # a street is furnished so far before its start and behind its end
LEVEL_SHARE = 0.4  # of all streets


@dataclass(frozen=True, slots=True)
class StreetStyle:
    """Drawn once per street, so that streets differ from each other; gaps in metres along the road, shares 0..1."""

    half_width_m: float
    sidewalk_m: float
    setback_m: float
    building_share: float
    tree_gap_m: float
    pole_gap_m: float
    parked_share: float
    person_gap_m: float
    boundary_share: float
    traffic_gap_m: float
    side_streets_x_m: tuple[float, ...]
    side_half_width_m: float
    lights: bool

    def free_of_side_streets(self, x_m: float, margin_m: float = 0.0) -> bool:
        """Whether something may stand at `x_m` without standing in a side street or on its pavement."""
        half = self.side_half_width_m + self.sidewalk_m + 1.0 + margin_m
        return all(abs(x_m - street) > half for street in self.side_streets_x_m)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_style(rng: Rng, length_m: float) -> StreetStyle:
    """From country road to city canyon."""
    crossings = int(rng.choice(3, p=(0.5, 0.35, 0.15))) * max(1, round(length_m / 200.0))
    places = sorted(float(x) for x in rng.uniform(15.0, length_m + 20.0, crossings))
    apart = tuple(x for i, x in enumerate(places) if i == 0 or x - places[i - 1] > 35.0)
    return StreetStyle(
        half_width_m=float(rng.uniform(2.6, 7.5)),
        sidewalk_m=float(rng.uniform(0.0, 4.0)),
        setback_m=float(rng.uniform(0.0, 8.0)),
        building_share=float(np.clip(rng.uniform(-0.2, 1.2), 0.0, 1.0)),
        tree_gap_m=_log_uniform(rng, 4.0, 80.0),
        pole_gap_m=_log_uniform(rng, 8.0, 60.0),
        parked_share=float(np.clip(rng.uniform(-0.3, 0.9), 0.0, 1.0)),
        person_gap_m=_log_uniform(rng, 6.0, 100.0),
        boundary_share=float(np.clip(rng.uniform(-0.2, 0.9), 0.0, 1.0)),
        traffic_gap_m=_log_uniform(rng, 14.0, 150.0),
        side_streets_x_m=apart,
        side_half_width_m=float(rng.uniform(2.5, 5.0)),
        lights=bool(rng.uniform() < 0.5),
    )


def random_path(rng: Rng) -> RoadPath:
    """Straight for one street in three, else winding, never tighter than about 40 m radius; often up and down."""
    profile = random_profile(rng)
    if rng.uniform() < 0.33:
        return RoadPath(profile=profile)
    first, second = rng.uniform(120.0, 500.0), rng.uniform(60.0, 150.0)
    sharpest = 1.0 / 80.0  # 1/m, each sine
    amplitudes = [rng.uniform(0.0, 1.0) * sharpest * (w / (2 * np.pi)) ** 2 for w in (first, second)]
    return RoadPath(
        (float(min(amplitudes[0], 30.0)), float(min(amplitudes[1], 6.0))),
        (float(first), float(second)),
        (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi))),
        profile,
    )


def random_profile(rng: Rng) -> HeightProfile:
    """Level, or a long climb of up to 9 % with crests and dips of up to 5 % on it, and a little unevenness."""
    if rng.uniform() < LEVEL_SHARE:
        return HeightProfile()
    waves = (rng.uniform(180.0, 600.0), rng.uniform(60.0, 150.0), rng.uniform(14.0, 30.0))
    grades = (rng.uniform(0.0, 0.09), rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.008))
    return HeightProfile(
        tuple(float(grade * wave / (2 * np.pi)) for grade, wave in zip(grades, waves, strict=True)),
        tuple(float(wave) for wave in waves),
        tuple(float(phase) for phase in rng.uniform(0, 2 * np.pi, 3)),
    )
