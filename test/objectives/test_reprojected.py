# SPDX-License-Identifier: Apache-2.0
"""Reprojected distance: numbers by hand, what it weighs and what not, and predictions that have no pixel."""

import math

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError  # noqa: E402
from mono_depth_ros.objectives.pose import pose_matrix  # noqa: E402
from mono_depth_ros.objectives.reprojected import reprojected_distance_loss  # noqa: E402

pytestmark = pytest.mark.torch
NAN, INF = float("nan"), float("inf")
HEIGHT, WIDTH = 5, 9
K = torch.tensor([[[20.0, 0.0, 4.0], [0.0, 20.0, 2.0], [0.0, 0.0, 1.0]]], dtype=torch.float64)


def _motion(*vector: float) -> "torch.Tensor":
    return pose_matrix(torch.tensor([vector], dtype=torch.float64))


SIDEWAYS = _motion(-0.2, 0.0, 0.0, 0.0, 0.0, 0.0)
TURNING = _motion(0.0, 0.0, 0.0, 0.01, 0.03, -0.02)
AHEAD = _motion(0.0, 0.0, -1.0, 0.0, 0.0, 0.0)


def _point(row: int, column: int, depth_m: float) -> "torch.Tensor":
    """One measurement."""
    sparse = torch.full((1, 1, HEIGHT, WIDTH), NAN, dtype=torch.float64)
    sparse[0, 0, row, column] = depth_m
    return sparse


def _flat(depth_m: float) -> "torch.Tensor":
    return torch.full((1, 1, HEIGHT, WIDTH), depth_m, dtype=torch.float64)


def test_by_hand_sideways_in_both_norms() -> None:
    # a point at depth D moves by 20 px * -0.2 m / D: 4 m -> -1 px, 8 m -> -0.5 px
    for norm in ("l1", "l2"):
        loss = reprojected_distance_loss(_flat(8.0), _point(2, 5, 4.0), K, K, SIDEWAYS, norm)
        assert loss.item() == pytest.approx(0.5)
    diagonal = _motion(-0.2, -0.2, 0.0, 0.0, 0.0, 0.0)
    loss = reprojected_distance_loss(_flat(8.0), _point(3, 5, 4.0), K, K, diagonal, "l1")
    assert loss.item() == pytest.approx(1.0)
    loss = reprojected_distance_loss(_flat(8.0), _point(3, 5, 4.0), K, K, diagonal, "l2")
    assert loss.item() == pytest.approx(0.5 * 2**0.5)


def test_another_camera_has_its_own_pixels() -> None:
    wide = K.clone()
    wide[:, 0, 0] = 10.0
    loss = reprojected_distance_loss(_flat(8.0), _point(2, 5, 4.0), K, wide, SIDEWAYS)
    assert loss.item() == pytest.approx(0.25)


def test_it_weighs_nothing_while_the_camera_only_turns() -> None:
    predicted = _flat(8.0).requires_grad_()
    loss = reprojected_distance_loss(predicted, _flat(4.0), K, K, TURNING)
    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    loss.backward()
    assert predicted.grad.abs().max() < 1e-9


def test_it_weighs_nothing_at_the_epipole_and_more_away_from_it() -> None:
    errors = [reprojected_distance_loss(_flat(8.0), _point(2, u, 4.0), K, K, AHEAD).item() for u in (4, 5, 6)]
    assert errors[0] == pytest.approx(0.0, abs=1e-12)
    assert errors[2] == pytest.approx(2 * errors[1]) and errors[1] > 0.1


def test_driving_ahead_it_is_inverse_depth_weighted_by_the_distance_from_the_epipole() -> None:
    row, column, measured_m, predicted_m, moved_m = 1, 7, 40.0, 36.0, 1.0
    from_epipole_px = math.hypot(column - 4.0, row - 2.0)
    found = reprojected_distance_loss(_flat(predicted_m), _point(row, column, measured_m), K, K, AHEAD)
    assert float(found) == pytest.approx(moved_m * from_epipole_px * (1 / predicted_m - 1 / measured_m), rel=0.06)


def test_near_points_weigh_more_than_far_ones_at_the_same_relative_error() -> None:
    near, far = (
        reprojected_distance_loss(_flat(1.1 * depth_m), _point(2, 5, depth_m), K, K, SIDEWAYS).item()
        for depth_m in (4.0, 40.0)
    )
    assert near == pytest.approx(10 * far)


def test_the_scale_enters_by_depth_and_by_pose() -> None:
    torch.manual_seed(0)
    truth = torch.rand(1, 1, HEIGHT, WIDTH, dtype=torch.float64) * 10 + 4
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    # a depth at half its size and its own motion explain the images as well as the truth; the points say no
    T = SIDEWAYS.clone()
    T = torch.cat([T[..., :3], T[..., 3:] * torch.stack([scale, scale, scale, torch.ones_like(scale)])[:, None]], -1)
    loss = reprojected_distance_loss(scale * truth, truth, K, K, T)
    loss.sum().backward()
    assert loss.item() > 0.05
    assert scale.grad.item() != 0.0
    assert reprojected_distance_loss(truth, truth, K, K, SIDEWAYS).item() == 0.0


