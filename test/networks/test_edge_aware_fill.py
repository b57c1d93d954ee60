# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from mono_depth_ros.networks import edge_aware_fill as module
from mono_depth_ros.networks.edge_aware_fill import edge_aware_fill
from mono_depth_ros.networks.sparse_convolution import SparsePoints

HEIGHT, WIDTH = 64, 96
GREY = torch.full((1, 3, HEIGHT, WIDTH), 0.5)


def points_at(cells, depth_m, image=0):
    bvu = torch.tensor([[image, v, u] for v, u in cells], dtype=torch.int64)
    return SparsePoints(bvu, torch.as_tensor(depth_m, dtype=torch.float32))


def test_one_level_down_is_the_weighted_mean_of_the_four_coarser_cells():
    generator = torch.Generator().manual_seed(2)
    coarse, trust = (torch.rand((1, 1, 2, 3), generator=generator) for _ in range(2))
    coarse_rgb, fine_rgb = torch.rand((1, 3, 2, 3), generator=generator), torch.rand((1, 3, 4, 6), generator=generator)
    found, sure = (value[0, 0].numpy() for value in module._pulled(coarse, trust, coarse_rgb, fine_rgb))
    for v in range(4):
        for u in range(6):
            total = weights = trusted = 0.0
            for row, row_share in ((v // 2, 0.75), (v // 2 + (1 if v % 2 else -1), 0.25)):
                for column, column_share in ((u // 2, 0.75), (u // 2 + (1 if u % 2 else -1), 0.25)):
                    i, j = min(max(row, 0), 1), min(max(column, 0), 2)
                    difference = float(((coarse_rgb[0, :, i, j] - fine_rgb[0, :, v, u]) ** 2).sum())
                    likeness = np.exp(-difference / (2 * module.COLOUR_SIGMA**2)) + module.LEAST_LIKENESS
                    near, held = row_share * column_share, float(trust[0, 0, i, j])
                    weight = near * likeness * (held + 1e-3)
                    total, weights = total + weight * float(coarse[0, 0, i, j]), weights + weight
                    trusted += near * held
            np.testing.assert_allclose([found[v, u], sure[v, u]], [total / weights, trusted], rtol=1e-4)


def test_a_slanted_plane_between_dense_points_comes_back():
    cells = [(v, u) for v in range(0, HEIGHT, 4) for u in range(0, WIDTH, 4)]
    inverse = [0.02 + 0.001 * v + 0.0005 * u for v, u in cells]
    fill = edge_aware_fill(points_at(cells, [1 / value for value in inverse]), GREY)
    v, u = np.mgrid[4 : HEIGHT - 4, 4 : WIDTH - 4]
    expected = 0.02 + 0.001 * v + 0.0005 * u
    off = fill.inv_depth[0, 0, 4:-4, 4:-4].numpy() / expected - 1.0
    assert np.abs(off).mean() < 0.03


def test_depth_does_not_cross_an_edge_of_the_image():
    rgb = GREY.clone()
    rgb[:, :, :, WIDTH // 2 :] = 0.9
    fill = edge_aware_fill(points_at([(30, 20), (30, 75)], [4.0, 40.0]), rgb)
    depth = 1.0 / fill.inv_depth[0, 0, 30].numpy()
    assert abs(np.log(depth[WIDTH // 2 - 1] / 4.0)) < 0.35 < np.log(10.0)
    assert abs(np.log(depth[WIDTH // 2] / 40.0)) < 0.7
    without_edge = 1.0 / edge_aware_fill(points_at([(30, 20), (30, 75)], [4.0, 40.0]), GREY).inv_depth[0, 0, 30].numpy()
    assert depth[WIDTH // 2] / depth[WIDTH // 2 - 1] > 1.5 * without_edge[WIDTH // 2] / without_edge[WIDTH // 2 - 1]


def test_trust_is_one_at_points_and_fades_with_distance():
    fill = edge_aware_fill(points_at([(32, 48)], [5.0]), GREY)
    along = fill.trust[0, 0, 32, 48:].numpy()
    assert along[0] == 1.0 and (np.diff(along[[0, 2, 6, 14, 30, 46]]) < 0).all()
    assert float((fill.own_inv_depth > 0).sum()) == 1.0
    np.testing.assert_allclose(1.0 / fill.inv_depth.numpy(), 5.0, rtol=0.02)


def test_an_image_without_points_is_filled_with_something_finite_and_no_trust():
    nothing = SparsePoints(torch.zeros((0, 3), dtype=torch.int64), torch.zeros(0))
    fill = edge_aware_fill(nothing, GREY)
    assert torch.isfinite(fill.inv_depth).all() and (fill.inv_depth > 0).all()
    assert not fill.trust.any() and not fill.own_inv_depth.any()


def test_images_of_a_batch_do_not_mix():
    rgb = GREY.repeat(2, 1, 1, 1)
    alone = edge_aware_fill(points_at([(10, 10)], [7.0]), GREY)
    together = edge_aware_fill(SparsePoints(torch.tensor([[0, 10, 10], [1, 40, 60]]), torch.tensor([7.0, 50.0])), rgb)
    torch.testing.assert_close(together.inv_depth[0], alone.inv_depth[0])
    np.testing.assert_allclose(1.0 / together.inv_depth[1].numpy(), 50.0, rtol=0.02)
