# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from image_model import HEIGHT_PX, WIDTH_PX, build_graph, write_image_model

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.inference.contract import load_contract
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import fit_to_network
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.snapshot import SensorSnapshot

NO_POINTS = (np.zeros((0, 3), np.int64), np.zeros(0, np.float32))
CAMERA = PinholeCamera(2 * WIDTH_PX, 2 * HEIGHT_PX, 100.0, 100.0, 63.5, 31.5)
# True depth: a ramp from 4 m on the left to 40 m on the right, in inverse depth.
INVERSE = np.linspace(1 / 4, 1 / 40, WIDTH_PX)[None, :].repeat(HEIGHT_PX, axis=0)
# The image says the inverse depth, times 1.6 and shifted by 0.3: what a network without metres would say.
RED = np.rint(255 * (1.6 * INVERSE + 0.3))


def image_of(red: np.ndarray) -> np.ndarray:
    image = np.zeros((*red.shape, 3), np.uint8)
    image[..., 0] = red
    return image


def some_points(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    cells = random.choice(HEIGHT_PX * WIDTH_PX, count, replace=False)
    rows, cols = cells // WIDTH_PX, cells % WIDTH_PX
    return np.stack([np.zeros_like(rows), rows, cols], axis=1), (1 / INVERSE[rows, cols]).astype(np.float32)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("output_axes", [3, 4])
def test_a_metric_network_predicts_in_metres(tmp_path, layout, half, output_axes):
    model = build_graph(layout=layout, half=half, output_axes=output_axes, metric_slope=20.0)
    engine = OnnxEngine(write_image_model(tmp_path, "metric_depth", model=model, layout=layout))
    depth_m = engine.infer(image_of(np.full((HEIGHT_PX, WIDTH_PX), 51.0))[None], *NO_POINTS)
    assert depth_m.dtype == np.float32 and depth_m.shape == (1, HEIGHT_PX, WIDTH_PX)
    np.testing.assert_allclose(depth_m, 4.0, rtol=5e-3)


def test_values_up_to_255_and_blue_first_are_what_the_contract_says(tmp_path):
    image = np.zeros((1, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[..., 2] = 51
    wide = tuple(255 * value for value in (0.4, 0.5, 0.6)), tuple(255 * value for value in (0.2, 0.25, 0.5))
    directory = write_image_model(
        tmp_path, "metric_depth", channels="BGR", value_range=255.0, mean=wide[0], std=wide[1]
    )
    np.testing.assert_allclose(OnnxEngine(directory).infer(image, *NO_POINTS), 4.0, rtol=1e-4)


def test_a_relative_network_becomes_metric_with_points(tmp_path):
    engine = OnnxEngine(write_image_model(tmp_path))
    depth_m = engine.infer(image_of(RED)[None], *some_points(60))[0]
    np.testing.assert_allclose(depth_m, 1 / INVERSE, rtol=0.06)
    assert np.median(np.abs(depth_m * INVERSE - 1)) < 0.01


def test_wrong_points_do_harm_around_them_only(tmp_path):
    cells, depth_m = some_points(60)
    depth_m[:3] = 2.0
    aligned = OnnxEngine(write_image_model(tmp_path)).infer(image_of(RED)[None], cells, depth_m)[0]
    assert np.median(np.abs(aligned * INVERSE - 1)) < 0.03


def test_where_a_network_errs_over_a_region_points_lead_it_back(tmp_path):
    red = RED.copy()
    red[:, 20:44] *= 0.7
    engine = OnnxEngine(write_image_model(tmp_path))
    aligned = engine.infer(image_of(red)[None], *some_points(200))[0]
    assert np.median(np.abs(aligned * INVERSE - 1)) < 0.04


def test_images_of_a_batch_are_aligned_each_by_its_own_points(tmp_path):
    for batch in ("B", 1):
        engine = OnnxEngine(write_image_model(tmp_path / str(batch), model=build_graph(batch=batch)))
        cells, depth_m = some_points(60)
        cells[:, 0] = 1
        both = engine.infer(image_of(RED)[None].repeat(2, axis=0), cells, depth_m)
        alone = engine.infer(image_of(RED)[None], *NO_POINTS)
        np.testing.assert_allclose(both[0], alone[0])
        np.testing.assert_allclose(both[1], 1 / INVERSE, rtol=0.06)


def test_the_pipeline_completes_with_such_a_network_and_goes_through_the_points(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_image_model(tmp_path)))
    truth_m = np.repeat(np.repeat(1 / INVERSE, 2, axis=0), 2, axis=1).astype(np.float32)
    points = CAMERA.unproject(truth_m)[1::8, 1::4].reshape(-1, 3)
    image = image_of(np.repeat(np.repeat(RED, 2, axis=0), 2, axis=1))
    result = pipeline.step(SensorSnapshot(5, "camera", image, CAMERA, points, 0.0, None, None, ()))
    assert result.mode is Mode.COMPLETION
    assert np.nanmedian(np.abs(result.depth_m * INVERSE - 1)) < 0.01


def test_focal_normalisation_scales_a_metric_network(tmp_path):
    engine = OnnxEngine(write_image_model(tmp_path, "metric_depth", trained_fx_px=25.0))
    image = image_of(np.full((CAMERA.height_px, CAMERA.width_px), 51.0))
    result = DepthPipeline(engine).step(SensorSnapshot(5, "camera", image, CAMERA, None, None, None, None, ()))
    # The camera has fx = 50 px at network resolution.
    np.testing.assert_allclose(result.depth_m, 8.0, rtol=1e-3)


def test_a_network_of_any_size_keeps_the_ratio_of_sides(tmp_path):
    model = build_graph(size=("H", "W"), metric_slope=20.0)
    directory = write_image_model(tmp_path, "metric_depth", model=model, dynamic_size=True, size_multiple=4)
    engine = OnnxEngine(directory)
    tall = PinholeCamera(300, 400, 300.0, 300.0, 149.5, 199.5)
    fit = fit_to_network(np.zeros((400, 300, 3), np.uint8), tall, engine.contract)
    assert fit.image_rgb.shape == (52, 40, 3)
    assert abs(fit.camera.fx_px / fit.camera.fy_px - 1) < 0.05
    assert engine.infer(fit.image_rgb[None], *NO_POINTS).shape == (1, 52, 40)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"size_multiple": 14}, "size: expected multiples of 14"),
        ({"std": (0.0, 1.0, 1.0)}, r"image\.std: expected numbers > 0"),
        ({"mean": (0.0, 1.0)}, r"image\.mean: expected three"),
        ({"layout": "CHW"}, r"image\.layout"),
        ({"value_range": 2.0}, r"image\.value_range"),
        ({"dynamic_size": True}, r"input image: expected any size"),
        ({"layout": "NHWC"}, r"input image: expected \[32, 64, 3\]"),
    ],
)
def test_a_contract_that_does_not_fit_is_refused(tmp_path, image, message):
    with pytest.raises(ModelContractError, match=message):
        OnnxEngine(write_image_model(tmp_path, **image))


