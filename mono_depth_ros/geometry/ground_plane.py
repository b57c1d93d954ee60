# SPDX-License-Identifier: Apache-2.0
"""The ground below a camera, as a plane through points that may be of any scale.

On a plane, inverse depth is linear in the pixel: with the ray r (z = 1), the unit normal n (up) and the camera's
height h, every point p = d r has n.p = -h, so that 1 / d = -(n / h).r. The three numbers n / h are fitted by RANSAC
(Fischler and Bolles, CACM 1981) and least squares with Tukey's weights; h comes in the unit of the depth.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import PinholeCamera, Points

Float64 = npt.NDArray[np.float64]
_ROUNDS = 8
_TUKEY = 4.685  # 95 % of the efficiency of least squares under normal errors
_TRIAL_POINTS = 400
_BELOW_HORIZON = 0.03  # rays less steep (about 2 degrees) tell nothing about the height


@dataclass(frozen=True, slots=True)
class GroundPolicy:
    """What is believed to be the ground.

    Attributes:
        tolerance: share of the camera's height by which a point may lie above or below the plane. That is also the
            relative error of a depth.
        min_share: of the points below the horizon that lie on the plane.
        min_points: on the plane.
        max_tilt_rad: largest angle between the plane's normal and what is expected.
        max_spread: of the relative depth errors on the plane.
        trials: of RANSAC, with a fixed seed: the same points give the same plane.
        max_points: more are thinned out evenly.
    """

    tolerance: float = 0.1
    min_share: float = 0.3
    min_points: int = 40
    max_tilt_rad: float = float(np.deg2rad(12.0))
    max_spread: float = 0.06
    trials: int = 96
    max_points: int = 2000


DEFAULT_GROUND_POLICY = GroundPolicy()


@dataclass(frozen=True, slots=True, eq=False)
class GroundPlane:
    """The ground, in the frame of the points.

    Attributes:
        normal: float64 [3], unit, upwards.
        height: of the camera above the plane, in the unit of the points.
        pitch_rad: how far the ground ahead is tilted towards the camera (uphill positive) against what is expected.
        roll_rad: how far the ground rises to the right, likewise.
        share: of the points below the horizon that lie on the plane.
        spread: robust standard deviation of their relative depth errors.
        points: that lie on the plane.
    """

    normal: Float64
    height: float
    pitch_rad: float
    roll_rad: float
    share: float
    spread: float
    points: int


@dataclass(frozen=True, slots=True)
class NoGround:
    """Why no plane is believed: a searchable reason."""

    reason: str


def fit_ground_plane(
    points_m: Points, up: Float64, policy: GroundPolicy = DEFAULT_GROUND_POLICY
) -> GroundPlane | NoGround:
    """The ground among the points below the horizon.

    Args:
        points_m: float32 [N, 3] in an optical frame (z forward), any unit; rows with NaN are left out.
        up: float64 [3], unit, where up is expected in that frame.
        policy: what is believed.

    >>> x, z = np.meshgrid(np.linspace(-3, 3, 20), np.linspace(4, 20, 20))
    >>> plane = fit_ground_plane(np.stack([x, np.full_like(x, 1.5), z], axis=-1).reshape(-1, 3), np.array([0, -1.0, 0]))
    >>> round(plane.height, 6), round(plane.pitch_rad, 6)
    (1.5, 0.0)
    """
    rays, inverse = _below_horizon(points_m, up, policy.max_points)
    if len(rays) < policy.min_points:
        return NoGround("too_few_points_below_horizon")
    best = _best_trial(rays, inverse, up, policy)
    if best is None:
        return NoGround("no_plane_that_level")
    gradient, error = _refine(rays, inverse, best, policy.tolerance)
    on_plane = np.abs(error) < policy.tolerance
    length = float(np.linalg.norm(gradient))
    normal = gradient / length
    share, count = float(on_plane.mean()), int(on_plane.sum())
    if float(normal @ up) < np.cos(policy.max_tilt_rad):
        return NoGround("ground_too_tilted")
    if count < policy.min_points or share < policy.min_share:
        return NoGround("too_few_points_on_ground")
    spread = 1.4826 * float(np.median(np.abs(error[on_plane])))
    if spread > policy.max_spread:
        return NoGround("ground_too_rough")
    pitch_rad, roll_rad = _tilt(normal, up)
    return GroundPlane(normal, 1.0 / length, pitch_rad, roll_rad, share, spread, count)


def plane_of_pixels(gradient: Float64, camera: PinholeCamera) -> Float64:
    """(a, b, c) float64 [3] with inverse depth = a * column + b * row + c on the plane.

    Args:
        gradient: n / h, float64 [3], in the optical frame: upward unit normal over the camera's height.
        camera: of the pixels.

    >>> level = plane_of_pixels(np.array([0.0, -1.0, 0.0]) / 1.5, PinholeCamera(640, 192, 300.0, 300.0, 320.0, 96.0))
    >>> np.round(1.0 / (level @ [320.0, 126.0, 1.0]), 6)  # thirty rows below the middle: 300 / 30 * 1.5 m
    np.float64(15.0)
    """
    a, b = -gradient[0] / camera.fx_px, -gradient[1] / camera.fy_px
    return np.array([a, b, -gradient[2] - a * camera.cx_px - b * camera.cy_px])


def _below_horizon(points_m: Points, up: Float64, max_points: int) -> tuple[Float64, Float64]:
    """Rays float64 [N, 3] with z = 1 that go down, and inverse depths float64 [N]."""
    points = points_m.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        rays = points / points[:, 2:]
        down = np.isfinite(rays).all(axis=1) & (points[:, 2] > 0) & (rays @ up < -_BELOW_HORIZON)
    index = np.flatnonzero(down)
    if len(index) > max_points:
        index = index[np.linspace(0, len(index) - 1, max_points).astype(np.int64)]
    return rays[index], 1.0 / points[index, 2]


def _best_trial(rays: Float64, inverse: Float64, up: Float64, policy: GroundPolicy) -> Float64 | None:
    """n / h of the trial with most points on its plane, float64 [3]; None if no trial is level."""
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(rays), (policy.trials, 3))
    corners = rays[chosen]  # [T, 3, 3]
    regular = np.abs(np.linalg.det(corners)) > 1e-5
    if not regular.any():
        return None
    gradients = np.linalg.solve(corners[regular], -inverse[chosen[regular]][..., None])[..., 0]
    length = np.linalg.norm(gradients, axis=1)
    level = (gradients @ up) > np.cos(policy.max_tilt_rad) * length
    gradients = gradients[level & (length > 0)]
    if not len(gradients):
        return None
    # A part of the points is enough to tell a good plane from a bad one.
    rays, inverse = rays[:: 1 + len(rays) // _TRIAL_POINTS], inverse[:: 1 + len(rays) // _TRIAL_POINTS]
    # -(n / h).r / (1 / d) is the ratio of a point's depth to that of the plane along its ray.
    error = -(gradients @ rays.T) / inverse - 1.0
    best: Float64 = gradients[int(np.argmax((np.abs(error) < policy.tolerance).sum(axis=1)))]
    return best


def _refine(rays: Float64, inverse: Float64, gradient: Float64, tolerance: float) -> tuple[Float64, Float64]:
    """Least squares of relative errors with Tukey's weights; n / h and the relative depth errors."""
    design = -rays / inverse[:, None]
    error = design @ gradient - 1.0
    for _ in range(_ROUNDS):
        near = np.abs(error)[np.abs(error) < tolerance]
        # Points at the foot of a wall are within the tolerance too; where the ground is smooth they stand out.
        limit = min(1.5 * tolerance, max(0.005, _TUKEY * 1.4826 * float(np.median(near)))) if len(near) else tolerance
        root = np.clip(1.0 - (error / limit) ** 2, 0.0, None)
        if np.count_nonzero(root) < 3:
            break
        gradient = np.asarray(np.linalg.lstsq(design * root[:, None], root, rcond=None)[0], np.float64)
        error = design @ gradient - 1.0
    return gradient, error


def _tilt(normal: Float64, up: Float64) -> tuple[float, float]:
    """Pitch and roll of a normal against ``up`` (rad), about the horizontal axes of an optical frame."""
    forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    # Ground that rises ahead has a normal that leans back.
    return float(-np.arcsin(np.clip(normal @ forward, -1, 1))), float(-np.arcsin(np.clip(normal @ right, -1, 1)))
