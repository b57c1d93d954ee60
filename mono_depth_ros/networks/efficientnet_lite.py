# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite as an encoder: features of an image at strides 2 to 32.

EfficientNet (Tan and Le, ICML 2019, arXiv 1905.11946) without squeeze-and-excite and with ReLU6, which is what its
authors call Lite; versions 0 to 4 differ in width and depth. The classifier and the last 1x1 convolution are left out.
Weights trained on ImageNet are read by `training/pretrained_encoder.py`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

STEM_CHANNELS = 32
MEAN, SCALE = 0.498, 0.502  # what the published weights expect: (rgb - MEAN) / SCALE
NORM_EPS = 1e-3


class Stage(NamedTuple):
    """Blocks of one kind (table 1 of the paper): expansion, kernel, stride of the first, output channels, how many."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
TAPS = (0, 1, 2, 4, 6)  # after these stages the strides 2, 4, 8, 16, 32 end
SCALES = {  # factors of width and depth
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


def scaled_stages(version: str) -> tuple[Stage, ...]:
    """The stages of a version: channels in multiples of 8, counts rounded up; first and last stage keep their count."""
    width, depth = SCALES[version]
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            channels=rounded_channels(stage.channels * width),
            blocks=stage.blocks if number in (0, last) else math.ceil(stage.blocks * depth),
        )
        for number, stage in enumerate(STAGES)
    )


def rounded_channels(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never less than 90 % of `channels`.

    >>> rounded_channels(24 * 1.1), rounded_channels(80 * 1.1)
    (24, 88)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def tap_channels(version: str) -> tuple[int, ...]:
    """Channels of the features at strides 2, 4, 8, 16 and 32."""
    stages = scaled_stages(version)
    return tuple(stages[tap].channels for tap in TAPS)


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's "same" padding and batch normalisation; ReLU6 where `active`.

    With stride 2 and an even size, "same" pads more at the right and below: the published weights were trained so.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=0, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs, eps=NORM_EPS, momentum=0.01)
        self.active = active
        before = (kernel - stride) // 2
        self.pad = (before, kernel - stride - before) if kernel > 1 else (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H / stride, W / stride]; H and W multiples of the stride."""
        if self.pad != (0, 0):
            x = functional.pad(x, (*self.pad, *self.pad))
        x = self.norm(self.conv(x))
        return functional.relu6(x) if self.active else x

    @torch.no_grad()
    def fold(self) -> None:
        """Put the normalisation, as it is in use, into the convolution."""
        norm, conv = self.norm, self.conv
        if not isinstance(norm, nn.BatchNorm2d):
            return
        assert norm.running_mean is not None and norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        conv.weight, conv.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())  # both learn
        self.norm = nn.Identity()


class InvertedBottleneck(nn.Module):
    """Expand (1x1), filter each channel (depth-wise), project (1x1, not activated); added to its input if alike."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = ConvNorm(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, 1, active=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H / stride, W / stride]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """The trunk of EfficientNet-Lite.

    Args:
        version: a key of SCALES.
        folded: without normalisation layers: for weights that have theirs folded in (`fold_norms`), which is how
            pretrained ones are trained on. Their running statistics stay what they were, whatever the batch.
    """

    def __init__(self, version: str, folded: bool) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        channels, stages = STEM_CHANNELS, []
        for stage in scaled_stages(version):
            blocks = []
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(InvertedBottleneck(channels, stage.channels, stage.expansion, stage.kernel, stride))
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        if folded:
            self.fold_norms()

    def fold_norms(self) -> None:
        """Put every batch normalisation into its convolution, in place; the same output up to rounding in eval mode."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Features of images.

        Args:
            rgb: float [B, 3, H, W] in 0..1; H and W multiples of 32.

        Returns:
            Five maps float [B, C, H / s, W / s] for s = 2, 4, 8, 16, 32; C by `tap_channels`.
        """
        x = self.stem((rgb - MEAN) / SCALE)
        taps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in TAPS:
                taps.append(x)
        return tuple(taps)
