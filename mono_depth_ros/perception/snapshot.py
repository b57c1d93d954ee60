# SPDX-License-Identifier: Apache-2.0
"""Everything the robot knows at the moment of one image."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform

RgbImage: TypeAlias = npt.NDArray[np.uint8]


class SensorState(str, Enum):
    """How an input does, seen from the stamp of the image."""

    OK = "ok"
    ABSENT = "absent"
    STALE = "stale"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class SensorReport:
    """Health of one input at one image.

    Attributes:
        name: ``camera_info``, ``odometry``, ``twist``, or a source of points: ``points``, ``scan``, ``sparse_depth``,
            ``range``.
        age_s: image stamp minus the stamp of the data used; negative if the data is newer; None without data.
        rate_hz: messages per second over the kept history, by their stamps; 0 with fewer than two.
        used: whether this image's depth depends on it.
        reason: why it is not used, or how; a word that a user can search for.
        received, rejected: messages since the start.
        last_error: text of the newest rejected message, empty if there was none.
        jitter_s: standard deviation of the time between two messages, by their stamps; 0 with fewer than three.
        used_share: share of the latest images that used it.
    """

    name: str
    state: SensorState
    age_s: float | None
    rate_hz: float
    used: bool
    reason: str
    received: int
    rejected: int
    last_error: str
    jitter_s: float = 0.0
    used_share: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class SensorSnapshot:
    """One image and what goes with it.

    Attributes:
        stamp_ns: stamp of the image.
        camera_frame: optical frame of the image.
        image_rgb: uint8 [H, W, 3].
        camera: intrinsics of this image.
        points_camera_m: float32 [N, 3] in the camera frame *at the image stamp*; None when no usable scan is there.
        points_age_s: image stamp minus scan stamp (negative: the scan is newer); None without points.
        T_previous_current: camera motion from this image to the previous one, from odometry; None if unknown.
        speed_mps: speed from odometry at the image; None if unknown.
        sensors: health of every input.
        points_remembered: whether the lidar memory carried the points by odometry, so that they hold for longer.
        points_from_memory: how many of the points are not of the nearest scan.
        T_base_camera: where the camera sits above the ground that the base stands on; None if unknown.
        T_camera_lidar: where the nearest scan was measured: its sensor at its stamp, seen from the camera at the image
            stamp; None without points.
    """

    stamp_ns: int
    camera_frame: str
    image_rgb: RgbImage
    camera: PinholeCamera
    points_camera_m: Points | None
    points_age_s: float | None
    T_previous_current: RigidTransform | None
    speed_mps: float | None
    sensors: tuple[SensorReport, ...]
    points_remembered: bool = False
    points_from_memory: int = 0
    T_base_camera: RigidTransform | None = None
    T_camera_lidar: RigidTransform | None = None


@dataclass(frozen=True, slots=True)
class NoSnapshot:
    """Why an image gives no snapshot: a searchable reason, and a sentence for the user."""

    stamp_ns: int
    reason: str
    message: str
    sensors: tuple[SensorReport, ...]
