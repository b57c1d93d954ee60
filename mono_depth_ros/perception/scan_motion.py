# SPDX-License-Identifier: Apache-2.0
"""A sensor that moves while it scans: brings all points of a scan to one instant."""

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.perception.odometry_track import OdometryTrack

# Points of one step share a pose: at 30 m/s the sensor moves 15 mm in half a step.
STEP_NS = 1_000_000


def points_at_stamp(
    points_sensor_m: Points,
    offsets_s: npt.NDArray[np.float64],
    stamp_ns: int,
    odometry: OdometryTrack,
    T_base_sensor: RigidTransform,
) -> Points | None:
    """The points as the sensor would have seen them, had it measured all at once at `stamp_ns`.

    p(stamp) = T_sensor_base T_base(stamp)_odom T_odom_base(t) T_base_sensor p(t) for each point's own time t; things
    that move by themselves stay smeared.

    Args:
        points_sensor_m: float32 [N,3], each in the sensor's frame at its own time.
        offsets_s: float64 [N], those times less the stamp.
        stamp_ns: of the scan.
        odometry: has to know the whole time of the scan.
        T_base_sensor: where the sensor sits.

    Returns:
        float32 [N,3] in the order of the input; None where odometry does not know one of the times.
    """
    T_odom_base = odometry.pose_at(stamp_ns)
    if T_odom_base is None:
        return None
    T_scan_odom = invert_rigid(T_odom_base @ T_base_sensor)
    steps = np.rint(offsets_s * (1e9 / STEP_NS)).astype(np.int64)
    order = np.argsort(steps, kind="stable")
    moved_m = np.empty((len(points_sensor_m), 3), np.float32)
    for group in np.split(order, np.flatnonzero(np.diff(steps[order])) + 1):
        if len(group) == 0:
            continue
        T_odom_then = odometry.pose_at(stamp_ns + int(steps[group[0]]) * STEP_NS)
        if T_odom_then is None:
            return None
        moved_m[group] = transform_points(T_scan_odom @ T_odom_then @ T_base_sensor, points_sensor_m[group])
    return moved_m
