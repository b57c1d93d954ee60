# SPDX-License-Identifier: Apache-2.0
"""The networks of a training run as one module with one forward pass, which is what DDP needs."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mono_depth_ros.networks.depth_network import DepthNetwork, inv_depths_of, predict
from mono_depth_ros.networks.lite_san import Decoded, LiteSan
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.networks.sparse_convolution import SparsePoints
from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.objectives.pose import invert_pose, pose_matrix

CONTEXTS = 2  # t - stride and t + stride


class Outputs(NamedTuple):
    """What one forward pass gives; None where it was not asked for.

    Attributes:
        predicted, completed: inverse depths [B, 1, H / 2^s, W / 2^s], finest first, network units.
        skips, fused: features of the image, and of image and points.
        poses: [B, C, 4, 4], T_context_target.
        thinned: as `completed`, from a part of the points.
        predicted_said, completed_said: all that a network said which tells more than inverse depths.
    """

    predicted: tuple[Tensor, ...] | None
    completed: tuple[Tensor, ...] | None
    skips: tuple[Tensor, ...]
    fused: tuple[Tensor, ...] | None
    poses: Tensor | None
    thinned: tuple[Tensor, ...] | None = None
    predicted_said: Decoded | None = None
    completed_said: Decoded | None = None


class TrainedModel(nn.Module):
    """Depth network and pose network. One encoder pass serves prediction and completion."""

    def __init__(self, depth: DepthNetwork, pose: PoseNet | TwoStreamPoseNet | None, modes: str) -> None:
        super().__init__()
        self.depth = depth
        self.pose = pose
        self.predicts = modes in ("prediction", "joint")
        self.completes = modes in ("completion", "joint")

    def forward(
        self,
        rgb: Tensor,
        bvu: Tensor,
        points_depth_m: Tensor,
        pose_target_rgb: Tensor | None = None,
        pose_context_rgb: Tensor | None = None,
        kept: Tensor | None = None,
        ground: Tensor | None = None,
    ) -> Outputs:
        """Depth of the images in the modes of the run, and the motion to their contexts.

        Args:
            rgb: float [B, 3, H, W] in 0..1.
            bvu, points_depth_m: int64 [N, 3] and float [N], the sparse points; looked at for completion only.
            pose_target_rgb: float [B, 3, H, W], and
            pose_context_rgb: float [B, C, 3, H, W], for the pose network; None without contexts.
            kept: bool [N], the points to complete from a second time; None for once only.
            ground: float [B, 4], see `lite_san.ground_inv_depth`; None where nothing is known of any.
        """
        features: Any = self.depth.encode(rgb)
        fused = self._fused(features, SparsePoints(bvu, points_depth_m), ground) if self.completes else None
        predicted = completed = thinned = None
        if self.predicts:
            without = SparsePoints(bvu[:0], points_depth_m[:0])
            predicted = self.depth.decode(features if ground is None else self._fused(features, without, ground))
        if fused is not None:
            completed = self.depth.decode(fused)
        if fused is not None and kept is not None:
            some = SparsePoints(bvu[kept], points_depth_m[kept])
            thinned = inv_depths_of(self.depth.decode(self._fused(features, some, ground)))
        poses = None
        if pose_target_rgb is not None and pose_context_rgb is not None:
            if isinstance(self.pose, PoseNet):
                poses = _one_stream(self.pose, pose_target_rgb, pose_context_rgb)
            elif isinstance(self.pose, TwoStreamPoseNet):
                own = inv_depths_of(predicted or completed or self.depth.decode(features))[0]
                poses = self._two_streams(self.pose, pose_target_rgb, pose_context_rgb, own)
        return Outputs(
            None if predicted is None else inv_depths_of(predicted),
            None if completed is None else inv_depths_of(completed),
            features.skips,
            None if fused is None else fused.skips,
            poses,
            thinned,
            predicted if isinstance(predicted, Decoded) else None,
            completed if isinstance(completed, Decoded) else None,
        )

    def _fused(self, features: Any, points: SparsePoints, ground: Tensor | None) -> Any:
        """Features of images with what else is known of them; a PackNetSan makes no use of a ground."""
        if isinstance(self.depth, LiteSan):
            return self.depth.fuse(features, points, ground)
        return self.depth.fuse(features, points)

    def _two_streams(self, pose: TwoStreamPoseNet, target: Tensor, contexts: Tensor, inv_depth: Tensor) -> Tensor:
        """Poses from images and depths. The pose network takes depth as it is: no gradient reaches it this way."""
        with torch.no_grad():
            flat = contexts.flatten(0, 1)
            beside = predict(self.depth, flat).unflatten(0, contexts.shape[:2])
        images = torch.stack([contexts[:, 0], target, contexts[:, 1]], dim=1)
        depths = torch.stack([beside[:, 0], inv_depth, beside[:, 1]], dim=1).detach()
        later, earlier = slice(1, None), slice(None, -1)
        poses = pose(images[:, later].flatten(0, 1), images[:, earlier].flatten(0, 1)[:, None],
                     depths[:, later].flatten(0, 1), depths[:, earlier].flatten(0, 1)[:, None])  # fmt: skip
        return _to_contexts(poses.view(len(target), CONTEXTS, 6))


def compile_passes(model: TrainedModel) -> None:
    """Lets torch compile encoder and decoder when they first run; not the sparse branch, whose shapes always change."""
    depth = model.depth
    depth.encode, depth.decode = torch.compile(depth.encode), torch.compile(depth.decode)  # type: ignore[method-assign]


def _one_stream(pose: PoseNet, target: Tensor, contexts: Tensor) -> Tensor:
    """T_context_target [B, C, 4, 4] from images; a network of one neighbour takes each pair by itself."""
    if pose.neighbours == CONTEXTS:
        return pose_matrix(pose(target, contexts.unbind(1)))
    images = torch.stack([contexts[:, 0], target, contexts[:, 1]], dim=1)
    poses = pose(images[:, 1:].flatten(0, 1), (images[:, :-1].flatten(0, 1),))
    return _to_contexts(poses.view(len(target), CONTEXTS, 6))


def _to_contexts(poses: Tensor) -> Tensor:
    """T_context_target [B, 2, 4, 4] of the image before and the one after, from [B, 2, 6] of T_earlier_later.

    A network for pairs always sees time run forwards, as on the robot. Asked for both directions, it starts with the
    same answer for both, the minimum over the neighbours is content with one that fits, and it stays there.
    """
    T_earlier_later = pose_matrix(poses)
    return torch.stack([T_earlier_later[:, 0], invert_pose(T_earlier_later[:, 1])], dim=1)
