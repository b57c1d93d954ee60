# SPDX-License-Identifier: Apache-2.0
"""Surface noise and patterns."""

import numpy as np
import pytest

from mono_depth_ros.synthetic.render.textures import Material, Pattern, albedo, material_table, noise
from mono_depth_ros.synthetic.street.road import RoadPaint, RoadPath


def test_noise_is_smooth_bounded_and_periodic() -> None:
    points = np.random.default_rng(0).uniform(0, 32, (3, 2000)).astype(np.float32)
    values = noise(points)
    assert np.abs(values).max() <= 1.0
    assert values.std() > 0.1
    np.testing.assert_allclose(noise(points + np.float32(32.0)), values, atol=1e-3)
    assert np.abs(noise(points + np.float32(0.01)) - values).max() < 0.1


def _albedo(material: Material, local: np.ndarray, footprint: float) -> np.ndarray:
    index = np.zeros(local.shape[1], np.int32)
    return albedo(material_table((material,)), index, local, local[:2], np.full(local.shape[1], footprint, np.float32))


def test_detail_fades_with_distance() -> None:
    local = np.random.default_rng(1).uniform(0, 10, (3, 4000)).astype(np.float32)
    material = Material((0.5,) * 3, (0.5,) * 3, frequency=1.0, octaves=5, roughness=0.8)
    near, far = _albedo(material, local, 0.001).std(), _albedo(material, local, 2.0).std()
    assert far < 0.7 * near


def test_checks_alternate_and_fade_to_their_mean() -> None:
    local = np.array([[0.5, 1.5, 0.5], [0.5, 0.5, 1.5], [0.0, 0.0, 0.0]], np.float32)
    material = Material(
        (0.8,) * 3, (0.8,) * 3, roughness=0.0, pattern=Pattern.CHECKS, pattern_size_m=(1.0, 1.0), pattern_rgb=(0.2,) * 3
    )
    np.testing.assert_allclose(_albedo(material, local, 0.001)[0], [0.2, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(_albedo(material, local, 50.0)[0], [0.5, 0.5, 0.5], atol=1e-6)


def test_road_paint_follows_the_winding_centre_line() -> None:
    path = RoadPath((12.0, 0.0), (150.0, 90.0), (0.3, 0.0))
    paint = RoadPaint(
        path, half_width_m=4.0, sidewalk_m=2.0, line_rgb=(1.0,) * 3, sidewalk_rgb=(0.6,) * 3, verge_rgb=(0.1,) * 3
    )
    material = Material((0.3,) * 3, (0.3,) * 3, roughness=0.0, pattern=Pattern.GROUND, ground=paint)
    for x, expected in ((40.0, 0.3), (75.0, 0.3)):
        spots = np.stack([path.pose(x, lateral)[:3, 3] for lateral in (2.0, -2.0, 5.3, 9.0, 3.75)], axis=1).astype(
            np.float32
        )
        colours = _albedo(material, spots, 0.2)[0]
        np.testing.assert_allclose(colours[:2], expected, atol=1e-5)  # asphalt
        assert colours[2] == pytest.approx(0.6)  # sidewalk
        assert 0.03 < colours[3] < 0.2  # verge: grass and soil
        assert colours[4] > 0.4  # the edge line
