# SPDX-License-Identifier: Apache-2.0
"""Camera height: known on a rendered street of exact depth, unknown where there is no ground, and its gradient."""

import math

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError  # noqa: E402
from mono_depth_ros.objectives.camera_height import GroundOptions, camera_height_loss, surface_normals  # noqa: E402
from mono_depth_ros.objectives.projection import ray_map  # noqa: E402

pytestmark = pytest.mark.torch
NAN, INF = float("nan"), float("inf")
PLANE_ONLY = GroundOptions(fallback_share=0.0)
K = torch.tensor([[[40.0, 0.0, 31.5], [0.0, 40.0, 15.5], [0.0, 0.0, 1.0]]], dtype=torch.float64)


def _plane(height_m: float, pitch_rad: float = 0.0, roll_rad: float = 0.0) -> "torch.Tensor":
    """Depth [1, 1, 32, 64] of flat ground, NaN above the horizon and beyond 60 m."""
    rays = ray_map(K, torch.zeros(1, 1, 32, 64, dtype=torch.float64))
    cp, sp, cr, sr = math.cos(pitch_rad), math.sin(pitch_rad), math.cos(roll_rad), math.sin(roll_rad)
    down = torch.tensor([sr, cp * cr, sp * cr], dtype=torch.float64)
    depth = height_m / (rays * down[:, None, None]).sum(1, keepdim=True)
    return torch.where((depth > 0) & (depth < 60), depth, torch.nan)


def _height(depth, real_m: float = 1.5, **more):
    return camera_height_loss(depth, K.expand(len(depth), 3, 3), torch.full((len(depth),), real_m), **more)


def test_flat_ground_gives_its_height_and_its_normal_by_hand() -> None:
    for pitch, roll in ((0.0, 0.0), (0.15, 0.0), (-0.1, 0.1)):
        found = _height(_plane(1.5, pitch, roll))
        assert found.height_m.item() == pytest.approx(1.5, rel=1e-6)
        assert found.loss.item() == pytest.approx(0.0, abs=1e-6)
        up = [-math.sin(roll), -math.cos(pitch) * math.cos(roll), -math.sin(pitch) * math.cos(roll)]
        assert found.up_camera[0].tolist() == pytest.approx(
            (torch.tensor(up) / torch.tensor(up).norm()).tolist(), abs=1e-6
        )
    assert _height(_plane(1.5), real_m=3.0).loss.item() == pytest.approx(math.log(2), rel=1e-6)


def test_the_rendered_street_gives_the_height_of_its_camera(pair) -> None:
    real = torch.tensor([pair.height_m])
    for view in (pair.target, pair.context):
        found = camera_height_loss(view.depth_m, pair.K, real)
        assert found.height_m.item() == pytest.approx(pair.height_m, rel=0.01)
        assert found.loss.item() < 0.01
        assert 0.1 < found.ground.double().mean() < 0.6
        assert found.up_camera[0, 1] < -0.99


def test_bumpy_depth_of_the_street_still_does(pair) -> None:
    torch.manual_seed(0)
    noise = torch.nn.functional.interpolate(torch.randn(1, 1, 12, 24).double(), size=(48, 96), mode="bilinear")
    for sigma in (0.02, 0.05):
        found = camera_height_loss(
            pair.target.depth_m * torch.exp(sigma * noise), pair.K, torch.tensor([pair.height_m])
        )
        assert found.height_m.item() == pytest.approx(pair.height_m, rel=0.04)


def test_height_scales_exactly_with_depth_and_the_choice_of_ground_does_not(pair) -> None:
    once = camera_height_loss(pair.target.depth_m, pair.K, torch.tensor([pair.height_m]))
    for factor in (1e-3, 0.1, 30.0):
        found = camera_height_loss(factor * pair.target.depth_m, pair.K, torch.tensor([pair.height_m]))
        assert found.height_m.item() == pytest.approx(factor * once.height_m.item(), rel=1e-9)
        assert torch.equal(found.ground, once.ground)


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_descent_lengthens_motion_and_bends_nothing(pair, factor) -> None:
    log_depth = torch.log(factor * pair.target.depth_m.nan_to_num(100.0)).requires_grad_()
    log_length = torch.log(factor * torch.tensor([[0.8, 0.4]], dtype=torch.float64)).requires_grad_()
    translations = log_length.exp()[..., None] * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    found = camera_height_loss(log_depth.exp(), pair.K, torch.tensor([pair.height_m]), translations=translations)
    assert found.loss.item() == pytest.approx(abs(math.log(factor)), abs=0.01)
    found.loss.sum().backward()
    sign = 1.0 if factor > 1 else -1.0  # too far: nearer; too near: farther
    assert log_depth.grad is None
    assert log_length.grad[0].tolist() == pytest.approx([sign / 2, sign / 2])


def test_all_images_share_one_push_and_one_wrong_height_does_not_turn_it() -> None:
    depth = torch.cat([_plane(0.3), _plane(0.4), _plane(4.0)]).requires_grad_()
    found = _height(depth, translations=(translations := torch.ones((3, 1, 3), requires_grad=True)))
    found.loss.sum().backward()
    slopes = (translations.grad * translations).sum((1, 2))
    assert torch.allclose(slopes, slopes[:1].expand(3))
    assert slopes[0].item() == pytest.approx(-1 / 3, abs=1e-3)  # two want longer motions, one shorter


