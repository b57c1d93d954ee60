# SPDX-License-Identifier: Apache-2.0
"""Where the metres of a depth image come from."""

from dataclasses import dataclass
from enum import Enum

from mono_depth_ros.perception.dial import Mode


class ScaleSource(str, Enum):
    """Who vouches for the scale."""

    NONE = "none"
    MODEL = "model"
    POINTS = "points"


@dataclass(frozen=True, slots=True)
class ScaleEstimate:
    """Factor that was applied to the network's depth, and its source.

    Attributes:
        value: factor, 1 when the network's own metres are taken as they are.
        sigma: standard deviation of ``value``; NaN where nobody knows it.
        source: who vouches for it; NONE means the depth is right up to an unknown factor.
        age_s: age of the data that the estimate rests on.
    """

    value: float
    sigma: float
    source: ScaleSource
    age_s: float

    @property
    def metric(self) -> bool:
        """Whether the depth is in metres."""
        return self.source is not ScaleSource.NONE


def choose_scale(mode: Mode, model_is_metric: bool, points_age_s: float | None) -> ScaleEstimate:
    """Metres come from the points where they are used, else from a model that was trained to give them."""
    if mode is Mode.COMPLETION and points_age_s is not None:
        return ScaleEstimate(1.0, float("nan"), ScaleSource.POINTS, points_age_s)
    source = ScaleSource.MODEL if model_is_metric else ScaleSource.NONE
    return ScaleEstimate(1.0, float("nan"), source, 0.0)
