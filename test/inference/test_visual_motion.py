# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from analytic_street import T_BASE_CAMERA
from textured_street import CAMERA, motion, pose, view

from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.motion_source import MotionSource
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.inference.visual_motion import NoMotion, VisualMotion, estimate_motion
from mono_depth_ros.perception.scale import MEASURED, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import SensorSnapshot

WRONG = 0.6
FACTOR = 1 / WRONG


def seen_between(previous: np.ndarray, current: np.ndarray, shape: float = 0.0) -> VisualMotion | NoMotion:
    before, _ = view(previous)
    now, depth_m = view(current)
    return estimate_motion(before, now, CAMERA, distorted(WRONG * depth_m, shape), motion(previous, current))


def distorted(depth_m: np.ndarray, shape: float, seed: int = 5) -> np.ndarray:
    """Errors over regions, as networks have them."""
    errors = np.random.default_rng(seed).normal(0.0, shape, (6, 10))
    return (depth_m * np.exp(np.kron(errors, np.ones((16, 16))))).astype(np.float32)


def distance(seen: VisualMotion | NoMotion) -> float:
    assert isinstance(seen, VisualMotion), seen
    return float(np.linalg.norm(seen.T_previous_current[:3, 3]))


@pytest.mark.parametrize("step_m", [0.3, 0.8])
@pytest.mark.parametrize("at_m", [0.0, 20.0, 40.0])
def test_the_distance_comes_in_the_unit_of_the_depth(at_m, step_m):
    seen = seen_between(pose(at_m), pose(at_m + step_m))
    assert distance(seen) == pytest.approx(WRONG * step_m, rel=0.06)
    assert 0 < seen.sigma < 0.1
    # The camera drove ahead, without a turn.
    direction = seen.T_previous_current[:3, 3] / distance(seen)
    assert np.rad2deg(np.arccos(direction[2])) < 3.0
    np.testing.assert_allclose(seen.T_previous_current[:3, :3], np.eye(3), atol=0.01)


def test_sideways_and_turning_motion_is_seen_as_it_is():
    previous, current = pose(3.0), pose(3.5, 0.2, 0.03)
    seen = seen_between(previous, current)
    truth = motion(previous, current)
    np.testing.assert_allclose(seen.T_previous_current[:3, 3], WRONG * truth[:3, 3], atol=0.03)
    np.testing.assert_allclose(seen.T_previous_current[:3, :3], truth[:3, :3], atol=0.005)


def test_sigma_tells_how_wrong_a_depth_of_the_wrong_shape_makes_it():
    errors, sigmas = [], []
    for at_m in np.arange(0.0, 60.0, 5.0):
        before, _ = view(pose(at_m))
        now, depth_m = view(pose(at_m + 0.6))
        wrong_m = distorted(WRONG * depth_m, 0.15, seed=int(at_m))
        seen = estimate_motion(before, now, CAMERA, wrong_m, motion(pose(at_m), pose(at_m + 0.6)))
        errors.append(distance(seen) / (WRONG * 0.6) - 1)
        sigmas.append(seen.sigma)
        assert 0 < seen.depth_sigma <= seen.sigma
    clean = seen_between(pose(0.0), pose(0.6))
    assert np.mean(sigmas) > 1.5 * clean.sigma
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.mean(sigmas) < 2.0


def test_the_same_images_give_the_same_motion():
    first, second = (seen_between(pose(7.0), pose(7.6), shape=0.1) for _ in range(2))
    np.testing.assert_array_equal(first.T_previous_current, second.T_previous_current)
    assert (first.sigma, first.agreeing) == (second.sigma, second.agreeing)


def test_standing_tells_nothing():
    assert seen_between(pose(4.0), pose(4.0)) is NoMotion.STANDING


def test_turning_in_place_tells_nothing():
    # About the camera itself, a metre ahead of the base.
    turned = pose(5.0 - np.cos(0.05), -np.sin(0.05), 0.05)
    assert seen_between(pose(4.0), turned) in (NoMotion.STANDING, NoMotion.UNSURE)


def test_an_image_without_texture_tells_nothing():
    grey = np.full((96, 160, 3), 90, np.uint8)
    _, depth_m = view(pose(0.0))
    assert estimate_motion(grey, grey, CAMERA, depth_m, np.eye(4)) is NoMotion.NO_TEXTURE


def test_a_cut_to_another_place_tells_nothing():
    assert isinstance(seen_between(pose(0.0), pose(37.0, 2.0)), NoMotion)


def test_an_unknown_depth_tells_nothing():
    before, _ = view(pose(0.0))
    now, depth_m = view(pose(0.5))
    unknown = np.full_like(depth_m, np.nan)
    assert estimate_motion(before, now, CAMERA, unknown, motion(pose(0.0), pose(0.5))) is NoMotion.FEW_TRACKS