def test_a_camera_that_stands_has_no_scale_and_unknown_depth_takes_no_part() -> None:
    depth = _plane(3.0).requires_grad_()
    translations = torch.tensor([[[0.0, 0.0, 0.0], [0.003, 0.0, 0.0], [0.4, 0.0, 0.0]]], requires_grad=True)
    _height(depth, translations=translations).loss.sum().backward()
    slope = translations.grad[0, :, 0] * torch.tensor([0.0, 0.003, 0.4])  # by log length
    assert slope.tolist() == pytest.approx([0.0, 1e-4 / 3, 1 / 3], rel=1e-3)  # 0.003 is a hundredth of 0.3
    _height(depth).loss.sum().backward()
    known = torch.isfinite(depth)
    assert (depth.grad[~known] == 0).all()
    assert torch.allclose((depth.grad * depth)[known], torch.full((1,), 1.0 / known.sum()).double())


def test_descent_on_a_scale_finds_metres(pair) -> None:
    log_scale = torch.tensor(-1.2, dtype=torch.float64, requires_grad=True)
    for step in range(40):
        depth = pair.target.depth_m.nan_to_num(100.0) * log_scale.exp()
        loss = camera_height_loss(depth, pair.K, torch.tensor([pair.height_m])).loss.sum()
        (slope,) = torch.autograd.grad(loss, log_scale)
        log_scale.data -= 0.2 * 0.93**step * slope
    assert log_scale.exp().item() == pytest.approx(1.0, abs=0.03)


def test_boxes_on_the_ground_and_a_kerb_hardly_raise_it() -> None:
    depth = _plane(1.5)
    roof, kerb = _plane(0.7), _plane(1.38)
    depth[..., 20:26, 5:20] = roof[..., 20:26, 5:20]  # a flat roof that looks up as well
    depth[..., :, 50:] = kerb[..., :, 50:]  # a sidewalk 12 cm above the road
    found = _height(depth)
    assert found.height_m.item() == pytest.approx(1.5, rel=0.03)
    assert not found.ground[..., 21:25, 7:18].any()


def test_a_wall_or_nothing_is_no_ground_and_costs_nothing_without_a_fallback() -> None:
    wall = torch.full((2, 1, 32, 64), 4.0, requires_grad=True)
    found = _height(wall, options=PLANE_ONLY)
    assert found.loss.tolist() == [0.0, 0.0]
    assert torch.isnan(found.height_m).all()
    assert not found.ground.any()
    found.loss.sum().backward()
    assert (wall.grad == 0).all()
    for value in (NAN, INF, 0.0, 1e-30):
        empty = torch.full((1, 1, 32, 64), value, requires_grad=True)
        found = _height(empty, options=PLANE_ONLY)
        found.loss.sum().backward()
        assert found.loss.item() == 0.0
        assert torch.isfinite(empty.grad).all()


def test_where_no_plane_is_found_the_lowest_rows_tell_a_rough_height() -> None:
    wall = torch.full((1, 1, 32, 64), 4.0, requires_grad=True)
    found = _height(wall)
    assert not found.ground.any()
    assert found.up_camera.tolist() == [[0.0, -1.0, 0.0]]
    # rows 24..31 see the wall (v - cy) / fy * 4 m below the camera; the median is that of row 27
    assert found.height_m.item() == pytest.approx(4.0 * (27 - 15.5) / 40.0)
    found.loss.sum().backward()
    assert (wall.grad < 0).all()  # 1.15 m where it should be 1.5 m: everything moves away
    for value in (NAN, INF, 0.0):
        empty = torch.full((1, 1, 32, 64), value, requires_grad=True)
        found = _height(empty)
        found.loss.sum().backward()
        assert (found.loss.item(), empty.grad.abs().max().item()) == (0.0, 0.0)
        assert torch.isnan(found.height_m).all()
    bumpy = _plane(1.5) * torch.exp(0.3 * torch.randn(1, 1, 32, 64, generator=torch.Generator().manual_seed(0)))
    found = _height(bumpy)  # far too rough for normals
    assert not found.ground.any()
    assert found.height_m.item() == pytest.approx(1.5, rel=0.1)


def test_a_patch_of_ground_is_not_enough_and_a_slope_is_no_floor() -> None:
    patch = torch.full_like(_plane(1.5), NAN)
    patch[..., 24:30, 20:30] = _plane(1.5)[..., 24:30, 20:30]  # 2 x 6 normals of 2048 pixels
    assert torch.isnan(_height(patch, options=PLANE_ONLY).height_m).all()
    assert _height(patch, options=GroundOptions(smallest_share=0.005)).height_m.item() == pytest.approx(1.5, rel=1e-3)
    slope = _plane(1.5, roll_rad=0.33)  # 19 degrees: normals may stray that far, the plane may not
    assert torch.isnan(_height(slope, options=PLANE_ONLY).height_m).all()
    assert _height(slope, options=GroundOptions(plane_tilt_rad=0.4)).height_m.item() == pytest.approx(1.5, rel=1e-3)


