# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, it resumes bit for bit, it stops on nonsense."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning.fabric")

from mono_depth_ros.datasets.synthetic_dataset import SyntheticConfig, SyntheticImage, world_images  # noqa: E402
from mono_depth_ros.errors import ConfigError, DataError  # noqa: E402
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig, SparsePoints  # noqa: E402
from mono_depth_ros.training.augmentation import Augmentation  # noqa: E402
from mono_depth_ros.training.batches import BatchRecipe, batch_at  # noqa: E402
from mono_depth_ros.training.checkpoint import load_checkpoint  # noqa: E402
from mono_depth_ros.training.config import Optimiser, TrainConfig  # noqa: E402
from mono_depth_ros.training.curves import Progress  # noqa: E402
from mono_depth_ros.training.losses import objective  # noqa: E402
from mono_depth_ros.training.model import Outputs, TrainedModel  # noqa: E402
from mono_depth_ros.training.point_patterns import PointPatterns  # noqa: E402
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
