# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, it resumes bit for bit, it stops on nonsense."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning.fabric")

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticConfig, SyntheticImage, world_images  # noqa: E402
from mono_depth_ros.errors import ConfigError, DataError  # noqa: E402
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig, SparsePoints  # noqa: E402
from mono_depth_ros.training.augmentation import Augmentation  # noqa: E402
from mono_depth_ros.training.batches import BatchRecipe, batch_at, order_of  # noqa: E402
from mono_depth_ros.training.checkpoint import load_checkpoint  # noqa: E402
from mono_depth_ros.training.config import Objectives, Optimiser, TrainConfig  # noqa: E402
from mono_depth_ros.training.curves import Progress, read_history  # noqa: E402
from mono_depth_ros.training.losses import objective  # noqa: E402
from mono_depth_ros.training.model import Outputs, TrainedModel  # noqa: E402
from mono_depth_ros.training.point_patterns import PointPatterns  # noqa: E402
from mono_depth_ros.training.run_state import initialised  # noqa: E402
from mono_depth_ros.training.schedule import constant  # noqa: E402
from mono_depth_ros.training.sources import rendered_source  # noqa: E402
from mono_depth_ros.training.trainer import learning_rate, train  # noqa: E402
from mono_depth_ros.training.validation import even_beams, validate  # noqa: E402

NETWORK = PackNetSanConfig(
    widths=(8, 8, 8, 8, 8, 8), blocks=(1, 1, 1, 1), stem_kernel=3, first_kernel=3, pack_kernels=(3,) * 5,
    packing_features=2, sparse_kernels=(3,) * 5, sparse_encoding="inverse", norm_groups=1,
)  # fmt: skip
CONFIG = TrainConfig(
    name="tiny", batch_size=2, max_steps=6, validate_images=2, network=NETWORK, accelerator="cpu",
    rendered=SyntheticConfig(width_px=64, height_px=32),
    optimiser=Optimiser(rate=2e-3, warm_up_steps=2, freeze_norm_at=0.5),
)  # fmt: skip


@pytest.fixture(scope="module")
def images() -> list[SyntheticImage]:
    return [image for world in range(2) for image in world_images(CONFIG.rendered, 0, world)][:6]


def _quiet(_: Progress) -> None:
    pass


SPARSITY = replace(CONFIG, objectives=Objectives(sparsity_weight=constant(0.5)))


def test_completion_from_a_part_of_the_points_follows_that_from_all_and_not_the_other_way(
    images: list[SyntheticImage],
) -> None:
    batch = rendered_source(SPARSITY, images, images).batch(range(4))
    assert batch.kept is not None
    assert 0 < int(batch.kept.sum()) < len(batch.kept)
    torch.manual_seed(0)
    model = TrainedModel(PackNetSan(NETWORK), None, "joint").train()
    seen = (batch.rgb, batch.bvu, batch.points_depth_m, None, None)
    outputs: Outputs = model(*seen, batch.kept)
    assert outputs.completed is not None
    assert outputs.thinned is not None
    terms = objective(outputs, batch, SPARSITY, 0.0)
    without = objective(outputs, batch, CONFIG, 0.0)
    assert "sparsity" not in without
    assert terms["sparsity"].item() > 1e-3
    assert terms["loss"].item() == pytest.approx(without["loss"].item() + 0.5 * terms["sparsity"].item(), rel=1e-5)
    full, thin = torch.autograd.grad(
        terms["sparsity"], [outputs.completed[0], outputs.thinned[0]], allow_unused=True, retain_graph=True
    )
    assert full is None
    assert thin is not None
    assert bool((thin != 0).any())
    terms["loss"].backward()
    model.eval()
    same = model(*seen, torch.ones_like(batch.kept))
    assert float(objective(same, batch, SPARSITY, 0.0)["sparsity"]) == 0.0  # nothing was left out
    assert model(*seen).thinned is None


def test_sparsity_below_the_sky_is_all_one(images: list[SyntheticImage]) -> None:
    batch = rendered_source(SPARSITY, images, images).batch(range(2))
    far, farther = (torch.full_like(batch.truth_depth_m, 1.0 / depth) for depth in (150.0, 900.0))
    near = torch.full_like(far, 0.5)
    for thinned, expected in ((farther, 0.0), (near, float(np.log(50.0)))):
        outputs = Outputs(None, (far,), (), None, None, (thinned,))
        value = objective(outputs, batch, replace(SPARSITY, modes="completion"), 0.0)["sparsity"]
        assert float(value) == pytest.approx(expected, abs=1e-5)


