# SPDX-License-Identifier: Apache-2.0
"""Writes a synthetic drive to a bag, as a recorder on that robot would have, with the truth beside it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.new_bag import NewBag, reliable_qos
from mono_depth_ros.datasets.bags.simulated_fields import (
    label_image,
    scan_cloud,
)
from mono_depth_ros.datasets.bags.topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    LASER_SCAN,
    ODOMETRY,
    POINT_CLOUD,
    RANGE,
    TRANSFORMS,
    TWIST,
)
from mono_depth_ros.datasets.rendered.simulation import ODOMETRY as ODOMETRY_SENSOR
from mono_depth_ros.datasets.rendered.simulation import TWIST as TWIST_SENSOR
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.messages.images import depth_image_fields, rgb_image_fields
from mono_depth_ros.messages.point_clouds import xyz_cloud_fields
from mono_depth_ros.synthetic.failures import FailurePlan
from mono_depth_ros.synthetic.robot import LIDAR, RANGE_FINDER, SCANNER, TOF, CameraView, DriveFrame
from mono_depth_ros.synthetic.sensors.camera_rig import DEFAULT_CAMERA
from mono_depth_ros.synthetic.sensors.lidar import SyntheticScan
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScan, ZoneScan

POINTS_TOPIC, SCAN_TOPIC, TOF_TOPIC, RANGE_TOPIC = "/lidar/points", "/scan", "/tof/points", "/range"
ODOMETRY_TOPIC, TWIST_TOPIC, STATIC_TOPIC = "/odom", "/twist", "/tf_static"
TRUTH_ODOMETRY_TOPIC = "/truth/odom"
BASE_FRAME, ODOM_FRAME, WORLD_FRAME = "base_link", "odom", "world"

START_NS = 1_600_000_000 * 10**9  # a stamp of 0 means "not set" in ROS, so a drive begins at some later time

# sensor -> topic and type, in the order in which messages of one instant are sent
_SENSOR_TOPICS = {
    ODOMETRY_SENSOR: (ODOMETRY_TOPIC, ODOMETRY),
    TWIST_SENSOR: (TWIST_TOPIC, TWIST),
    RANGE_FINDER: (RANGE_TOPIC, RANGE),
    TOF: (TOF_TOPIC, POINT_CLOUD),
    SCANNER: (SCAN_TOPIC, LASER_SCAN),
    LIDAR: (POINTS_TOPIC, POINT_CLOUD),
}


def image_topic(camera: str, compressed: bool = False) -> str:
    """Topic of a camera's images."""
    return f"/{camera}/image_raw" + ("/compressed" if compressed else "")


def info_topic(camera: str) -> str:
    """Topic of a camera's CameraInfo."""
    return f"/{camera}/camera_info"


def truth_topic(camera: str, what: str) -> str:
    """Topic of `what` (depth or labels) of a camera; the camera of a robot that has one needs no name.

    >>> truth_topic("camera", "depth"), truth_topic("camera_rear", "depth")
    ('/truth/depth', '/truth/camera_rear/depth')
    """
    return f"/truth/{what}" if camera == DEFAULT_CAMERA else f"/truth/{camera}/{what}"


def write_simulation(
    plan: SimulationPlan,
    failures: FailurePlan,
    frames: Iterable[DriveFrame],
    path: Path,
    compressed: bool = False,
) -> dict[str, int]:
    """Writes a drive; the bag appears at `path` whole, or not at all.

    Header stamps are times of measurement. Messages are recorded when they are complete: a turning sensor's at the end
    of its turn, all others at once, and later where a failure delays them.

    Args:
        plan: the drive.
        failures: what goes wrong; the truth topics are never touched.
        frames: all frames of the drive, in their order.
        path: of the bag; must not be there yet.
        compressed: PNG in place of raw images.

    Returns:
        topic -> number of messages.

    Raises:
        ConfigError: the path is taken or cannot be written, the drive cannot be, or its frames were not rendered with
            the bumps among the failures.
    """
    if plan.bumps != failures.bumps:
        raise ConfigError(
            f"bumps: expected those of the failures in the plan as well, got {len(plan.bumps)} and "
            f"{len(failures.bumps)}; sensors see from where they sit when frames are rendered"
        )
    with NewBag(path) as bag:
        recorder = _Recorder(bag, plan, failures, compressed)
        for index, frame in enumerate(frames):
            recorder.take(index, frame)
        recorder.flush()
    return dict(recorder.counts)


