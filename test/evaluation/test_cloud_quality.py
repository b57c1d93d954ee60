# SPDX-License-Identifier: Apache-2.0
"""Points in the air, imprints of input points, and how rough surfaces are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.cloud_quality import ImageCloud, cloud_rows, image_cloud, image_cloud_from_dict
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import ScaleEstimate, ScaleSource

CAMERA = PinholeCamera(40, 20, 40.0, 40.0, 19.5, 9.5)


def car_in_front_of_a_wall() -> np.ndarray:
    """8 m in the left half, 20 m in the right."""
    return np.where(np.arange(40) < 20, 8.0, 20.0).astype(np.float32) * np.ones((20, 1), np.float32)


def sample(depth_m: np.ndarray, cloud_m: np.ndarray | None = None, **known: object) -> DepthSample:
    """A published depth beside the truth."""
    image = np.zeros((20, 40, 3), np.uint8)
    scale = ScaleEstimate(1.0, float("nan"), ScaleSource.MODEL, 0.0)
    result = DepthResult(0, "optical", CAMERA, depth_m, image, Mode.PREDICTION, Reason.NO_POINTS, 0, scale, (), ())
    values = {"points_camera_m": None, "truth_depth_m": car_in_front_of_a_wall(), "truth_camera": CAMERA} | known
    return DepthSample(
        "one", 0, "front", image, CAMERA, published=result, cloud_m=depth_m if cloud_m is None else cloud_m, **values
    )


def test_points_at_a_true_edge_fly_if_they_are_on_neither_surface():
    depth_m = car_in_front_of_a_wall()
    depth_m[:, 19] = 12.0
    found = image_cloud(sample(depth_m))
    # Columns 19 and 20 see both surfaces; one of them is in the air, the other right.
    assert (found.pixels, found.flying, found.right_edge) == (800, 20, 20)


def test_a_point_within_half_a_metre_or_five_percent_of_a_surface_there_is_right():
    depth_m = car_in_front_of_a_wall()
    depth_m[:10, 19], depth_m[10:, 19], depth_m[:, 20] = 8.45, 19.1, 8.6
    found = image_cloud(sample(depth_m))
    assert (found.flying, found.right_edge) == (20, 20)


def test_wrong_depth_away_from_edges_is_no_flying_point():
    assert image_cloud(sample(np.full((20, 40), 14.0, np.float32))).flying == 40  # the two columns at the edge


def test_what_did_not_become_a_point_is_not_in_the_air_and_what_was_right_is_lost():
    depth_m = car_in_front_of_a_wall()
    depth_m[:, 19] = 12.0
    cloud_m = depth_m.copy()
    cloud_m[:, 19] = cloud_m[:5, 20] = np.nan
    found = image_cloud(sample(depth_m, cloud_m))
    assert (found.points, found.points_flying, found.points_right_edge) == (775, 0, 15)
    published, cloud = cloud_rows([found, found])
    assert (published["flying"], published["right edge points lost"]) == ("2.50%", "0.0%")
    assert (cloud["points"], cloud["flying"], cloud["right edge points lost"]) == ("1550", "0.00%", "25.0%")


def test_truth_of_another_size_falls_on_the_pixels_of_the_depth():
    fine = CAMERA.resized(160, 80)
    truth_m = np.repeat(np.repeat(car_in_front_of_a_wall(), 4, axis=0), 4, axis=1)
    truth_m[1::2] = np.nan
    depth_m = car_in_front_of_a_wall()
    depth_m[:, 20] = 12.0
    found = image_cloud(sample(depth_m, truth_depth_m=truth_m, truth_camera=fine))
    assert (found.pixels, found.flying, found.right_edge) == (800, 20, 20)


@pytest.mark.parametrize("step", [0.0, 0.01])
def test_points_that_stick_out_of_a_surface_leave_an_imprint(step):
    rng = np.random.default_rng(0)
    depth_m = 10.0 * (1.0 + 0.001 * rng.standard_normal((20, 40))).astype(np.float32)
    depth_m[::4, ::4] *= 1.0 + step
    points_m = CAMERA.unproject(depth_m)[::4, ::4].reshape(-1, 3)
    imprint = image_cloud(sample(depth_m, points_camera_m=points_m)).imprint
    assert 0.6 < imprint < 1.6 if step == 0.0 else imprint > 5.0


def test_the_normals_of_a_plane_are_one_and_noise_spreads_them():
    rows, cols = np.mgrid[:20, :40]
    plane_m = (1.0 / (0.1 + 0.0005 * rows + 0.0003 * cols)).astype(np.float32)
    assert image_cloud(sample(plane_m)).normals_deg < 1.0
    rough_m = plane_m * (1.0 + 0.01 * np.random.default_rng(0).standard_normal(plane_m.shape)).astype(np.float32)
    assert image_cloud(sample(rough_m)).normals_deg > 10.0


def test_without_a_cloud_or_truth_there_is_nothing_to_tell():
    whole = sample(car_in_front_of_a_wall())
    assert image_cloud(dataclasses.replace(whole, published=None)) is None
    assert image_cloud(dataclasses.replace(whole, truth_depth_m=None, truth_camera=None)) is None
    assert cloud_rows([]) == []


def test_an_images_numbers_are_kept():
    found = ImageCloud(9, 2, 3, 8, 1, 3, None, 1.5)
    assert image_cloud_from_dict(found.to_dict()) == found