def test_a_wall_that_fills_most_of_the_lower_image_is_told_by_its_normals() -> None:
    depth = _plane(1.5)
    depth[..., :40] = depth[..., :40].nan_to_num(9.0).clamp_max(2.2)  # a box 2.2 m ahead
    found = _height(depth)
    assert found.height_m.item() == pytest.approx(1.5, rel=1e-3)
    assert not found.ground[..., :24, :38].any()


def test_a_batch_is_judged_image_by_image_and_an_unknown_height_costs_nothing() -> None:
    depth = torch.cat([_plane(1.0), torch.full((1, 1, 32, 64), 4.0, dtype=torch.float64), _plane(2.0)])
    found = camera_height_loss(depth, K.expand(3, 3, 3), torch.tensor([2.0, 2.0, NAN]), PLANE_ONLY)
    assert found.loss.tolist() == pytest.approx([math.log(2), 0.0, 0.0], rel=1e-6)
    assert found.height_m[2].item() == pytest.approx(2.0)


def test_a_tilted_camera_needs_to_know_where_up_is() -> None:
    steep = _plane(1.5, pitch_rad=0.7)
    assert torch.isnan(_height(steep, options=PLANE_ONLY).height_m).all()
    up = torch.tensor([[0.0, -math.cos(0.7), -math.sin(0.7)]])
    assert _height(steep, up_camera=up).height_m.item() == pytest.approx(1.5, rel=1e-6)


def test_the_robots_own_body_can_be_left_out() -> None:
    depth = _plane(1.5)
    depth[..., 24:, :] = _plane(0.5)[..., 24:, :]  # a bonnet
    usable = torch.ones(1, 1, 32, 64, dtype=torch.bool)
    usable[..., 24:, :] = False
    options = GroundOptions(reach_heights=100.0)  # what is left of the road in so small an image is far away
    assert abs(_height(depth, options=options).height_m.item() - 1.5) > 0.5
    assert _height(depth, options=options, usable=usable).height_m.item() == pytest.approx(1.5, rel=1e-4)


def test_without_normals_the_lower_image_alone_decides() -> None:
    options = GroundOptions(normal_tilt_rad=math.pi)
    assert _height(_plane(1.5), options=options).height_m.item() == pytest.approx(1.5, rel=1e-6)
    strict = _height(_plane(1.5), options=GroundOptions(lowest_share=0.25))
    assert strict.ground.nonzero()[:, 2].min() == 24


def test_without_a_plane_the_height_is_along_the_known_direction_up() -> None:
    falling = _plane(1.5, pitch_rad=-0.1)  # the plane is found, and as near as it is; its pixels lie deeper and deeper
    assert _height(falling).height_m.item() == pytest.approx(1.5, rel=1e-6)
    level = GroundOptions(fit_plane=False, fallback_share=0.25)
    found = _height(falling, options=level)
    assert found.height_m.item() > 1.8
    assert not found.ground.any()
    up = torch.tensor([[0.0, -math.cos(0.1), math.sin(0.1)]])
    assert _height(falling, options=level, up_camera=up).height_m.item() == pytest.approx(1.5, rel=1e-6)


def test_ground_far_away_is_left_out_since_roads_curve() -> None:
    near = _height(_plane(1.5), options=GroundOptions(reach_heights=4.0))
    assert near.height_m.item() == pytest.approx(1.5, rel=1e-6)
    assert _plane(1.5)[near.ground].max() <= 4.0 * 1.6 < _plane(1.5)[_height(_plane(1.5)).ground].max()
    rising = _plane(1.5)
    rising = torch.where(rising > 8.0, rising / (1 + 0.02 * (rising - 8.0)), rising)  # a hill begins 8 m ahead
    errors = [
        abs(_height(rising, options=GroundOptions(reach_heights=reach)).height_m.item() - 1.5) for reach in (5.0, 100.0)
    ]
    assert errors[0] < 0.02 < 1.5 * errors[1]


def test_normals_of_a_wall_face_the_camera() -> None:
    points = torch.full((1, 1, 6, 8), 4.0, dtype=torch.float64) * ray_map(K, torch.zeros(1, 1, 6, 8).double())
    normal, there = surface_normals(points, 1)
    assert there.sum() == 4 * 6
    assert torch.allclose(normal[0, :, 2, 2], torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64))


def test_autocast_changes_nothing(pair) -> None:
    arguments = (pair.target.depth_m.float(), pair.K.float(), torch.tensor([pair.height_m]))
    plain = camera_height_loss(*arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = camera_height_loss(*arguments)
    assert cast.loss.dtype == torch.float32
    assert torch.equal(cast.height_m, plain.height_m)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lowest_share": 0.0},
        {"plane_tilt_rad": 4.0},
        {"normal_step_px": 0},
        {"fallback_share": 2.0},
        {"fallback_share": 0.0, "fit_plane": False},
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GroundOptions(**wrong)
