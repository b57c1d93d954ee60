# SPDX-License-Identifier: Apache-2.0
"""The parameters that rig_node has beside those of depth_node; docs/rig.md lists them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import RigidTransform, rigid_from_quaternion
from mono_depth_ros.perception.rig_slots import SlotPolicy

_PLACE = "x y z (m) and unit quaternion qx qy qz qw; [] looks it up in TF"


@dataclass(frozen=True, slots=True)
class RigParameter:
    """A parameter as ROS wants to know it.

    Attributes:
        name: in full.
        default: its value where none is given.
        description: what it is, with its unit.
        limits: smallest and largest value; None for what is no number.
    """

    name: str
    default: Any
    description: str
    limits: tuple[float, float] | None = None


CAMERAS = RigParameter("rig.cameras", [""], "names of the cameras; each is the first part of its camera's topics")
TOLERANCE = RigParameter("rig.tolerance_s", 0.05, "images within this of the first belong to one moment", (0.001, 0.5))
MAX_WAIT = RigParameter(
    "rig.max_wait_s", 0.1, "longest time that a moment is held for missing cameras, and for points", (0.0, 2.0)
)
HIDDEN = RigParameter(
    "rig.hidden_share", 0.2, "a point farther than a camera's own depth by more is hidden from that camera", (0.01, 2.0)
)
BASE_FRAME = RigParameter("rig.base_frame", "base_link", "frame of the merged cloud")
LIDAR_PLACE = RigParameter("rig.T_base_lidar", [], f"place of the LiDAR in the base: {_PLACE}")


def camera_place(camera: str) -> RigParameter:
    """The place of a camera's optical frame in the base."""
    return RigParameter(f"rig.T_base_camera.{camera}", [], f"place of its optical frame in the base: {_PLACE}")


@dataclass(frozen=True, slots=True, eq=False)
class RigConfig:
    """What a rig is made of.

    Attributes:
        cameras: names; each is the first part of its camera's topics.
        tolerance_s: images within this of the first one belong to one moment.
        max_wait_s: longest time that a moment is held for cameras that are still missing, and for points.
        base_frame: of the merged cloud.
        hidden_share: a point farther than a camera's own depth by more than this share is hidden from it.
        T_base_lidar: where the LiDAR sits; None for TF.
        T_base_camera: where each camera sits, by name; those that are not named are looked up in TF.
    """

    cameras: tuple[str, ...]
    tolerance_s: float = 0.05
    max_wait_s: float = 0.1
    base_frame: str = "base_link"
    hidden_share: float = 0.2
    T_base_lidar: RigidTransform | None = None
    T_base_camera: tuple[tuple[str, RigidTransform], ...] = ()

    def slot_policy(self) -> SlotPolicy:
        """Which images belong together.

        Raises:
            ConfigError: no camera, a name twice, or times that cannot be.
        """
        return SlotPolicy(self.cameras, self.tolerance_s)

    def place(self, camera: str) -> RigidTransform | None:
        """T_base_camera of a camera; None for TF."""
        return dict(self.T_base_camera).get(camera)


def read_rig_config(read: Callable[[RigParameter], Any]) -> RigConfig:
    """The rig of a node's parameters.

    Args:
        read: gives the value of a parameter.

    Raises:
        ConfigError: with everything that cannot be used.
    """
    problems: list[str] = []
    names = read(CAMERAS)
    cameras = tuple(str(name).strip("/ ") for name in names) if isinstance(names, (list, tuple)) else ()
    if not all(cameras) or not cameras or len(set(cameras)) < len(cameras):
        problems.append(f"rig.cameras: expected different names such as [front, left], got {list(names)!r}")
        cameras = ()
    tolerance_s, max_wait_s, hidden_share = (
        _number(read(parameter), parameter, problems) for parameter in (TOLERANCE, MAX_WAIT, HIDDEN)
    )
    base_frame = str(read(BASE_FRAME))
    T_base_lidar = _place(read(LIDAR_PLACE), LIDAR_PLACE.name, problems)
    places = []
    for camera in cameras:
        place = camera_place(camera)
        T_base_camera = _place(read(place), place.name, problems)
        if T_base_camera is not None:
            places.append((camera, T_base_camera))
    if T_base_lidar is not None and len(places) < len(cameras):
        problems.append("rig.T_base_lidar: expected rig.T_base_camera of every camera beside it, or TF for all")
    if not base_frame:
        problems.append("rig.base_frame: expected a frame, got none")
    if problems:
        raise ConfigError("parameters: " + "; ".join(problems))
    return RigConfig(cameras, tolerance_s, max_wait_s, base_frame, hidden_share, T_base_lidar, tuple(places))


def _number(value: object, parameter: RigParameter, problems: list[str]) -> float:
    lowest, highest = parameter.limits or (-math.inf, math.inf)
    if type(value) in (int, float) and lowest <= float(str(value)) <= highest:
        return float(str(value))
    problems.append(f"{parameter.name}: expected {lowest:g} to {highest:g}, got {value!r}")
    return lowest


def _place(value: object, name: str, problems: list[str]) -> RigidTransform | None:
    numbers: Sequence[Any] = list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else []
    if not numbers:
        return None
    usable = len(numbers) == 7 and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    if not usable or abs(math.hypot(*numbers[3:]) - 1.0) > 0.01:
        problems.append(f"{name}: expected nothing, or x y z (m) and a unit quaternion qx qy qz qw, got {numbers!r}")
        return None
    return rigid_from_quaternion(numbers[:3], numbers[3:])
