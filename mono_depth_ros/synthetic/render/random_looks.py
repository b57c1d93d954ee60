# SPDX-License-Identifier: Apache-2.0
"""Random colours, materials and light, drawn widely: a model that saw one look learns that look, not depth."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np

from mono_depth_ros.synthetic.render.light import Light
from mono_depth_ros.synthetic.render.textures import Material, Pattern, Rgb

Rng = np.random.Generator


def random_rgb(rng: Rng, saturation: float = 0.6, dark: float = 0.05, bright: float = 0.9) -> Rgb:
    """A random linear colour; most real surfaces are dull, so saturation is skewed towards 0."""
    value = dark + (bright - dark) * rng.uniform() ** 1.6  # and most are dark
    return colorsys.hsv_to_rgb(rng.uniform(), saturation * rng.uniform() ** 1.4, value)


def random_material(
    rng: Rng, rgb: Rgb | None = None, pattern: Pattern | None = None, gloss: float | None = None
) -> Material:
    """A random material around a colour: noise of 0.2-16 1/m in 1-5 octaves, sometimes stripes, windows or checks."""
    base = random_rgb(rng) if rgb is None else rgb
    other = random_rgb(rng) if rng.uniform() < 0.3 else _near(rng, base, 0.25)
    if pattern is None:
        choices = (Pattern.NONE, Pattern.WINDOWS, Pattern.STRIPES, Pattern.CHECKS)
        pattern = choices[int(rng.choice(4, p=(0.6, 0.15, 0.15, 0.1)))]
    period = float(np.exp(rng.uniform(np.log(0.3), np.log(5.0))))
    return Material(
        rgb=base,
        blotch_rgb=other,
        frequency=float(np.exp(rng.uniform(np.log(0.2), np.log(3.0)))),
        octaves=int(rng.integers(2, 6)),
        roughness=float(rng.uniform(0.08, 0.9)),
        pattern=pattern,
        pattern_size_m=(period, period * float(rng.uniform(0.5, 2.0))),
        pattern_fill=float(rng.uniform(0.3, 0.75)),
        pattern_rgb=random_rgb(rng, dark=0.02, bright=0.7),
        gloss=float(max(0.0, rng.uniform(-0.5, 0.35))) if gloss is None else gloss,
        gradient=float(rng.normal(0.0, 0.02)),
        seed=int(rng.integers(0, 10_000)),
    )


def _near(rng: Rng, rgb: Rgb, spread: float) -> Rgb:
    red, green, blue = (float(np.clip(c * (1.0 + rng.normal(0.0, spread)), 0.0, 1.0)) for c in rgb)
    return red, green, blue


def random_light(rng: Rng) -> Light:
    """Clear noon to overcast dusk: sun height and warmth, ambient level, clouds, haze."""
    azimuth, height = rng.uniform(0, 2 * np.pi), np.arcsin(rng.uniform(0.12, 0.97))
    overcast = rng.uniform() < 0.28
    strength = rng.uniform(0.0, 0.2) if overcast else rng.uniform(0.8, 2.2)
    warmth = rng.uniform(0.0, 0.35)
    sky_level, ambient = rng.uniform(0.65, 1.1), rng.uniform(0.35, 0.75) if overcast else rng.uniform(0.08, 0.3)
    blue = rng.uniform(0.0, 0.05) if overcast else rng.uniform(0.05, 0.5)
    return Light(
        sun_direction=(
            float(np.cos(azimuth) * np.cos(height)),
            float(np.sin(azimuth) * np.cos(height)),
            float(np.sin(height)),
        ),
        sun_rgb=(strength, strength * (1 - 0.5 * warmth), strength * (1 - warmth)),
        ambient_rgb=(ambient * (1 - 0.3 * blue), ambient, ambient * (1 + 0.3 * blue)),
        horizon_rgb=(sky_level * rng.uniform(0.9, 1.0), sky_level * rng.uniform(0.92, 1.0), sky_level),
        zenith_rgb=(sky_level * (1 - blue), sky_level * (1 - 0.5 * blue), sky_level),
        cloud_cover=float(rng.uniform(0.6, 1.0) if overcast else rng.uniform(0.0, 0.8)),
        haze_m=float(np.exp(rng.uniform(np.log(200.0), np.log(5000.0)))),
        seed=int(rng.integers(0, 10_000)),
    )


def random_street_light(rng: Rng) -> Light:
    """`random_light`, and in one street of four weather or the dark: fog, rain, snow, dusk, night."""
    light = random_light(rng)
    kind = rng.choice(6, p=(0.74, 0.05, 0.07, 0.05, 0.05, 0.04))
    if kind == 0:
        return light
    if kind == 4:
        return _dimmed(light, float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.0, 0.35)))
    if kind == 5:
        return _dimmed(light, float(rng.uniform(0.01, 0.08)), 0.0)
    grey = float(rng.uniform(0.45, 0.85))
    ambient = grey * float(rng.uniform(0.5, 0.8))
    dull = replace(
        light,
        sun_rgb=(0.05, 0.05, 0.05),
        ambient_rgb=(ambient * 0.98, ambient, ambient * 1.03),
        horizon_rgb=(grey * 0.98, grey, grey * 1.02),
        zenith_rgb=(grey * 0.9, grey * 0.93, grey),
        cloud_cover=1.0,
    )
    if kind == 1:
        return replace(dull, haze_m=float(np.exp(rng.uniform(np.log(25.0), np.log(180.0)))))
    if kind == 2:
        return replace(dull, rain=float(rng.uniform(0.1, 1.0)), haze_m=float(rng.uniform(80.0, 600.0)))
    fall = float(max(0.0, rng.uniform(-0.5, 1.0)))
    cover = float(rng.uniform(0.2, 1.0))
    base = dull if fall > 0 else light
    return replace(base, snow_fall=fall, snow_cover=cover, haze_m=float(rng.uniform(100.0, 900.0)))


def _dimmed(light: Light, level: float, sun: float) -> Light:
    """The same sky, darker."""

    def times(rgb: Rgb, factor: float) -> Rgb:
        return rgb[0] * factor, rgb[1] * factor, rgb[2] * factor

    return replace(
        light,
        sun_rgb=times(light.sun_rgb, sun),
        ambient_rgb=times(light.ambient_rgb, level),
        horizon_rgb=times(light.horizon_rgb, level),
        zenith_rgb=times(light.zenith_rgb, level * 0.7),
    )
