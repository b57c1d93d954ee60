# SPDX-License-Identifier: Apache-2.0
"""What each source says about the factor from a network's depth to metres, at one image. Pure functions."""

import math
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.ground_plane import GroundPlane
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.scale import ScaleMeasurement, ScaleSource

MIN_POINTS = 10
# Blocks of the image whose points err together: what a network gets wrong, it gets wrong over a region.
_BLOCK_ROWS, _BLOCK_COLS = 4, 8
_MIN_SIGMA = 0.005


@dataclass(frozen=True, slots=True)
class MotionLimits:
    """Which motions between two images tell the scale.

    Attributes:
        min_distance_m: shorter ones are noise.
        max_turn_rad: a turn makes the translation of a pose network unsure.
        max_direction_rad: largest angle between the network's direction and that of odometry.
        odometry_sigma_m: of odometry's distance between two images.
        network_sigma: relative, of the pose network's distance between two images.
    """

    min_distance_m: float = 0.2
    max_turn_rad: float = 0.1
    max_direction_rad: float = 0.35
    odometry_sigma_m: float = 0.01
    network_sigma: float = 0.1


DEFAULT_MOTION_LIMITS = MotionLimits()


def ratio_to_points(predicted_m: DepthMap, points: SparseDepth, stamp_ns: int) -> ScaleMeasurement | None:
    """Median ratio of the points' depths to the prediction's; None with fewer than ten points.

    Sigma is that of a median over blocks of the image, since neighbouring points err alike.

    Args:
        predicted_m: float32 [H, W], every pixel filled, made without these points.
        points: on the same grid.
        stamp_ns: of the image.
    """
    if len(points) < MIN_POINTS:
        return None
    predicted = predicted_m[points.rows, points.cols]
    known = np.isfinite(predicted) & (predicted > 0)
    if int(known.sum()) < MIN_POINTS:
        return None
    logs = np.log(points.depth_m[known].astype(np.float64)) - np.log(predicted[known].astype(np.float64))
    block = (points.rows[known] * _BLOCK_ROWS // points.height_px) * _BLOCK_COLS + (
        points.cols[known] * _BLOCK_COLS // points.width_px
    )
    value = float(np.median(logs))
    medians = np.array([np.median(logs[block == number]) for number in np.unique(block)])
    spread = 1.4826 * float(np.median(np.abs(medians - value)))
    # The median of n normal numbers has pi / 2 times the variance of their mean.
    sigma = max(_MIN_SIGMA, spread * math.sqrt(0.5 * math.pi / len(medians)))
    return _measured(ScaleSource.POINTS, value, sigma, stamp_ns)


def ratio_to_odometry(
    T_previous_current_predicted: RigidTransform,
    T_previous_current: RigidTransform,
    stamp_ns: int,
    limits: MotionLimits = DEFAULT_MOTION_LIMITS,
) -> ScaleMeasurement | None:
    """Ratio of the distance that odometry measured to the one that a pose network saw; None for slow or odd motion.

    Args:
        T_previous_current_predicted: by a pose network that was trained together with the depth network.
        T_previous_current: of the camera, from odometry.
        stamp_ns: of the current image.
        limits: which motions tell something.
    """
    seen, driven = T_previous_current_predicted[:3, 3], T_previous_current[:3, 3]
    seen_m, driven_m = float(np.linalg.norm(seen)), float(np.linalg.norm(driven))
    if driven_m < limits.min_distance_m or seen_m <= 1e-6 or not math.isfinite(seen_m):
        return None
    if float(seen @ driven) < math.cos(limits.max_direction_rad) * seen_m * driven_m:
        return None
    turn = 0.5 * (float(np.trace(T_previous_current[:3, :3])) - 1.0)
    if math.acos(min(1.0, max(-1.0, turn))) > limits.max_turn_rad:
        return None
    sigma = math.hypot(limits.odometry_sigma_m / driven_m, limits.network_sigma)
    return _measured(ScaleSource.ODOMETRY, math.log(driven_m / seen_m), sigma, stamp_ns)


def ratio_to_height(plane: GroundPlane, camera_height_m: float, stamp_ns: int) -> ScaleMeasurement | None:
    """Ratio of the camera's true height to that above the predicted ground; None without a height.

    Sigma grows with the roughness of the plane and with its tilt against what is expected: a plane that is tilted is
    a plane that is wrong, or a ramp that begins somewhere ahead.

    Args:
        plane: fitted to the network's depth.
        camera_height_m: above the ground.
        stamp_ns: of the image.
    """
    if not camera_height_m > 0.05:
        return None
    tilt = math.hypot(plane.pitch_rad, plane.roll_rad)
    sigma = max(_MIN_SIGMA, math.hypot(plane.spread / math.sqrt(max(1.0, plane.points / 50.0)), tilt))
    return _measured(ScaleSource.HEIGHT, math.log(camera_height_m / plane.height), sigma, stamp_ns)


def _measured(source: ScaleSource, log_value: float, relative_sigma: float, stamp_ns: int) -> ScaleMeasurement | None:
    if not math.isfinite(log_value) or abs(log_value) > 20:
        return None
    value = math.exp(log_value)
    return ScaleMeasurement(source, value, value * relative_sigma, stamp_ns)
