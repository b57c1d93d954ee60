# SPDX-License-Identifier: Apache-2.0
"""Holes in the ground: pixels whose depth says that they lie well below the road that the rest of the image shows.

A network that learned from video alone puts what moves as fast as the camera infinitely far away, for that is where
things keep their place in the image. Below the horizon nothing can be farther than the ground, so such a mistake shows
without any truth (Guizilini et al., ICLR 2020, arXiv 2002.12319, section 3.3, who leave its limits open).
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.ground_plane import GroundPlane, GroundPolicy, NoGround, fit_ground_plane

Mask = npt.NDArray[np.bool_]
LEVEL_CAMERA_UP = np.array([0.0, -1.0, 0.0])  # up in the optical frame of a camera that looks at the horizon


@dataclass(frozen=True, slots=True)
class HolePolicy:
    """What is taken for a hole.

    Attributes:
        margin: how far below the plane a pixel must lie, in heights of the camera. Its depth is then `1 + margin` times
            that of the ground along its ray, whatever the scale.
        min_slope: least downward slope of a ray that is judged (vertical over forward): nearer to the horizon a small
            error of the plane is a large one of depth.
        max_below: of the judged pixels; where more lie below it, the plane is not the ground.
        min_share: of the image, for the largest connected group of such pixels, to call it a hole.
        ground: how the plane is fitted. The tilt covers a camera that does not look at the horizon; the share is of all
            below the horizon, where cars and walls are too.
    """

    margin: float = 0.5
    min_slope: float = 0.05
    max_below: float = 0.25
    min_share: float = 0.002
    ground: GroundPolicy = field(
        default_factory=lambda: GroundPolicy(min_share=0.15, max_tilt_rad=float(np.deg2rad(20.0)), max_spread=0.08)
    )


DEFAULT_HOLE_POLICY = HolePolicy()


@dataclass(frozen=True, slots=True, eq=False)
class GroundHoles:
    """What one image's depth says of the ground.

    Attributes:
        plane: the ground; or why none is believed, and then nothing can be said.
        below: bool [H, W], pixels below it by the margin.
        share: of the image, that the largest connected group of them covers.
        is_hole: whether that is a hole.
    """

    plane: GroundPlane | NoGround
    below: Mask
    share: float
    is_hole: bool


def find_ground_holes(
    depth_m: DepthMap,
    camera: PinholeCamera,
    up: npt.NDArray[np.float64] = LEVEL_CAMERA_UP,
    policy: HolePolicy = DEFAULT_HOLE_POLICY,
) -> GroundHoles:
    """Fits the ground to a predicted depth image and looks below it.

    Args:
        depth_m: float32 [H, W], depth along z of any scale; NaN or infinite: infinitely far.
        camera: of that image.
        up: float64 [3], unit, where up is expected in the optical frame.
        policy: what is taken for a hole.
    """
    far_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(np.inf))
    seen = camera.unproject(np.where(np.isinf(far_m), np.float32(np.nan), far_m))
    plane = fit_ground_plane(seen.reshape(-1, 3), up, policy.ground)
    if isinstance(plane, NoGround):
        return GroundHoles(plane, np.zeros(depth_m.shape, bool), 0.0, False)
    downward = -(camera.rays() @ plane.normal)  # of a ray of length 1 along z; the ground is at height / downward
    judged = downward > policy.min_slope
    below = judged & (far_m * np.maximum(downward, 0.0) > (1.0 + policy.margin) * plane.height)
    if below.sum() > policy.max_below * judged.sum():
        return GroundHoles(NoGround("too_much_below_plane"), np.zeros(depth_m.shape, bool), 0.0, False)
    count, _, groups, _ = cv2.connectedComponentsWithStats(below.astype(np.uint8), connectivity=8)
    largest = int(groups[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    share = largest / below.size
    return GroundHoles(plane, below, share, share >= policy.min_share)
