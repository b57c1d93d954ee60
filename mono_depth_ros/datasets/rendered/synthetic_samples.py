# SPDX-License-Identifier: Apache-2.0
"""A synthetic drive as a data set: rendered on all cores when it is first asked for, read from a cache ever after."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mono_depth_ros.datasets.rendered.frame_store import FrameStore
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.messages.laser_scans import decode_laser_scan
from mono_depth_ros.messages.timed_points import TimedPoints
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.scan_motion import points_at_stamp
from mono_depth_ros.synthetic.robot import LIDAR, RANGE_FINDER, SCANNER, TOF, DriveFrame, SyntheticDrive
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScan, ZoneScan
from mono_depth_ros.whole_file import whole_file

POINT_SENSORS = (LIDAR, SCANNER, TOF, RANGE_FINDER)
NO_POINTS = "none"
# Between two of these true poses motion is taken for uniform: at 3 m/s^2 that is 0.15 mm off.
_POSE_STEP_S = 0.02
_POSES_FILE = "T_world_base.npy"
_MAX_WORKERS = 16


def default_cache() -> Path:
    """Where rendered frames are kept: $XDG_CACHE_HOME/mono_depth_ros, ~/.cache/mono_depth_ros without."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "mono_depth_ros"


@dataclass(frozen=True, slots=True, eq=False)
class _TimedScan:
    """Points of a sensor, each in its frame at its own time, and where the sensor sits."""

    points: TimedPoints
    T_base_sensor: RigidTransform


