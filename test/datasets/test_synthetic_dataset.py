# SPDX-License-Identifier: Apache-2.0
"""Rendered training images: which worlds they show, and what their cache is called."""

from dataclasses import replace

import numpy as np
import pytest

from mono_depth_ros.datasets.rendered import rendered_cache as synthetic_dataset
from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticConfig, world_images
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.sensors.random_camera import CameraRanges

SMALL = {"width_px": 64, "height_px": 48, "images_per_world": 2, "shard_images": 2, "samples": 1}


def _depths(chaos: float, indoor: float, worlds: int) -> list[float]:
    config = SyntheticConfig(chaos_share=chaos, indoor_share=indoor, **SMALL)
    return [
        float(np.quantile(image.depth_m[np.isfinite(image.depth_m)], 0.7))
        for index in range(worlds)
        for image in world_images(config, 0, index)
    ]


def test_shares_tell_which_worlds_are_rendered(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    made = []
    for name in ("_chaos_views", "_indoor_views", "_street_views"):
        original = getattr(synthetic_dataset, name)
        monkeypatch.setattr(synthetic_dataset, name, lambda seed, n=name, f=original: made.append(n) or f(seed))
    for shares, expected in (
        ((1.0, 0.0), "_chaos_views"),
        ((0.0, 1.0), "_indoor_views"),
        ((0.0, 0.0), "_street_views"),
    ):
        made.clear()
        assert len(_depths(*shares, 1)) == 2
        assert set(made) == {expected}


def test_images_of_one_world_are_the_same_every_time() -> None:
    config = SyntheticConfig(chaos_share=0.0, **SMALL)
    first, again = (list(world_images(config, 1, 3)) for _ in range(2))
    for image, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(image.image_rgb, same.image_rgb)
        np.testing.assert_array_equal(image.depth_m, same.depth_m)


def test_buildings_are_nearer_than_streets() -> None:
    assert np.median(_depths(0.0, 1.0, 2)) < 8.0 < np.median(_depths(0.0, 0.0, 3))


def test_another_version_of_the_worlds_has_another_cache(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    before = SyntheticConfig().fingerprint()
    assert SyntheticConfig(indoor_share=0.2).fingerprint() != before
    monkeypatch.setattr(synthetic_dataset, "GENERATOR_VERSION", synthetic_dataset.GENERATOR_VERSION + 1)
    assert SyntheticConfig().fingerprint() != before


def test_shares_beyond_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="indoor_share: expected"):
        SyntheticConfig(chaos_share=0.6, indoor_share=0.5)


def _fields_of_view_deg(config: SyntheticConfig) -> list[float]:
    cameras = [image.camera for image in world_images(config, 0, 0)]
    return [float(np.rad2deg(2 * np.arctan(0.5 * camera.width_px / camera.fx_px))) for camera in cameras]


def test_streets_are_seen_from_where_cars_carry_cameras_as_often_as_asked_for_and_chaos_never() -> None:
    driver = CameraRanges(fov_deg=(30.0, 30.0))  # narrower than any other camera
    of_driver = SyntheticConfig(chaos_share=0.0, driver_share=1.0, driver_camera=driver, **SMALL)
    assert _fields_of_view_deg(of_driver) == pytest.approx([30.0, 30.0])
    assert min(_fields_of_view_deg(replace(of_driver, driver_share=0.0))) > 44.0
    assert min(_fields_of_view_deg(replace(of_driver, chaos_share=1.0))) > 44.0
    with pytest.raises(ConfigError, match=r"driver_share: expected 0\.\.1, got 1\.5"):
        SyntheticConfig(driver_share=1.5)
