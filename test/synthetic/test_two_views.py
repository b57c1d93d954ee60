# SPDX-License-Identifier: Apache-2.0
"""Two views of a world agree: warped by true depth and motion, one looks like the other."""

import cv2
import numpy as np

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.world import World
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.scene import random_street

CAMERA = PinholeCamera(192, 96, 112.0, 112.0, 95.5, 47.5)


def _residual(world: World, T_world_now: np.ndarray, T_world_next: np.ndarray, assumed: np.ndarray) -> float:
    """Mean |now - next warped into now| in grey levels, where next sees the same surface; `assumed` motion warps."""
    now, following = (render(world, CAMERA, T, 0.0, samples=4) for T in (T_world_now, T_world_next))
    points = CAMERA.unproject(now.depth_m).reshape(-1, 3)
    moved = points @ assumed[:3, :3].T + assumed[:3, 3]
    with np.errstate(invalid="ignore"):
        u = (CAMERA.fx_px * moved[:, 0] / moved[:, 2] + CAMERA.cx_px).reshape(96, 192).astype(np.float32)
        v = (CAMERA.fy_px * moved[:, 1] / moved[:, 2] + CAMERA.cy_px).reshape(96, 192).astype(np.float32)
    z = moved[:, 2].reshape(96, 192)
    u_safe, v_safe = np.nan_to_num(u, nan=-9.0), np.nan_to_num(v, nan=-9.0)
    warped = cv2.remap(following.image_rgb, u_safe, v_safe, cv2.INTER_LINEAR).astype(np.float32)
    seen_depth = cv2.remap(following.depth_m, u_safe, v_safe, cv2.INTER_NEAREST)
    inside = (u_safe > 0) & (u_safe < 191) & (v_safe > 0) & (v_safe < 95)
    good = inside & (np.abs(seen_depth / z - 1.0) < 0.03) & (z < 60.0)
    assert good.mean() > 0.3
    return float(np.abs(now.image_rgb.astype(np.float32) - warped)[good].mean())


def test_warping_by_true_depth_and_motion_reproduces_the_image() -> None:
    right, wrong = [], []
    for seed in (2, 4, 9):
        street = random_street(seed)
        poses = [
            street.path.pose(x, street.lane_m) @ camera_pose(np.array([0, 0, 1.5]), 0, 0.05, 0) for x in (20.0, 21.0)
        ]
        T_next_now = invert_rigid(poses[1]) @ poses[0]
        standing = World(tuple(s for s in street.world.solids if s.mover < 0), street.world.light)
        right.append(_residual(standing, poses[0], poses[1], T_next_now))
        wrong.append(_residual(standing, poses[0], poses[1], np.eye(4)))
    assert np.mean(right) < 5.0  # grey levels of 255: interpolation and level of detail
    assert np.mean(right) < 0.6 * np.mean(wrong)
