# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from mono_depth_ros.networks.efficientnet_lite import (
    SCALES,
    ConvNorm,
    EfficientNetLite,
    InvertedBottleneck,
    scaled_stages,
    tap_channels,
)


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch normalisations that do something."""
    generator = torch.Generator().manual_seed(5)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value, (low, high) in (
                (norm.running_mean, (-0.3, 0.3)),
                (norm.running_var, (0.5, 2.0)),
                (norm.weight.data, (0.5, 1.5)),
                (norm.bias.data, (-0.2, 0.2)),
            ):
                value.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
    return module.eval()


@pytest.mark.parametrize("version", SCALES)
@torch.no_grad()
def test_features_lie_at_strides_2_to_32(version):
    features = EfficientNetLite(version, folded=True).eval()(torch.rand(1, 3, 64, 96))
    assert [tuple(one.shape[1:]) for one in features] == [
        (channels, 64 >> level, 96 >> level) for level, channels in enumerate(tap_channels(version), start=1)
    ]


def test_the_versions_grow_as_in_the_paper():
    assert tap_channels("efficientnet_lite0") == (16, 24, 40, 112, 320)
    assert tap_channels("efficientnet_lite2") == (16, 24, 48, 120, 352)
    assert [sum(stage.blocks for stage in scaled_stages(version)) for version in SCALES] == [16, 21, 21]
    # 4.65 million of Lite0 less the classifier (1.281) and the last 1x1 convolution with its norm (0.412 + 0.003)
    weights = sum(value.numel() for value in EfficientNetLite("efficientnet_lite0", folded=False).parameters())
    assert weights == pytest.approx(4.652e6 - 1.281e6 - 0.4147e6, rel=2e-3)


@torch.no_grad()
def test_a_stride_of_two_pads_at_the_right_and_below():
    made = with_statistics(ConvNorm(2, 3, 3, 2, active=False))
    x = torch.rand(1, 2, 6, 8)
    found = made(x)
    assert found.shape == (1, 3, 3, 4)
    # the window of the first output cell starts at the first pixel, that of the last one ends one pixel beyond
    norm = made.norm
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    first = (made.conv.weight * x[0, :, 0:3, 0:3]).sum((1, 2, 3)) * scale + shift
    torch.testing.assert_close(found[0, :, 0, 0], first, rtol=1e-4, atol=1e-5)
    last = (made.conv.weight[:, :, :2, :2] * x[0, :, 4:6, 6:8]).sum((1, 2, 3)) * scale + shift
    torch.testing.assert_close(found[0, :, -1, -1], last, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_block_adds_its_input_only_where_both_are_alike():
    assert InvertedBottleneck(8, 8, 6, 3, 1).shortcut
    assert not InvertedBottleneck(8, 8, 6, 3, 2).shortcut and not InvertedBottleneck(8, 12, 6, 3, 1).shortcut
    block = with_statistics(InvertedBottleneck(8, 8, 6, 3, 1))
    x = torch.rand(1, 8, 4, 4)
    torch.testing.assert_close(block(x) - x, block.project(block.depthwise(block.expand(x))))


@torch.no_grad()
def test_folded_normalisations_compute_the_same():
    made = with_statistics(EfficientNetLite("efficientnet_lite0", folded=False))
    rgb = torch.rand(1, 3, 64, 64)
    before = made(rgb)
    made.fold_norms()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())
    for one, other in zip(made(rgb), before, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    EfficientNetLite("efficientnet_lite0", folded=True).load_state_dict(made.state_dict())
