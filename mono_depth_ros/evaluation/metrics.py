# SPDX-License-Identifier: Apache-2.0
"""Depth metrics, computed per image and then averaged over images.

With p the predicted and g the true depth at the scored pixels of one image:

    abs_rel   mean(|p - g| / g)
    sq_rel    mean((p - g)^2 / g)                  m
    rmse      sqrt(mean((p - g)^2))                m
    rmse_log  sqrt(mean((ln p - ln g)^2))
    delta_k   mean(max(p/g, g/p) < 1.25^k), strictly less
    mae       mean(|p - g|)                        m
    irmse     sqrt(mean((1/p - 1/g)^2))            1/km
    imae      mean(|1/p - 1/g|)                    1/km
    silog     100 sqrt(mean(e^2) - mean(e)^2), e = ln p - ln g

(Eigen et al. 2014; the inverse-depth errors as in the KITTI depth completion benchmark, which gives rmse and mae in
millimetres.)
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError


@dataclass(frozen=True, slots=True)
class DepthMetrics:
    """The errors of one image, or their mean over images; units as in the module's text."""

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    delta1: float
    delta2: float
    delta3: float
    mae: float
    irmse: float
    imae: float
    silog: float


def depth_metrics(predicted_m: NDArray[np.floating], truth_m: NDArray[np.floating]) -> DepthMetrics:
    """The metrics of one image.

    Args:
        predicted_m: [N], metres, positive and finite, at the scored pixels.
        truth_m: [N], the same pixels.

    Raises:
        DataError: the lengths differ, there is no pixel, or a depth is not positive and finite.

    >>> round(depth_metrics(np.array([1.0, 4.0]), np.array([2.0, 4.0])).abs_rel, 3)
    0.25
    """
    if predicted_m.ndim != 1 or predicted_m.shape != truth_m.shape or not predicted_m.size:
        raise DataError(f"metrics: expected two arrays [N] with N > 0, got {predicted_m.shape} and {truth_m.shape}")
    p, g = predicted_m.astype(np.float64), truth_m.astype(np.float64)
    for name, depth_m in (("predicted_m", p), ("truth_m", g)):
        if not (np.isfinite(depth_m).all() and (depth_m > 0).all()):
            raise DataError(f"metrics: expected positive, finite depths in {name}, got others; clip or mask them first")
    error, error_log, error_inverse = p - g, np.log(p) - np.log(g), 1000.0 / p - 1000.0 / g
    ratio = np.maximum(p / g, g / p)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(error) / g)),
        sq_rel=float(np.mean(error**2 / g)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(error_log**2))),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
        mae=float(np.mean(np.abs(error))),
        irmse=float(np.sqrt(np.mean(error_inverse**2))),
        imae=float(np.mean(np.abs(error_inverse))),
        # The variance of e, which rounding can make slightly negative when e is constant.
        silog=float(100.0 * np.sqrt(max(0.0, np.mean(error_log**2) - np.mean(error_log) ** 2))),
    )


def mean_metrics(images: Sequence[DepthMetrics]) -> DepthMetrics:
    """The mean of each metric over images, every image with the same weight.

    Raises:
        DataError: there is no image.
    """
    if not images:
        raise DataError("metrics: expected at least one image to average over, got none")
    return DepthMetrics(*np.mean([astuple(image) for image in images], axis=0).tolist())
