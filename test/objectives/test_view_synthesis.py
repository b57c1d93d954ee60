# SPDX-License-Identifier: Apache-2.0
"""View synthesis against the original's numbers, against finite differences, and against a street of exact depth."""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.objectives.photometric import photometric_error  # noqa: E402
from mono_depth_ros.objectives.pose import pose_matrix  # noqa: E402
from mono_depth_ros.objectives.view_synthesis import sample_at, synthesize, visible  # noqa: E402

pytestmark = pytest.mark.torch


def _double(array) -> "torch.Tensor":
    return torch.from_numpy(array).double()


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_images_and_gradients_are_the_original_ones(original, padding) -> None:
    numbers = original("geometry")
    depth = _double(numbers["vs_depth"]).requires_grad_()
    vector = _double(numbers["vs_pose_vec"]).requires_grad_()
    view = synthesize(
        _double(numbers["vs_ref_image"]), depth, _double(numbers["vs_K"]), _double(numbers["vs_ref_K"]),
        pose_matrix(vector), padding,
    )  # fmt: skip
    # stored in float32; FACTS states how far it is from float64
    torch.testing.assert_close(view.image, _double(numbers[f"vs_warped_{padding}"]), rtol=0, atol=1e-5)
    (view.image * _double(numbers["vs_grad_weight"])).sum().backward()
    torch.testing.assert_close(depth.grad, _double(numbers[f"vs_{padding}_grad_depth"]), rtol=0, atol=3e-6)
    torch.testing.assert_close(vector.grad, _double(numbers[f"vs_{padding}_grad_pose_vec__f64"]), rtol=1e-9, atol=1e-9)


def test_valid_is_where_all_paddings_agree(original) -> None:
    numbers = original("geometry")
    arguments = (
        _double(numbers["vs_ref_image"]), _double(numbers["vs_depth"]), _double(numbers["vs_K"]),
        _double(numbers["vs_ref_K"]), pose_matrix(_double(numbers["vs_pose_vec"])),
    )  # fmt: skip
    zeros, border = synthesize(*arguments, "zeros"), synthesize(*arguments, "border")
    agree = ((zeros.image - border.image).abs() < 1e-12).all(1, keepdim=True)
    assert torch.equal(agree, zeros.valid)
    assert not zeros.valid.all()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    context = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    depth = (torch.rand(1, 1, 4, 5, dtype=torch.float64) + 2.0).requires_grad_()
    vector = (0.05 * torch.randn(1, 6, dtype=torch.float64)).requires_grad_()
    K = torch.tensor([[[4.0, 0.0, 2.3], [0.0, 4.0, 1.9], [0.0, 0.0, 1.0]]], dtype=torch.float64)

    def made(context, depth, vector):
        view = synthesize(context, depth, K, K, pose_matrix(vector))
        return view.image, view.context_depth_m

    assert torch.autograd.gradcheck(made, (context, depth, vector), eps=1e-7, atol=1e-5)


def test_true_depth_and_motion_explain_the_street(pair) -> None:
    view = synthesize(pair.context.rgb, pair.target.depth_m, pair.K, pair.K, pair.T_context_target)
    seen = visible(view, pair.context.depth_m)
    assert 0.3 < seen.double().mean() < 0.95
    warped = photometric_error(pair.target.rgb, view.image)[seen].mean()
    still = photometric_error(pair.target.rgb, pair.context.rgb)[seen].mean()
    assert warped < 0.5 * still
    for wrong in (0.7, 1.4):  # and no other scale of the depth does as well
        other = synthesize(pair.context.rgb, wrong * pair.target.depth_m, pair.K, pair.K, pair.T_context_target)
        both = seen & other.valid
        error = photometric_error(pair.target.rgb, other.image)[both].mean()
        assert error > 1.2 * photometric_error(pair.target.rgb, view.image)[both].mean()
    back = synthesize(pair.context.rgb, pair.target.depth_m, pair.K, pair.K, pair.T_context_target.inverse())
    both = seen & back.valid
    assert photometric_error(pair.target.rgb, back.image)[both].mean() > still


def test_context_depth_is_that_of_the_context_where_nothing_hides_it(pair) -> None:
    view = synthesize(pair.context.rgb, pair.target.depth_m, pair.K, pair.K, pair.T_context_target)
    rendered = sample_at(pair.context.depth_m, view.pixel_uv)
    known = view.valid & torch.isfinite(rendered)
    error = (view.context_depth_m / rendered - 1).abs()[known]
    assert error.median() < 2e-3


def test_a_post_hides_what_the_camera_saw_beside_it() -> None:
    """A wall at 10 m; the context, 1.2 m to the right, has a post at 2 m in front of columns 7 and 8."""
    K = torch.tensor([[[10.0, 0.0, 7.5], [0.0, 10.0, 1.5], [0.0, 0.0, 1.0]]])
    T = torch.eye(4)[None].clone()
    T[0, 0, 3] = -1.2
    wall = torch.full((1, 1, 4, 16), 10.0)
    context_depth = wall.clone()
    context_depth[..., 7:9] = 2.0
    view = synthesize(torch.zeros(1, 3, 4, 16), wall, K, K, T)  # every wall pixel moves by 1.2 to the left
    hidden = view.valid & ~visible(view, context_depth)
    assert hidden[0, 0, 0].nonzero().flatten().tolist() == [8, 9]
    assert torch.equal(visible(view, torch.full_like(wall, float("nan"))), view.valid)


def test_depth_at_its_limits_behind_and_unknown_stays_finite() -> None:
    depth = torch.tensor([[[[0.0, 1e-6, 5.0, 0.5], [1e6, 1e30, float("inf"), float("nan")]]]], requires_grad=True)
    K = torch.tensor([[[2.0, 0.0, 1.5], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])
    vector = torch.tensor([[0.1, 0.0, -1.0, 0.0, 0.0, 0.0]], requires_grad=True)  # nearer than 1 m falls behind
    context = torch.rand(1, 3, 2, 4, requires_grad=True)
    view = synthesize(context, depth, K, K, pose_matrix(vector))
    assert torch.isfinite(view.image).all() and torch.isfinite(view.context_depth_m).all()
    assert view.valid[0, 0, 0].tolist() == [False, False, True, False]
    assert view.valid[0, 0, 1, 2:].tolist() == [False, False]
    view.image.square().sum().backward()
    for tensor in (depth, vector, context):
        assert torch.isfinite(tensor.grad).all()
    assert (depth.grad.flatten()[[0, 1, 3, 6, 7]] == 0).all()


def test_an_unknown_pixel_is_not_valid_and_teaches_the_pose_nothing() -> None:
    depth = torch.tensor([[[[float("nan"), 0.0, -2.0, float("inf")]] * 4]])
    K = torch.tensor([[[2.0, 0.0, 1.5], [0.0, 2.0, 1.5], [0.0, 0.0, 1.0]]])
    vector = torch.full((1, 6), 0.01, requires_grad=True)
    view = synthesize(torch.rand(1, 3, 4, 4), depth, K, K, pose_matrix(vector))
    assert not view.valid.any()
    view.image.square().sum().backward()
    assert (vector.grad == 0).all()


def test_autocast_does_not_move_a_pixel(pair) -> None:
    def pixels():
        context, depth = pair.context.rgb.float(), pair.target.depth_m.float()
        return synthesize(context, depth, pair.K.float(), pair.K.float(), pair.T_context_target.float())

    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = pixels()
    assert cast.image.dtype == torch.float32
    torch.testing.assert_close(cast.pixel_uv, pixels().pixel_uv, rtol=0, atol=0)
