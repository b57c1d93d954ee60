# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""PackNet-SAN: what every configuration keeps, on a small one."""

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.packnet_san import (
    PACKNET01,
    PACKNET_SAN01,
    ChannelConv3d,
    PackNetSan,
    PackNetSanConfig,
    SparsePoints,
)

pytestmark = pytest.mark.torch

TINY = PackNetSanConfig(
    widths=(8, 8, 8, 12, 16, 16),
    blocks=(1, 1, 1, 1),
    stem_kernel=3,
    first_kernel=3,
    packing_features=2,
    pack_kernels=(3, 3, 3, 3, 3),
    norm_groups=4,
    sparse_kernels=(3, 3, 3, 3, 3),
    sparse_encoding="inverse",
)
HEIGHT, WIDTH = 32, 64


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = PackNetSan(TINY).eval()
    torch.nn.init.normal_(network.fusion_weight, 1.0, 0.2)
    torch.nn.init.normal_(network.fusion_bias, 0.0, 0.2)
    return network


@pytest.fixture
def rgb():
    return torch.rand(3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def random_points(counts, seed=2):
    """Unique points, counts[b] in image b."""
    generator = torch.Generator().manual_seed(seed)
    bvu = []
    for image, count in enumerate(counts):
        cells = torch.randperm(HEIGHT * WIDTH, generator=generator)[:count]
        bvu.append(torch.stack([torch.full_like(cells, image), cells // WIDTH, cells % WIDTH], dim=1))
    bvu = torch.cat(bvu)
    return SparsePoints(bvu, 1.0 + 40.0 * torch.rand(len(bvu), generator=generator))


@settings(max_examples=25, deadline=None)
@given(
    channels=st.sampled_from([4, 6, 16, 20, 48]),
    features=st.integers(1, 5),
    batch=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
)
def test_channel_convolution_equals_conv3d_over_the_channels(channels, features, batch, height, width):
    ours = ChannelConv3d(channels, features)
    torch.nn.init.normal_(ours.bias)
    reference = torch.nn.Conv3d(1, features, 3, padding=1)
    with torch.no_grad():
        reference.weight.copy_(ours.weight.unsqueeze(1))
        reference.bias.copy_(ours.bias)
    x = torch.randn(batch, channels, height, width)
    expected = reference(x.unsqueeze(1)).transpose(1, 2)
    torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)

    direction = torch.randn_like(expected)
    (ours(x) * direction).sum().backward()
    (expected * direction).sum().backward()
    torch.testing.assert_close(ours.weight.grad, reference.weight.grad[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.bias.grad, reference.bias.grad, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_no_points_is_the_prediction_bit_for_bit(network, rgb):
    predicted = network(rgb)
    for points in (random_points([0, 0, 0]), SparsePoints(torch.zeros(5, 3, dtype=torch.int64), torch.zeros(5))):
        completed = network(rgb, points)
        assert all(torch.equal(a, b) for a, b in zip(predicted.inv_depths, completed.inv_depths, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(predicted.skips, completed.skips, strict=True))


@torch.no_grad()
def test_in_a_mixed_batch_the_image_without_points_is_predicted_and_the_others_change(network, rgb):
    predicted = network(rgb).inv_depths[0]
    completed = network(rgb, random_points([40, 0, 1])).inv_depths[0]
    assert torch.equal(completed[1], predicted[1])
    assert (completed[0] - predicted[0]).abs().max() > 1e-3
    assert (completed[2] - predicted[2]).abs().max() > 1e-4


@torch.no_grad()
def test_padding_points_change_nothing(network, rgb):
    points = random_points([30, 0, 10])
    padding = random_points([5, 5, 5], seed=9)
    padded = SparsePoints(
        torch.cat([padding.bvu, points.bvu]), torch.cat([torch.zeros_like(padding.depth_m), points.depth_m])
    )
    assert torch.equal(network(rgb, padded).inv_depths[0], network(rgb, points).inv_depths[0])


@torch.no_grad()
def test_the_order_of_points_does_not_matter(network, rgb):
    points = random_points([30, 20, 10])
    order = torch.randperm(len(points.depth_m))
    shuffled = SparsePoints(points.bvu[order], points.depth_m[order])
    torch.testing.assert_close(
        network(rgb, shuffled).inv_depths[0], network(rgb, points).inv_depths[0], atol=1e-6, rtol=1e-5
    )


@torch.no_grad()
def test_each_image_of_a_batch_equals_the_image_alone(network, rgb):
    points = random_points([30, 0, 4])
    together = network(rgb, points).inv_depths[0]
    for image in range(3):
        mine = points.bvu[:, 0] == image
        alone = SparsePoints(points.bvu[mine] * torch.tensor([0, 1, 1]), points.depth_m[mine])
        torch.testing.assert_close(
            network(rgb[image : image + 1], alone).inv_depths[0][0], together[image], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("size", [(32, 65), (33, 64), (48, 64), (31, 31)])
def test_sizes_that_are_no_multiple_of_32_are_refused(network, size):
    with pytest.raises(ConfigError, match=r"multiples of 32, got \(1, 3, "):
        network(torch.zeros(1, 3, *size))


def test_output_has_the_same_structure_in_training_and_evaluation(rgb):
    network = PackNetSan(TINY)
    shapes = []
    for training in (True, False):
        output = network.train(training)(rgb, random_points([20, 0, 1]))
        shapes.append([tuple(tensor.shape) for tensor in (*output.inv_depths, *output.skips)])
    assert shapes[0] == shapes[1]
    assert shapes[0][:4] == [(3, 1, HEIGHT >> s, WIDTH >> s) for s in range(4)]
    assert shapes[0][4:] == [(3, TINY.widths[level], HEIGHT >> level, WIDTH >> level) for level in range(1, 6)]


def test_inverse_depth_stays_between_zero_and_one_over_the_least_depth(network, rgb):
    inv_depth = network(rgb).inv_depths[0]
    assert inv_depth.min() > 0.0
    assert inv_depth.max() < 1.0 / TINY.min_depth_m


def test_every_parameter_gets_a_gradient_from_completion(rgb):
    torch.manual_seed(4)
    network = PackNetSan(replace(TINY, dropout=0.2)).train()
    output = network(rgb, random_points([300, 0, 40]))
    sum(inv_depth.square().mean() for inv_depth in output.inv_depths).backward()
    silent = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.abs().any()]
    assert silent == []


@pytest.mark.parametrize("count", [0, 1])
def test_training_survives_a_batch_with_hardly_any_point(rgb, count):
    network = PackNetSan(TINY).train()
    features = network.encode(rgb)
    depths = (network.decode(features)[0], network.decode(network.fuse(features, random_points([count, 0, 0])))[0])
    sum(inv_depth.mean() for inv_depth in depths).backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


def test_bfloat16_autocast_keeps_depth_and_points_in_float32(network, rgb):
    points = random_points([40, 0, 5])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = network(rgb, points)
    assert all(inv_depth.dtype == torch.float32 for inv_depth in output.inv_depths)
    with torch.no_grad():
        exact = network(rgb, points).inv_depths[0]
    assert (output.inv_depths[0] / exact - 1.0).abs().max() < 0.2


def test_a_network_without_sparse_branch_refuses_points(rgb):
    network = PackNetSan(replace(TINY, sparse=False)).eval()
    with pytest.raises(ConfigError, match="only predicts"):
        network(rgb, random_points([1, 0, 0]))


def test_named_configurations_have_the_parameters_of_the_original():
    def count(config):
        with torch.device("meta"):
            network = PackNetSan(config)
        return sum(value.numel() for value in network.parameters())

    assert count(PACKNET_SAN01) == 110_809_742
    assert count(PACKNET01) == 128_294_020


def test_configuration_survives_a_dictionary_and_reports_all_problems_at_once():
    assert PackNetSanConfig.from_dict(TINY.to_dict()) == TINY
    with pytest.raises(ConfigError, match=r"'width' \(near: \['widths'\]\)"):
        PackNetSanConfig.from_dict({"width": [1]})
    with pytest.raises(ConfigError) as caught:
        PackNetSanConfig(widths=(8, 8), stem_kernel=4, dropout=1.5, sparse_encoding="logarithm", min_depth_m=0.0)
    for word in ("widths", "kernels", "dropout", "sparse_encoding", "min_depth_m"):
        assert word in str(caught.value)


def test_a_grid_of_stride_2_gives_depth_at_every_pixel_for_a_fourth_of_the_work():
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    fine, coarse = PackNetSan(TINY).eval(), PackNetSan(replace(TINY, grid_stride=2, prior=True)).eval()
    rgb = torch.rand(2, 3, 64, 128)
    work = []
    for network in (fine, coarse):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            inv_depths = network(rgb).inv_depths
        work.append(counter.get_total_flops())
        assert [tuple(d.shape[2:]) for d in inv_depths] == [(64, 128), (32, 64), (16, 32), (8, 16)]
    assert work[1] < 0.4 * work[0]
    pixels = coarse(rgb).inv_depths[0]
    assert (pixels[..., ::2] - pixels[..., 1::2]).abs().max() > 1e-4  # they are not one value repeated
    with pytest.raises(ConfigError, match="multiples of 64"):
        coarse(torch.rand(1, 3, 32, 128))
    with pytest.raises(ConfigError, match="grid_stride"):
        replace(TINY, grid_stride=3)


def test_a_grid_of_stride_2_completes_from_the_nearest_point_of_a_cell():
    torch.manual_seed(0)
    network = PackNetSan(replace(TINY, grid_stride=2)).eval()
    rgb = torch.rand(1, 3, 64, 128)
    near, far = torch.tensor([[0, 20, 40]]), torch.tensor([[0, 21, 41]])
    with torch.no_grad():
        alone, both, none = (
            network(rgb, SparsePoints(bvu, depth_m)).inv_depths[0]
            for bvu, depth_m in (
                (near, torch.tensor([5.0])),
                (torch.cat([near, far]), torch.tensor([5.0, 30.0])),
                (near[:0], torch.zeros(0)),
            )
        )
        torch.testing.assert_close(none, network(rgb).inv_depths[0], rtol=0, atol=0)
    assert (alone - none).abs().max() > 1e-4
    torch.testing.assert_close(both, alone, rtol=1e-4, atol=1e-6)