class SyntheticSamples:
    """The images of one camera of a synthetic drive, with exact depth, labels and poses.

    Points are those of one sensor with its noise and drop-outs, brought from their own times to the image's by the true
    motion. Pose and speed are true; a simulated bag has odometry with its errors in their place.

    Frames are rendered when they are asked for: in order by all cores, a few ahead, or one alone. Each is kept in a
    folder of `cache` that belongs to this very plan, whole or not at all, so that an interrupt loses nothing.

    Args:
        plan: the drive; its sensors have to include `points`.
        points: lidar, scan, tof or range: the sensor that gives the sparse input; "none" for going without.
        camera: name of a camera of the rig; None takes the first.
        cache: folder of caches.
        workers: processes that render; None takes the machine's cores, at most 16.

    Attributes:
        folder: with this drive's frames.

    Raises:
        ConfigError: no such sensor or camera, or a camera with a distorted lens.
    """

    def __init__(
        self,
        plan: SimulationPlan,
        points: str = LIDAR,
        camera: str | None = None,
        cache: Path | None = None,
        workers: int | None = None,
    ) -> None:
        if points != NO_POINTS and points not in plan.equipped():
            raise ConfigError(f"points: expected {NO_POINTS} or a sensor of {plan.equipped()}, got {points!r}")
        self._cameras = [mount.name for mount in plan.rigged()]
        if camera is not None and camera not in self._cameras:
            raise ConfigError(f"camera: expected one of {', '.join(self._cameras)}, got {camera!r}")
        self._plan, self._points = plan, points
        self._view = 0 if camera is None else self._cameras.index(camera)
        if plan.rigged()[self._view].distortion is not None:
            raise ConfigError(
                f"camera {self._cameras[self._view]}: expected a lens without distortion, got a distorted one; "
                "record it with mono-depth simulate and open the bag, which is rectified as it is read"
            )
        self._workers = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
        fingerprint = hashlib.sha256(plan.description().encode()).hexdigest()[:12]
        self.folder = (cache or default_cache()) / f"frames_{plan.world}_{plan.seed}_{fingerprint}"
        self._store = FrameStore(self.folder, plan.robot())
        self._claimed = False
        self._drive: SyntheticDrive | None = None
        self._poses: np.ndarray[tuple[int, int, int], np.dtype[np.float64]] | None = None

    def __len__(self) -> int:
        return self._plan.frames

    def __iter__(self) -> Iterator[DepthSample]:
        rendered: Iterator[DriveFrame] | None = None
        self._claim()
        for index in range(len(self)):
            frame = None if rendered is not None else self._store.read(index)
            if frame is None:
                if rendered is None:  # from here on; what is there is passed over
                    rendered = islice(rendered_frames(self._plan, self._workers, self.folder), index, None)
                frame = next(rendered)
            yield self._sample(index, frame)

    def __getitem__(self, index: int) -> DepthSample:
        """Sample `index`, rendered by this process alone if it is not there.

        Raises:
            IndexError: beyond the end.
            ConfigError: the cache cannot be written.
        """
        return self._sample(index, self._frame(index))

    def context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index` (before it: negative); None beyond the ends of the drive.

        Raises:
            IndexError: there is no sample `index`.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        if not 0 <= index + step < len(self):
            return None
        frame = self._frame(index + step)
        T_context_sample = invert_rigid(self._T_world_camera(index + step, frame)) @ self._T_world_camera(index, frame)
        return ContextFrame(frame.stamp_ns, frame.views[self._view].image_rgb, T_context_sample)

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Renders what is missing on all cores; may be interrupted and called again.

        Args:
            on_progress: is told (frames that are there, all frames).

        Raises:
            ConfigError: the cache cannot be written.
        """
        for done, _ in enumerate(self, start=1):
            if on_progress is not None:
                on_progress(done, len(self))

    def _frame(self, index: int) -> DriveFrame:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self._claim()
        frame = self._store.read(index)
        if frame is None:
            if self._drive is None:  # a world takes seconds to build
                self._drive = self._plan.drive()
            frame = self._drive.frame(index)
            self._store.write(index, frame)
        return frame

    def _claim(self) -> None:
        """Makes the folder, once."""
        if not self._claimed:
            self._store.claim(self._plan.description())
            self._claimed = True

    def _sample(self, index: int, frame: DriveFrame) -> DepthSample:
        view = frame.views[self._view]
        scan = _scan_of(frame, self._points)
        return DepthSample(
            name=f"{self._plan.world}_{self._plan.seed}_{view.name}_{index:06d}",
            stamp_ns=frame.stamp_ns,
            camera_name=view.name,
            image_rgb=view.image_rgb,
            camera=view.camera,
            points_camera_m=None if scan is None else self._points_camera(index, frame, scan),
            truth_depth_m=view.truth_depth_m,
            truth_camera=view.camera,
            speed_mps=self._speed_mps(index),
            T_world_camera=self._T_world_camera(index, frame),
            labels=view.truth_labels,
            T_camera_lidar=None if scan is None else self._T_camera_sensor(frame, scan),
        )

    def _points_camera(self, index: int, frame: DriveFrame, scan: _TimedScan) -> Points:
        """Points as the camera sees them at the stamp, float32 [N,3]."""
        points_m: Points | None = scan.points.points_m
        if scan.points.offsets_s is not None and points_m is not None:
            track = self._track(index)
            points_m = points_at_stamp(points_m, scan.points.offsets_s, frame.stamp_ns, track, scan.T_base_sensor)
        if points_m is None:
            raise ConfigError(f"frame {index}: expected scans within 1 / rate of their stamps, got longer ones")
        return transform_points(self._T_camera_sensor(frame, scan), points_m)

    def _T_camera_sensor(self, frame: DriveFrame, scan: _TimedScan) -> RigidTransform:
        T_camera_sensor: RigidTransform = invert_rigid(frame.views[self._view].T_base_camera) @ scan.T_base_sensor
        return T_camera_sensor

    def _track(self, index: int) -> OdometryTrack:
        """True poses from a frame's period before it to a period after it."""
        track = OdometryTrack(history_s=1e6, max_gap_s=2 * _POSE_STEP_S)
        steps = self._steps_per_frame()
        period_ns = 1e9 / self._plan.rate_hz
        poses = self._true_poses()
        for place in range(index * steps, (index + 2) * steps + 1):
            stamp_ns = round((place / steps - 1) * period_ns)
            track.add(OdometrySample(stamp_ns, poses[place], 0.0))
        return track

    def _T_world_camera(self, index: int, frame: DriveFrame) -> RigidTransform:
        T_world_base = self._true_poses()[(index + 1) * self._steps_per_frame()]
        T_world_camera: RigidTransform = T_world_base @ frame.views[self._view].T_base_camera
        return T_world_camera

    def _speed_mps(self, index: int) -> float:
        """True speed, from the poses 20 ms (or less) before and after."""
        poses, steps = self._true_poses(), self._steps_per_frame()
        place = (index + 1) * steps
        step_s = 1.0 / self._plan.rate_hz / steps
        return float(np.linalg.norm(poses[place + 1, :3, 3] - poses[place - 1, :3, 3]) / (2 * step_s))

    def _steps_per_frame(self) -> int:
        return max(1, int(np.ceil(1.0 / self._plan.rate_hz / _POSE_STEP_S)))

    def _true_poses(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
        """T_world_base float64 [n,4,4] from one frame's period before the first frame to one after the last.

        They are kept beside the frames, since a world takes seconds to build.
        """
        if self._poses is not None:
            return self._poses
        path = self.folder / _POSES_FILE
        steps = self._steps_per_frame()
        shape = ((len(self) + 1) * steps + 1, 4, 4)
        try:
            poses = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            poses = None
        if poses is None or poses.shape != shape or poses.dtype != np.float64:
            course = self._plan.course()
            times_s = (np.arange(shape[0]) / steps - 1) / self._plan.rate_hz
            poses = np.stack([course.T_world_base(float(time_s)) for time_s in times_s])
            try:
                with whole_file(path) as beside:
                    np.save(beside, poses)
            except OSError as error:
                raise ConfigError(f"cache {self.folder}: expected a folder to write to, got {error}") from error
        self._poses = poses
        return poses


def _scan_of(frame: DriveFrame, sensor: str) -> _TimedScan | None:
    """What a sensor measured in a frame; None for "none"."""
    if sensor == LIDAR and frame.lidar is not None:
        times_s = np.asarray(frame.lidar.time_s, np.float64)
        return _TimedScan(TimedPoints(frame.lidar.points_lidar, times_s), frame.lidar.T_base_lidar)
    if sensor == SCANNER and frame.planar is not None:
        return _TimedScan(decode_laser_scan(_ScanFields.of(frame.planar)), frame.planar.T_base_scanner)
    zones: ZoneScan | None = {TOF: frame.tof, RANGE_FINDER: frame.range_finder}.get(sensor)
    if zones is None:
        return None
    points_m = zones.points().reshape(-1, 3)
    return _TimedScan(TimedPoints(points_m[np.isfinite(points_m).all(axis=1)]), zones.T_base_sensor)


@dataclass(slots=True, eq=False)
class _ScanFields:
    """A planar scan as the message has it, so that it is decoded by the same rules."""

    angle_min: float
    angle_increment: float
    time_increment: float
    range_min: float
    range_max: float
    ranges: np.ndarray[tuple[int], np.dtype[np.float32]]

    @classmethod
    def of(cls, scan: PlanarScan) -> _ScanFields:
        model = scan.model
        ranges_m = np.asarray(scan.range_m, np.float32).reshape(-1)
        limits_m = (model.min_range_m, model.max_range_m)
        return cls(model.angle_min_rad, model.angle_step_rad, scan.time_step_s, *limits_m, ranges_m)
