# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch import nn

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.depth_network import config_from_dict, inv_depths_of, new_network, predict
from mono_depth_ros.networks.lite_san import LiteSan, LiteSanConfig, ground_inv_depth
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig
from mono_depth_ros.networks.sparse_convolution import SparsePoints

SMALL = LiteSanConfig(
    widths=(8, 8, 8, 8, 8), dense_widths=(8, 8, 8, 8, 8), sparse_widths=(4, 4, 4, 4, 4), sparse_kernels=(3, 3, 3, 3, 3)
)
GROUND = torch.tensor([[0.0, 0.004, -0.1, 1.0]])
NOTHING = SparsePoints(torch.zeros((0, 3), dtype=torch.int64), torch.zeros(0))


def network(config: LiteSanConfig = SMALL) -> LiteSan:
    """Random weights, also where a network starts at zero."""
    torch.manual_seed(3)
    made = LiteSan(config).eval()
    for module in made.modules():
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, 0.0, 0.05)
    return made


def images(batch: int = 1, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(1))


def some_points(image: int = 0) -> SparsePoints:
    rows = torch.arange(4, 60, 4)
    bvu = torch.stack([torch.full_like(rows, image), rows, rows + 5], dim=1)
    return SparsePoints(bvu, torch.linspace(3.0, 30.0, len(rows)))


@torch.no_grad()
def test_zero_points_is_prediction_and_an_unknown_ground_is_no_ground():
    made, rgb = network(), images(2)
    plain = made(rgb)
    for said in (made(rgb, NOTHING), made(rgb, NOTHING, torch.zeros((2, 4))), made(rgb, None, torch.zeros((2, 4)))):
        for got, expected in zip((*said.inv_depths, *said[1:]), (*plain.inv_depths, *plain[1:]), strict=True):
            assert torch.equal(got, expected)
    padding = SparsePoints(torch.tensor([[0, 3, 4], [7, 0, 0]]), torch.tensor([0.0, 5.0]))
    assert torch.equal(made(rgb, padding).inv_depths[0], plain.inv_depths[0])
    completed = made(rgb, some_points())
    with_zeros = made(rgb, some_points(), torch.zeros((2, 4)))
    assert torch.equal(completed.inv_depths[0], with_zeros.inv_depths[0])


@torch.no_grad()
def test_points_and_ground_change_only_the_images_that_have_them():
    made, rgb = network(), images(2)
    plain = made(rgb)
    for said in (made(rgb, some_points(1)), made(rgb, NOTHING, torch.cat([torch.zeros((1, 4)), GROUND]))):
        for got, before in zip((*said.inv_depths, said.log_spread), (*plain.inv_depths, plain.log_spread), strict=True):
            torch.testing.assert_close(got[0], before[0], rtol=1e-5, atol=1e-6)
            assert not torch.allclose(got[1], before[1], rtol=1e-3)


@torch.no_grad()
def test_what_is_told_counts_by_how_sure_it_is():
    made, rgb = network(), images()
    sure, unsure = (made(rgb, NOTHING, torch.cat([GROUND[:, :3], torch.tensor([[s]])], 1)) for s in (1.0, 0.3))
    assert not torch.allclose(sure.inv_depths[0], unsure.inv_depths[0], rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (32, 160)])
def test_any_multiple_of_32_goes_and_every_output_has_its_size(size):
    height, width = size
    said = network()(images(1, height, width), some_points())
    assert [tuple(one.shape[2:]) for one in said.inv_depths] == [(height >> s, width >> s) for s in range(4)]
    assert said.log_spread.shape == said.sky_logit.shape == (1, 1, height, width)
    assert all(bool(torch.isfinite(one).all() and (one > 0).all()) for one in said.inv_depths)


def test_other_sizes_are_refused():
    with pytest.raises(ConfigError, match=r"multiples of 32, got \(1, 3, 64, 100\)"):
        network()(images(1, 64, 100))


