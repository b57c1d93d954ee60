# SPDX-License-Identifier: Apache-2.0
"""The plane of the ground as training gives it to a network: fitted to the truth, then as wrong as on a robot."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.ground_plane import GroundPlane, GroundPolicy, fit_ground_plane, plane_of_pixels
from mono_depth_ros.networks.lite_san import SURE_OF_MOUNT

Rng = np.random.Generator
UNKNOWN = np.zeros(4, np.float32)
_STEP_PX = 5  # every so many rows and columns are looked at
_FARTHEST = 60.0
_POLICY = GroundPolicy(tolerance=0.05, min_share=0.15, max_tilt_rad=float(np.deg2rad(25.0)), trials=48, max_points=800)
_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True, slots=True)
class GroundHints:
    """How often a plane is given, and how wrong.

    Attributes:
        share: of the batches in which planes are given at all.
        known: share of the images of those with one, where there is a ground.
        measured: share of these whose plane is as good as one through LiDAR points; the others are as mounts tell it.
        height_sigma, pitch_sigma_rad, roll_sigma_rad: of the latter; a tenth of that for the former.
    """

    share: float = 0.0
    known: float = 0.7
    measured: float = 0.4
    height_sigma: float = 0.05
    pitch_sigma_rad: float = 0.02
    roll_sigma_rad: float = 0.01

    def __post_init__(self) -> None:
        if not all(0.0 <= value <= 1.0 for value in (self.share, self.known, self.measured)):
            raise ConfigError(f"ground: expected shares of 0..1, got {self.share}, {self.known}, {self.measured}")


def ground_of(
    rng: Rng, depth: npt.NDArray[np.float32], camera: PinholeCamera, hints: GroundHints
) -> npt.NDArray[np.float32]:
    """A plane float32 [4] for `LiteSan`, in the unit of the depth; UNKNOWN where there is no ground, or by chance.

    Args:
        rng: source of randomness.
        depth: float32 [H, W], truth.
        camera: of the image.
        hints: how often and how wrong.
    """
    if rng.uniform() >= hints.known:
        return UNKNOWN
    sparse = np.full_like(depth, np.nan)
    half = depth.shape[0] // 3
    chosen = (slice(half, None, _STEP_PX), slice(None, None, _STEP_PX))
    sparse[chosen] = depth[chosen]
    sparse[~(sparse < _FARTHEST)] = np.nan
    points = camera.rays()[np.isfinite(sparse)] * sparse[np.isfinite(sparse)][:, None]
    plane = fit_ground_plane(points, _UP, _POLICY)
    if not isinstance(plane, GroundPlane):
        return UNKNOWN
    measured = rng.uniform() < hints.measured
    wrong = 0.1 if measured else 1.0
    gradient = plane.normal / plane.height * np.exp(rng.normal(0.0, wrong * hints.height_sigma))
    gradient = gradient + np.linalg.norm(gradient) * np.array(
        [rng.normal(0.0, wrong * hints.roll_sigma_rad), 0.0, rng.normal(0.0, wrong * hints.pitch_sigma_rad)]
    )
    of_pixels = plane_of_pixels(gradient, camera)
    return np.append(of_pixels, 1.0 if measured else SURE_OF_MOUNT).astype(np.float32)
