# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import (
    SparseDepth,
    cells_of_points,
    dense_to_sparse,
    project_points,
    sparse_to_dense,
)

CAMERA = PinholeCamera(32, 16, 20.0, 22.0, 15.5, 7.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_nearest_point_of_a_cell_wins(seed):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-8, 8, 500), rng.uniform(-4, 4, 500), rng.uniform(-2, 20, 500)])
    expected = np.full((16, 32), np.inf)
    for x, y, z in points:
        if z >= 0.1:
            col, row = 20 * x / z + 15.5, 22 * y / z + 7.5
            if -0.5 <= col < 31.5 and -0.5 <= row < 15.5:
                cell = int(np.floor(row + 0.5)), int(np.floor(col + 0.5))
                expected[cell] = min(expected[cell], z)
    dense = sparse_to_dense(project_points(points, CAMERA))
    np.testing.assert_allclose(np.nan_to_num(dense, nan=np.inf), expected, rtol=1e-6)


def test_points_that_no_camera_sees_are_dropped():
    bad = [
        [0, 0, -1],
        [0, 0, 0],
        [np.nan, 0, 5],
        [0, np.inf, 5],
        [0, 0, np.inf],
        [1e30, 0, 1],
        [0, 0, 1e30],
        [100, 0, 1],
    ]
    assert len(project_points(np.array(bad, np.float32), CAMERA)) == 0


def test_no_points_give_an_empty_grid():
    sparse = project_points(np.zeros((0, 3), np.float32), CAMERA)
    assert len(sparse) == 0 and np.isnan(sparse_to_dense(sparse)).all()


def test_a_depth_image_becomes_its_own_points():
    depth_m = np.random.default_rng(1).uniform(1, 60, (16, 32)).astype(np.float32)
    depth_m[::3] = np.nan
    depth_m[1, 1] = 0.0
    sparse = project_points(CAMERA.unproject(depth_m).reshape(-1, 3), CAMERA)
    known = dense_to_sparse(depth_m)
    assert sparse.rows.tolist() == known.rows.tolist() and sparse.cols.tolist() == known.cols.tolist()
    np.testing.assert_allclose(sparse.depth_m, known.depth_m, rtol=1e-6)


def test_points_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"\[N, 3\]"):
        project_points(np.zeros((5, 4), np.float32), CAMERA)


def test_a_cell_outside_the_grid_is_refused():
    with pytest.raises(DataError, match="inside 4x4"):
        SparseDepth(4, 4, np.array([4]), np.array([0]), np.ones(1, np.float32))


def test_every_point_in_view_has_its_cell():
    points = np.array([[0, 0, -5], [0, 0, 5], [2.5, 0, 5], [0, 0, 9], [50, 0, 5], [np.nan, 0, 5]], np.float32)
    index, rows, cols = cells_of_points(points, CAMERA)
    # 20 * 2.5 / 5 = 10 columns right of 15.5; halves are rounded up.
    assert (index.tolist(), rows.tolist(), cols.tolist()) == ([1, 2, 3], [8, 8, 8], [16, 26, 16])
