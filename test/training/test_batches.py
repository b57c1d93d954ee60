# SPDX-License-Identifier: Apache-2.0
"""Batches: focal normalisation, points, augmentation, and that a step always gives the same batch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.datasets.rendered.rendered_cache import (  # noqa: E402
    SyntheticConfig,
    SyntheticDataset,
    SyntheticImage,
    cache_folder,
    prepare,
)
from mono_depth_ros.errors import ConfigError, DataError  # noqa: E402
from mono_depth_ros.geometry.camera import PinholeCamera  # noqa: E402
from mono_depth_ros.training.augmentation import Augmentation, augment_image, empty_image, random_look  # noqa: E402
from mono_depth_ros.training.batches import (  # noqa: E402
    BatchRecipe,
    batch_at,
    focal_factor,
    positions_of,
    stream,
    training_sample,
    with_kept_points,
)
from mono_depth_ros.training.point_patterns import PointPatterns, beam_cells, sample_points  # noqa: E402

CAMERA = PinholeCamera(64, 32, 60.0, 40.0, 30.0, 16.5)
PLAIN = Augmentation(flip=0.0, empty=0.0, rescale=0.0)
EXACT = PointPatterns(range_noise=0.0, outlier_share=0.0, shift_px=0)


def _image(seed: int = 0, chaos: bool = False) -> SyntheticImage:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1.0, 60.0, (32, 64)).astype(np.float32)
    depth[:6] = np.inf
    return SyntheticImage(rng.integers(0, 256, (32, 64, 3), dtype=np.uint8), depth, CAMERA, chaos)


def _recipe(**changes: object) -> BatchRecipe:
    values = dict(
        seed=5, trained_fx_px=120.0, max_depth_m=100.0, augmentation=Augmentation(),
        patterns=PointPatterns(), chaos_prediction=0.25,
    )  # fmt: skip
    return BatchRecipe(**{**values, **changes})  # type: ignore[arg-type]


def test_focal_normalisation_goes_there_and_back() -> None:
    image = _image()
    sample = training_sample(np.random.default_rng(0), image, 120.0, 1e9, PLAIN, EXACT)
    factor = focal_factor(CAMERA, 120.0)
    assert factor == pytest.approx(0.5)
    np.testing.assert_allclose(sample.truth_depth_m * factor, image.depth_m, rtol=1e-6)  # as the run time undoes it
    points = sample.points
    np.testing.assert_allclose(points.depth_m * factor, image.depth_m[points.rows, points.cols], rtol=1e-6)


def test_without_focal_normalisation_depths_stay_metres_for_every_camera() -> None:
    image = _image()
    sample = training_sample(np.random.default_rng(0), image, None, 1e9, PLAIN, EXACT)
    np.testing.assert_array_equal(sample.truth_depth_m, image.depth_m)
    assert focal_factor(CAMERA, None) == 1.0


def test_thinned_points_are_a_share_of_each_image_and_the_same_whenever_asked() -> None:
    scattered = PointPatterns(beams=0, scattered=1, single_row=0, few=0, none=0, scattered_share=(0.3, 0.3))
    recipe = _recipe(patterns=scattered)
    positions = range(40, 80)
    plain = batch_at([_image(i) for i in range(5)], recipe, positions)
    assert plain.kept is None
    batch = with_kept_points(plain, recipe.seed, positions)
    kept = batch.kept
    assert kept is not None
    later = with_kept_points(batch_at([_image(i) for i in range(5)], recipe, range(60, 80)), recipe.seed, range(60, 80))
    assert later.kept is not None
    assert torch.equal(later.kept, kept[batch.bvu[:, 0] >= 20])  # a matter of the position, not of the batch
    assert not torch.equal(kept, with_kept_points(plain, recipe.seed + 1, positions).kept)
    shares, whole_rows = [], 0
    for b in range(40):
        mine = batch.bvu[:, 0] == b
        shares.append(float(kept[mine].float().mean()))
        rows = [kept[mine & (batch.bvu[:, 1] == row)].float().mean() for row in batch.bvu[mine, 1].unique()]
        whole_rows += all(float(share) in (0.0, 1.0) for share in rows)
    assert 0.02 < min(shares) < 0.3
    assert 0.6 < max(shares) < 0.9
    assert 10 <= whole_rows <= 30
    assert batch.to(torch.device("cpu")).kept is not None


def test_a_mirrored_sample_mirrors_image_truth_and_points_together() -> None:
    image = _image()
    flipped = training_sample(
        np.random.default_rng(3), image, 60.0, 1e9, Augmentation(flip=1.0, empty=0.0, rescale=0.0), EXACT
    )
    np.testing.assert_allclose(flipped.truth_depth_m, image.depth_m[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(flipped.points.depth_m, flipped.truth_depth_m[flipped.points.rows, flipped.points.cols])


def test_far_surfaces_count_as_sky() -> None:
    sample = training_sample(np.random.default_rng(0), _image(), 60.0, 30.0, PLAIN, EXACT)
    finite = np.isfinite(sample.truth_depth_m)
    assert sample.truth_depth_m[finite].max() <= 30.0
    assert 0.2 < finite.mean() < 0.8


def test_a_rescaled_image_teaches_completion_its_points_and_prediction_what_it_shows() -> None:
    image = _image()
    rescaling = Augmentation(flip=0.0, empty=0.0, rescale=1.0)
    rescaled = training_sample(np.random.default_rng(1), image, 60.0, 1e9, rescaling, EXACT)
    plain = training_sample(np.random.default_rng(1), image, 60.0, 1e9, replace(PLAIN, flip=0.0), EXACT)
    assert rescaled.predictable
    assert rescaled.rescaled
    points = rescaled.points  # points and truth are scaled alike
    np.testing.assert_allclose(points.depth_m, rescaled.truth_depth_m[points.rows, points.cols], rtol=1e-6)
    np.testing.assert_array_equal(rescaled.shown_depth_m, plain.truth_depth_m)
    solid = np.isfinite(rescaled.shown_depth_m)
    ratio = rescaled.truth_depth_m[solid] / rescaled.shown_depth_m[solid]
    assert abs(float(ratio[0]) - 1.0) > 1e-3
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_what_a_rescaled_image_shows_is_sky_by_its_own_depth() -> None:
    rescaling = Augmentation(flip=0.0, empty=0.0, rescale=1.0, rescale_sigma=1.0)
    samples = [training_sample(np.random.default_rng(i), _image(), 60.0, 30.0, rescaling, EXACT) for i in range(8)]
    for sample in samples:
        np.testing.assert_array_equal(np.isinf(sample.shown_depth_m), np.isinf(samples[0].shown_depth_m))
    assert any((np.isinf(s.truth_depth_m) != np.isinf(s.shown_depth_m)).any() for s in samples)


def test_emptied_images_do_not_teach_prediction() -> None:
    emptying = Augmentation(empty=1.0, rescale=0.0)
    emptied = training_sample(np.random.default_rng(1), _image(), 60.0, 1e9, emptying, EXACT)
    assert not emptied.predictable
    true_image = training_sample(np.random.default_rng(1), _image(), 60.0, 1e9, PLAIN, EXACT).rgb
    seen = np.corrcoef(emptied.rgb.ravel(), true_image.ravel())[0, 1]
    assert abs(seen) < 0.5


def test_a_step_gives_the_same_batch_whenever_it_is_asked() -> None:
    source = [_image(i, chaos=i % 2 == 0) for i in range(5)]
    batches = stream(lambda step: batch_at(source, _recipe(), positions_of(step, 3)), first_step=2)
    for step in (2, 3, 4):
        streamed, direct = next(batches), batch_at(source, _recipe(), positions_of(step, 3))
        torch.testing.assert_close(streamed.rgb, direct.rgb, rtol=0, atol=0)
        torch.testing.assert_close(streamed.bvu, direct.bvu)
        torch.testing.assert_close(streamed.points_depth_m, direct.points_depth_m, rtol=0, atol=0)
    batches.close()
    assert not torch.equal(
        batch_at(source, _recipe(), range(6, 9)).rgb, batch_at(source, _recipe(seed=6), range(6, 9)).rgb
    )


def test_processes_share_a_batch_without_gap_or_overlap() -> None:
    parts = [positions_of(step, 6, rank, 3) for step in range(2) for rank in range(3)]
    assert [position for part in parts for position in part] == list(range(12))


def test_every_image_comes_once_per_epoch() -> None:
    asked: list[int] = []

    class Counting(list):  # type: ignore[type-arg]
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            asked.append(index)
            return super().__getitem__(index)

    source = Counting(_image(i) for i in range(6))
    for step in range(4):
        batch_at(source, _recipe(), positions_of(step, 3))
    assert sorted(asked[:6]) == list(range(6))
    assert sorted(asked[6:]) == list(range(6))


def test_a_batch_knows_which_points_to_trust_and_whom_to_teach_what() -> None:
    patterns = PointPatterns(beams=0.0, scattered=1.0, single_row=0, few=0, none=0, outlier_share=0.9, range_noise=0.0)
    source = [_image(i, chaos=True) for i in range(30)]
    batch = batch_at(source, _recipe(patterns=patterns, augmentation=PLAIN), range(30))
    assert batch.predict_weight.tolist() == [0.25] * 30
    assert batch.shown_depth_m is None  # no image was rescaled
    assert batch.rescaled is None
    truth = batch.truth_depth_m[batch.bvu[:, 0], 0, batch.bvu[:, 1], batch.bvu[:, 2]]
    off = (batch.points_depth_m / truth).log().abs()
    assert (off > 0.08).any()
    assert ((batch.trusted_depth_m > 0) == (off < 0.08)).all()
    trusted = batch.trusted_depth_m > 0
    torch.testing.assert_close(batch.trusted_depth_m[trusted], truth[trusted])


def test_beams_are_cones_of_their_elevation() -> None:
    camera = PinholeCamera(640, 480, 400.0, 300.0, 320.0, 240.0)
    elevations = np.deg2rad([5.0, -5.0, -20.0])
    rows, cols = beam_cells(camera, elevations, 0.0, np.arange(640))
    x, y = (cols - 320.0) / 400.0, (rows - 240.0) / 300.0
    measured = np.arctan2(-y, np.hypot(1.0, x))
    nearest = np.abs(measured[:, None] - elevations).min(axis=1)
    assert nearest.max() < 0.6 / 300.0
    assert len(rows) == 3 * 640


def test_every_pattern_occurs_and_points_lie_on_the_truth() -> None:
    depth = _image().depth_m
    counts = []
    for seed in range(150):
        points = sample_points(np.random.default_rng(seed), depth, CAMERA, EXACT)
        np.testing.assert_array_equal(points.depth_m, depth[points.rows, points.cols])
        cells = points.rows * 64 + points.cols
        assert len(np.unique(cells)) == len(cells)
        counts.append(len(points))
    assert min(counts) == 0
    assert max(counts) > 400
    assert np.mean(np.array(counts) < 20) > 0.05


def test_noise_and_shift_disturb_points_within_bounds() -> None:
    flat = np.full((32, 64), 10.0, np.float32)
    seen = np.concatenate(
        [
            sample_points(np.random.default_rng(i), flat, CAMERA, PointPatterns(outlier_share=0.0)).depth_m
            for i in range(60)
        ]
    )
    assert 0.001 < np.log(seen / 10.0).std() < 0.03
    assert np.abs(np.log(seen / 10.0)).max() < 0.2


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares"):
        PointPatterns(beams=-1.0)


def test_augmented_images_stay_images() -> None:
    image = _image().image_rgb
    for seed in range(10):
        rng = np.random.default_rng(seed)
        changed = augment_image(rng, image, random_look(rng, Augmentation()))
        for result in (changed, empty_image(rng, changed)):
            assert result.dtype == np.float32
            assert result.shape == image.shape
            assert 0.0 <= result.min() <= result.max() <= 1.0


def test_the_cache_is_rendered_once_resumed_and_read_back(tmp_path: Path) -> None:
    config = SyntheticConfig(
        width_px=64, height_px=32, train_images=4, val_images=2, images_per_world=2, shard_images=2
    )
    assert list(prepare(config, tmp_path, workers=1)) == [(0, 3), (1, 3), (2, 3), (3, 3)]
    folder = cache_folder(config, tmp_path)
    first = SyntheticDataset(config, folder, "train")[3]
    (folder / "train_0001.npy").unlink()
    with pytest.raises(DataError, match="1 missing"):
        SyntheticDataset(config, folder, "train")
    assert list(prepare(config, tmp_path, workers=1)) == [(2, 3), (3, 3)]
    train, val = SyntheticDataset(config, folder, "train"), SyntheticDataset(config, folder, "val")
    np.testing.assert_array_equal(train[3].image_rgb, first.image_rgb)
    np.testing.assert_array_equal(train[3].depth_m, first.depth_m)
    assert train[3].camera == first.camera
    assert not np.array_equal(train[0].image_rgb, val[0].image_rgb)
    assert (len(train), len(val)) == (4, 2)
    assert not np.isnan(first.depth_m).any()
    other = SyntheticConfig(
        width_px=64, height_px=32, train_images=4, val_images=2, images_per_world=2, shard_images=2, seed=1
    )
    assert cache_folder(other, tmp_path) != folder


def test_a_random_convolution_changes_the_surfaces_and_leaves_shapes_and_brightness() -> None:
    image = np.full((48, 64, 3), 60, np.uint8)
    image[12:36, 20:44] = 180
    plain = Augmentation(
        flip=0.0, channel_shuffle=0.0, grey=0.0, gain_sigma=0.0, gamma_sigma=0.0, contrast_sigma=0.0,
        channel_gain_sigma=0.0, blur=0.0, noise_sigma=0.0,
    )  # fmt: skip
    convolving = replace(plain, random_convolution=1.0)
    same = augment_image(np.random.default_rng(0), image, random_look(np.random.default_rng(0), plain))
    np.testing.assert_allclose(same, image / 255.0, atol=1e-6)
    inside, changed, sides = np.s_[18:30, 26:38], [], set()
    for seed in range(24):
        look = random_look(np.random.default_rng(seed), convolving)
        assert look.kernel is not None
        sides.add(look.kernel.shape)
        seen = augment_image(np.random.default_rng(0), image, look)
        assert 0.0 <= seen.min() <= seen.max() <= 1.0
        np.testing.assert_allclose(seen[inside], np.broadcast_to(seen[24, 32], (12, 12, 3)), atol=0.01)  # still even
        changed.append(float(np.abs(seen - same).mean()))
    assert sides == {(3, side, side, 3) for side in (1, 3, 5, 7)}
    assert np.median(changed) > 0.02
    assert len({round(value, 4) for value in changed}) > 12


def test_the_other_looks_are_what_they_were_without_random_convolutions() -> None:
    first, second = (
        random_look(np.random.default_rng(5), Augmentation(random_convolution=share)) for share in (0.0, 1e-12)
    )
    assert (first.gamma, first.noise, first.blur_px, first.kernel) == (second.gamma, second.noise, second.blur_px, None)
