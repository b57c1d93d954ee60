# SPDX-License-Identifier: Apache-2.0
"""What a network's completion goes through before it is published: anchored to its points, mixed with their fill."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY, AnchorPolicy, anchor_to_points
from mono_depth_ros.inference.guided_fill import DEFAULT_FILL_POLICY, FillPolicy, mixed_with_fill


@dataclass(frozen=True, slots=True)
class CompletionPolicy:
    """The two steps; None leaves one out.

    Attributes:
        anchor: how the depth is made to go through its points.
        fill: how much of the points' own interpolation goes in.
    """

    anchor: AnchorPolicy | None = DEFAULT_ANCHOR_POLICY
    fill: FillPolicy | None = DEFAULT_FILL_POLICY


DEFAULT_COMPLETION_POLICY = CompletionPolicy()
NETWORK_ALONE = CompletionPolicy(None, None)


def through_points(
    depth_m: DepthMap,
    image_rgb: npt.NDArray[np.uint8],
    points: SparseDepth,
    policy: CompletionPolicy = DEFAULT_COMPLETION_POLICY,
) -> DepthMap:
    """Completed depth as it is published.

    Args:
        depth_m: float32 [H, W], metres, > 0, every pixel filled: what the network gave.
        image_rgb: uint8 [H, W, 3], what it saw.
        points: what it was given, on the same grid.
        policy: which steps.

    Returns:
        float32 [H, W], metres; ``depth_m`` itself without points.
    """
    if policy.anchor is not None:
        depth_m = anchor_to_points(depth_m, points, policy.anchor)
    if policy.fill is not None:
        depth_m = mixed_with_fill(depth_m, image_rgb, points, policy.fill)
    return depth_m
