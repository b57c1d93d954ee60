# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Sparse operations against their definition: dense operations on masked images."""

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from mono_depth_ros.networks.sparse_convolution import (
    MIN_CELLS_FOR_BATCH_STATISTICS,
    SparseBranch,
    SparseConv2d,
    SparseGrid,
    SparseLevel,
    SparsePoints,
    ValidCellBatchNorm,
    max_pool,
    neighbour_rows,
)

pytestmark = pytest.mark.torch

patterns = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "height": st.integers(1, 13),
        "width": st.integers(1, 13),
        "channels": st.integers(1, 5),
        "density": st.sampled_from([0.0, 0.02, 0.2, 0.7, 1.0]),
        "seed": st.integers(0, 2**31),
    }
)


def random_grid(batch, height, width, channels, density, seed):
    """A sparse grid in random row order, the same as dense map [B, C, H, W] and its mask [B, 1, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(batch, 1, height, width, generator=generator) < density
    dense = torch.randn(batch, channels, height, width, generator=generator) * mask
    cells = torch.nonzero(mask[:, 0])
    cells = cells[torch.randperm(len(cells), generator=generator)]
    features = dense[cells[:, 0], :, cells[:, 1], cells[:, 2]]
    return SparseGrid(features, cells, batch, height, width), dense, mask


def dense_convolution(conv, dense, mask, kernel_size):
    """The definition: conv2d with zero padding, kept where the mask is."""
    inputs, outputs = dense.shape[1], conv.weight.shape[1]
    weight = conv.weight.view(kernel_size, kernel_size, inputs, outputs).permute(3, 2, 0, 1)
    return functional.conv2d(dense, weight, padding=kernel_size // 2) * mask


def dense_max_pool(dense, mask):
    """The definition: 3x3 maximum over valid cells, kept where the 2x2 window holds a valid cell."""
    pooled = functional.max_pool2d(torch.where(mask, dense, -torch.inf), 3, 2, padding=1)
    kept = functional.max_pool2d(mask.float(), 2, 2, ceil_mode=True) > 0
    return torch.where(kept, pooled, 0.0), kept


@settings(max_examples=60, deadline=None)
@given(patterns, st.sampled_from([1, 3, 5, 7]), st.integers(1, 6))
def test_sparse_convolution_equals_dense_convolution_of_the_masked_image(pattern, kernel_size, outputs):
    grid, dense, mask = random_grid(**pattern)
    conv = SparseConv2d(pattern["channels"], outputs, kernel_size)
    features = conv(grid.features, neighbour_rows(grid, grid.cells, kernel_size))
    result = SparseGrid(features, grid.cells, grid.batch, grid.height, grid.width).to_dense()
    torch.testing.assert_close(result, dense_convolution(conv, dense, mask, kernel_size), atol=1e-5, rtol=1e-5)


@settings(max_examples=80, deadline=None)
@given(patterns)
def test_pooling_takes_cells_from_2x2_and_values_from_3x3(pattern):
    grid, dense, mask = random_grid(**pattern)
    pooled = max_pool(grid)
    expected, kept = dense_max_pool(dense, mask)
    assert torch.equal(pooled.to_dense(), expected)
    ones = SparseGrid(torch.ones(len(pooled.cells), 1), pooled.cells, pooled.batch, pooled.height, pooled.width)
    assert torch.equal(ones.to_dense() > 0, kept)


def test_a_point_reaches_the_pooled_cell_below_right_only_beside_a_point_there():
    def pool(cells):
        features = torch.tensor([[float(row)] for _, row, _ in cells])
        return max_pool(SparseGrid(features, torch.tensor(cells), 1, 8, 8)).to_dense()[0, 0]

    alone = pool([(0, 3, 3)])
    assert alone[1, 1] == 3.0
    assert alone.count_nonzero() == 1
    beside = pool([(0, 3, 3), (0, 4, 4)])
    assert beside[1, 1] == 3.0
    assert beside[2, 2] == 4.0


def test_pooling_keeps_a_negative_maximum():
    grid = SparseGrid(torch.tensor([[-5.0]]), torch.tensor([[0, 2, 2]]), 1, 4, 4)
    assert max_pool(grid).to_dense()[0, 0, 1, 1] == -5.0


@settings(max_examples=15, deadline=None)
@given(patterns, st.sampled_from([3, 5]))
def test_a_level_equals_its_equation_on_masked_images(pattern, kernel_size):
    torch.manual_seed(pattern["seed"])
    grid, dense, mask = random_grid(**pattern)
    level = SparseLevel(pattern["channels"], 4, kernel_size, 2).eval()
    randomize_norms(level)
    x, kept = dense_max_pool(dense, mask)

    def conv(layer, value):
        return dense_convolution(layer, value, kept, kernel_size)

    def norm(layer, value):
        return functional.relu(layer(value.permute(0, 2, 3, 1).flatten(0, 2)).view(*value.permute(0, 2, 3, 1).shape))

    first = conv(level.expand, x)
    hidden = norm(level.expand_norm, first[:, 4:]).permute(0, 3, 1, 2) * kept
    third = norm(level.hidden_norm, conv(level.hidden, hidden[:, 8:])).permute(0, 3, 1, 2) * kept
    total = first[:, :4] + conv(level.merge, torch.cat([hidden[:, :8], third], dim=1))
    expected = norm(level.final_norm, total).permute(0, 3, 1, 2) * kept
    with torch.no_grad():
        torch.testing.assert_close(level(grid).to_dense(), expected, atol=1e-5, rtol=1e-4)


def randomize_norms(module):
    """Running statistics and affine parameters away from their initial 0 and 1."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(layer.running_mean, 0.0, 0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2.0)
            torch.nn.init.normal_(layer.weight, 1.0, 0.3)
            torch.nn.init.normal_(layer.bias, 0.0, 0.3)


