# SPDX-License-Identifier: Apache-2.0
"""Depth carried from image to image: worlds whose warped depth is known, and what moves, is hidden or is unknown."""

import json
import math

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.temporal import PairStability, pair_stability, temporal_stability, warped_to_current
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.dial import Mode

CAMERA = PinholeCamera(32, 24, 20.0, 20.0, 15.5, 11.5)
STILL = np.eye(4)
COMPLETED, PREDICTED = Mode.COMPLETION, Mode.PREDICTION


def moved(x_m=0.0, y_m=0.0, z_m=0.0):
    """T_current_previous of a camera that moved so far along its own axes, without turning."""
    T_current_previous = np.eye(4)
    T_current_previous[:3, 3] = [-x_m, -y_m, -z_m]
    return T_current_previous


def wall(depth_m):
    return np.full((24, 32), depth_m, np.float32)


def line(*depths_m):
    return np.array([depths_m], np.float32)


# One row of pixels, in which a metre at 10 m is one pixel.
LINE_CAMERA = PinholeCamera(6, 1, 10.0, 10.0, 2.0, 0.0)


def test_a_static_camera_with_the_same_depth_has_no_error():
    depth_m = np.random.default_rng(1).uniform(1.0, 80.0, (24, 32)).astype(np.float32)
    found = pair_stability(depth_m, depth_m, CAMERA, STILL, (COMPLETED, COMPLETED))
    assert found == PairStability(24 * 32, 0.0, 0.0, (COMPLETED, COMPLETED))


@pytest.mark.parametrize("ahead_m", [1.0, 4.0, -2.0])
def test_the_exact_depth_of_a_wall_has_no_error_while_the_camera_drives_towards_or_away(ahead_m):
    found = pair_stability(wall(10.0), wall(10.0 - ahead_m), CAMERA, moved(z_m=ahead_m))
    assert (found.median, found.p90) == (0.0, 0.0)
    assert found.pixels > 250


@pytest.mark.parametrize("scale", [1.1, 0.8])
def test_a_scale_that_jumps_is_seen_as_its_log(scale):
    found = pair_stability(wall(10.0), wall(9.0 * scale), CAMERA, moved(z_m=1.0))
    assert found.median == pytest.approx(abs(math.log(scale)), abs=1e-6)
    assert found.p90 == pytest.approx(abs(math.log(scale)), abs=1e-6)


def test_a_scale_that_is_wrong_in_both_images_is_seen_by_the_share_of_the_motion_only():
    found = pair_stability(wall(20.0), wall(18.0), CAMERA, moved(z_m=1.0))
    assert found.median == pytest.approx(math.log(19.0 / 18.0), abs=1e-6)


def test_depth_that_stands_still_while_the_camera_drives_is_not_stable():
    found = pair_stability(wall(10.0), wall(10.0), CAMERA, moved(z_m=1.0))
    assert found.median == pytest.approx(math.log(10.0 / 9.0), abs=1e-6)


def test_a_move_to_the_right_shifts_depth_to_the_left_and_leaves_the_border_unknown():
    warped_m = warped_to_current(line(10, 10, 10, 10, 10, 10), LINE_CAMERA, moved(x_m=2.0))
    np.testing.assert_array_equal(warped_m, line(10, 10, 10, 10, np.nan, np.nan))


def test_the_nearest_of_several_points_in_a_pixel_wins():
    # The pixel at 5 m moves by two, those at 10 m by one: it covers one of them, and leaves a hole.
    warped_m = warped_to_current(line(10, 10, 10, 5, 10, 10), LINE_CAMERA, moved(x_m=1.0))
    np.testing.assert_array_equal(warped_m, line(10, 5, np.nan, 10, 10, np.nan))


