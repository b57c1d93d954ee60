# SPDX-License-Identifier: Apache-2.0
"""The two convolutions of a packing as the one convolution that they are.

Space to depth, 3-D convolution and 2-D convolution of a Packing are linear, with nothing between them. With
`packing_border: continued` they equal one convolution of stride 2 everywhere, border included: two thirds of the
multiplications, and no copy of the image for space to depth. Training keeps them apart, where joining the kernels anew
in every step would cost more than it saves; a run time joins them once, as it loads the graph.
"""

import copy
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

from mono_depth_ros.networks.packnet_san import Packing

Network = TypeVar("Network", bound=nn.Module)


class JoinedPacking(nn.Module):
    """The same function as a Packing of `packing_border: continued`, with its parameters under their names."""

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.conv3d = packing.conv3d
        self.conv = packing.conv

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H/2, W/2]."""
        weight, bias = joined_kernel(self.conv3d.weight, self.conv3d.bias, self.conv.conv.weight, self.conv.conv.bias)
        # A cell of the packed image is two pixels wide; the window reaches half a kernel less half a cell beyond.
        joined = functional.conv2d(x, weight, bias, stride=2, padding=weight.shape[-1] // 2 - 1)
        return functional.elu(self.conv.norm(joined))


def joined_kernel(
    first: Tensor, first_bias: Tensor, second: Tensor, second_bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Kernel of stride 2 that does space to depth, the 3-D and the 2-D convolution.

    Args:
        first: [D, 3, 3, 3] of ChannelConv3d, over channel, row and column; `first_bias` is [D].
        second: [Cout, 4 Cin * D, k, k], k odd; `second_bias` is [Cout].

    Returns:
        [Cout, Cin, 2 (k + 2), 2 (k + 2)] and [Cout].
    """
    features = first.shape[0]
    out_channels, packed, kernel = second.shape[0], second.shape[1] // features, second.shape[-1]
    volume = second.view(out_channels, packed, features, kernel, kernel).transpose(1, 2)
    # Correlation after correlation is correlation with the convolution of both kernels; the channels keep their number.
    joined = functional.conv_transpose3d(volume, first.unsqueeze(1), padding=(1, 0, 0))
    weight = functional.pixel_shuffle(joined[:, 0], 2)
    bias = (volume * first_bias.view(1, features, 1, 1, 1)).sum((1, 2, 3, 4))
    return weight, bias if second_bias is None else bias + second_bias


def with_joined_packings(network: Network) -> Network:
    """A copy of a network in which every Packing whose border allows it is a JoinedPacking."""
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Packing) and child.conv.conv.padding == (0, 0):
                setattr(parent, name, JoinedPacking(child))
    return copied