def test_batch_norm_of_many_cells_uses_their_statistics_and_of_few_the_running_ones():
    norm = ValidCellBatchNorm(3).train()
    many = torch.randn(MIN_CELLS_FOR_BATCH_STATISTICS, 3) * 5.0 + 2.0
    normalized = norm(many)
    torch.testing.assert_close(normalized.mean(0), torch.zeros(3), atol=1e-5, rtol=0.0)
    running_mean = norm.norm.running_mean.clone()
    assert running_mean.abs().min() > 0.0

    for count in (0, 1, MIN_CELLS_FOR_BATCH_STATISTICS - 1):
        few = many[:count]
        trained = norm(few)
        assert torch.equal(norm.norm.running_mean, running_mean)
        torch.testing.assert_close(trained, norm.norm.eval()(few), atol=1e-5, rtol=1e-5)
        norm.train()


def test_batch_norm_in_training_gives_the_values_of_the_running_statistics_and_moves_them_a_little():
    torch.manual_seed(0)
    norm = ValidCellBatchNorm(3).train()
    for _ in range(200):
        norm(torch.randn(64, 3) * 2.0 + 1.0)
    nearer = torch.randn(64, 3) * 2.0 + 2.0  # a batch whose mean is not that of the others
    before = norm.norm.running_mean.clone()
    trained = norm(nearer)
    assert 0.0 < (norm.norm.running_mean - before).abs().max() < 0.1
    torch.testing.assert_close(trained, norm.eval()(nearer), atol=1e-4, rtol=1e-4)
    assert trained.mean() > 0.3  # batch statistics would have hidden it


def make_branch(encoding):
    torch.manual_seed(3)
    branch = SparseBranch((4, 4, 6), (5, 3, 3), 2, encoding).eval()
    randomize_norms(branch)
    return branch


@pytest.mark.parametrize("bad_depth_m", [0.0, -1.0, float("nan"), float("inf")])
def test_depth_that_is_no_distance_is_padding(bad_depth_m):
    branch = make_branch("depth")
    good = SparsePoints(torch.tensor([[0, 3, 4], [1, 7, 7]]), torch.tensor([5.0, 9.0]))
    padded = SparsePoints(
        torch.tensor([[0, 3, 5], [0, 3, 4], [1, 0, 0], [1, 7, 7]]), torch.tensor([bad_depth_m, 5.0, bad_depth_m, 9.0])
    )
    has_points, maps = branch(good, 2, 8, 8)
    has_points_padded, maps_padded = branch(padded, 2, 8, 8)
    assert torch.equal(has_points, has_points_padded)
    assert all(torch.equal(a, b) for a, b in zip(maps, maps_padded, strict=True))


def test_cells_outside_the_images_are_padding():
    branch = make_branch("depth")
    outside = torch.tensor([[0, -1, 0], [0, 8, 0], [0, 0, -1], [0, 0, 8], [-1, 0, 0], [2, 0, 0]])
    has_points, maps = branch(SparsePoints(outside, torch.full((6,), 4.0)), 2, 8, 8)
    assert not has_points.any()
    assert all(not features.any() for features in maps)


def test_images_of_a_batch_do_not_see_each_other():
    branch = make_branch("inverse")
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(3, 1, 16, 24, generator=generator) < 0.1
    mask[1] = False
    depth_m = torch.where(mask, 1.0 + 30.0 * torch.rand(3, 1, 16, 24, generator=generator), 0.0)
    has_points, maps = branch(SparsePoints.from_dense(depth_m), 3, 16, 24)
    assert has_points.tolist() == [True, False, True]
    for image in range(3):
        _, alone = branch(SparsePoints.from_dense(depth_m[image : image + 1]), 1, 16, 24)
        for together, single in zip(maps, alone, strict=True):
            torch.testing.assert_close(together[image : image + 1], single, atol=1e-6, rtol=1e-6)


def test_inverse_encoding_pools_the_nearest_point_and_depth_encoding_the_farthest():
    points = SparsePoints(torch.tensor([[0, 0, 0], [0, 1, 1]]), torch.tensor([2.0, 8.0]))
    for encoding, kept_m in (("inverse", 2.0), ("depth", 8.0)):
        branch = make_branch(encoding)
        grid = SparseGrid(branch.encode(points.depth_m), points.bvu, 1, 2, 2)
        torch.testing.assert_close(max_pool(grid).features, branch.encode(torch.tensor([kept_m])))


def test_points_from_a_dense_map_leave_out_what_is_not_positive():
    depth_m = torch.tensor([[[[0.0, 2.0], [float("nan"), -1.0]]], [[[3.0, 0.0], [0.0, 4.0]]]])
    points = SparsePoints.from_dense(depth_m)
    assert points.bvu.tolist() == [[0, 0, 1], [1, 0, 0], [1, 1, 1]]
    assert points.depth_m.tolist() == [2.0, 3.0, 4.0]