def test_names_that_the_graph_lacks_are_told(tmp_path):
    directory = write_image_model(tmp_path)
    fields = json.loads((directory / "model.json").read_text())
    fields["image"].update(input_name="pixels", output_name="depth")
    (directory / "model.json").write_text(json.dumps(fields))
    with pytest.raises(ModelContractError, match=r"'pixels' only, got \['image'\].*'depth', got \['disparity'\]"):
        OnnxEngine(directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "dial"}, "expected no field image for kind dial"),
        ({"image": None}, "expected the field image for kind relative_inverse_depth"),
        ({"metric": True}, "metric: expected false"),
        ({"image": {"mean": [0, 0, 0]}}, "image: missing field 'input_name'"),
        ({"image": 3}, "image: expected an object"),
    ],
)
def test_kind_and_image_have_to_go_together(tmp_path, changes, message):
    directory = write_image_model(tmp_path)
    fields = json.loads((directory / "model.json").read_text())
    (directory / "model.json").write_text(json.dumps({**fields, **changes}))
    with pytest.raises(ModelContractError, match=message):
        load_contract(directory)


def test_such_a_contract_survives_writing_and_reading(tmp_path):
    contract = load_contract(write_image_model(tmp_path))
    assert contract.image is not None and contract.image.mean == (0.4, 0.5, 0.6)


def test_an_output_that_is_no_image_is_a_model_error(tmp_path):
    model = build_graph()
    model.graph.node.pop()  # Add
    model.graph.node[1].output[0] = "plane"
    from onnx import helper

    model.graph.node.append(helper.make_node("Concat", ["plane", "plane"], ["disparity"], axis=1))
    engine = OnnxEngine(write_image_model(tmp_path, model=model))
    with pytest.raises(ModelContractError, match=r"one depth per pixel from disparity.*\[2, 32, 64\]"):
        engine.infer(image_of(RED)[None], *NO_POINTS)