class _Recorder:
    """Turns frames into messages and writes them in the order in which they arrive."""

    def __init__(self, bag: NewBag, plan: SimulationPlan, failures: FailurePlan, compressed: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._bag, self._plan, self._failures, self._compressed = bag, plan, failures, compressed
        self._drive, self._make = plan.drive(), bag.messages
        self._recent: dict[int, DriveFrame] = {}
        self._arriving: list[tuple[int, int, str, bytes | memoryview]] = []
        self._number = 0
        names = plan.equipped()
        self._ranging = [sensor for sensor in _SENSOR_TOPICS if sensor in names]
        self._cameras = [mount.name for mount in plan.rigged()]
        self._types = {STATIC_TOPIC: TRANSFORMS, TRUTH_ODOMETRY_TOPIC: ODOMETRY}
        self._types |= {topic: kind for sensor, (topic, kind) in _SENSOR_TOPICS.items() if sensor in names}
        for camera in self._cameras:
            self._types[info_topic(camera)] = CAMERA_INFO
            self._types[image_topic(camera, compressed)] = COMPRESSED_IMAGE if compressed else IMAGE
            self._types[truth_topic(camera, "depth")] = self._types[truth_topic(camera, "labels")] = IMAGE
        sensor_qos, latched = [reliable_qos(10)], [reliable_qos(1, latched=True)]
        for topic, message_type in self._types.items():
            bag.connect(topic, message_type, latched if topic == STATIC_TOPIC else sensor_qos)
        transforms = self._make.transforms(self._make.header(START_NS, BASE_FRAME), self._drive.mounts())
        self._send(STATIC_TOPIC, START_NS, transforms)

    def take(self, index: int, frame: DriveFrame) -> None:
        """All messages of one instant; those of earlier instants that have arrived by now are written."""
        self._recent[index] = frame
        stamp_ns, time_s, rate_hz = START_NS + frame.stamp_ns, index / self._plan.rate_hz, self._plan.rate_hz
        self._send(TRUTH_ODOMETRY_TOPIC, stamp_ns, self._true_odometry(stamp_ns, time_s))
        for view in frame.views:
            header = self._make.header(stamp_ns, view.name)
            depth = self._make.image(header, depth_image_fields(view.truth_depth_m))
            self._send(truth_topic(view.name, "depth"), stamp_ns, depth)
            labels = self._make.image(header, label_image(view.truth_labels))
            self._send(truth_topic(view.name, "labels"), stamp_ns, labels)
        sensors = [*self._ranging, *self._cameras]  # images last: they are the slowest to read out
        for sensor in sensors:
            if self._failures.delivered(sensor, time_s, index):
                self._publish(sensor, stamp_ns, time_s, index)
        # A frozen sensor repeats a frame that lies long ago: that one is kept, the others are not needed any more.
        needed = {self._failures.source(sensor, index + 1, rate_hz) for sensor in sensors}
        self._recent = {number: kept for number, kept in self._recent.items() if number in needed}
        self._write_until(stamp_ns)

    def flush(self) -> None:
        """Writes what is still on its way."""
        self._write_until(None)

    def _publish(self, sensor: str, stamp_ns: int, time_s: float, index: int) -> None:
        """The messages of a sensor at an instant, and their copies."""
        late_s = self._failures.delay_s(sensor, time_s, index) + self._duration_s(sensor)
        said_ns = stamp_ns + round(1e9 * self._failures.stamp_error_s(sensor, time_s))
        source = self._failures.source(sensor, index, self._plan.rate_hz)
        arrivals_s = [late_s, *(late_s + copy_s for copy_s in self._failures.copies_later_s(sensor, index))]
        for topic, message in self._messages(sensor, said_ns, source):
            for arrival_s in arrivals_s:
                self._send(topic, stamp_ns + round(1e9 * arrival_s), message)

    def _duration_s(self, sensor: str) -> float:
        """From the stamp to the end of the measurement."""
        turns = {LIDAR: 0.5, SCANNER: 1.0}
        return turns.get(sensor, 0.0) / self._plan.rate_hz if self._plan.rolling else 0.0

    def _send(self, topic: str, arrival_ns: int, message: Any) -> None:
        raw = self._bag.store.serialize_cdr(message, self._types[topic])
        heapq.heappush(self._arriving, (arrival_ns, self._number, topic, raw))
        self._number += 1

    def _write_until(self, stamp_ns: int | None) -> None:
        while self._arriving and (stamp_ns is None or self._arriving[0][0] <= stamp_ns):
            arrival_ns, _, topic, raw = heapq.heappop(self._arriving)
            self._bag.write_raw(topic, arrival_ns, raw)
            self.counts[topic] += 1

    def _messages(self, sensor: str, stamp_ns: int, source: int) -> list[tuple[str, Any]]:
        """What a sensor publishes at a stamp, with the content of frame `source`."""
        frame, make = self._recent[source], self._make
        header = make.header
        time_s = source / self._plan.rate_hz
        if sensor in self._cameras:
            return self._camera_messages(frame.views[self._cameras.index(sensor)], stamp_ns)
        topic = _SENSOR_TOPICS[sensor][0]
        forward, turning = np.array([frame.speed_mps, 0.0, 0.0]), np.array([0.0, 0.0, frame.yaw_rate_radps])
        if sensor == ODOMETRY_SENSOR:
            said = header(stamp_ns, ODOM_FRAME)
            return [(topic, make.odometry(said, BASE_FRAME, frame.T_odom_base, forward, turning))]
        if sensor == TWIST_SENSOR:
            return [(topic, make.twist(header(stamp_ns, BASE_FRAME), forward, turning))]
        said = header(stamp_ns, sensor)
        if sensor == LIDAR and frame.lidar is not None:
            return [(topic, self._make.cloud(said, scan_cloud(self._damaged_scan(frame.lidar, time_s, source))))]
        if sensor == SCANNER and frame.planar is not None:
            turn = self._damaged_turn(frame.planar, time_s, source)
            model, turn_s = turn.model, 1.0 / self._plan.rate_hz
            angles_rad = model.angle_min_rad, model.angle_step_rad
            limits_m = model.min_range_m, model.max_range_m
            times_s = turn.time_step_s, turn_s
            return [(topic, make.laser_scan(said, turn.range_m, angles_rad, limits_m, turn.intensity, *times_s))]
        if sensor == TOF and frame.tof is not None:
            zones = self._damaged_zones(TOF, frame.tof, time_s, source)
            return [(topic, self._make.cloud(said, xyz_cloud_fields(zones.points())))]
        if sensor == RANGE_FINDER and frame.range_finder is not None:
            zone = self._damaged_zones(RANGE_FINDER, frame.range_finder, time_s, source)
            one, range_m = zone.model, float(zone.range_m[0, 0])
            limits_m = one.min_range_m, one.max_range_m
            return [(topic, make.range(said, range_m, limits_m, one.fov_rad, one.range_sigma_m**2))]
        raise ConfigError(f"frames: expected some with {sensor}, as the plan says, got one without")

    def _camera_messages(self, view: CameraView, stamp_ns: int) -> list[tuple[str, Any]]:
        header = self._make.header(stamp_ns, view.name)
        info = (info_topic(view.name), self._make.camera_info(header, view.camera, view.distortion))
        if self._compressed:
            return [info, (image_topic(view.name, True), self._make.png(header, view.image_rgb))]
        return [info, (image_topic(view.name), self._make.image(header, rgb_image_fields(view.image_rgb)))]

    def _damaged_scan(self, scan: SyntheticScan, time_s: float, source: int) -> SyntheticScan:
        points = scan.points_lidar
        azimuth = np.arctan2(points[:, 1], points[:, 0])
        kept = ~self._failures.lost_in_sectors(LIDAR, azimuth, time_s, source)
        range_m = np.linalg.norm(points, axis=1)
        wrong_m = self._failures.wrong_ranges(LIDAR, range_m, time_s, source)
        changed = wrong_m != range_m  # also where it is NaN
        factor = np.where(changed, wrong_m / np.maximum(range_m, np.float32(1e-6)), np.float32(1.0))
        return SyntheticScan(
            points_lidar=(points * factor[:, None])[kept],
            time_s=scan.time_s[kept],
            ring=scan.ring[kept],
            intensity=scan.intensity[kept],
            T_base_lidar=scan.T_base_lidar,
        )

    def _damaged_turn(self, turn: PlanarScan, time_s: float, source: int) -> PlanarScan:
        azimuth = turn.model.azimuths().astype(np.float32)
        range_m = self._failures.wrong_ranges(SCANNER, turn.range_m, time_s, source)
        lost = self._failures.lost_in_sectors(SCANNER, azimuth, time_s, source)
        return replace(turn, range_m=np.where(lost, np.float32(np.nan), range_m))

    def _damaged_zones(self, sensor: str, zones: ZoneScan, time_s: float, source: int) -> ZoneScan:
        range_m = self._failures.wrong_ranges(sensor, zones.range_m.reshape(-1), time_s, source)
        return replace(zones, range_m=range_m.reshape(zones.range_m.shape))

    def _true_odometry(self, stamp_ns: int, time_s: float) -> Any:
        """True pose in the world, and the true velocity in the base's own axes."""
        course = self._drive.course
        header = self._make.header(stamp_ns, WORLD_FRAME)
        return self._make.odometry(header, BASE_FRAME, course.T_world_base(time_s), *course.velocity(time_s))
