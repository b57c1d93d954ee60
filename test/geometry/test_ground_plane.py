# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.ground_plane import GroundPlane, NoGround, fit_ground_plane

CAMERA = PinholeCamera(160, 48, 90.0, 90.0, 79.5, 23.5)
UP = np.array([0.0, -1.0, 0.0])


def street(height_m: float = 1.5, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    """Depth of an endless ground, closed by a wall at 30 m; float32 [H, W]."""
    pitch, roll = np.deg2rad(pitch_deg), np.deg2rad(roll_deg)
    normal = np.array([-np.sin(roll), -np.cos(pitch) * np.cos(roll), -np.sin(pitch)])
    normal /= np.linalg.norm(normal)
    with np.errstate(divide="ignore"):
        depth_m = -height_m / (CAMERA.rays() @ normal)
    return np.where((depth_m > 0) & (depth_m < 30.0), depth_m, 30.0).astype(np.float32)


def fit(depth_m: np.ndarray) -> GroundPlane | NoGround:
    return fit_ground_plane(CAMERA.unproject(depth_m).reshape(-1, 3), UP)


@pytest.mark.parametrize("factor", [1.0, 0.6, 17.0])
def test_the_height_comes_in_the_unit_of_the_depth(factor):
    plane = fit(street() * np.float32(factor))
    assert isinstance(plane, GroundPlane)
    assert plane.height == pytest.approx(1.5 * factor, rel=1e-3) and plane.spread < 1e-3


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(3.0, 0.0), (-2.0, 0.0), (0.0, 3.0), (2.0, -4.0)])
def test_pitch_and_roll_are_found_with_their_sign(pitch_deg, roll_deg):
    plane = fit(street(pitch_deg=pitch_deg, roll_deg=roll_deg))
    assert isinstance(plane, GroundPlane)
    assert np.rad2deg([plane.pitch_rad, plane.roll_rad]) == pytest.approx([pitch_deg, roll_deg], abs=0.05)
    assert plane.height == pytest.approx(1.5, rel=2e-3)


def test_ground_that_rises_ahead_has_a_positive_pitch():
    x, z = np.meshgrid(np.linspace(-3, 3, 20), np.linspace(4, 20, 20))
    points = np.stack([x, 1.5 - 0.05 * z, z], axis=-1).reshape(-1, 3)
    plane = fit_ground_plane(points, UP)
    assert isinstance(plane, GroundPlane) and plane.pitch_rad == pytest.approx(0.05, rel=0.01)


def test_cars_and_noise_do_not_move_the_plane():
    random = np.random.default_rng(1)
    depth_m = street() * random.normal(1.0, 0.03, (48, 160)).astype(np.float32)
    depth_m[30:44, 20:60] = 5.0
    depth_m[28:36, 100:130] = 9.0
    plane = fit(depth_m)
    assert isinstance(plane, GroundPlane)
    assert plane.height == pytest.approx(1.5, rel=0.01) and abs(plane.pitch_rad) < 0.01


@pytest.mark.parametrize(
    ("depth_m", "reason"),
    [
        (np.full((48, 160), 8.0, np.float32), "no_plane_that_level"),
        (street(pitch_deg=20.0), "no_plane_that_level"),
        (np.full((48, 160), np.nan, np.float32), "too_few_points_below_horizon"),
        (np.random.default_rng(0).uniform(2, 30, (48, 160)).astype(np.float32), "too_few_points_on_ground"),
    ],
)
def test_what_is_not_credible_is_rejected_with_a_reason(depth_m, reason):
    assert fit(depth_m) == NoGround(reason)


def test_the_same_points_give_the_same_plane():
    first, second = fit(street()), fit(street())
    assert isinstance(first, GroundPlane) and isinstance(second, GroundPlane) and first.height == second.height
