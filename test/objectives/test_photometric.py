# SPDX-License-Identifier: Apache-2.0
"""Photometric error: values by hand and of the original, masks, and what an image without any teaches: nothing.

The whole objective against the original's numbers is in test_original_losses.py.
"""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError  # noqa: E402
from mono_depth_ros.objectives.photometric import (  # noqa: E402
    PhotometricOptions,
    clipped,
    mean_reprojection,
    minimum_reprojection,
    photometric_error,
    photometric_loss,
    ssim,
    whole_windows,
)

pytestmark = pytest.mark.torch


def _double(array) -> "torch.Tensor":
    return torch.from_numpy(array).double()


def _map(*values: float) -> "torch.Tensor":
    return torch.tensor(values, dtype=torch.float64)[None, None, None]


def _mask(*values: int) -> "torch.Tensor":
    return torch.tensor(values, dtype=torch.bool)[None, None, None]


def test_ssim_and_error_are_the_original_ones(original) -> None:
    numbers = original("photometric")
    image, context = _double(numbers["image"]), _double(numbers["context"])[0]
    torch.testing.assert_close(ssim(image, context), _double(numbers["ssim_value__f64"]), rtol=0, atol=1e-10)
    flat = _double(numbers["const_image"])
    torch.testing.assert_close(ssim(flat, 2 * flat), _double(numbers["ssim_value_const__f64"]), rtol=0, atol=1e-10)
    image.requires_grad_()
    error = photometric_error(image, context)
    torch.testing.assert_close(error, _double(numbers["photometric_map"]), rtol=0, atol=2e-5)  # stored in float32
    (slope,) = torch.autograd.grad(error.mean(), image)
    torch.testing.assert_close(slope, _double(numbers["photometric_grad_est"]), rtol=0, atol=1e-7)


def test_float32_ssim_is_nearer_to_float64_than_the_original_is(original) -> None:
    numbers = original("photometric")
    exact = _double(numbers["ssim_value__f64"])
    ours = ssim(torch.from_numpy(numbers["image"]), torch.from_numpy(numbers["context"][0])).double()
    theirs = _double(numbers["ssim_value"])
    assert (ours - exact).abs().max() < 0.3 * (theirs - exact).abs().max()


