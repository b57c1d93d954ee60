# SPDX-License-Identifier: Apache-2.0
"""The velocity objective: the original's numbers, unknown speeds, and the gradient that brings the metres."""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import DataError  # noqa: E402
from mono_depth_ros.objectives.pose import pose_matrix  # noqa: E402
from mono_depth_ros.objectives.velocity import travelled_distance_loss, velocity_loss  # noqa: E402

pytestmark = pytest.mark.torch
NAN = float("nan")


def _moved(*metres: float) -> "torch.Tensor":
    T = torch.eye(4).repeat(len(metres), 1, 1)
    T[:, 2, 3] = torch.tensor(metres)
    return T


def test_value_and_gradient_are_the_original_ones(original) -> None:
    numbers = original("velocity")
    vector = torch.from_numpy(numbers["pred_pose_vec"]).double().requires_grad_()
    truth = torch.from_numpy(numbers["gt_pose_mat"]).double()
    loss = travelled_distance_loss(tuple(pose_matrix(vector)), tuple(truth[..., :3, 3].norm(dim=-1))).mean()
    assert loss.item() == pytest.approx(numbers["loss__f64"].item(), rel=1e-12)
    loss.backward()
    torch.testing.assert_close(vector.grad, torch.from_numpy(numbers["grad_pose_vec__f64"]), rtol=0, atol=1e-14)


def test_by_hand_with_either_sign_of_time_and_direction() -> None:
    speed = torch.tensor([10.0, 10.0])
    before, after = torch.tensor([-0.1, -0.1]), torch.tensor([0.2, 0.2])
    loss = velocity_loss((_moved(1.0, 3.0), _moved(-2.0, -1.0)), speed, (before, after))
    assert loss.tolist() == pytest.approx([0.0, (2.0 + 1.0) / 2])
    assert velocity_loss((_moved(1.0, 3.0),), -speed, (before,)).tolist() == pytest.approx([0.0, 2.0])


def test_its_gradient_scales_the_motion_towards_the_odometer() -> None:
    for scale, sign in ((0.3, -1.0), (3.0, 1.0)):
        factor = torch.tensor(scale, requires_grad=True)
        T = _moved(1.0)
        T = torch.cat([T[..., :3], T[..., 3:] * torch.stack([factor, factor, factor, torch.ones(())])[:, None]], -1)
        velocity_loss((T,), torch.tensor([10.0]), (torch.tensor([0.1]),)).sum().backward()
        assert factor.grad.item() == pytest.approx(sign, rel=1e-6)


def test_unknown_speeds_are_left_out_and_nothing_known_is_zero_with_a_gradient() -> None:
    T = (_moved(1.0, 1.0).requires_grad_(), _moved(2.0, 2.0).requires_grad_())
    loss = velocity_loss(T, torch.tensor([10.0, NAN]), (torch.tensor([0.2, 0.2]), torch.tensor([NAN, 0.2])))
    assert loss.tolist() == pytest.approx([1.0, 0.0])
    loss.sum().backward()
    assert T[0].grad[0, 2, 3] == -1.0
    assert (T[0].grad[1] == 0).all() and (T[1].grad == 0).all()


def test_gradients_are_those_of_finite_differences_and_finite_at_rest() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    speed, dt = torch.rand(3, dtype=torch.float64), (torch.rand(3, dtype=torch.float64),) * 2
    assert torch.autograd.gradcheck(lambda x: velocity_loss(tuple(pose_matrix(x)), speed, dt), (vectors,))
    rest = torch.zeros(1, 6, requires_grad=True)
    velocity_loss((pose_matrix(rest),), torch.tensor([1.0]), (torch.tensor([1.0]),)).sum().backward()
    assert torch.isfinite(rest.grad).all()


def test_a_missing_distance_is_refused() -> None:
    with pytest.raises(DataError, match="one per context"):
        velocity_loss((_moved(1.0),), torch.tensor([1.0]), ())
