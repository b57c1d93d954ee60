# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from mono_depth_ros.networks.packnet_san import Packing, PackNetSan, PackNetSanConfig  # noqa: E402
from mono_depth_ros.training.joined_packing import JoinedPacking, with_joined_packings  # noqa: E402

CONTINUED = PackNetSanConfig(
    widths=(8, 8, 8, 12, 16, 16), blocks=(1, 1, 1, 1), packing_features=2, packing_border="continued"
)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_joined_packing_computes_what_the_two_convolutions_do_border_included(kernel_size):
    torch.manual_seed(0)
    packing = Packing(8, kernel_size, CONTINUED).double()
    torch.nn.init.normal_(packing.conv3d.bias)
    torch.nn.init.normal_(packing.conv.conv.bias)
    x = torch.randn(2, 8, 12, 20, dtype=torch.float64)
    torch.testing.assert_close(JoinedPacking(packing)(x), packing(x), rtol=1e-10, atol=1e-10)


def test_inside_the_image_a_continued_border_changes_nothing():
    torch.manual_seed(0)
    original = Packing(8, 3, replace(CONTINUED, packing_border="zeros"))
    continued = Packing(8, 3, CONTINUED)
    continued.load_state_dict(original.state_dict())
    original.conv.norm = continued.conv.norm = torch.nn.Identity()  # its statistics would see the border
    x = torch.randn(1, 8, 24, 24)
    difference = (original(x) - continued(x)).abs()
    assert difference[..., 1:-1, 1:-1].max() < 1e-5
    assert difference.max() > 1e-3


def test_only_packings_that_go_on_beyond_the_border_are_joined_and_in_a_copy():
    network = PackNetSan(CONTINUED)
    assert all(isinstance(packing, JoinedPacking) for packing in with_joined_packings(network).packings)
    assert not any(isinstance(packing, JoinedPacking) for packing in network.packings)
    original = PackNetSan(replace(CONTINUED, packing_border="zeros"))
    assert not any(isinstance(packing, JoinedPacking) for packing in with_joined_packings(original).packings)
