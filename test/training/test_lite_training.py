# SPDX-License-Identifier: Apache-2.0
"""A LiteSan from recipe to exported model: shapes, grounds, spread and sky."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning.fabric")

from tiny_checkpoint import METADATA  # noqa: E402

from mono_depth_ros.datasets.rendered.rendered_cache import (  # noqa: E402
    SyntheticConfig,
    SyntheticImage,
    world_images,
)
from mono_depth_ros.errors import ConfigError, DataError  # noqa: E402
from mono_depth_ros.geometry.camera import PinholeCamera  # noqa: E402
from mono_depth_ros.inference.engine import OnnxEngine  # noqa: E402
from mono_depth_ros.networks.lite_san import LiteSan, LiteSanConfig  # noqa: E402
from mono_depth_ros.training.checkpoint import Checkpoint, NetworkState, cpu_weights, load_checkpoint  # noqa: E402
from mono_depth_ros.training.config import Optimiser, TrainConfig  # noqa: E402
from mono_depth_ros.training.export import checkpoint_of_model, export_model  # noqa: E402
from mono_depth_ros.training.known_ground import GroundHints  # noqa: E402
from mono_depth_ros.training.point_patterns import PointPatterns, sample_points, seen_from_beside  # noqa: E402
from mono_depth_ros.training.recipe_file import read_recipe, write_recipe  # noqa: E402
from mono_depth_ros.training.run_state import initialised, new_models, parameter_groups  # noqa: E402
from mono_depth_ros.training.sources import rendered_source, without_sparse_branch  # noqa: E402
from mono_depth_ros.training.trainer import train  # noqa: E402

pytestmark = pytest.mark.torch
TINY = LiteSanConfig(
    folded_norms=False, widths=(8,) * 5, dense_widths=(8,) * 5, sparse_widths=(4,) * 5, sparse_kernels=(3,) * 5
)
CONFIG = TrainConfig(
    name="tiny",
    batch_size=2,
    max_steps=4,
    validate_images=2,
    network=TINY,
    accelerator="cpu",
    trained_fx_px=60.0,
    shapes=((96, 32), (32, 64)),
    ground=GroundHints(share=0.5),
    points=PointPatterns(parallax_m=0.5),
    rendered=SyntheticConfig(width_px=96, height_px=72),
    optimiser=Optimiser(rate=1e-3, warm_up_steps=1, encoder_rate=0.1),
)


@pytest.fixture(scope="module")
def images() -> list[SyntheticImage]:
    return [image for world in range(2) for image in world_images(CONFIG.rendered, 0, world)][:6]


@pytest.fixture(scope="module")
def network() -> LiteSan:
    torch.manual_seed(0)
    made = LiteSan(TINY).eval()
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if name.startswith(("dense_view.outputs", "fusions", "heads", "other_heads")) and name.endswith("weight"):
                value.normal_(0.0, 0.05)
    return made


def road() -> SyntheticImage:
    """A level road 1.5 m below a camera that looks ahead."""
    camera = PinholeCamera(96, 72, 60.0, 60.0, 47.5, 35.5)
    with np.errstate(divide="ignore"):
        down = 1.5 / camera.rays()[..., 1]
    depth = np.where(down > 0, down, np.inf).astype(np.float32)
    return SyntheticImage(np.full((72, 96, 3), 90, np.uint8), depth, camera, chaos=False)


def test_batches_are_drawn_in_every_shape_with_and_without_grounds():
    images = [road() for _ in range(6)]
    source = rendered_source(CONFIG, images, images)
    batches = [source.batch(range(2 * step, 2 * step + 2)) for step in range(16)]
    assert {tuple(batch.rgb.shape[2:]) for batch in batches} == {(32, 96), (64, 32)}
    assert all(batch.truth_depth_m.shape[2:] == batch.rgb.shape[2:] for batch in batches)
    told = [batch.ground for batch in batches]
    assert any(ground is None for ground in told)
    assert any(ground is not None and bool((ground[:, 3] > 0).any()) for ground in told)
    again = source.batch(range(6, 8))
    assert torch.equal(again.rgb, batches[3].rgb) and torch.equal(again.points_depth_m, batches[3].points_depth_m)


def test_a_rescaled_world_has_no_ground_that_fits_image_and_points(images):
    always = replace(
        CONFIG,
        ground=GroundHints(share=1.0, known=1.0),
        augmentation=replace(CONFIG.augmentation, rescale=1.0),
    )
    batch = rendered_source(always, images, images).batch(range(2))
    assert batch.ground is not None and not batch.ground.any()


def test_a_run_learns_both_modes_spread_and_sky_and_goes_on_where_it_stopped(images, tmp_path):
    source = rendered_source(CONFIG, images, images)
    told = []
    train(CONFIG, source, tmp_path / "whole", False, told.append)
    assert {"prediction", "completion", "spread", "spread_completed", "sky", "sky_completed"} <= set(told[-1].losses)
    train(CONFIG, source, tmp_path / "parts", False, told.append, stop_after=2)
    train(CONFIG, source, tmp_path / "parts", True, told.append)
    whole, parts = (load_checkpoint(tmp_path / name / "last.ckpt") for name in ("whole", "parts"))
    assert whole.depth is not None and parts.depth is not None
    for name, value in whole.depth.weights.items():
        assert torch.equal(value, parts.depth.weights[name]), name
    assert whole.metadata.width_px == 96 and whole.metadata.height_px == 32


def test_every_weight_has_one_rate_and_the_encoder_its_own():
    model, _ = new_models(CONFIG)
    groups = parameter_groups(model, CONFIG)
    assert [group["share"] for group in groups] == [1.0, 0.1]
    grouped = [id(value) for group in groups for value in group["params"]]
    assert sorted(grouped) == sorted(id(value) for value in model.parameters())
    assert len(list(model.depth.encoder.parameters())) == len(groups[1]["params"])


def test_an_encoder_whose_rate_is_nothing_stays_as_it_is():
    frozen = replace(CONFIG, optimiser=replace(CONFIG.optimiser, encoder_rate=0.0))
    model, _ = new_models(frozen)
    (group,) = parameter_groups(model, frozen)
    assert not any(value.requires_grad for value in model.depth.encoder.parameters())
    learning = [id(value) for value in model.parameters() if value.requires_grad]
    assert sorted(map(id, group["params"])) == sorted(learning)


def test_a_model_of_any_size_is_exported_compared_and_trained_on(network, tmp_path):
    state = NetworkState(network.config.to_dict(), cpu_weights(network))
    report = export_model(Checkpoint(METADATA, state, None, {}), tmp_path / "model", weights="fp16")
    contract = report.contract
    assert (contract.size_step_px, contract.takes_ground, contract.tells_sigma) == (32, True, True)
    assert contract.network["class"] == "LiteSan" and contract.trained_fx_px == METADATA.trained_fx_px
    names = [case.name for case in report.parity]
    assert names[:4] == [f"{count} points" for count in (0, 1, 100, 5000)]
    assert {"64x96", "96x64"} <= set(names) and all(case.passed for case in report.parity)
    known = checkpoint_of_model(tmp_path / "model")
    assert known.depth is not None
    assert LiteSanConfig.from_dict(known.depth.config) == TINY
    config = initialised(replace(CONFIG, init=str(tmp_path / "model"), trained_fx_px=999.0))
    assert config.trained_fx_px == METADATA.trained_fx_px  # the focal length of one size is that of every size
    started, _ = new_models(config)
    torch.testing.assert_close(started.depth.heads[0].weight, network.heads[0].weight, rtol=1e-3, atol=1e-4)


def test_sigma_is_told_times_the_factor_of_the_export(network, tmp_path):
    state = NetworkState(network.config.to_dict(), cpu_weights(network))
    image = np.full((1, 64, 96, 3), 90, np.uint8), np.zeros((0, 3), np.int64), np.zeros(0, np.float32)
    told = {}
    for factor in (1.0, 1.25):
        export_model(Checkpoint(METADATA, state, None, {}), tmp_path / str(factor), sigma_factor=factor)
        told[factor] = OnnxEngine(tmp_path / str(factor)).infer_all(*image).sigma_log
    np.testing.assert_allclose(told[1.25], 1.25 * told[1.0], rtol=1e-6)


def test_the_exported_graph_tells_what_torch_says_at_other_sizes(network, tmp_path):
    state = NetworkState(network.config.to_dict(), cpu_weights(network))
    export_model(Checkpoint(METADATA, state, None, {}), tmp_path / "model")
    engine = OnnxEngine(tmp_path / "model")
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (2, 128, 32, 3), dtype=np.uint8)
    bvu, depth = np.array([[1, 5, 7], [1, 100, 30]]), np.array([4.0, 9.0], np.float32)
    ground = np.array([[0, 0, 0, 0], [0, 0.003, -0.1, 1.0]], np.float32)
    found = engine.infer_all(rgb, bvu, depth, ground)
    plain = engine.infer_all(rgb, bvu[:0], depth[:0])
    np.testing.assert_array_equal(found.depth_m[0], plain.depth_m[0])  # neither points nor ground
    assert np.abs(found.depth_m[1] / plain.depth_m[1] - 1.0).max() > 1e-3
    assert found.sigma_log is not None and found.sky is not None
    assert (found.sigma_log > 0).all() and ((found.sky >= 0) & (found.sky <= 1)).all()
    with pytest.raises(DataError, match=r"\[B, 96, 32, 3\]"):
        engine.infer(rgb[:, :100], bvu[:0], depth[:0])


def test_a_recipe_is_written_and_read_back_with_either_network(tmp_path):
    for config in (CONFIG, replace(TrainConfig(), network=replace(TrainConfig().network, prior=True))):
        write_recipe(config, tmp_path / "recipe.yaml")
        assert read_recipe(tmp_path / "recipe.yaml") == config
    (tmp_path / "recipe.yaml").write_text("network: {encoder: packnet, prior: true}\n", encoding="utf-8")
    assert read_recipe(tmp_path / "recipe.yaml").network.prior
    with pytest.raises(ConfigError, match=r"network\.prior: unknown"):
        read_recipe(tmp_path / "recipe.yaml", ["network.encoder=efficientnet_lite1"])


def test_what_belongs_to_the_other_network_is_refused():
    with pytest.raises(ConfigError, match=r"encoder_weights, ground\.share: expected none with encoder packnet"):
        TrainConfig(encoder_weights="imagenet")
    with pytest.raises(ConfigError, match=r"shapes: expected width and height in multiples of 32, got .*100x64"):
        replace(CONFIG, shapes=((100, 64),))
    with pytest.raises(ConfigError, match="least_zoom"):
        replace(CONFIG, least_zoom=0.0)
    with pytest.raises(ConfigError, match=r"shares of 0\.\.1"):
        GroundHints(share=2.0)
    assert not without_sparse_branch(replace(CONFIG, modes="prediction")).network.sparse


def test_a_lidar_beside_the_camera_sees_past_the_edges_of_what_is_near():
    depth = np.full((32, 64), 20.0, np.float32)
    depth[:, 20:40] = 2.0
    assert np.array_equal(seen_from_beside(depth, (0.0, 0.0)), depth)
    beside = seen_from_beside(depth, (0.0, 8.0))  # the near strip moves 4 columns, what is behind less than one
    np.testing.assert_array_equal(np.flatnonzero(beside[16] < 5.0), np.arange(24, 44))
    assert not np.isnan(beside[:, 2:-2]).any()


def test_points_of_such_a_lidar_lie_on_what_hides_them():
    depth = np.full((64, 96), 40.0, np.float32)
    depth[:, 30:60] = 3.0
    camera = PinholeCamera(96, 64, 60.0, 60.0, 47.5, 31.5)
    dense = PointPatterns(
        beams=0.0, scattered=1.0, single_row=0.0, few=0.0, none=0.0, scattered_share=(0.5, 0.6), range_noise=0.0,
        outlier_share=0.0, shift_px=0,
    )  # fmt: skip

    def hidden(patterns, unit_m=1.0):
        points = [sample_points(np.random.default_rng(seed), depth, camera, patterns, unit_m) for seed in range(12)]
        return sum(int((one.depth_m > 1.5 * depth[one.rows, one.cols]).sum()) for one in points)

    assert hidden(dense) == 0
    assert hidden(replace(dense, parallax_m=0.8)) > 50
    # an offset of 0.8 m is as nothing in a world whose unit is 100 m
    assert hidden(replace(dense, parallax_m=0.8), unit_m=100.0) == 0


def test_the_shipped_recipe_learns_a_lite_san(repository: Path):
    recipe = repository / "config" / "train" / "street_lite.yaml"
    nothing = read_recipe(recipe, ["encoder_weights=", "network.folded_norms=false"])
    assert nothing.encoder_weights == "" and not nothing.network.folded_norms
    config = read_recipe(recipe)
    assert isinstance(config.network, LiteSanConfig) and config.encoder_weights == "imagenet"
    ratios = [width / height for width, height in config.shapes]
    assert max(ratios) >= 3.2 and min(ratios) <= 0.85
