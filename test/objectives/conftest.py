# SPDX-License-Identifier: Apache-2.0
"""What the tests of objectives share: numbers of the original implementation, and two views of a rendered street."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.textures import Material
from mono_depth_ros.synthetic.render.world import Light, Shape, Solid, World
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.things.props import box, offset, post

if TYPE_CHECKING:
    import torch


@pytest.fixture(scope="session")
def original(shared_data: Path) -> Callable[[str], dict[str, np.ndarray]]:
    """Loads arrays of the original implementation by file; skips where they are absent."""

    def load(name: str) -> dict[str, np.ndarray]:
        path = shared_data / "conformance" / "losses" / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"numbers of the original losses: no file {path}")
        with np.load(path) as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@dataclass(frozen=True)
class View:
    """One rendered view as tensors of a batch of one, float64."""

    rgb: torch.Tensor
    depth_m: torch.Tensor
    T_world_camera: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two views of a street in which nothing moves, and how far the camera stands above the road."""

    target: View
    context: View
    K: torch.Tensor
    T_context_target: torch.Tensor
    height_m: float


def small_street() -> World:
    """Flat ground between two rows of boxes, posts in front of them; nothing moves and nothing is drawn by chance."""

    def material(seed: int) -> Material:
        shade = 0.25 + 0.5 * ((37 * seed) % 11) / 10
        return Material((shade, 0.5, 1 - shade), (0.1, 0.2, 0.15), frequency=0.6, octaves=2, roughness=0.5, seed=seed)

    ground = Solid(Shape.PLANE, np.eye(4), (1.0, 1.0, 1.0), material(1))
    solids = [ground, box(offset(28.0, 0.0, 0.0), (2.0, 12.0, 7.0), material(2))]
    for i in range(6):
        x_m = 3.0 + 4.0 * i
        solids.append(box(offset(x_m, 6.0, 0.0), (3.5, 3.0, 3.0 + i % 3), material(3 + i)))
        solids.append(box(offset(x_m + 1.0, -5.0, 0.0), (3.5, 2.0, 4.0 - i % 3), material(20 + i)))
        solids.append(post(offset(x_m + 1.0, 3.2, 0.0), 0.15, 3.0, material(40 + i)))
    return World(tuple(solids), Light(sun_direction=(0.3, 0.2, 0.93)), ())


@pytest.fixture(scope="session")
def pair() -> Pair:
    """Target and, 0.4 m ahead, 5 cm to the side and turned a little, its neighbour; 48 x 96 pixels."""
    torch = pytest.importorskip("torch")
    street = small_street()
    camera = PinholeCamera(96, 48, 55.0, 52.0, 47.0, 23.0)
    height_m = 1.3
    views = []
    for x_m, y_m, yaw_rad in ((0.0, 0.0, 0.0), (0.4, 0.05, 0.02)):
        T_world_camera = camera_pose(np.array([x_m, y_m, height_m]), yaw_rad, 0.04, 0.02)
        seen = render(street, camera, T_world_camera, samples=4, shadows=False)
        rgb = torch.from_numpy(seen.image_rgb).permute(2, 0, 1)[None].double() / 255.0
        views.append(View(rgb, torch.from_numpy(seen.depth_m)[None, None].double(), T_world_camera))
    T = invert_rigid(views[1].T_world_camera) @ views[0].T_world_camera
    return Pair(views[0], views[1], torch.from_numpy(camera.matrix)[None], torch.from_numpy(T)[None], height_m)