def test_prediction_learns_what_a_rescaled_image_shows(images: list[SyntheticImage]) -> None:
    rescaling = replace(CONFIG, augmentation=Augmentation(empty=0.0, rescale=1.0))
    batch = rendered_source(rescaling, images, images).batch(range(2))
    assert batch.shown_depth_m is not None
    assert batch.rescaled is not None
    assert batch.rescaled.tolist() == [True, True]
    right = (1.0 / batch.shown_depth_m.clamp(max=1e3),)
    wrong = (1.0 / batch.truth_depth_m.clamp(max=1e3),)
    skips, fused = (torch.zeros(2, 4, 2, 2),), (torch.ones(2, 4, 2, 2),)
    losses = [objective(Outputs(depths, right, skips, fused, None), batch, rescaling, 0.0) for depths in (right, wrong)]
    assert losses[0]["prediction"] < 0.3 * losses[1]["prediction"]
    assert losses[0]["completion"] > losses[0]["prediction"]
    assert float(losses[0]["consistency"]) == 0.0
    true_scale = replace(batch, rescaled=torch.zeros(2, dtype=torch.bool))
    assert float(objective(Outputs(right, right, skips, fused, None), true_scale, rescaling, 0.0)["consistency"]) > 0.1


def test_compiled_passes_learn_the_same(
    tmp_path: Path, images: list[SyntheticImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def quickly(function: Callable[..., object]) -> object:  # generating C++ takes minutes, and is torch's own affair
        compiled.append(function.__name__)
        return compile_really(function, backend="aot_eager")

    compile_really = torch.compile
    monkeypatch.setattr(torch, "compile", quickly)
    source = rendered_source(CONFIG, images, images)
    plain = load_checkpoint(train(CONFIG, source, tmp_path / "plain", False, _quiet)).training_state["weights"]
    assert not compiled
    fast = train(replace(CONFIG, compile=True), source, tmp_path / "compiled", False, _quiet)
    assert compiled == ["encode", "decode"]
    for name, value in load_checkpoint(fast).training_state["weights"].items():
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=1e-4, msg=name)


def test_points_learn_to_fit_in_while_prediction_stays(tmp_path: Path, images: list[SyntheticImage]) -> None:
    source = rendered_source(CONFIG, images, images)
    start = train(CONFIG, source, tmp_path / "start", False, _quiet)
    config = initialised(replace(CONFIG, init=str(start), modes="completion", learn_dense=False))
    after = load_checkpoint(train(config, source, tmp_path / "points", False, _quiet)).depth_network().state_dict()
    of_points = ("sparse_branch.", "fusion_", "prior.")
    for name, value in load_checkpoint(start).depth_network().state_dict().items():
        if not name.startswith(of_points):
            assert torch.equal(value, after[name]), name
        elif name.endswith(("merge.weight", "fusion_weight")):
            assert not torch.equal(value, after[name]), name
    for wrong in ({"init": str(start), "modes": "joint"}, {"modes": "completion"}):
        with pytest.raises(ConfigError, match="learn_dense"):
            replace(CONFIG, learn_dense=False, **wrong)


def test_points_are_thinned_only_where_it_is_used(images: list[SyntheticImage]) -> None:
    assert rendered_source(CONFIG, images, images).batch(range(2)).kept is None
    alone = replace(SPARSITY, modes="prediction")
    assert rendered_source(alone, images, images).batch(range(2)).kept is None


def test_a_resumed_run_with_thinned_points_ends_with_the_same_weights(
    tmp_path: Path, images: list[SyntheticImage]
) -> None:
    source = rendered_source(SPARSITY, images, images)
    whole = train(SPARSITY, source, tmp_path / "whole", False, _quiet)
    train(SPARSITY, source, tmp_path / "parts", False, _quiet, stop_after=3)
    parts = train(SPARSITY, source, tmp_path / "parts", True, _quiet)
    first, second = (load_checkpoint(path).training_state["weights"] for path in (whole, parts))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    plain = load_checkpoint(train(CONFIG, source, tmp_path / "plain", False, _quiet)).training_state["weights"]
    assert any(not torch.equal(value, plain[name]) for name, value in first.items())


def test_without_focal_normalisation_the_model_says_so(tmp_path: Path, images: list[SyntheticImage]) -> None:
    config = replace(CONFIG, focal_normalisation=False, max_steps=2)
    source = rendered_source(config, images, images)
    assert source.trained_fx_px is None
    truth = source.batch(range(1)).truth_depth_m
    factor = images[order_of(len(images), 0, range(1))[0]].camera.fx_px / 185.0
    normalised = rendered_source(replace(CONFIG, max_steps=2), images, images).batch(range(1)).truth_depth_m
    known = torch.isfinite(truth) & torch.isfinite(normalised)
    torch.testing.assert_close(truth[known], normalised[known] * factor)
    assert load_checkpoint(train(config, source, tmp_path, False, _quiet)).metadata.trained_fx_px is None
    with pytest.raises(ConfigError, match="trained_fx_px"):
        rendered_source(replace(CONFIG, trained_fx_px=None), images, images)


def test_one_batch_can_be_learned_by_heart(images: list[SyntheticImage]) -> None:
    torch.manual_seed(0)
    plain = Augmentation(empty=0.0, rescale=0.0)
    patterns = PointPatterns(beams=0, scattered=1, single_row=0, few=0, none=0, scattered_share=(0.05, 0.1))
    batch = batch_at(images, BatchRecipe(0, 185.0, 100.0, plain, patterns, 1.0), range(2))
    model = TrainedModel(PackNetSan(NETWORK), None, "joint").train()
    adam = torch.optim.Adam(model.parameters(), lr=4e-3)
    losses = []
    for _ in range(40):
        terms = objective(model(batch.rgb, batch.bvu, batch.points_depth_m), batch, CONFIG, 0.0)
        adam.zero_grad()
        terms["loss"].backward()
        adam.step()
        losses.append({name: float(value.detach()) for name, value in terms.items()})
    for name in ("prediction", "completion", "points"):
        assert losses[-1][name] < 0.5 * losses[0][name], (name, losses[0][name], losses[-1][name])


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, images: list[SyntheticImage]) -> None:
    whole = load_checkpoint(train(CONFIG, rendered_source(CONFIG, images, images), tmp_path / "whole", False, _quiet))
    train(CONFIG, rendered_source(CONFIG, images, images), tmp_path / "parts", False, _quiet, stop_after=4)
    assert load_checkpoint(tmp_path / "parts" / "last.ckpt").training_state["step"] == 4
    parts = load_checkpoint(train(CONFIG, rendered_source(CONFIG, images, images), tmp_path / "parts", True, _quiet))
    assert parts.training_state["step"] == 6
    for name, value in whole.training_state["weights"].items():
        assert torch.equal(value, parts.training_state["weights"][name]), name
    assert whole.depth is not None
    assert parts.depth is not None
    for name, value in whole.depth.weights.items():
        assert torch.equal(value, parts.depth.weights[name]), name
    assert whole.metadata.trained_fx_px == CONFIG.trained_fx_px
    assert set(whole.metadata.accuracy) == {"synthetic_val"}


