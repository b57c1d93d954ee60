# SPDX-License-Identifier: Apache-2.0
"""Makes predictions metric: asks every source of scale that an image offers, and follows them over the drive."""

from dataclasses import dataclass

import cv2
import numpy as np

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.ground_plane import GroundPlane, GroundPolicy, fit_ground_plane
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.motion_source import MotionSource
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
# A curve or a rough patch makes the direction of a motion unsure.
_STRAIGHT_RAD = 0.02
# What a network gets wrong about near things against far ones stays whatever is averaged.
_SHAPE_SIGMA = 0.05
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
        pose: network that was trained together with the depth network; None takes the motion from the images and
            the depth itself.
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
        self._motion = MotionSource()
        self.reset()

    def reset(self) -> None:
        """Forgets the past; for a clock that jumped."""
        self._scale = ScaleState()
        self._calibration = CalibrationState()
        self._previous = None
        self._motion.reset()
        self._offset_rad: tuple[float, float, float] | None = None
        self._looked_ns: int | None = None
        self.verdict: CalibrationVerdict = UNSUSPECTED

    @property
    def motion_refused(self) -> str:
        """Why the latest images told no motion, a searchable word; empty if they did."""
        return self._motion.refused

    def needs_prediction(self, snapshot: SensorSnapshot) -> bool:
        """Whether a prediction of this image should be made beside its completion, so that its factor is known.

        Not for a model whose own metres are taken whatever the other sources say.
        """
        return not self._own_metres_win() and self._due(snapshot.stamp_ns)

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
        if self._pose is not None:
            measurements = [self._from_pose_network(snapshot, self._pose)]
        else:
            measurements = [self._from_images(snapshot, camera, predicted_m, due)]
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

    def _own_metres_win(self) -> bool:
        """Whether the model's metres are taken whatever the other sources say."""
        return self._model_is_metric and self.policy.combine == "first" and self.policy.order[0] is ScaleSource.MODEL

    def _from_images(
        self, snapshot: SensorSnapshot, camera: PinholeCamera, predicted_m: DepthMap | None, due: bool
    ) -> ScaleMeasurement | None:
        """The motion that the images show in the predicted depth, against odometry's.

        At every image while that would make the factor surer, then as often as the other costly sources.
        """
        if ScaleSource.ODOMETRY not in self.policy.order:
            return None
        slow = snapshot.speed_mps is None or abs(snapshot.speed_mps) < self.policy.min_speed_mps
        wanted = due or not (self._own_metres_win() or self._odometry_is_sure(snapshot.stamp_ns))
        both = self._motion.look(snapshot, camera, None if slow or not wanted else predicted_m)
        if both is None:
            return None
        seen, T_previous_current = both.seen, both.T_previous_current
        self._offset_rad = _turned_against(seen.T_previous_current, T_previous_current)
        lasting = float(np.hypot(seen.depth_sigma, _SHAPE_SIGMA))
        return ratio_to_odometry(
            seen.T_previous_current,
            T_previous_current,
            snapshot.stamp_ns,
            seen_sigma=float(np.hypot(seen.sigma, _SHAPE_SIGMA)),
            lasting=lasting,
        )

    def _odometry_is_sure(self, stamp_ns: int) -> bool:
        """Whether the filter adds little to what its source is unsure of anyway."""
        for track in self._scale.tracks:
            if track.source is ScaleSource.ODOMETRY:
                unsure = track.variance + self.policy.drift**2 * abs(stamp_ns - track.stamp_ns) * 1e-9
                return unsure < 0.25 * (track.lasting + self.policy.odometry_floor**2)
        return False

    def _from_pose_network(self, snapshot: SensorSnapshot, pose: PoseEstimator) -> ScaleMeasurement | None:
        """The pose network's motion since the image before, against odometry's."""
        if ScaleSource.ODOMETRY not in self.policy.order:
            return None
        contract, previous = pose.contract, self._previous
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
        predicted = pose.infer(previous.image_rgb, image)
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
            self._offset_rad,
        )
        self._offset_rad = None

    def _camera_height_m(self, T_base_camera: RigidTransform | None) -> float | None:
        return None if T_base_camera is None else self.policy.base_height_m + float(T_base_camera[2, 3])


def _turned_against(
    T_previous_current_seen: RigidTransform, T_previous_current: RigidTransform
) -> tuple[float, float, float] | None:
    """How the direction of a motion is turned against odometry's, in the camera's frame; None in a curve."""
    turn = 0.5 * (float(np.trace(T_previous_current[:3, :3])) - 1.0)
    if float(np.arccos(np.clip(turn, -1.0, 1.0))) > _STRAIGHT_RAD:
        return None
    driven, seen = T_previous_current[:3, 3], T_previous_current_seen[:3, 3]
    x, y, z = np.cross(driven / np.linalg.norm(driven), seen / np.linalg.norm(seen))
    return float(x), float(y), float(z)


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
