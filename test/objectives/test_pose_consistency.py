# SPDX-License-Identifier: Apache-2.0
"""Pose consistency: a rigid rig costs nothing, however its cameras look; Euler angles agree where they are small."""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError  # noqa: E402
from mono_depth_ros.objectives.pose import invert_pose, pose_matrix  # noqa: E402
from mono_depth_ros.objectives.pose_consistency import (  # noqa: E402
    PoseConsistencyWeights,
    motion_of_camera_0,
    pose_consistency_loss,
)

pytestmark = pytest.mark.torch


def _rig() -> "torch.Tensor":
    """Four cameras that look front, left, back and right, each somewhere else, [4, 4, 4]."""
    vectors = torch.zeros(4, 6, dtype=torch.float64)
    vectors[:, 4] = torch.pi / 2 * torch.arange(4)
    vectors[:, :3] = torch.tensor([[0, 0, 1.0], [0.5, 0, 0], [0, 0.1, -1.0], [-0.5, 0, 0]])
    return pose_matrix(vectors)


def _motions(of_rig: "torch.Tensor") -> "torch.Tensor":
    """What each camera sees of a motion of the rig, [B, 4, 4, 4]."""
    rig = _rig()
    return invert_pose(rig) @ of_rig[:, None] @ rig


def _vector(*numbers: float) -> "torch.Tensor":
    return torch.tensor([numbers], dtype=torch.float64)


def test_a_rigid_rig_costs_nothing_though_its_cameras_see_different_motions() -> None:
    torch.manual_seed(0)
    motions = _motions(pose_matrix(torch.randn(3, 6, dtype=torch.float64)))
    assert (motions[:, 1] - motions[:, 0]).abs().max() > 0.5
    assert pose_consistency_loss(motions, _rig()).abs().max() < 1e-20
    assert pose_consistency_loss(motions, _rig().expand(3, 4, 4, 4)).abs().max() < 1e-20
    same = motion_of_camera_0(motions, _rig())
    torch.testing.assert_close(same, motions[:, :1].expand_as(same))


def test_by_hand_for_one_camera_that_disagrees() -> None:
    motions = _motions(pose_matrix(_vector(0, 0, -1.0, 0, 0, 0)))
    wrong = motions.clone()
    wrong[:, 2, 2, 3] += 0.3  # 0.3 m, in whatever direction that camera looks
    weights = PoseConsistencyWeights(translation=2.0, rotation=1.0)
    assert pose_consistency_loss(wrong, _rig(), weights).item() == pytest.approx(2.0 * 0.09 / 3)
    wrong[:, 0] = motions[:, 0] @ pose_matrix(_vector(0, 0, 0, 0, 1e-3, 0))
    wrong[:, 2] = motions[:, 2]
    turned = pose_consistency_loss(wrong, _rig(), PoseConsistencyWeights(0.0, 1.0)).item()
    assert turned == pytest.approx(1e-6, rel=1e-5)


def test_small_turns_cost_what_their_euler_angles_cost() -> None:
    angles = _vector(0, 0, 0, 0.010, -0.020, 0.015)
    motions = torch.cat([torch.eye(4, dtype=torch.float64)[None, None], pose_matrix(angles)[:, None]], dim=1)
    loss = pose_consistency_loss(motions, torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    assert loss.item() == pytest.approx(angles.square().sum().item(), rel=2e-2)


def test_gradients_are_those_of_finite_differences_and_finite_in_agreement() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pose_consistency_loss(pose_matrix(x), _rig()), (vectors,))
    still = torch.zeros(1, 2, 6, requires_grad=True)
    pose_consistency_loss(pose_matrix(still), torch.eye(4).expand(2, 4, 4)).sum().backward()
    assert (still.grad == 0).all()


def test_one_camera_alone_is_consistent_and_a_wrong_rig_is_refused() -> None:
    alone = torch.eye(4).expand(2, 1, 4, 4)
    assert pose_consistency_loss(alone, torch.eye(4)[None]).tolist() == [0.0, 0.0]
    with pytest.raises(ConfigError, match="one pose for each camera"):
        pose_consistency_loss(torch.eye(4).expand(1, 3, 4, 4), _rig())
