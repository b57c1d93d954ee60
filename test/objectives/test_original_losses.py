# SPDX-License-Identifier: Apache-2.0
"""View synthesis, photometric error and smoothness together against the original's loss and its gradients, in float64.

Here the objectives run as the original does: no mask of invalid warps, outside is black, scales as they come.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import interpolate  # noqa: E402

from mono_depth_ros.objectives.photometric import PhotometricOptions, photometric_loss  # noqa: E402
from mono_depth_ros.objectives.pose import pose_matrix  # noqa: E402
from mono_depth_ros.objectives.projection import depth_from_inverse  # noqa: E402
from mono_depth_ros.objectives.smoothness import edge_aware_smoothness, smoothness_over_scales  # noqa: E402
from mono_depth_ros.objectives.view_synthesis import synthesize  # noqa: E402

pytestmark = pytest.mark.torch

AS_IS = {"mask_warps": False}
MEAN = {**AS_IS, "reduce": "mean", "automask": False}
# case -> options, weight of smoothness, padding, number of scales
CASES = {
    "default": (AS_IS, 1e-3, "zeros", 4),
    "classdefault": ({**MEAN, "clip_deviations": 0.5}, 0.1, "zeros", 4),
    "clip": ({**AS_IS, "clip_deviations": 0.5}, 1e-3, "zeros", 4),
    "mean": (MEAN, 1e-3, "zeros", 4),
    "noautomask": ({**AS_IS, "automask": False}, 1e-3, "zeros", 4),
    "border": ({**AS_IS, "automask": False}, 1e-3, "border", 4),
    "nosmooth": (AS_IS, 0.0, "zeros", 4),
    "scales1": (AS_IS, 1e-3, "zeros", 1),
    "scales2": (AS_IS, 1e-3, "zeros", 2),
    "scales3": (AS_IS, 1e-3, "zeros", 3),
    "refK": (AS_IS, 1e-3, "zeros", 4),
    "identity_pose": (AS_IS, 1e-3, "zeros", 4),
}
UPSAMPLED = ("default", "classdefault", "clip", "nosmooth")


def _double(array) -> "torch.Tensor":
    return torch.from_numpy(np.asarray(array)).double()


def _resized(image, size):
    return image if image.shape[-2:] == size else interpolate(image, size=size, mode="bilinear", align_corners=True)


def _scaled(K, share):
    scaled = K.clone()
    scaled[:, :2, :2] *= share
    scaled[:, :2, 2] = (K[:, :2, 2] + 0.5) * share - 0.5
    return scaled


def _loss(numbers, case: str, inv_depths, vector):
    kind, size = case.rsplit("_", 1)
    options, smooth, padding, scales = CASES[kind]
    image, contexts, K = (_double(numbers[name]) for name in ("image", "context", "K"))
    K_context = _double(numbers["ref_K_alt"]) if kind == "refK" else K
    inv_depths = inv_depths[:scales]
    if size == "up":
        inv_depths = [interpolate(inv_depth, size=image.shape[-2:], mode="nearest") for inv_depth in inv_depths]
    photometric = 0.0
    for inv_depth in inv_depths:
        shape = inv_depth.shape[-2:]
        share = shape[1] / image.shape[-1]
        near = [_resized(context, shape) for context in contexts]
        depth = depth_from_inverse(inv_depth, 1e-6)
        views = [
            synthesize(context, depth, _scaled(K, share), _scaled(K_context, share), pose_matrix(pose), padding)
            for context, pose in zip(near, vector, strict=True)
        ]
        loss, _ = photometric_loss(
            _resized(image, shape), tuple(view.image for view in views), tuple(near),
            tuple(view.valid for view in views), PhotometricOptions(**options),
        )  # fmt: skip
        photometric = photometric + loss.mean() / scales
    return photometric, smooth * smoothness_over_scales(tuple(inv_depths), image).mean()


@pytest.mark.parametrize(
    "case", [f"{kind}_multires" for kind in CASES if kind != "nosmooth"] + [f"{kind}_up" for kind in UPSAMPLED]
)
def test_the_loss_and_its_gradients_are_the_original_ones(original, case) -> None:
    numbers = original("photometric")
    inv_depths = [_double(numbers[f"inv_depth_s{scale}"]).requires_grad_() for scale in range(4)]
    vector = _double(numbers["pose_vec"])
    vector = (torch.zeros_like(vector) if case.startswith("identity") else vector).requires_grad_()
    photometric, smoothness = _loss(numbers, case, inv_depths, vector)
    assert photometric.item() == pytest.approx(numbers[f"{case}/photometric_term__f64"].item(), rel=1e-9)
    if case.startswith("identity"):
        return  # only the value is stored
    assert smoothness.item() == pytest.approx(numbers[f"{case}/smoothness_term__f64"].item(), rel=1e-9, abs=1e-15)
    slopes = torch.autograd.grad(photometric + smoothness, (*inv_depths, vector), allow_unused=True)
    for scale, slope in enumerate(slopes[:4]):
        name = f"{case}/grad_inv_depth_s{scale}"
        exact = name + "__f64" in numbers
        wanted = _double(numbers[name + "__f64" if exact else name])
        slope = torch.zeros_like(wanted) if slope is None else slope  # a scale that takes no part
        limit = (1e-9 if exact else 3e-4) * float(wanted.abs().max())  # the float32 ones are 1e-4 off themselves
        torch.testing.assert_close(slope, wanted, rtol=0, atol=limit + 1e-15)
    torch.testing.assert_close(slopes[4], _double(numbers[f"{case}/grad_pose_vec__f64"]), rtol=1e-7, atol=1e-9)


def test_smoothness_alone_is_the_original_one(original) -> None:
    numbers = original("photometric")
    inv_depths = [_double(numbers[f"inv_depth_s{scale}"]).requires_grad_() for scale in range(4)]
    loss = smoothness_over_scales(tuple(inv_depths), _double(numbers["image"])).mean()
    assert loss.item() == pytest.approx(float(numbers["smoothness_loss_w1__f64"]), rel=1e-9)
    for scale, slope in enumerate(torch.autograd.grad(loss, inv_depths)):
        wanted = _double(numbers[f"smoothness_loss_w1_grad_s{scale}"])
        torch.testing.assert_close(slope, wanted, rtol=0, atol=3e-6 * float(wanted.abs().max()))


def test_smoothness_by_hand_and_its_gradient() -> None:
    inv_depth = torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64)  # mean 2: the step is 1
    grey = torch.zeros(1, 3, 1, 2, dtype=torch.float64)
    grey[..., 1] = 0.5
    assert edge_aware_smoothness(inv_depth, grey).item() == pytest.approx(np.exp(-0.5))
    assert edge_aware_smoothness(7 * inv_depth, grey).item() == pytest.approx(np.exp(-0.5))
    torch.manual_seed(0)
    inv_depth = (torch.rand(2, 1, 4, 5, dtype=torch.float64) + 0.1).requires_grad_()
    rgb = torch.rand(2, 3, 8, 10, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: edge_aware_smoothness(x, rgb), (inv_depth,))


def test_smoothness_of_an_empty_depth_is_finite() -> None:
    inv_depth = torch.zeros(1, 1, 4, 5, requires_grad=True)
    loss = edge_aware_smoothness(inv_depth, torch.rand(1, 3, 4, 5))
    loss.sum().backward()
    assert loss.item() == 0.0
    assert torch.isfinite(inv_depth.grad).all()
