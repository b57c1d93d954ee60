# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.geometry.ground_plane import GroundPlane
from mono_depth_ros.geometry.rigid import rigid_from_quaternion
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.scale import ScaleSource
from mono_depth_ros.perception.scale_sources import ratio_to_height, ratio_to_odometry, ratio_to_points

SHAPE = (32, 64)


def points(depth_m: np.ndarray, count: int = 200) -> SparseDepth:
    cells = np.random.default_rng(0).choice(SHAPE[0] * SHAPE[1], count, replace=False)
    rows, cols = cells // SHAPE[1], cells % SHAPE[1]
    return SparseDepth(*SHAPE, rows, cols, depth_m[rows, cols])


def motion(x: float = 0.0, z: float = 0.0, turn_rad: float = 0.0) -> np.ndarray:
    return rigid_from_quaternion([x, 0.0, z], [0.0, np.sin(turn_rad / 2), 0.0, np.cos(turn_rad / 2)])


def test_a_third_of_wrong_points_does_not_move_the_ratio():
    truth_m = np.full(SHAPE, 12.0, np.float32)
    sparse = points(truth_m)
    sparse.depth_m[:60] = 3.0
    measured = ratio_to_points(0.6 * truth_m, sparse, 5)
    assert measured is not None and measured.value == pytest.approx(1 / 0.6)
    assert (measured.source, measured.stamp_ns) == (ScaleSource.POINTS, 5)


def test_sigma_of_the_points_is_that_of_regions_not_of_points():
    # Half of the image is 20 % too near: a thousand points more do not make the ratio surer.
    truth_m = np.full(SHAPE, 12.0, np.float32)
    predicted_m = truth_m.copy()
    predicted_m[:, ::2] *= 1.02
    predicted_m[:16] *= 0.8
    few, many = (ratio_to_points(predicted_m, points(truth_m, count), 0) for count in (150, 1500))
    assert few is not None and many is not None
    assert many.sigma > 0.01 and many.sigma > 0.5 * few.sigma


def test_sigma_of_the_points_covers_what_other_bands_of_the_image_would_have_said():
    # A network whose factor differs from row to row and from side to side; four beams see a few rows of it.
    errors, sigmas = [], []
    for seed in range(60):
        random = np.random.default_rng(seed)
        by_row = np.repeat(random.normal(0.0, 0.15, 8), SHAPE[0] // 8)[:, None]
        by_column = np.repeat(random.normal(0.0, 0.2, 8), SHAPE[1] // 8)[None, :]
        predicted_m = (12.0 * np.exp(by_row + by_column)).astype(np.float32)
        rows = np.repeat([10, 15, 20, 25], SHAPE[1])
        cols = np.tile(np.arange(SHAPE[1]), 4)
        beams = SparseDepth(*SHAPE, rows, cols, np.full(len(rows), 12.0, np.float32))
        measured = ratio_to_points(predicted_m, beams, 0)
        assert measured is not None and measured.lasting == pytest.approx(measured.sigma / measured.value)
        errors.append(np.log(measured.value) - np.log(np.median(12.0 / predicted_m)))
        sigmas.append(measured.lasting)
    assert 0.5 < np.std(errors) / np.mean(sigmas) < 1.5


def test_hardly_any_points_say_nothing():
    truth_m = np.full(SHAPE, 12.0, np.float32)
    assert ratio_to_points(truth_m, points(truth_m, 9), 0) is None
    assert ratio_to_points(np.full(SHAPE, np.nan, np.float32), points(truth_m), 0) is None


def test_the_distance_driven_against_the_distance_seen():
    measured = ratio_to_odometry(motion(z=0.3), motion(z=0.5), 0)
    assert measured is not None and measured.value == pytest.approx(0.5 / 0.3)
    slower = ratio_to_odometry(motion(z=0.12), motion(z=0.21), 0)
    assert slower is not None and slower.sigma / slower.value > measured.sigma / measured.value


def test_what_the_images_are_unsure_of_takes_the_place_of_a_pose_networks_sigma():
    unsure = ratio_to_odometry(motion(z=0.3), motion(z=0.5), 0, seen_sigma=0.2, lasting=0.15)
    assert unsure is not None and unsure.lasting == 0.15
    assert unsure.sigma / unsure.value == pytest.approx(np.hypot(0.2, 0.02))


@pytest.mark.parametrize(
    ("seen", "driven"),
    [
        (motion(z=0.06), motion(z=0.1)),
        (motion(z=0.0), motion(z=0.5)),
        (motion(x=0.3), motion(z=0.5)),
        (motion(z=-0.3), motion(z=0.5)),
        (motion(z=0.3, turn_rad=0.2), motion(z=0.5, turn_rad=0.2)),
    ],
    ids=["slow", "nothing seen", "sideways", "backwards", "turning"],
)
def test_motions_that_tell_no_scale_are_ignored(seen, driven):
    assert ratio_to_odometry(seen, driven, 0) is None


def test_the_height_above_the_predicted_ground():
    plane = GroundPlane(np.array([0, -1.0, 0]), 0.9, 0.0, 0.0, 0.6, 0.03, 800)
    measured = ratio_to_height(plane, 1.5, 0)
    assert measured is not None and measured.value == pytest.approx(1.5 / 0.9)
    tilted = ratio_to_height(GroundPlane(plane.normal, 0.9, 0.1, 0.0, 0.6, 0.03, 800), 1.5, 0)
    assert tilted is not None and tilted.sigma > 5 * measured.sigma
    assert ratio_to_height(plane, 0.0, 0) is None
