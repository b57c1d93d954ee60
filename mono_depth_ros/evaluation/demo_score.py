# SPDX-License-Identifier: Apache-2.0
"""Compares the depth images of a demonstration drive with the world's true depth."""

import cv2
import numpy as np

from mono_depth_ros.evaluation.demo_report import DemoFrame
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.perception.dial import Mode

MAX_SCORED_DEPTH_M = 80.0
MIN_SCORED_DEPTH_M = 0.5


def sample_nearest(depth_m: DepthMap, height_px: int, width_px: int) -> DepthMap:
    """Depth at the nearest pixel of another size of the same image; never a mean of two surfaces.

    >>> sample_nearest(np.array([[1.0, 2.0, 3.0, 4.0]], np.float32), 1, 2).tolist()
    [[2.0, 4.0]]
    """
    return np.asarray(cv2.resize(depth_m, (width_px, height_px), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def score_frame(
    index: int,
    time_s: float,
    depth_m: DepthMap,
    truth_depth_m: DepthMap,
    *,
    mode: Mode,
    reason: str,
    lidar_sent: bool,
    latency_s: float,
) -> DemoFrame:
    """Errors of one depth image, over all pixels with a true depth of at most 80 m.

    Unknown depth is scored as 80 m: a node that leaves out what is hard must not look better for it.

    Args:
        index, time_s, mode, reason, lidar_sent, latency_s: see DemoFrame.
        depth_m: float32 [h, w], metres, NaN unknown.
        truth_depth_m: float32 of the same image at any size.
    """
    truth_m = sample_nearest(truth_depth_m, *depth_m.shape)
    with np.errstate(invalid="ignore"):
        scored = (truth_m > 0) & (truth_m <= MAX_SCORED_DEPTH_M)
    known_m = np.nan_to_num(depth_m, nan=MAX_SCORED_DEPTH_M)
    metrics = depth_metrics(np.clip(known_m[scored], MIN_SCORED_DEPTH_M, MAX_SCORED_DEPTH_M), truth_m[scored])
    return DemoFrame(
        index=index,
        time_s=time_s,
        mode=mode,
        reason=reason,
        lidar_sent=lidar_sent,
        abs_rel=metrics.abs_rel,
        rmse_m=metrics.rmse,
        delta1=metrics.delta1,
        latency_s=latency_s,
    )