def test_a_camera_that_turns_about_its_axis_sees_the_depth_turned():
    depth_m = np.random.default_rng(2).uniform(1.0, 80.0, (24, 32)).astype(np.float32)
    warped_m = warped_to_current(depth_m, CAMERA, np.diag([-1.0, -1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(warped_m, depth_m[::-1, ::-1])


def test_points_behind_the_current_camera_are_unknown():
    assert np.isnan(warped_to_current(wall(2.0), CAMERA, moved(z_m=3.0))).all()


def test_median_and_90th_percentile_are_of_the_log_ratio_in_both_directions():
    camera = PinholeCamera(11, 1, 10.0, 10.0, 5.0, 0.0)
    changes = np.linspace(0.0, 1.0, 11) * np.where(np.arange(11) % 2, -1.0, 1.0)
    found = pair_stability(line(*[10.0] * 11), line(*(10.0 * np.exp(changes))), camera, STILL)
    assert (found.pixels, found.median, found.p90) == (11, pytest.approx(0.5), pytest.approx(0.9))


def test_the_true_ground_of_a_driving_camera_has_little_more_than_the_error_of_the_grid():
    camera = PinholeCamera(160, 96, 100.0, 100.0, 79.5, 20.0)
    rows = np.arange(96) - camera.cy_px
    with np.errstate(divide="ignore"):
        depth_m = np.where(rows >= 2, camera.fy_px * 1.5 / rows, np.nan)
    ground_m = np.repeat(depth_m[:, None], 160, axis=1).astype(np.float32)
    found = pair_stability(ground_m, ground_m, camera, moved(z_m=0.5))
    assert 0.0 < found.median < 0.01 and found.p90 < 0.03


def test_hidden_surfaces_count_and_do_not_rule_the_median():
    near_m = wall(30.0)
    near_m[:, 8:16] = 6.0  # a quarter of the image: a board that hides the wall only in the current image
    found = pair_stability(wall(30.0), near_m, CAMERA, STILL)
    assert (found.pixels, found.median) == (24 * 32, 0.0)
    assert found.p90 == pytest.approx(math.log(30.0 / 6.0), abs=1e-6)


def test_an_object_that_keeps_its_distance_from_a_driving_camera_is_seen_as_a_wrong_depth():
    before_m, now_m = wall(20.0), wall(18.0)
    before_m[10:14, 12:20] = now_m[10:14, 12:20] = 8.0
    found = pair_stability(before_m, now_m, CAMERA, moved(z_m=2.0))
    assert found.median == 0.0
    only_object = np.full((24, 32), np.nan, np.float32)
    only_object[10:14, 12:20] = 8.0
    found = pair_stability(only_object, only_object, CAMERA, moved(z_m=2.0))
    assert found.median == pytest.approx(math.log(8.0 / 6.0), abs=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unknown", [np.nan, np.inf, 0.0, -3.0])
def test_a_depth_that_is_unknown_in_either_image_is_in_no_number(unknown):
    before_m, now_m = wall(10.0), wall(10.0)
    before_m[:, 0] = unknown
    now_m[:, 1:3] = unknown
    found = pair_stability(before_m, now_m, CAMERA, STILL)
    assert (found.pixels, found.median, found.p90) == (24 * 29, 0.0, 0.0)
    # Also on the optical axis, where infinity times 0 is asked for.
    np.testing.assert_array_equal(
        warped_to_current(line(10, 10, unknown, 10, 10, 10), LINE_CAMERA, STILL), line(10, 10, np.nan, 10, 10, 10)
    )
    # Before a camera that moved back, a depth of 0 is no point either.
    assert np.isnan(warped_to_current(wall(unknown), CAMERA, moved(z_m=-5.0))).all()


def test_the_depth_images_are_left_as_they_are():
    before_m, now_m = wall(10.0), wall(10.0)
    before_m[0] = 0.0
    pair_stability(before_m, now_m, CAMERA, STILL)
    assert not before_m[0].any() and (now_m == 10.0).all()


def test_two_images_without_a_common_pixel_have_no_numbers():
    found = pair_stability(wall(np.nan), wall(10.0), CAMERA, STILL)
    assert found.pixels == 0 and math.isnan(found.median) and math.isnan(found.p90)


def pair(median, p90, modes=(PREDICTED, PREDICTED), pixels=100):
    return PairStability(pixels, median, p90, modes)


def test_pairs_have_the_same_weight_and_changes_of_mode_are_told_apart():
    pairs = [
        pair(0.01, 0.1, pixels=1),
        pair(0.30, 0.5, (COMPLETED, PREDICTED)),
        pair(0.02, 0.2, (COMPLETED, COMPLETED)),
        pair(0.20, 0.9, (PREDICTED, COMPLETED)),
        pair(0.03, 0.3),
    ]
    found = temporal_stability(iter(pairs))
    assert (found.all_pairs.pairs, found.all_pairs.median, found.all_pairs.p90) == (5, 0.03, 0.3)
    assert found.mode_changes is not None
    assert (found.mode_changes.pairs, found.mode_changes.median, found.mode_changes.p90) == (2, 0.25, 0.7)


def test_pairs_without_a_common_pixel_are_counted_and_in_no_median():
    nothing = pair(float("nan"), float("nan"), (COMPLETED, PREDICTED), pixels=0)
    found = temporal_stability([pair(0.01, 0.1), nothing])
    assert (found.all_pairs.pairs, found.all_pairs.median, found.without_pixels) == (1, 0.01, 1)
    assert found.mode_changes is None
    with pytest.raises(DataError, match="got 1 pairs without a common pixel"):
        temporal_stability([nothing])


def test_json_can_hold_the_result():
    found = temporal_stability([pair(0.01, 0.1), pair(0.3, 0.5, (COMPLETED, PREDICTED))])
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == {
        "all_pairs": {"pairs": 2, "median": pytest.approx(0.155), "p90": pytest.approx(0.3)},
        "mode_changes": {"pairs": 1, "median": 0.3, "p90": 0.5},
        "without_pixels": 0,
    }


@pytest.mark.parametrize("name", ["previous_m", "current_m"])
def test_a_depth_of_another_shape_than_the_camera_is_refused_by_name(name):
    given = {"previous_m": wall(10.0), "current_m": wall(10.0)}
    given[name] = given[name][:, :30]
    with pytest.raises(DataError, match=rf"{name}: expected the shape \(24, 32\) of its camera, got \(24, 30\)"):
        pair_stability(**given, camera=CAMERA, T_current_previous=STILL)


def test_a_motion_that_is_no_finite_4x4_matrix_is_refused():
    with pytest.raises(DataError, match=r"T_current_previous: expected finite numbers \(4, 4\), got \(3, 4\)"):
        warped_to_current(wall(10.0), CAMERA, STILL[:3])
    with pytest.raises(DataError, match="T_current_previous: expected finite numbers"):
        warped_to_current(wall(10.0), CAMERA, STILL * np.nan)
