# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticImage
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.training.known_ground import UNKNOWN, GroundHints, ground_of
from mono_depth_ros.training.views import central_view, random_view

CAMERA = PinholeCamera(200, 150, 120.0, 123.0, 97.0, 76.0)
EXACT = GroundHints(share=1.0, known=1.0, height_sigma=0.0, pitch_sigma_rad=0.0, roll_sigma_rad=0.0)


def image(camera: PinholeCamera = CAMERA, height_m: float = 1.5) -> SyntheticImage:
    """A level road below a wall-less sky; red is the column, green the row."""
    rays = camera.rays()
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 1] > 1e-3, height_m / rays[..., 1], np.inf).astype(np.float32)
    rgb = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = np.arange(camera.width_px)[None], np.arange(camera.height_px)[:, None]
    return SyntheticImage(rgb, depth, camera, chaos=False)


@pytest.mark.parametrize("size", [(96, 32), (64, 64), (32, 64)])
def test_a_view_shows_the_same_world_through_its_own_camera(size):
    whole = image()
    for seed in range(4):
        view = random_view(np.random.default_rng(seed), whole, *size, 0.6)
        assert view.image_rgb.shape == (size[1], size[0], 3)
        known = np.isfinite(view.depth_m) & (view.depth_m < 100.0)
        points = (view.camera.rays() * view.depth_m[..., None])[known]
        # the nearest pixel of the image is at most half of its pixels away, so the road is still 1.5 m below
        half_pixel = 0.5 / CAMERA.fy_px
        off = np.abs(points[:, 1] - 1.5) / points[:, 2]
        assert off.max() <= 1.05 * half_pixel
        # what is seen in a direction is what the image shows there
        column = CAMERA.cx_px + CAMERA.fx_px * view.camera.rays()[..., 0]
        assert np.abs(view.image_rgb[..., 0] - column).max() < 1.6
        assert column.min() > -0.6 and column.max() < CAMERA.width_px - 0.4


def test_pixels_are_square_and_no_view_is_enlarged_much():
    rng = np.random.default_rng(0)
    for _ in range(20):
        camera = random_view(rng, image(), 160, 64, 0.3).camera
        assert camera.fx_px == pytest.approx(camera.fy_px, rel=1e-6)
        assert camera.fx_px <= 1.5 * CAMERA.fx_px + 1e-6
    views = [random_view(rng, image(), 64, 64, 0.5).camera for _ in range(20)]
    assert len({round(view.fx_px, 3) for view in views}) > 10 and len({round(view.cy_px, 3) for view in views}) > 10


def test_the_central_view_of_an_image_of_this_shape_is_all_of_it():
    square = PinholeCamera(200, 150, 120.0, 120.0, 97.0, 76.0)
    view = central_view(image(square), 100, 75)
    assert view.camera == square.resized(100, 75)
    assert central_view(image(square), 200, 150).depth_m.tolist() == image(square).depth_m.tolist()


def test_the_ground_is_that_of_the_truth():
    whole = image()
    plane = ground_of(np.random.default_rng(1), whole.depth_m, CAMERA, EXACT)
    for column, row in ((20, 100), (150, 140)):
        assert 1.0 / (plane[:3] @ [column, row, 1.0]) == pytest.approx(whole.depth_m[row, column], rel=0.01)
    assert plane[3] in (1.0, np.float32(0.3))
    sure = {float(ground_of(np.random.default_rng(s), whole.depth_m, CAMERA, EXACT)[3]) for s in range(20)}
    assert len(sure) == 2


def test_the_ground_of_a_mount_is_as_wrong_as_mounts_are():
    hints = GroundHints(share=1.0, known=1.0, measured=0.0, height_sigma=0.05, pitch_sigma_rad=0.02)
    whole = image()
    planes = [ground_of(np.random.default_rng(s), whole.depth_m, CAMERA, hints) for s in range(60)]
    near = np.array([1.0 / (plane[:3] @ [100.0, 140.0, 1.0]) for plane in planes]) / whole.depth_m[140, 100]
    assert 0.03 < np.log(near).std() < 0.12


def test_no_ground_is_told_where_there_is_none_or_by_chance():
    wall = np.full((150, 200), 4.0, np.float32)
    assert (ground_of(np.random.default_rng(0), wall, CAMERA, EXACT) == UNKNOWN).all()
    rarely = GroundHints(share=1.0, known=0.25)
    told = [ground_of(np.random.default_rng(s), image().depth_m, CAMERA, rarely)[3] > 0 for s in range(80)]
    assert 0.1 < np.mean(told) < 0.4
