# SPDX-License-Identifier: Apache-2.0
"""The shipped models lean on their points: where the image says nothing, or something else, they follow them."""

from pathlib import Path

import numpy as np
import pytest

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.street.scene import random_street

pytest.importorskip("onnxruntime")

from mono_depth_ros.inference.engine import OnnxEngine

UNSEEN_SEED = 987_654_321


@pytest.fixture(scope="module", params=["street", "street_full"])
def engine(repository: Path, request: pytest.FixtureRequest) -> OnnxEngine:
    model = repository / "models" / request.param
    if not (model / "model.onnx").is_file():
        pytest.skip(f"the shipped model: no {model / 'model.onnx'}; train it with config/train/{request.param}.yaml")
    return OnnxEngine(model)


@pytest.fixture(scope="module")
def scene(engine: OnnxEngine) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 [H, W, 3] and true depth [H, W] of an unseen street, from a camera of the trained focal length."""
    contract = engine.contract
    focal = contract.trained_fx_px or 0.58 * contract.width_px
    width, height = contract.width_px, contract.height_px
    camera = PinholeCamera(width, height, focal, focal, 0.5 * (width - 1), 0.5 * (height - 1))
    street = random_street(UNSEEN_SEED)
    mount = camera_pose(np.array([0.0, 0.0, 1.6]), 0.0, 0.03, 0.0)
    view = render(street.world, camera, street.path.pose(20.0, street.lane_m) @ mount, 0.0)
    return view.image_rgb, view.depth_m


def _rows(depth: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Every `step`-th image row as points: bvu int64 [N, 3], depth float32 [N]."""
    rows, cols = np.nonzero(
        np.isfinite(depth) & (depth < 60.0) & ((np.arange(len(depth)) % step == step // 2)[:, None])
    )
    return np.stack([np.zeros_like(rows), rows, cols], axis=1), depth[rows, cols]


def _log_ratio(after: np.ndarray, before: np.ndarray) -> float:
    return float(np.median(np.log(after / before)))


def test_points_scaled_by_half_as_much_again_scale_the_depth_alike(engine: OnnxEngine, scene) -> None:  # type: ignore[no-untyped-def]
    image, depth = scene
    bvu, given = _rows(depth, 8)
    known = np.isfinite(depth) & (depth < 40.0)
    plain = engine.infer(image[None], bvu, given)[0][known]
    scaled = engine.infer(image[None], bvu, given * np.float32(1.5))[0][known]
    assert 0.7 * np.log(1.5) < _log_ratio(scaled, plain) < 1.3 * np.log(1.5)


def test_with_an_empty_image_depth_comes_from_the_points(engine: OnnxEngine, scene) -> None:  # type: ignore[no-untyped-def]
    image, depth = scene
    grey = np.full_like(image, 128)[None]
    bvu, given = _rows(depth, 8)
    known = np.isfinite(depth) & (depth < 60.0)
    known[bvu[:, 1], bvu[:, 2]] = False
    nothing = np.zeros((0, 3), np.int64), np.zeros(0, np.float32)
    completed = engine.infer(grey, bvu, given)[0][known]
    blind = engine.infer(grey, *nothing)[0][known]
    truth = depth[known]
    abs_rel = float(np.mean(np.abs(completed - truth) / truth))
    best_constant = float(np.mean(np.abs(np.median(truth) - truth) / truth))
    assert abs_rel < 0.5 * best_constant
    assert abs_rel < 0.5 * float(np.mean(np.abs(blind - truth) / truth))


def test_more_points_make_it_better(engine: OnnxEngine, scene) -> None:  # type: ignore[no-untyped-def]
    image, depth = scene
    scored = np.isfinite(depth) & (depth < 60.0)
    patterns = [_rows(depth, step) for step in (4, 24)]
    for bvu, _ in patterns:
        scored[bvu[:, 1], bvu[:, 2]] = False
    inputs = [*patterns, (np.zeros((0, 3), np.int64), np.zeros(0, np.float32))]
    outputs = [engine.infer(image[None], *points)[0][scored] for points in inputs]
    many, few, none = (float(np.mean(np.abs(out - depth[scored]) / depth[scored])) for out in outputs)
    assert many < few < none
    assert many < 0.15
