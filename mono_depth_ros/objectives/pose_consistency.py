# SPDX-License-Identifier: Apache-2.0
"""Pose consistency: cameras on one rig make one motion (Guizilini et al., RA-L 2022, arXiv 2104.00152).

Every camera's predicted motion X_j is moved into the frame of camera 0, X^_j = E_j X_j E_j^-1 with E_j = T_0_j, and
compared there: L_pc = w_t mean_j ||t^_j - t_0||^2 + w_r mean_j angle(R_0^T R^_j)^2.
"""

from dataclasses import dataclass

from torch import Tensor

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.objectives.pose import compose, invert_pose
from mono_depth_ros.objectives.projection import at_least_float32


@dataclass(frozen=True, slots=True)
class PoseConsistencyWeights:
    """Weights.

    Attributes:
        translation: of the squared difference of translations, m^2.
        rotation: of the squared angle between rotations, rad^2.
    """

    translation: float = 1.0
    rotation: float = 1.0


def motion_of_camera_0(T_context_target: Tensor, T_rig_camera: Tensor) -> Tensor:
    """Every camera's motion as the motion of camera 0.

    Args:
        T_context_target: float [B, N, 4, 4], motion of each of the N cameras.
        T_rig_camera: float [B, N, 4, 4] or [N, 4, 4], where each sits on the rig.

    Returns:
        float32 (float64 of float64) [B, N, 4, 4]; all equal when the cameras are rigidly joined.
    """
    motion = at_least_float32(T_context_target)
    rig = T_rig_camera.to(motion).expand_as(motion)
    T_0_j = compose(invert_pose(rig[:, :1]), rig)
    return compose(compose(T_0_j, motion), invert_pose(T_0_j))


def pose_consistency_loss(
    T_context_target: Tensor, T_rig_camera: Tensor, weights: PoseConsistencyWeights | None = None
) -> Tensor:
    """L_pc.

    Args:
        T_context_target: float [B, N, 4, 4], motion of each camera between the same two instants; camera 0 is the
            one that the others are compared with.
        T_rig_camera: float [B, N, 4, 4] or [N, 4, 4].
        weights: of the two parts.

    Returns:
        float [B], mean over the other cameras; 0 for a rig of one. The squared angle is written as
        ||R_a - R_b||_F^2 / 2 = 2 (1 - cos angle), equal to it for small angles and smooth everywhere: the difference
        of Euler angles depends on the axes that they are counted about.

    Raises:
        ConfigError: shapes that do not belong together.
    """
    if T_context_target.ndim != 4 or T_rig_camera.shape[-3] != T_context_target.shape[1]:
        raise ConfigError(
            f"T_rig_camera: expected one pose for each camera of T_context_target [B, N, 4, 4], got "
            f"{tuple(T_rig_camera.shape)} for {tuple(T_context_target.shape)}"
        )
    weights = weights or PoseConsistencyWeights()
    motion = motion_of_camera_0(T_context_target, T_rig_camera)
    difference = motion[:, 1:] - motion[:, :1]
    translation = difference[..., :3, 3].square().sum(-1)
    rotation = difference[..., :3, :3].square().sum((-2, -1)) / 2
    total = weights.translation * translation + weights.rotation * rotation
    return total.sum(1) / max(total.shape[1], 1)
