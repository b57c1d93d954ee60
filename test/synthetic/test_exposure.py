# SPDX-License-Identifier: Apache-2.0
"""Automatic exposure follows the light, late."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.exposure import AutoExposure
from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Shape, Solid, World
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose

GREY = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
SPEED_MPS = 10.0


def _tunnel() -> World:
    """Level ground under the sun, and a roof over x = 40..140 m."""
    roof = np.eye(4)
    roof[:3, 3] = (90.0, 0.0, 6.0)
    light = Light(sun_direction=(0.0, 0.0, 1.0), sun_rgb=(1.0, 1.0, 1.0), ambient_rgb=(0.1, 0.1, 0.1))
    ground = Solid(Shape.PLANE, np.eye(4), (1, 1, 1), GREY)
    return World((ground, Solid(Shape.BOX, roof, (50.0, 30.0, 0.2), GREY)), light)


def _pose(time_s: float) -> np.ndarray:
    return camera_pose(np.array([SPEED_MPS * time_s, 0.0, 1.5]), 0.0, 0.05, 0.0)


def test_in_the_shade_exposure_rises_after_a_while_and_falls_again_in_the_sun() -> None:
    exposure = AutoExposure(_tunnel(), _pose, lag_s=0.8)
    outside, entering, inside = exposure.gain(0.5), exposure.gain(4.2), exposure.gain(9.0)
    assert outside == pytest.approx(exposure.gain(0.0))
    assert outside < entering < 0.7 * inside  # it lags behind
    assert exposure.gain(20.0) == pytest.approx(outside, rel=0.01)


def test_exposure_has_no_jumps_and_does_not_depend_on_the_order_of_asking() -> None:
    times = np.arange(0.0, 12.0, 0.02)
    forward = [AutoExposure(_tunnel(), _pose).gain(float(t)) for t in times[::60]]
    exposure = AutoExposure(_tunnel(), _pose)
    gains = np.array([exposure.gain(float(t)) for t in times])
    assert np.abs(np.diff(np.log(gains))).max() < 0.08
    assert gains[::60].tolist() == forward


def test_fixed_exposure_is_fixed_and_the_picture_follows_the_factor() -> None:
    fixed = AutoExposure(_tunnel(), _pose, strength=0.0)
    assert fixed.gain(5.0) == pytest.approx(fixed.gain(0.0)) == pytest.approx(fixed.gain(9.0))
    camera = PinholeCamera(32, 24, 20.0, 20.0, 15.5, 11.5)
    one, half = (render(_tunnel(), camera, _pose(0.0), exposure=factor).image_rgb[-1] for factor in (1.0, 0.5))
    np.testing.assert_allclose((half / 255.0) ** 2.2, 0.5 * (one / 255.0) ** 2.2, atol=0.01)
    with pytest.raises(ConfigError, match="lag_s > 0"):
        AutoExposure(_tunnel(), _pose, lag_s=0.0)
