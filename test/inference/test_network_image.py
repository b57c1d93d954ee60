# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from dial_model import write_model
from free_size_model import HEIGHT_PX, SIZE_STEP_PX, WIDTH_PX, write_free_model

from mono_depth_ros.errors import DataError, ModelContractError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.contract import load_contract, save_contract
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import fit_to_network, infer_batch, network_size

PIXELS = HEIGHT_PX * WIDTH_PX


def camera_of(width, height, fx=100.0, fy=100.0):
    return PinholeCamera(width, height, fx, fy, 0.5 * width - 0.5, 0.5 * height - 0.5)


def image_of(camera, rgb=(255, 0, 0)):
    image = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    image[:] = rgb
    return image


@pytest.mark.parametrize(
    ("width", "height"), [(1242, 375), (640, 480), (1920, 1080), (480, 640), (1080, 1920), (200, 200), (37, 500)]
)
def test_an_image_keeps_its_ratio_of_sides_and_about_the_contracts_pixels(tmp_path, width, height):
    contract = load_contract(write_free_model(tmp_path))
    columns, rows = network_size(camera_of(width, height), contract)
    assert columns / rows == pytest.approx(width / height, rel=0.5 / min(columns, rows) + 0.02)
    assert columns % SIZE_STEP_PX == 0 or rows % SIZE_STEP_PX == 0
    padded = -(-columns // SIZE_STEP_PX) * -(-rows // SIZE_STEP_PX) * SIZE_STEP_PX**2
    assert 0.4 * PIXELS <= padded <= 2.5 * PIXELS
    assert columns * rows > 0.5 * padded


def test_pixels_become_square(tmp_path):
    contract = load_contract(write_free_model(tmp_path))
    stretched = camera_of(640, 480, fx=300.0, fy=150.0)
    fit = fit_to_network(image_of(stretched), stretched, contract)
    assert fit.camera.fx_px == pytest.approx(fit.camera.fy_px, rel=0.02)
    assert fit.image_rgb.shape[:2] == (fit.camera.height_px, fit.camera.width_px)


def test_a_graph_of_one_size_is_given_that(tmp_path):
    contract = load_contract(write_model(tmp_path))
    assert network_size(camera_of(480, 640), contract) == (contract.width_px, contract.height_px)


def test_what_does_not_fit_is_padded_with_the_border_and_cut_off_again(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path))
    camera = camera_of(100, 70)
    image = image_of(camera)
    image[:, 50:, 2] = 255
    fit = replace(fit_to_network(image, camera, engine.contract), image_rgb=image, camera=camera)
    seen = []
    run = engine.infer_all
    engine.infer_all = lambda rgb, *rest: (seen.append(rgb), run(rgb, *rest))[1]  # type: ignore[method-assign]
    found = infer_batch(engine, [(fit, None)])[0]
    assert seen[0].shape == (1, 96, 128, 3)
    np.testing.assert_array_equal(seen[0][0, 70:, :100], np.broadcast_to(image[69], (26, 100, 3)))
    np.testing.assert_array_equal(seen[0][0, :, 100:], np.repeat(seen[0][0, :, 99:100], 28, axis=1))
    assert found.depth_m.shape == found.sigma_log.shape == found.sky.shape == (70, 100)
    np.testing.assert_allclose(found.sigma_log[:, 50:], 1.1, rtol=1e-6)
    np.testing.assert_allclose(found.sigma_log[:, :50], 0.1, rtol=1e-6)


def test_points_and_ground_are_given_in_the_networks_units(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path, trained_fx_px=50.0))
    camera = camera_of(WIDTH_PX, HEIGHT_PX)  # fx is 100 px: the world is twice as far as the network says
    fit = fit_to_network(image_of(camera), camera, engine.contract)
    assert fit.focal_ratio == 2.0
    points = SparseDepth(HEIGHT_PX, WIDTH_PX, np.array([3]), np.array([4]), np.array([10.0], np.float32))
    with_both = replace(fit, ground=np.array([0.0, 0.0, 0.25, 1.0]))
    plain, told = (infer_batch(engine, [(one, points)])[0].depth_m[0, 0] for one in (fit, with_both))
    assert plain == pytest.approx(2.0 * (3.0 + 5.0))
    assert told - plain == pytest.approx(2.0 * (2.0 * 0.25))  # inverse depth is twice as large in the network's units


def test_each_image_of_a_batch_has_its_own_ground(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path))
    camera = camera_of(WIDTH_PX, HEIGHT_PX)
    fit = fit_to_network(image_of(camera), camera, engine.contract)
    known = replace(fit, ground=np.array([0.0, 0.0, 1.5, 1.0]))
    first, second = infer_batch(engine, [(fit, None), (known, None)])
    assert second.depth_m[0, 0] - first.depth_m[0, 0] == pytest.approx(1.5)


def test_the_measured_factor_widens_sigma(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path, sigma_factor=3.0))
    camera = camera_of(WIDTH_PX, HEIGHT_PX)
    fit = fit_to_network(image_of(camera), camera, engine.contract)
    np.testing.assert_allclose(infer_batch(engine, [(fit, None)])[0].sigma_log, 0.3, rtol=1e-6)


def test_the_engine_refuses_sizes_and_grounds_that_cannot_be(tmp_path):
    engine = OnnxEngine(write_free_model(tmp_path))
    nothing = np.zeros((0, 3), np.int64), np.zeros(0, np.float32)
    with pytest.raises(DataError, match=r"expected uint8 \[B, 64, 96, 3\], got uint8 \[1, 70, 100, 3\]"):
        engine.infer(np.zeros((1, 70, 100, 3), np.uint8), *nothing)
    with pytest.raises(DataError, match=r"ground: expected float32 \[1, 4\], got float64 \[1, 3\]"):
        engine.infer_all(np.zeros((1, 64, 96, 3), np.uint8), *nothing, np.zeros((1, 3)))


def test_a_contract_that_promises_more_than_the_graph_has_is_refused(tmp_path):
    folder = write_model(tmp_path)
    promised = replace(load_contract(folder), size_step_px=32, takes_ground=True, tells_sigma=True)
    save_contract(promised, folder)
    with pytest.raises(ModelContractError, match=r"input ground: expected .* got none"):
        OnnxEngine(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size_step_px": 33}, "size_step_px"),
        ({"sigma_factor": 0.0}, "sigma_factor"),
        ({"tells_sigma": 1}, "tells_sigma"),
    ],
)
def test_a_contract_with_values_that_cannot_be_names_them(tmp_path, changes, named):
    contract = load_contract(write_free_model(tmp_path))
    with pytest.raises(ModelContractError, match=named):
        replace(contract, **changes)


def test_a_contract_of_one_size_is_written_as_earlier_versions_read_it(tmp_path):
    text = (write_model(tmp_path) / "model.json").read_text(encoding="utf-8")
    assert "size_step_px" not in text and "sigma" not in text