def test_l1_alone_is_averaged_over_colours_where_the_original_forgets_to(original) -> None:
    """FACTS 13: without SSIM the original keeps the three colours apart and takes its minimum over them too."""
    numbers = original("photometric")
    image, context = _double(numbers["image"]), _double(numbers["context"])[0]
    error = photometric_error(image, context, ssim_weight=0.0)
    torch.testing.assert_close(error, (image - context).abs().mean(1, keepdim=True))


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    a, b = (torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(photometric_error, (a, b))


def test_equal_images_cost_nothing_and_different_ones_at_most_one() -> None:
    torch.manual_seed(0)
    a = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    assert photometric_error(a, a).abs().max() < 1e-12
    assert photometric_error(torch.zeros_like(a), torch.ones_like(a)).max() <= 1.0
    assert photometric_error(a, a.roll(3, dims=-1)).min() >= 0.0


def test_minimum_by_hand() -> None:
    best = minimum_reprojection(
        (_map(0.5, 0.1, 0.9, 0.7, 0.2), _map(0.3, 0.2, 0.8, 0.6, 0.1)),
        (_map(0.4, 0.4, 0.4, 0.4, 0.1),),
        (_mask(1, 1, 1, 0, 1), _mask(1, 1, 0, 0, 1)),
    )
    # left of both; second neighbour; unwarped wins; nobody sees it; a draw goes to the unwarped one
    assert best.error.flatten().tolist() == [0.3, 0.1, 0.4, 0.0, 0.1]
    assert best.counted.flatten().tolist() == [True, True, True, False, True]
    assert best.warped.flatten().tolist() == [True, True, False, False, False]


def test_mean_by_hand() -> None:
    best = mean_reprojection((_map(0.5, 0.1, 0.9), _map(0.3, 0.2, 0.8)), (_mask(1, 1, 0), _mask(1, 0, 0)))
    assert best.error.flatten().tolist() == pytest.approx([0.4, 0.1, 0.0])
    assert best.counted.flatten().tolist() == [True, True, False]


def test_clipping_by_hand_with_a_constant_limit() -> None:
    error = _map(1.0, 2.0, 3.0, 6.0, 100.0).requires_grad_()
    limited = clipped(error, _mask(1, 1, 1, 1, 0), 0.5)
    limit = 3.0 + 0.5 * (((4 + 1 + 0 + 9) / 3) ** 0.5)
    assert limited.flatten().tolist() == pytest.approx([1.0, 2.0, 3.0, limit, limit])
    limited.sum().backward()
    assert error.grad.flatten().tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert torch.isfinite(clipped(error, _mask(0, 0, 0, 0, 0), 0.5)).all()


def test_a_window_with_a_hole_is_not_whole() -> None:
    valid = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    valid[0, 0, 0, 0] = False
    assert (~whole_windows(valid)).nonzero()[:, 2:].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_warps_that_left_the_image_do_not_count() -> None:
    torch.manual_seed(0)
    target = torch.rand(1, 3, 6, 8, dtype=torch.float64)
    warped = target.clone()
    warped[..., 5:] = 0.0  # black from there on: outside
    valid = torch.ones(1, 1, 6, 8, dtype=torch.bool)
    valid[..., 5:] = False
    options = PhotometricOptions(automask=False)
    loss, best = photometric_loss(target, (warped,), (target,), (valid,), options)
    assert loss.item() < 1e-12
    assert best.counted.sum() == 6 * 4
    loss, _ = photometric_loss(
        target, (warped,), (target,), (valid,), PhotometricOptions(automask=False, mask_warps=False)
    )
    assert loss.item() > 0.1


def test_static_pixels_are_counted_or_left_out() -> None:
    torch.manual_seed(0)
    target, context = torch.rand(2, 1, 3, 6, 8, dtype=torch.float64)
    warped = context.clone()
    warped[..., 4:] = target[..., 4:]  # right half explained, left half not at all better than unwarped
    everywhere = torch.ones(1, 1, 6, 8, dtype=torch.bool)
    counted, best = photometric_loss(target, (warped,), (context,), (everywhere,), PhotometricOptions())
    left_out, _ = photometric_loss(
        target, (warped,), (context,), (everywhere,), PhotometricOptions(static_pixels="leave_out")
    )
    assert not best.warped[..., :3].any() and best.warped[..., 5:].all()
    torch.testing.assert_close(left_out, best.error[best.warped].mean()[None])
    assert counted > 2 * left_out


def test_nothing_seen_is_zero_with_a_zero_gradient() -> None:
    target = torch.rand(2, 3, 6, 8)
    warped = torch.rand(2, 3, 6, 8, requires_grad=True)
    nowhere = torch.zeros(2, 1, 6, 8, dtype=torch.bool)
    for options in (
        PhotometricOptions(clip_deviations=0.5),
        PhotometricOptions(static_pixels="leave_out"),
        PhotometricOptions(reduce="mean", automask=False),
    ):
        loss, _ = photometric_loss(target, (warped, warped), (target, target), (nowhere, nowhere), options)
        assert loss.tolist() == [0.0, 0.0]
        (slope,) = torch.autograd.grad(loss.sum(), warped)
        assert (slope == 0).all()


def test_a_standing_camera_teaches_nothing() -> None:
    image = torch.rand(1, 3, 6, 8)
    warped = image.clone().requires_grad_()
    everywhere = torch.ones(1, 1, 6, 8, dtype=torch.bool)
    loss, best = photometric_loss(torch.rand(1, 3, 6, 8), (warped,), (image,), (everywhere,), PhotometricOptions())
    assert not best.warped.any()
    (slope,) = torch.autograd.grad(loss.sum(), warped)
    assert (slope == 0).all()


@pytest.mark.parametrize(
    "wrong",
    [{"ssim_weight": 1.2}, {"reduce": "max"}, {"reduce": "mean"}, {"static_pixels": "no"}, {"clip_deviations": -1.0}],
    ids=str,
)
def test_wrong_options_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong)) if wrong != {"reduce": "mean"} else "automask"):
        PhotometricOptions(**wrong)
