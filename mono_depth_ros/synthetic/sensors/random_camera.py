# SPDX-License-Identifier: Apache-2.0
"""Cameras as robots carry them: wide ranges of lens, height and tilt, and of what sensor and lens do to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import PinholeCamera

Float64 = npt.NDArray[np.float64]
Rng = np.random.Generator

SET_POINT = 0.11  # linear brightness that automatic exposure brings the middle of a picture to

# columns: camera x (right), y (down), z (forward) in a body frame with x forward, y left, z up
_R_body_optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, slots=True)
class CameraRanges:
    """Where random cameras are drawn from.

    Args:
        fov_deg: horizontal field of view, uniform.
        height_m: above the ground, uniform.
        pitch_sigma_rad, roll_sigma_rad: normal.
        yaw_sigma_rad: normal, off the direction of travel.
        anywhere_share: share of the cameras that look in any direction instead.
        centre_jitter: principal point off the middle, sigma as a share of the image size.
        pixel_aspect: fy / fx, log-uniform; the run time stretches images of any aspect to the network's size.
    """

    fov_deg: tuple[float, float] = (45.0, 110.0)
    height_m: tuple[float, float] = (0.6, 2.8)
    pitch_sigma_rad: float = 0.08
    roll_sigma_rad: float = 0.04
    yaw_sigma_rad: float = 0.3
    anywhere_share: float = 0.25
    centre_jitter: float = 0.03
    pixel_aspect: tuple[float, float] = (0.45, 1.3)


def random_camera(rng: Rng, width_px: int, height_px: int, ranges: CameraRanges) -> PinholeCamera:
    """A pinhole camera for an image of this size."""
    fov = np.deg2rad(rng.uniform(*ranges.fov_deg))
    fx = 0.5 * width_px / np.tan(0.5 * fov)
    # half of the cameras near square pixels, where most real ones lie
    aspect = np.exp(rng.uniform(*np.log(ranges.pixel_aspect))) if rng.uniform() < 0.5 else np.exp(rng.normal(0.0, 0.05))
    cx, cy = (rng.normal(0.5, ranges.centre_jitter, 2) * (width_px, height_px)) - 0.5
    return PinholeCamera(width_px, height_px, float(fx), float(fx * aspect), float(cx), float(cy))


def camera_pose(position_m: Float64, yaw_rad: float, pitch_rad: float, roll_rad: float) -> Float64:
    """float64 [4, 4] T_world_camera of an optical frame: yaw to the left, pitch nose down, roll right side down."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw_rad, pitch_rad, roll_rad) for f in (np.cos, np.sin))
    yaw = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
    pitch = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
    roll = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = yaw @ pitch @ roll @ _R_body_optical
    T_world_camera[:3, 3] = position_m
    return T_world_camera


def random_camera_pose(rng: Rng, ground_m: Float64, heading_rad: float, ranges: CameraRanges) -> Float64:
    """float64 [4, 4] T_world_camera of a random camera above a ground point, looking roughly along a heading."""
    ahead = rng.uniform() >= ranges.anywhere_share
    yaw = heading_rad + (rng.normal(0.0, ranges.yaw_sigma_rad) if ahead else rng.uniform(-np.pi, np.pi))
    position = ground_m + np.array([0.0, 0.0, rng.uniform(*ranges.height_m)])
    return camera_pose(position, yaw, rng.normal(0.0, ranges.pitch_sigma_rad), rng.normal(0.0, ranges.roll_sigma_rad))


def random_photometry(
    rng: Rng, image_rgb: npt.NDArray[np.uint8], noise_rng: Rng | None = None, exposed: bool = False
) -> npt.NDArray[np.uint8]:
    """What a random lens and sensor make of a picture: vignetting, exposure, blur, shot and read noise.

    Args:
        rng: source of randomness; the same state gives the same lens and sensor.
        image_rgb: uint8 [H, W, 3].
        noise_rng: where the noise comes from, when it shall differ between images of one sensor; None takes `rng`.
        exposed: the picture was rendered with an exposure of its own (`AutoExposure`), which is kept.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = image_rgb.shape[:2]
    linear = (image_rgb.astype(np.float32) / 255.0) ** np.float32(2.2)
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    radius2 = ((u / width - 0.5) ** 2 + (v / height - 0.5) ** 2) * 2.0
    linear *= (1.0 - rng.uniform(0.0, 0.5) * radius2)[..., None]
    # auto-exposure brings the middle of the picture near a set point, and often misses it: skies burn out
    wanted, eager = SET_POINT * float(np.exp(rng.normal(0.0, 0.45))), float(rng.uniform(0.6, 1.0))
    if exposed:
        linear *= np.float32(wanted / SET_POINT)
    else:
        linear *= 1.0 + 3.0 * linear**4  # what is nearly white in the rendering was brighter still
        level = float(np.exp(np.log(linear.mean(axis=2) + 1e-3).mean())) + 1e-3
        linear *= np.float32(np.clip((wanted / level) ** eager, 0.15, 6.0))
    linear *= np.exp(rng.normal(0.0, 0.06, 3)).astype(np.float32)  # white balance
    if rng.uniform() < 0.4:
        linear = cv2.GaussianBlur(linear, (0, 0), sigmaX=float(rng.uniform(0.25, 0.9)))
    noise = (rng if noise_rng is None else noise_rng).normal(0.0, 1.0, linear.shape).astype(np.float32)
    noisy = linear + noise * np.sqrt(
        np.float32(rng.uniform(0.0, 0.0008)) * np.clip(linear, 0.0, 1.0) + np.float32(rng.uniform(0.0, 0.006) ** 2)
    )
    return np.asarray(_developed(rng, np.clip(noisy, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)


def _developed(rng: Rng, linear: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a camera's own software does to linear colours [H, W, 3]: colour strength, gamma, an s-shaped tone curve."""
    grey = linear.mean(axis=2, keepdims=True)
    vivid = np.clip(grey + np.float32(rng.uniform(0.75, 1.3)) * (linear - grey), 0.0, 1.0)
    tones = vivid ** np.float32(1 / 2.2)
    curved = tones * tones * (3.0 - 2.0 * tones)
    black = np.float32(rng.uniform(0.0, 0.05))
    toned = tones + np.float32(rng.uniform(0.2, 1.0)) * (curved - tones)
    return np.asarray(np.clip((toned - black) / (1.0 - black), 0.0, 1.0), dtype=np.float32)
