# SPDX-License-Identifier: Apache-2.0
"""What falls between camera and world: rain as streaks, snow as flakes. It is in the picture, never in the depth."""

from __future__ import annotations

import cv2
import numpy as np

from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.world import Float32

_DROPS, _FLAKES = 0.004, 0.006  # per pixel, at the strongest


def fallen(light: Light, colour: Float32, time_s: float) -> Float32:
    """A picture with rain and snow before it; another instant, other drops.

    Args:
        light: how much falls.
        colour: float32 [3, H, W], linear.
        time_s: instant of the picture.

    Returns:
        float32 [3, H, W]; the same array where nothing falls.
    """
    if light.rain <= 0 and light.snow_fall <= 0:
        return colour
    rng = np.random.default_rng([light.seed, 11, round(abs(time_s) * 1e3)])
    _, height, width = colour.shape
    veil = np.zeros((height, width), dtype=np.float32)
    slant = float(np.random.default_rng([light.seed, 12]).normal(0.0, 0.15))
    if light.rain > 0:
        # near drops are long, bright and few
        for u, v, near in rng.uniform(size=(int(light.rain * _DROPS * height * width), 3)):
            long_px = height * (0.02 + 0.1 * near**2)
            start = (int(u * width * 16), int(v * height * 16))
            end = (start[0] + int(16 * slant * long_px), start[1] + int(16 * long_px))
            cv2.line(veil, start, end, 0.1 + 0.25 * near, 1, cv2.LINE_AA, 4)
    if light.snow_fall > 0:
        for u, v, near in rng.uniform(size=(int(light.snow_fall * _FLAKES * height * width), 3)):
            radius_px = height * (0.002 + 0.012 * near**4)
            centre = (int(u * width * 16), int(v * height * 16))
            cv2.circle(veil, centre, int(16 * radius_px), 0.4 + 0.4 * near, -1, cv2.LINE_AA, 4)
    veil = cv2.GaussianBlur(veil, (0, 0), 0.7)
    bright = np.float32(0.85 * max(light.horizon_rgb))
    return np.asarray(colour + veil * np.maximum(bright - colour, 0.0), dtype=np.float32)
