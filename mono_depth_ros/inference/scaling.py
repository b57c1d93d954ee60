# SPDX-License-Identifier: Apache-2.0
"""Makes predictions metric: asks every source of scale that an image offers, and follows them over the drive."""

from dataclasses import dataclass

import cv2
import numpy as np

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.ground_plane import GroundPlane, GroundPolicy, fit_ground_plane
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.perception.calibration import (
    DEFAULT_CALIBRATION_POLICY,
    UNSUSPECTED,
    CalibrationPolicy,
    CalibrationState,
    CalibrationVerdict,
    watch_calibration,
)
from mono_depth_ros.perception.scale import (
    DEFAULT_SCALE_POLICY,
    ScaleEstimate,
    ScaleMeasurement,
    ScalePolicy,
    ScaleSource,
    ScaleState,
    update_scale,
)
from mono_depth_ros.perception.scale_sources import ratio_to_height, ratio_to_odometry, ratio_to_points
from mono_depth_ros.perception.snapshot import RgbImage, SensorSnapshot

_LONGEST_STEP_NS = 1_000_000_000
_CLOUD_STRIDE = 3
# A predicted ground that is steeper than roads and a braking body explain is a wrong prediction.
_PREDICTED_GROUND = GroundPolicy(max_tilt_rad=float(np.deg2rad(7.0)))


@dataclass(frozen=True, slots=True, eq=False)
class _PreviousImage:
    """At the size of the pose network."""

    stamp_ns: int
    image_rgb: RgbImage


