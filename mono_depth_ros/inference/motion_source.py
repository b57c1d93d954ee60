# SPDX-License-Identifier: Apache-2.0
"""What the images and what odometry say about the same motion; the images in between are passed over."""

from dataclasses import dataclass

import numpy as np

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.inference.visual_motion import (
    DEFAULT_VISUAL_MOTION_POLICY,
    NoMotion,
    VisualMotion,
    VisualMotionPolicy,
    estimate_motion,
)
from mono_depth_ros.perception.scale_sources import DEFAULT_MOTION_LIMITS, MotionLimits
from mono_depth_ros.perception.snapshot import RgbImage, SensorSnapshot

_OLDEST_KEY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _KeyImage:
    """An image to compare with, and the way from it to the latest image by odometry."""

    stamp_ns: int
    image_rgb: RgbImage
    T_key_current: RigidTransform


@dataclass(frozen=True, slots=True, eq=False)
class SeenMotion:
    """One motion, seen twice.

    Attributes:
        seen: by the images, in the unit of the depth.
        T_previous_current: of the camera, by odometry.
    """

    seen: VisualMotion
    T_previous_current: RigidTransform


class MotionSource:
    """Compares images that lie far enough apart: a slow robot's consecutive ones show no motion.

    Args:
        policy: when the images are believed.
        limits: which motions are looked at.

    Attributes:
        refused: why the last look told nothing, a searchable word; empty if it did.
    """

    def __init__(
        self,
        policy: VisualMotionPolicy = DEFAULT_VISUAL_MOTION_POLICY,
        limits: MotionLimits = DEFAULT_MOTION_LIMITS,
    ) -> None:
        self._policy = policy
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Forgets the image to compare with."""
        self._key: _KeyImage | None = None
        self.refused = ""

    def look(self, snapshot: SensorSnapshot, camera: PinholeCamera, depth_m: DepthMap | None) -> SeenMotion | None:
        """Takes in one image; costs nothing without a depth.

        Args:
            snapshot: the image and its odometry.
            camera: of ``depth_m``.
            depth_m: float32 [H, W], up to a factor; None when no look is wanted now.
        """
        key, motion = self._key, snapshot.T_previous_current
        fresh = _KeyImage(snapshot.stamp_ns, snapshot.image_rgb, np.eye(4))
        if key is None or motion is None or not 0 < snapshot.stamp_ns - key.stamp_ns <= _OLDEST_KEY_NS:
            self._key = fresh
            self.refused = "no_odometry" if motion is None else "no_image_before"
            return None
        key = _KeyImage(key.stamp_ns, key.image_rgb, key.T_key_current @ motion)
        driven_m = float(np.linalg.norm(key.T_key_current[:3, 3]))
        self._key = fresh if driven_m >= 2.0 * self._limits.min_distance_m else key
        if depth_m is None:
            return None
        if driven_m < self._limits.min_distance_m:
            self.refused = NoMotion.STANDING.value
            return None
        self._key = fresh
        seen = estimate_motion(
            key.image_rgb, snapshot.image_rgb, camera, depth_m, key.T_key_current, policy=self._policy
        )
        self.refused = seen.value if isinstance(seen, NoMotion) else ""
        return None if isinstance(seen, NoMotion) else SeenMotion(seen, key.T_key_current)