def with_lead_vehicle(image: np.ndarray, depth_m: np.ndarray, cols: slice, rows: slice) -> None:
    """The back of a vehicle that drives as fast as we do: at the same place in every image."""
    pattern = np.random.default_rng(8).integers(40, 220, (96 // 6, 160 // 6 + 1), dtype=np.uint8)
    texture = np.kron(pattern, np.ones((6, 6), np.uint8))[:96, :160]
    image[rows, cols] = texture[rows, cols, None]
    depth_m[rows, cols] = 6.0


@pytest.mark.parametrize(
    ("cols", "rows", "told"),
    [(slice(60, 100), slice(30, 70), True), (slice(6, 154), slice(8, 92), False)],
    ids=["some way ahead", "all over the view"],
)
def test_a_vehicle_that_drives_ahead_as_fast_as_we_do_does_not_pass_for_standing_ground(cols, rows, told):
    previous, current = pose(2.0), pose(2.6)
    before, before_m = view(previous)
    now, depth_m = view(current)
    with_lead_vehicle(before, before_m, cols, rows)
    with_lead_vehicle(now, depth_m, cols, rows)
    seen = estimate_motion(before, now, CAMERA, WRONG * depth_m, motion(previous, current))
    assert isinstance(seen, VisualMotion) is told
    if told:
        assert distance(seen) == pytest.approx(WRONG * 0.6, rel=0.1)


def snapshot(index: int, step_m: float, T_base_camera: np.ndarray = T_BASE_CAMERA) -> SensorSnapshot:
    """One of a drive straight ahead; odometry and TF believe in T_BASE_CAMERA."""
    image, _ = view(pose(index * step_m), T_base_camera)
    odometry = motion(pose(0.0), pose(step_m)) if index else None
    return SensorSnapshot(
        index * 100_000_000, "camera", image, CAMERA, None, None, odometry, 10 * step_m, (), T_base_camera=T_BASE_CAMERA
    )


def drive(
    images: int, step_m: float = 0.6, every: int = 1, T_base_camera: np.ndarray = T_BASE_CAMERA
) -> tuple[MetricScaler, list[ScaleEstimate]]:
    scaler = MetricScaler(ScalePolicy(order=(ScaleSource.ODOMETRY,)), model_is_metric=False)
    estimates = []
    for index in range(images):
        _, depth_m = view(pose(index * step_m), T_base_camera)
        predicted_m = distorted(WRONG * depth_m, 0.05, seed=index) if index % every == 0 else None
        estimates.append(scaler.update(snapshot(index, step_m, T_base_camera), CAMERA, predicted_m, None))
    return scaler, estimates


def test_without_a_pose_network_the_images_make_the_depth_metric():
    _, estimates = drive(12)
    assert estimates[0].source is ScaleSource.NONE
    assert estimates[-1].source is ScaleSource.ODOMETRY
    assert estimates[-1].value == pytest.approx(FACTOR, rel=0.05)
    assert abs(estimates[-1].value - FACTOR) < 2 * estimates[-1].sigma < 0.3 * FACTOR


def test_a_slow_robot_is_compared_over_several_images_and_a_prediction_now_and_then_is_enough():
    _, estimates = drive(22, step_m=0.11, every=7)
    assert estimates[-1].source is ScaleSource.ODOMETRY
    assert estimates[-1].value == pytest.approx(FACTOR, rel=0.1)


def test_once_sure_only_one_image_in_ten_is_looked_at(monkeypatch):
    looked = []
    original = MotionSource.look

    def counted(self, snapshot, camera, depth_m):  # type: ignore[no-untyped-def]
        looked.append(depth_m is not None)
        return original(self, snapshot, camera, depth_m)

    monkeypatch.setattr(MotionSource, "look", counted)
    drive(40)
    assert all(looked[:3]) and 1 <= sum(looked[-20:]) <= 4


def test_an_odometry_that_stands_still_while_the_images_move_says_why_it_is_silent():
    scaler, _ = drive(3)
    stands = replace(snapshot(3, 0.6), T_previous_current=np.eye(4))
    scaler.update(stands, CAMERA, view(pose(1.8))[1], None)
    assert scaler.motion_refused == "standing"
    scaler.update(replace(snapshot(4, 0.6), T_previous_current=None), CAMERA, view(pose(2.4))[1], None)
    assert scaler.motion_refused == "no_odometry"


def watched(yaw_deg: float, pitch_deg: float = 0.0) -> str:
    """One look per second for half a minute, with a camera that is turned and TF that does not know; the reason."""
    scaler = MetricScaler(ScalePolicy(order=(ScaleSource.ODOMETRY,)), model_is_metric=False)
    yaw, pitch = np.deg2rad([yaw_deg, pitch_deg])
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    mount = T_BASE_CAMERA.copy()
    mount[:3, :3] = about_z @ about_y @ mount[:3, :3]
    for second in range(26):
        for index in (10 * second, 10 * second + 9):
            _, depth_m = view(pose(index * 0.6), mount)
            predicted_m = WRONG * depth_m if index % 10 == 0 else None
            scaler.update(snapshot(index, 0.6, mount), CAMERA, predicted_m, None)
    return scaler.verdict.reason


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(3.0, 0.0), (0.0, -3.0)])
def test_a_camera_that_was_turned_by_three_degrees_is_suspected(yaw_deg, pitch_deg):
    assert watched(yaw_deg, pitch_deg).startswith("camera_turned: ")


def test_a_camera_that_is_where_it_should_be_is_not_suspected():
    assert watched(0.0) == ""


def test_wheels_that_slip_are_named():
    scaler = MetricScaler(ScalePolicy(order=MEASURED, combine="fuse"), model_is_metric=False)
    for second in range(16):
        for index in (10 * second, 10 * second + 9):
            taken = snapshot(index, 0.6)
            if taken.T_previous_current is not None:
                taken.T_previous_current[:3, 3] *= 1.6
            _, depth_m = view(pose(index * 0.6))
            points = project_points(CAMERA.unproject(depth_m)[::8, ::8].reshape(-1, 3), CAMERA)
            scaler.update(taken, CAMERA, WRONG * depth_m if index % 10 == 0 else None, points)
    assert scaler.verdict.reason.startswith("scale_sources_disagree: odometry against the others")
