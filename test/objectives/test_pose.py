# SPDX-License-Identifier: Apache-2.0
"""Pose vectors and pinhole geometry against the original's numbers and against each other."""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.objectives.pose import compose, invert_pose, pose_matrix  # noqa: E402
from mono_depth_ros.objectives.projection import (  # noqa: E402
    depth_from_inverse,
    known_depth,
    move_and_project,
    ray_map,
)

pytestmark = pytest.mark.torch


def _double(array) -> "torch.Tensor":
    return torch.from_numpy(array).double()


def test_pose_matrices_and_inverses_are_the_original_ones(original) -> None:
    numbers = original("geometry")
    matrix = pose_matrix(_double(numbers["pose_vec"]))
    torch.testing.assert_close(matrix, _double(numbers["pose_mat44__f64"]), rtol=0, atol=1e-12)
    torch.testing.assert_close(invert_pose(matrix), _double(numbers["pose_mat44_inv__f64"]), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        compose(matrix[:4], matrix[4:]), _double(numbers["pose_compose__f64"]), rtol=0, atol=1e-12
    )


def test_a_quarter_turn_about_each_axis_by_hand() -> None:
    right, down, ahead = torch.eye(3, dtype=torch.float64)
    quarter = torch.pi / 2
    for axis, before, after in ((0, down, ahead), (1, ahead, right), (2, right, down)):
        vector = torch.zeros(6, dtype=torch.float64)
        vector[3 + axis] = quarter
        torch.testing.assert_close(pose_matrix(vector)[:3, :3] @ before, after, rtol=0, atol=1e-12)


def test_inverse_undoes_any_pose_and_both_have_right_gradients() -> None:
    torch.manual_seed(0)
    vector = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)  # any leading shape
    matrix = pose_matrix(vector)
    torch.testing.assert_close(invert_pose(matrix) @ matrix, torch.eye(4, dtype=torch.float64).expand(2, 3, 4, 4))
    assert torch.autograd.gradcheck(lambda x: invert_pose(pose_matrix(x)), (vector,))


def test_poses_of_half_precision_are_computed_in_float32() -> None:
    vector = torch.tensor([[1.0, 2.0, 3.0, 0.1, 0.2, 0.3]], dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        matrix = compose(pose_matrix(vector), invert_pose(pose_matrix(vector)))
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, torch.eye(4)[None], rtol=0, atol=1e-6)


def test_points_and_pixels_are_the_original_ones(original) -> None:
    numbers = original("geometry")
    depth, K = _double(numbers["cam_depth"]), _double(numbers["cam_K"])
    T_camera_world = pose_matrix(_double(numbers["cam_Tcw_vec"]))
    points = depth * ray_map(K, depth)
    torch.testing.assert_close(points, _double(numbers["cam_points_c"]), rtol=0, atol=3e-6)  # stored in float32
    seen = move_and_project(points, invert_pose(T_camera_world), K)
    torch.testing.assert_close(seen.point_m, _double(numbers["cam_points_w"]), rtol=0, atol=3e-6)
    in_world = _double(numbers["cam_points_w"])
    seen = move_and_project(in_world, torch.eye(4).expand(2, 4, 4), K)
    wanted = (_double(numbers["cam_project_w_identity"]).permute(0, 3, 1, 2) + 1) / 2
    wanted = wanted * torch.tensor([31.0, 23.0])[:, None, None]  # 24 x 32 pixels, corners aligned
    front = seen.in_front.expand_as(seen.pixel_uv)
    torch.testing.assert_close(seen.pixel_uv[front], wanted[front], rtol=1e-5, atol=1e-4)


def test_points_behind_the_camera_have_no_pixel_where_the_original_gives_them_one(original) -> None:
    """FACTS 4: the original divides by Z clamped at 1e-5, so a point behind can land inside the image."""
    numbers = original("geometry")
    points = _double(numbers["behind_points"]).T.reshape(1, 3, 2, 5).clone().requires_grad_()
    seen = move_and_project(points, torch.eye(4)[None], _double(numbers["behind_K"]))
    assert torch.equal(seen.in_front, points[:, 2:] > 0.01)
    assert not seen.in_front.all() and seen.in_front.any()
    assert (seen.pixel_uv[(~seen.in_front).expand_as(seen.pixel_uv)] == 0).all()
    assert not (seen.inside(2, 5) & ~seen.in_front).any()
    seen.pixel_uv.sum().backward()
    behind = (~seen.in_front).expand_as(points)
    assert (points.grad[behind] == 0).all() and torch.isfinite(points.grad).all()
    size = torch.tensor([5.0, 2.0])[:, None, None]
    theirs = (_double(numbers["behind_project__f64"]).permute(0, 3, 1, 2) + 1) / 2 * (size - 1)
    blended = (theirs > -1) & (theirs < size)  # within a pixel of the image, so mixed into it
    assert blended.all(1, keepdim=True)[~seen.in_front].any()


def test_inside_is_between_the_outermost_pixel_centres() -> None:
    points = torch.zeros(1, 3, 3, 7)
    points[0, 2] = 1.0
    points[0, 0] = torch.tensor([-0.1, 0.0, 0.1, 4.9, 5.0, 5.1, 2.0])
    points[0, 1] = torch.tensor([[-0.1], [2.0], [2.1]])
    points[0, 2, 1, 6] = -1.0
    inside = move_and_project(points, torch.eye(4)[None], torch.eye(3)[None]).inside(3, 6)
    assert inside[0, 0].tolist() == [[False] * 7, [False, True, True, True, True, False, False], [False] * 7]


def test_depth_from_inverse_is_the_original_one_above_its_clamp(original) -> None:
    numbers = original("geometry")
    inverse = _double(numbers["inv2depth_in"]).requires_grad_()
    depth = depth_from_inverse(inverse, smallest=1e-6)
    torch.testing.assert_close(depth, _double(numbers["inv2depth_out__f64"]), rtol=1e-9, atol=0)
    depth.sum().backward()
    plain = inverse > 1.1e-6
    torch.testing.assert_close(inverse.grad[plain], _double(numbers["inv2depth_grad__f64"])[plain], rtol=1e-9, atol=0)
    assert (inverse.grad[inverse < 1e-6] == 0).all()


def test_unknown_depth_becomes_a_harmless_number() -> None:
    depth, known = known_depth(torch.tensor([[[[2.0, 0.0, -1.0, float("nan"), float("inf"), 1e30]]]]))
    assert depth.flatten().tolist() == [2.0, 1.0, 1.0, 1.0, 1.0, 1e6]
    assert known.flatten().tolist() == [True, False, False, False, False, True]