class MetricScaler:
    """The factor from one network's predictions to metres, image after image.

    Args:
        policy: which sources, and how fast.
        calibration: when sources that disagree are told.
        pose: network that was trained together with the depth network; None leaves out the source odometry.
        model_is_metric: whether the network's own metres are a source.

    Attributes:
        policy: may be replaced between two images.
        verdict: whether the calibration is to be looked at.
    """

    def __init__(
        self,
        policy: ScalePolicy = DEFAULT_SCALE_POLICY,
        calibration: CalibrationPolicy = DEFAULT_CALIBRATION_POLICY,
        pose: PoseEstimator | None = None,
        model_is_metric: bool = True,
    ) -> None:
        self.policy = policy
        self._calibration_policy = calibration
        self._pose = pose
        self._model_is_metric = model_is_metric
        self._previous: _PreviousImage | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets the past; for a clock that jumped."""
        self._scale = ScaleState()
        self._calibration = CalibrationState()
        self._previous = None
        self._looked_ns: int | None = None
        self.verdict: CalibrationVerdict = UNSUSPECTED

    def needs_prediction(self, snapshot: SensorSnapshot) -> bool:
        """Whether a prediction of this image should be made beside its completion, so that its factor is known.

        Not for a model whose own metres are taken whatever the other sources say.
        """
        own_metres_win = self._model_is_metric and self.policy.combine == "first"
        if own_metres_win and self.policy.order[0] is ScaleSource.MODEL:
            return False
        return self._due(snapshot.stamp_ns)

    def update(
        self, snapshot: SensorSnapshot, camera: PinholeCamera, predicted_m: DepthMap | None, points: SparseDepth | None
    ) -> ScaleEstimate:
        """Takes in one image.

        Args:
            snapshot: what the robot knows.
            camera: of ``predicted_m``.
            predicted_m: float32 [H, W], what the network gives without points; None when it was not asked.
            points: in view, on the same grid; None without a scan.

        Returns:
            The factor for predictions. ``verdict`` then tells of the calibration.
        """
        due = self._due(snapshot.stamp_ns)
        measurements = [self._from_odometry(snapshot)]
        if predicted_m is not None and points is not None and ScaleSource.POINTS in self.policy.order:
            measurements.append(ratio_to_points(predicted_m, points, snapshot.stamp_ns))
        # A network that waits for its first ground to become metric is not kept waiting for the next look.
        unknown = not self._model_is_metric and self._scale.applied is None
        if predicted_m is not None and (due or unknown):
            measurements.append(self._from_height(snapshot, camera, predicted_m))
        found = [measurement for measurement in measurements if measurement is not None]
        self._scale, estimate = update_scale(self._scale, found, snapshot.stamp_ns, self._model_is_metric, self.policy)
        if due:
            self._looked_ns = snapshot.stamp_ns
            self._watch(snapshot)
        return estimate

    def _due(self, stamp_ns: int) -> bool:
        return self._looked_ns is None or stamp_ns - self._looked_ns >= self.policy.refresh_s * 1e9

    def _from_odometry(self, snapshot: SensorSnapshot) -> ScaleMeasurement | None:
        """The pose network's motion since the image before, against odometry's."""
        if self._pose is None or ScaleSource.ODOMETRY not in self.policy.order:
            return None
        contract, previous = self._pose.contract, self._previous
        size = (contract.width_px, contract.height_px)
        image = np.ascontiguousarray(cv2.resize(snapshot.image_rgb, size, interpolation=cv2.INTER_AREA))
        self._previous = _PreviousImage(snapshot.stamp_ns, image)
        T_previous_current = snapshot.T_previous_current
        if previous is None or T_previous_current is None:
            return None
        step_ns = snapshot.stamp_ns - previous.stamp_ns
        slow = snapshot.speed_mps is None or abs(snapshot.speed_mps) < self.policy.min_speed_mps
        if slow or not 0 < step_ns <= _LONGEST_STEP_NS:
            return None
        predicted = self._pose.infer(previous.image_rgb, image)
        return ratio_to_odometry(predicted, T_previous_current, snapshot.stamp_ns)

    def _from_height(
        self, snapshot: SensorSnapshot, camera: PinholeCamera, predicted_m: DepthMap
    ) -> ScaleMeasurement | None:
        """The height of the camera above the predicted ground, against the true one."""
        height_m = self._camera_height_m(snapshot.T_base_camera)
        if ScaleSource.HEIGHT not in self.policy.order or height_m is None or snapshot.T_base_camera is None:
            return None
        cloud = camera.unproject(predicted_m)[::_CLOUD_STRIDE, ::_CLOUD_STRIDE].reshape(-1, 3)
        plane = fit_ground_plane(cloud, _up_in_camera(snapshot.T_base_camera), _PREDICTED_GROUND)
        if not isinstance(plane, GroundPlane):
            return None
        return ratio_to_height(plane, height_m, snapshot.stamp_ns)

    def _watch(self, snapshot: SensorSnapshot) -> None:
        height_m = self._camera_height_m(snapshot.T_base_camera)
        ground = None
        if height_m is not None and snapshot.T_base_camera is not None and snapshot.points_camera_m is not None:
            ground = lidar_ground(snapshot.points_camera_m, snapshot.T_base_camera, height_m)
        self._calibration, self.verdict = watch_calibration(
            self._calibration,
            self._scale.tracks,
            ground,
            height_m,
            snapshot.stamp_ns,
            self.policy,
            self._calibration_policy,
        )

    def _camera_height_m(self, T_base_camera: RigidTransform | None) -> float | None:
        return None if T_base_camera is None else self.policy.base_height_m + float(T_base_camera[2, 3])


def lidar_ground(points_camera_m: Points, T_base_camera: RigidTransform, camera_height_m: float) -> GroundPlane | None:
    """The ground under a LiDAR's points in view, if they show one that could be it.

    Args:
        points_camera_m: float32 [N, 3] at the image stamp.
        T_base_camera: where the camera sits; up is the base's z.
        camera_height_m: above the ground.
    """
    up = _up_in_camera(T_base_camera)
    above_m = points_camera_m @ up.astype(np.float32) + np.float32(camera_height_m)
    # A wedge that holds a ground turned by seven degrees; what is higher is no ground.
    with np.errstate(invalid="ignore", over="ignore"):
        distance_m = np.linalg.norm(points_camera_m, axis=1)
        near_ground = np.abs(above_m) < 0.3 * camera_height_m + 0.12 * distance_m
    plane = fit_ground_plane(points_camera_m[near_ground & (distance_m < 25.0)], up)
    return plane if isinstance(plane, GroundPlane) else None


def _up_in_camera(T_base_camera: RigidTransform) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The base's z axis in the camera's frame."""
    return np.asarray(T_base_camera[2, :3], np.float64)