@torch.no_grad()
def test_a_pixel_with_a_full_share_of_the_fill_has_the_depth_of_its_point():
    made = network()
    nn.init.zeros_(made.other_heads.weight)
    nn.init.constant_(made.other_heads.bias, 50.0)
    points = some_points()
    inv_depth = made(images(), points).inv_depths[0][0, 0]
    depth = 1.0 / inv_depth[points.bvu[:, 1], points.bvu[:, 2]]
    torch.testing.assert_close(depth, points.depth_m, rtol=0.15, atol=0.0)  # the fill rounds a little


@torch.no_grad()
def test_the_plane_is_linear_in_row_and_column_and_ends_at_the_horizon():
    found = ground_inv_depth(torch.tensor([[0.001, 0.02, -0.3, 1.0], [0.0, 0.0, 0.0, 0.0]]), 32, 64).numpy()
    for row, column in ((0, 0), (20, 3), (31, 63)):
        assert found[0, 0, row, column] == pytest.approx(max(0.001 * column + 0.02 * row - 0.3, 0.0), abs=1e-6)
    assert not found[1].any()


def test_a_network_that_only_predicts_refuses_points():
    made = network(LiteSanConfig(widths=(8,) * 5, sparse=False))
    with pytest.raises(ConfigError, match="only predicts"):
        made(images(), some_points())
    assert not any(name.startswith(("dense_view", "sparse_branch")) for name in made.state_dict())


@torch.no_grad()
def test_the_dense_view_alone_carries_points_too():
    made = network(LiteSanConfig(widths=(8,) * 5, dense_widths=(8,) * 5, sparse_widths=()))
    assert not hasattr(made, "sparse_branch")
    assert not torch.equal(made(images(), some_points()).inv_depths[0], made(images()).inv_depths[0])


def test_every_weight_gets_a_gradient_when_both_modes_are_learned():
    made = network().train()
    features = made.encode(images())
    both = [made.decode(features), made.decode(made.fuse(features, some_points(), GROUND))]
    loss = sum(one.mean() for said in both for one in (*said.inv_depths, said.log_spread, said.sky_logit))
    loss.backward()
    without = [name for name, value in made.named_parameters() if value.grad is None]
    assert without == []


def test_a_configuration_is_read_back_and_its_mistakes_are_named_together():
    assert LiteSanConfig.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(ConfigError, match=r"'width' \(near: \['widths'\]\)"):
        LiteSanConfig.from_dict({"width": 3})
    with pytest.raises(ConfigError) as caught:
        LiteSanConfig(encoder="resnet", widths=(8, 8), sparse_kernels=(2, 3, 3, 3, 3), min_depth_m=0.0)
    for named in ("encoder: expected one of efficientnet_lite0", "widths", "odd sizes", "min_depth_m"):
        assert named in str(caught.value)


def test_the_encoder_names_the_network():
    assert isinstance(config_from_dict({"encoder": "efficientnet_lite1"}), LiteSanConfig)
    assert config_from_dict({"encoder": "packnet", "prior": True}) == PackNetSanConfig(prior=True)
    assert isinstance(new_network(SMALL), LiteSan)
    packnet = PackNetSanConfig(widths=(8,) * 6, packing_features=2, blocks=(1,) * 4, sparse=False)
    made = new_network(packnet).eval()
    assert isinstance(made, PackNetSan)
    with torch.no_grad():
        rgb = images()
        assert torch.equal(predict(made, rgb), inv_depths_of(made.decode(made.encode(rgb)))[0])


@torch.no_grad()
def test_coordinates_tell_where_a_pixel_is_whatever_the_size():
    from mono_depth_ros.networks.lite_san import COORDINATE_PX, _coordinates

    for height, width in ((2, 3), (5, 8)):
        found = _coordinates(torch.zeros(1, 1, height, width), 32).numpy()[0]
        assert found[0, 0, -1] == pytest.approx(0.5 * (width - 1) * 32 / COORDINATE_PX)
        assert found[1, 0, 0] == pytest.approx(-0.5 * (height - 1) * 32 / COORDINATE_PX)
        np.testing.assert_allclose(found.sum((1, 2)), 0.0, atol=1e-6)
