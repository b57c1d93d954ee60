# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Filled depth: exact where it must be, finite where nothing is known, no change to a network that has just got it."""

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from dataclasses import replace

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.dense_prior import FAR_INV_DEPTH, filled_pyramid
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig
from mono_depth_ros.networks.sparse_convolution import SparsePoints
from test.fixtures.tiny_checkpoint import TINY, tiny_network

pytestmark = pytest.mark.torch
HEIGHT, WIDTH, LEVELS = 32, 64, 6


def points_of(depth_m, share, seed=0):
    """A share of the pixels of float [B, H, W] as points."""
    known = torch.rand(depth_m.shape, generator=torch.Generator().manual_seed(seed)) < share
    return SparsePoints(torch.nonzero(known), depth_m[known])


def test_points_of_one_depth_fill_everything_with_it():
    depth = torch.full((2, HEIGHT, WIDTH), 7.0)
    depth[1] = 30.0
    for level in filled_pyramid(points_of(depth, 0.01), 2, HEIGHT, WIDTH, LEVELS):
        torch.testing.assert_close(level.inv_depth[0], torch.full_like(level.inv_depth[0], 1 / 7.0), rtol=1e-3, atol=0)
        torch.testing.assert_close(level.inv_depth[1], torch.full_like(level.inv_depth[1], 1 / 30.0), rtol=2e-3, atol=0)


def test_a_pixel_with_a_point_keeps_it_and_is_trusted():
    depth = torch.rand(1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3)) * 40 + 2
    points = points_of(depth, 0.05)
    finest = filled_pyramid(points, 1, HEIGHT, WIDTH, LEVELS)[0]
    b, v, u = points.bvu.unbind(1)
    at_points = finest.inv_depth[b, 0, v, u]
    # the coarser level has the weight of a twentieth of a point
    assert ((at_points * points.depth_m - 1.0).abs() * 1.05 <= 0.05 * depth.max() / 2 + 1e-4).all()
    assert (finest.trust[b, 0, v, u] == 1.0).all()
    assert finest.trust.min() < 0.9


def test_a_ramp_of_inverse_depth_comes_back_between_its_points():
    inverse = torch.linspace(0.02, 0.3, HEIGHT).view(1, HEIGHT, 1).expand(1, HEIGHT, WIDTH)
    finest = filled_pyramid(points_of(1.0 / inverse, 0.2), 1, HEIGHT, WIDTH, LEVELS)[0].inv_depth[0, 0]
    inner = (finest - inverse[0])[4:-4, 4:-4].abs()
    assert inner.mean() < 0.01, "a ramp from 0.02 to 0.3 is followed to a few hundredths"


def test_without_points_everything_is_finite():
    none = SparsePoints(torch.zeros((0, 3), dtype=torch.int64), torch.zeros(0))
    for level in filled_pyramid(none, 2, HEIGHT, WIDTH, LEVELS):
        torch.testing.assert_close(level.inv_depth, torch.full_like(level.inv_depth, FAR_INV_DEPTH))
        assert (level.trust == 0.0).all()


def test_a_network_that_gets_a_prior_computes_what_it_did_until_it_learns():
    without = tiny_network()
    with_prior = PackNetSan(replace(TINY, prior=True)).eval()
    missing = with_prior.load_state_dict(without.state_dict(), strict=False)
    assert all(name.startswith("prior.") for name in missing.missing_keys) and not missing.unexpected_keys
    rgb = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    points = points_of(torch.full((1, HEIGHT, WIDTH), 9.0), 0.05)  # in the first image alone
    with torch.no_grad():
        before = without(rgb, points).inv_depths[0]
        torch.testing.assert_close(with_prior(rgb, points).inv_depths[0], before, rtol=0, atol=0)
        torch.nn.init.normal_(with_prior.prior.outer[0].weight)
        after = with_prior(rgb, points).inv_depths[0]
    assert not torch.equal(after[0], before[0])
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=0, msg="an image without points has no prior")


def test_its_gradient_reaches_the_inner_convolutions_after_the_first_step():
    network = PackNetSan(replace(TINY, prior=True)).train()
    rgb = torch.rand(1, 3, HEIGHT, WIDTH)
    points = points_of(torch.rand(1, HEIGHT, WIDTH) * 30 + 2, 0.05)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        network(rgb, points).inv_depths[0].log().mean().backward()
        optimiser.step()
    assert all(float(c.weight.grad.abs().sum()) > 0 for c in network.prior.inner[1:])


def test_local_contrast_hides_exposure():
    network = PackNetSan(replace(TINY, image_input="local_contrast")).eval()
    rgb = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        bright, dark = (network(factor * rgb + 0.1).inv_depths[0] for factor in (0.9, 0.6))
        plain = PackNetSan(TINY).eval()
        plain_bright, plain_dark = (plain(factor * rgb + 0.1).inv_depths[0] for factor in (0.9, 0.6))
    assert (bright - dark).abs().mean() < 0.5 * (plain_bright - plain_dark).abs().mean()


def test_a_prior_needs_a_sparse_branch():
    with pytest.raises(ConfigError, match="prior"):
        PackNetSanConfig(sparse=False, prior=True)
