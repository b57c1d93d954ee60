# SPDX-License-Identifier: Apache-2.0
"""A rig of cameras from plain values, as a YAML file has them; every problem is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distorted_rays
from mono_depth_ros.synthetic.sensors.camera_rig import MAX_SIDE_PX, MIN_SIDE_PX, CameraMount, check_rig, pinhole

_FOCAL = ("fx_px", "fy_px", "cx_px", "cy_px")
_ANGLES = ("yaw_deg", "pitch_deg", "roll_deg")
_KEYS = ("name", "size", "fov_deg", *_FOCAL, "position_m", *_ANGLES, "distortion")
_USUAL_FOV_DEG = 81.0


def rig_from_values(values: Mapping[Any, Any]) -> tuple[CameraMount, ...]:
    """The rig that a mapping describes.

    Args:
        values: `cameras`, a list of mappings: `name`, `size` [width, height], `position_m` [x, y, z] in base_link, and
            if need be `yaw_deg`, `pitch_deg`, `roll_deg`, `distortion` [k1, k2, p1, p2, k3], and either `fov_deg`
            (horizontal) or all of `fx_px`, `fy_px`, `cx_px`, `cy_px`.

    Raises:
        ConfigError: unknown or missing keys, wrong types, cameras that cannot be; all of them in one message.

    >>> rig_from_values({"cameras": [{"name": "nose", "size": [64, 48], "position_m": [1, 0, 1]}]})[0].camera.cx_px
    31.5
    """
    problems = [f"{key}: unknown, expected cameras" for key in values if key != "cameras"]
    entries = values.get("cameras")
    if not isinstance(entries, list) or not entries:
        problems.append(f"cameras: expected a list of cameras, got {entries!r}")
        entries = []
    made = [_camera(entry, f"cameras[{at}]", problems) for at, entry in enumerate(entries)]
    rig = tuple(mount for mount in made if mount is not None)
    if not problems:
        problems += check_rig(rig)
    if problems:
        raise ConfigError("; ".join(problems))
    return rig


def _camera(values: Any, name: str, problems: list[str]) -> CameraMount | None:
    """One camera, or None with `problems` extended."""
    if not isinstance(values, dict):
        problems.append(f"{name}: expected a mapping such as {{name: camera_left, ...}}, got {values!r}")
        return None
    before = len(problems)
    for key in values:
        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, 1)
            known = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KEYS)}"
            problems.append(f"{name}.{key}: unknown; {known}")
    size = _numbers(values, "size", 2, name, problems)
    position = _numbers(values, "position_m", 3, name, problems)
    lens = _numbers({"distortion": [0] * 5, **values}, "distortion", 5, name, problems)
    angles = [_number(values, key, 0.0, name, problems) for key in _ANGLES]
    focal = [_number(values, key, 0.0, name, problems) for key in _FOCAL if key in values]
    fov_deg = _number(values, "fov_deg", _USUAL_FOV_DEG, name, problems)
    if focal and (len(focal) < len(_FOCAL) or "fov_deg" in values):
        problems.append(f"{name}: expected fov_deg, or all of {', '.join(_FOCAL)}")
    if len(problems) > before:
        return None
    try:
        width_px, height_px = _side(size[0]), _side(size[1])
        camera = PinholeCamera(width_px, height_px, *focal) if focal else pinhole(width_px, height_px, fov_deg)
        distortion = Distortion(*lens) if any(lens) else None
        if distortion is not None:
            distorted_rays(camera, distortion)  # a lens that folds back is refused here
        mount = (position[0], position[1], position[2])
        yaw_deg, pitch_deg, roll_deg = angles
        return CameraMount(str(values.get("name")), camera, mount, yaw_deg, pitch_deg, roll_deg, distortion)
    except (ConfigError, DataError) as error:
        problems.append(f"{name}: {error}")
        return None


def _side(number: float) -> int:
    if number != int(number) or not MIN_SIDE_PX <= number <= MAX_SIDE_PX:
        raise ConfigError(f"size: expected whole sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, got {number:g}")
    return int(number)


def _numbers(values: Mapping[Any, Any], key: str, count: int, name: str, problems: list[str]) -> list[float]:
    found = values.get(key)
    if not isinstance(found, list) or len(found) != count or not all(_is_number(item) for item in found):
        problems.append(f"{name}.{key}: expected a list of {count} numbers, got {found!r}")
        return [0.0] * count
    return [float(item) for item in found]


def _number(values: Mapping[Any, Any], key: str, usual: float, name: str, problems: list[str]) -> float:
    found = values.get(key, usual)
    if not _is_number(found):
        problems.append(f"{name}.{key}: expected a number, got {found!r}")
        return usual
    return float(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
