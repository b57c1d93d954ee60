# SPDX-License-Identifier: Apache-2.0
"""What each source says about the factor from a network's depth to metres, at one image. Pure functions."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.ground_plane import GroundPlane
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.scale import ScaleMeasurement, ScaleSource

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
MIN_POINTS = 10
# What a network gets wrong, it gets wrong over a region: bands of rows (the road near and far) and of columns.
_BANDS = 8
_MIN_BAND_POINTS = 3
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

    The points of a band of rows err alike, and so do those of a band of columns. Sigma is therefore that of a mean of
    so many bands (rows and columns, crossed random effects), however many points there are. It lasts: the next image
    shows the same scene.

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
    value = float(np.median(logs))
    down = points.rows[known] * _BANDS // points.height_px
    across = points.cols[known] * _BANDS // points.width_px
    sigma = max(_MIN_SIGMA, math.hypot(_sigma_of_bands(logs, down), _sigma_of_bands(logs, across)))
    return _measured(ScaleSource.POINTS, value, sigma, stamp_ns, lasting=sigma)


def _sigma_of_bands(logs: Float64, band: Int64) -> float:
    """Standard deviation of the mean of the bands' medians; that of the points themselves when there is one band."""
    numbers, counts = np.unique(band, return_counts=True)
    medians = np.array([np.median(logs[band == number]) for number in numbers[counts >= _MIN_BAND_POINTS]])
    if len(medians) < 2:
        return float(np.std(logs))
    return float(np.std(medians, ddof=1)) / math.sqrt(len(medians))


def ratio_to_odometry(
    T_previous_current_predicted: RigidTransform,
    T_previous_current: RigidTransform,
    stamp_ns: int,
    limits: MotionLimits = DEFAULT_MOTION_LIMITS,
    seen_sigma: float | None = None,
    lasting: float = 0.0,
) -> ScaleMeasurement | None:
    """Ratio of the distance that odometry measured to the one that was seen; None for slow or odd motion.

    Args:
        T_previous_current_predicted: in the unit of the depth network: from the images and its depth, or by a pose
            network that was trained together with it.
        T_previous_current: of the camera, from odometry.
        stamp_ns: of the current image.
        limits: which motions tell something.
        seen_sigma: relative, of the distance seen; by default that of a pose network.
        lasting: the share of it that the next images have in common with this one.
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
    sigma = math.hypot(limits.odometry_sigma_m / driven_m, limits.network_sigma if seen_sigma is None else seen_sigma)
    return _measured(ScaleSource.ODOMETRY, math.log(driven_m / seen_m), sigma, stamp_ns, lasting)


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


def _measured(
    source: ScaleSource, log_value: float, relative_sigma: float, stamp_ns: int, lasting: float = 0.0
) -> ScaleMeasurement | None:
    if not math.isfinite(log_value) or abs(log_value) > 20:
        return None
    value = math.exp(log_value)
    return ScaleMeasurement(source, value, value * relative_sigma, stamp_ns, lasting)
