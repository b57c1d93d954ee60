# SPDX-License-Identifier: Apache-2.0
"""What is known of the ground before the network looks: measured by the LiDAR, remembered, or promised by the mount.

The plane under a robot that drives on it hardly changes in the camera's frame. So a plane that the LiDAR's points
showed holds on for a while when they drop, and gives their metres to the predictions that follow.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.ground_plane import plane_of_pixels
from mono_depth_ros.inference.scaling import lidar_ground
from mono_depth_ros.perception.snapshot import SensorSnapshot

Float64 = npt.NDArray[np.float64]
SURE = {"measured": 1.0, "remembered": 1.0, "mount": 0.3}  # as networks/lite_san.py is trained
_LARGEST_CHANGE = 0.25  # of the height, against the mount: more is no ground, or no mount


class GroundUse(Enum):
    """Which of the sources are believed; each includes those before it."""

    OFF = "off"
    MEASURED = "measured"
    MOUNT = "mount"


@dataclass(frozen=True, slots=True)
class GroundPolicy:
    """How far a ground is believed.

    Attributes:
        use: which sources.
        memory_s: how long a measured plane holds.
    """

    use: GroundUse = GroundUse.MEASURED
    memory_s: float = 10.0


DEFAULT_GROUND_POLICY = GroundPolicy()


@dataclass(frozen=True, slots=True, eq=False)
class GroundHint:
    """A plane for one image.

    Attributes:
        plane: float64 [4], see `FitToNetwork.ground`.
        source: "measured", "remembered" or "mount".
        age_s: since it was measured; None by the mount.
    """

    plane: Float64
    source: str
    age_s: float | None


class GroundMemory:
    """The ground below one camera, image after image."""

    def __init__(self) -> None:
        self._gradient: Float64 | None = None
        self._stamp_ns = 0

    def hint(
        self, snapshot: SensorSnapshot, camera: PinholeCamera, base_height_m: float, policy: GroundPolicy
    ) -> GroundHint | None:
        """The best plane there is for an image; None where nothing is known, or nothing may be used.

        Args:
            snapshot: what the robot knows.
            camera: of the image at network resolution.
            base_height_m: of the base above the ground.
            policy: which sources are believed.
        """
        T_base_camera = snapshot.T_base_camera
        if policy.use is GroundUse.OFF or T_base_camera is None:
            return None
        height_m = base_height_m + float(T_base_camera[2, 3])
        if height_m <= 0:
            return None
        age_s = snapshot.points_age_s
        if snapshot.points_camera_m is not None and age_s is not None:
            found = lidar_ground(snapshot.points_camera_m, T_base_camera, height_m)
            if found is not None and abs(found.height / height_m - 1.0) < _LARGEST_CHANGE:
                self._gradient = found.normal / found.height
                self._stamp_ns = snapshot.stamp_ns
        since_s = (snapshot.stamp_ns - self._stamp_ns) * 1e-9
        if self._gradient is not None and 0.0 <= since_s <= policy.memory_s:
            return _hint(self._gradient, camera, "remembered" if since_s else "measured", since_s)
        if policy.use is GroundUse.MEASURED:
            return None
        return _hint(np.asarray(T_base_camera[2, :3], np.float64) / height_m, camera, "mount", None)


def _hint(gradient: Float64, camera: PinholeCamera, source: str, age_s: float | None) -> GroundHint:
    return GroundHint(np.append(plane_of_pixels(gradient, camera), SURE[source]), source, age_s)