def test_resuming_with_another_network_is_refused(tmp_path: Path, images: list[SyntheticImage]) -> None:
    train(CONFIG, rendered_source(CONFIG, images, images), tmp_path, False, _quiet, stop_after=1)
    other = replace(CONFIG, network=replace(NETWORK, widths=(8, 8, 8, 8, 8, 16)))
    with pytest.raises(ConfigError, match="another network"):
        train(other, rendered_source(other, images, images), tmp_path, True, _quiet)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(
    tmp_path: Path, images: list[SyntheticImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: TrainedModel, *arguments: torch.Tensor) -> Outputs:
        outputs = original(self, *arguments)
        assert outputs.predicted is not None
        return outputs._replace(predicted=tuple(value * float("nan") for value in outputs.predicted))

    original = TrainedModel.forward
    monkeypatch.setattr(TrainedModel, "forward", broken)
    with pytest.raises(DataError, match=r"expected finite numbers, got prediction nan.*bad_batch_0\.npz"):
        train(CONFIG, rendered_source(CONFIG, images, images), tmp_path, False, _quiet)
    with np.load(tmp_path / "bad_batch_0.npz") as kept:
        assert kept["rgb"].shape == (2, 3, 32, 64)
    assert not (tmp_path / "last.ckpt").exists()


def test_progress_is_reported_and_ends_with_scores(tmp_path: Path, images: list[SyntheticImage]) -> None:
    seen: list[Progress] = []
    train(CONFIG, rendered_source(CONFIG, images, images), tmp_path, False, seen.append)
    assert seen[-1].step == 6
    assert seen[-1].share == 1.0
    assert seen[-1].scores is not None
    assert set(seen[-1].losses) == {"prediction", "completion", "points", "consistency", "loss", "gradient"}


def test_the_rate_rises_then_falls() -> None:
    optimiser = Optimiser(rate=1e-3, final_rate=1e-5, warm_up_steps=10)
    assert learning_rate(optimiser, 0, 0.0) == pytest.approx(1e-4)
    assert learning_rate(optimiser, 9, 0.0) == pytest.approx(1e-3)
    assert learning_rate(optimiser, 500, 0.5) == pytest.approx(5.05e-4)
    assert learning_rate(optimiser, 1000, 1.0) == pytest.approx(1e-5)


def test_both_modes_are_the_networks_own_two_modes(images: list[SyntheticImage]) -> None:
    torch.manual_seed(1)
    network = PackNetSan(NETWORK).eval()
    batch = batch_at(images, BatchRecipe(0, 185.0, 100.0, Augmentation(), PointPatterns(none=0.0), 1.0), range(2))
    with torch.no_grad():
        joint = TrainedModel(network, None, "joint").eval()
        predicted, completed, *_ = joint(batch.rgb, batch.bvu, batch.points_depth_m)
        torch.testing.assert_close(predicted[0], network(batch.rgb).inv_depths[0])
        points = SparsePoints(batch.bvu, batch.points_depth_m)
        torch.testing.assert_close(completed[0], network(batch.rgb, points).inv_depths[0])


def test_validation_scores_a_perfect_network_as_perfect(images: list[SyntheticImage]) -> None:
    class Oracle(torch.nn.Module):
        """Returns the truth of the image it is shown."""

        def __init__(self) -> None:
            super().__init__()
            self.dummy = torch.nn.Parameter(torch.zeros(1))
            self.asked = 0

        def forward(self, rgb: torch.Tensor, points: SparsePoints | None):  # type: ignore[no-untyped-def]
            shown = (rgb[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
            image = next(i for i in images if np.array_equal(i.image_rgb, shown))
            factor = image.camera.fx_px / CONFIG.trained_fx_px
            self.asked += 1
            inv_depth = torch.from_numpy(factor / image.depth_m)[None, None]
            if points is not None:
                given = points.depth_m * inv_depth[0, 0, points.bvu[:, 1], points.bvu[:, 2]]
                torch.testing.assert_close(given, torch.ones_like(given))  # points come normalised
            return type("Output", (), {"inv_depths": (inv_depth,)})

    oracle = Oracle()
    scores = validate(oracle, images, replace(CONFIG, validate_images=6), 185.0)  # type: ignore[arg-type]
    found = [value for value in scores.to_dict().values() if not np.isnan(value)]
    assert oracle.asked > 0
    assert found
    assert max(found) < 1e-4


def test_validation_beams_lie_on_the_truth(images: list[SyntheticImage]) -> None:
    image = images[0]
    points = even_beams(image.depth_m, image.camera, 4)
    np.testing.assert_array_equal(points.depth_m, image.depth_m[points.rows, points.cols])


def test_a_run_that_starts_from_another_says_first_how_good_that_was(
    tmp_path: Path, images: list[SyntheticImage]
) -> None:
    source = rendered_source(CONFIG, images, images)
    started = train(CONFIG, source, tmp_path / "first", False, _quiet)
    before = source.validate(load_checkpoint(started).depth_network().eval())
    train(replace(CONFIG, init=str(started)), source, tmp_path / "second", False, _quiet, stop_after=1)
    first = read_history(tmp_path / "second")[0]
    assert first["step"] == 0
    assert first["scores"] == pytest.approx(before.to_dict(), nan_ok=True)