def test_the_pose_learns_only_if_it_may() -> None:
    vector = torch.tensor([[-0.2, 0.0, 0.1, 0.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    predicted = _flat(8.0).requires_grad_()
    arguments = (_point(2, 5, 4.0), K, K, pose_matrix(vector))
    reprojected_distance_loss(predicted, *arguments, detach_pose=True).sum().backward()
    assert vector.grad is None and predicted.grad.abs().sum() > 0
    reprojected_distance_loss(predicted, *arguments).sum().backward()
    assert vector.grad.abs().sum() > 0


def test_points_that_the_context_does_not_see_do_not_count() -> None:
    far_left = _motion(-3.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    beyond = _motion(0.0, 0.0, -5.0, 0.0, 0.0, 0.0)  # the camera drove past the point
    for T in (far_left, beyond):
        predicted = _flat(8.0).requires_grad_()
        loss = reprojected_distance_loss(predicted, _point(2, 5, 4.0), K, K, T)
        assert loss.tolist() == [0.0]
        loss.sum().backward()
        assert (predicted.grad == 0).all()
    seen = reprojected_distance_loss(_flat(8.0), _point(2, 5, 4.0), K, K, far_left, context_size_px=(HEIGHT, 5))
    assert seen.tolist() == [0.0]
    right = _motion(0.6, 0.0, 0.0, 0.0, 0.0, 0.0)  # to column 8: inside 9 columns, outside 8
    arguments = (_flat(8.0), _point(2, 5, 4.0), K, K, right)
    assert reprojected_distance_loss(*arguments).item() > 1.0
    assert reprojected_distance_loss(*arguments, context_size_px=(HEIGHT, 8)).item() == 0.0


@pytest.mark.parametrize("predicted_m", [1e-6, 0.3, 0.999, 1.001, 1.1])
def test_a_prediction_behind_the_context_is_led_back_to_the_front(predicted_m) -> None:
    predicted = _flat(predicted_m).requires_grad_()
    loss = reprojected_distance_loss(predicted, _point(2, 5, 4.0), K, K, AHEAD)  # behind if nearer than 1 m
    loss.sum().backward()
    # 0.2 m beside the axis at 3 m, nearing by 1 m: 20 px * 0.2 * 1 / 9 for each unit of log depth
    assert loss.item() == pytest.approx(20 * 0.2 / 9 * math.log(4.0 / predicted_m), rel=1e-6)
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad[0, 0, 2, 5] < 0  # descending makes the depth larger


def test_the_first_order_agrees_with_the_exact_distance_near_the_truth() -> None:
    """What a prediction behind the camera is charged is the slope of the distance at the measured point."""
    for T in (AHEAD, _motion(-0.4, 0.2, -1.0, 0.0, 0.02, 0.0)):
        exact = reprojected_distance_loss(_flat(4.0 * 1.001), _point(2, 5, 4.0), K, K, T).item()
        behind = reprojected_distance_loss(_flat(0.5), _point(2, 5, 4.0), K, K, T).item()
        assert behind / math.log(8.0) == pytest.approx(exact / math.log(1.001), rel=2e-3)


def test_no_points_and_depth_at_its_limits_stay_finite() -> None:
    for value in (1e-9, 1e30):
        predicted = torch.full((2, 1, HEIGHT, WIDTH), value, requires_grad=True)
        sparse = torch.full((2, 1, HEIGHT, WIDTH), NAN)
        sparse[1, 0, 1] = torch.tensor([0.0, -1.0, INF, 1e-3, 1e30, 5.0, 5.0, 5.0, 5.0])
        vector = torch.tensor([[0.1, 0.0, -1.0, 0.0, 0.1, 0.0]] * 2, requires_grad=True)
        camera = K.float().expand(2, 3, 3)
        loss = reprojected_distance_loss(predicted, sparse, camera, camera, pose_matrix(vector))
        assert loss[0].item() == 0.0 and torch.isfinite(loss).all()
        loss.sum().backward()
        assert torch.isfinite(predicted.grad).all() and torch.isfinite(vector.grad).all()
        assert (predicted.grad[0] == 0).all()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    sparse = torch.rand(1, 1, HEIGHT, WIDTH, dtype=torch.float64) * 5 + 3
    sparse[0, 0, 1:3] = NAN
    predicted = (sparse.nan_to_num(4.0) * (1.2 + torch.rand_like(sparse))).requires_grad_()
    predicted.data[0, 0, 0, :3] = 0.4  # behind
    vector = torch.tensor([[0.03, -0.02, -0.6, 0.01, 0.02, 0.03]], dtype=torch.float64, requires_grad=True)
    for norm in ("l1", "l2"):
        assert torch.autograd.gradcheck(
            lambda x, p, n=norm: reprojected_distance_loss(x, sparse, K, K, pose_matrix(p), n),
            (predicted, vector), eps=1e-7, atol=1e-5,
        )  # fmt: skip


def test_on_the_street_the_true_depth_costs_nothing_and_descent_finds_it(pair) -> None:
    truth = pair.target.depth_m
    sparse = torch.full_like(truth, NAN)
    sparse[:, :, 20::6] = truth[:, :, 20::6]  # a few beams
    arguments = (sparse, pair.K, pair.K, pair.T_context_target)
    assert reprojected_distance_loss(truth, *arguments).item() == pytest.approx(0.0, abs=1e-12)
    log_scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    for _ in range(60):
        loss = reprojected_distance_loss(truth.nan_to_num(100.0) * log_scale.exp(), *arguments).sum()
        (slope,) = torch.autograd.grad(loss, log_scale)
        log_scale.data -= 0.01 * slope.clamp(-5, 5)
    assert abs(log_scale.item()) < 0.05


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="norm"):
        reprojected_distance_loss(_flat(8.0), _flat(4.0), K, K, SIDEWAYS, "huber")
