# SPDX-License-Identifier: Apache-2.0
"""Recipes: what is accepted, and what a mistake looks like."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.training.augmentation import Augmentation
from mono_depth_ros.training.config import PoseConfig, TrainConfig, VideoObjectives
from mono_depth_ros.training.recipe_file import changed_fields, read_recipe, write_recipe
from mono_depth_ros.training.schedule import Schedule, constant


def _recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    assert read_recipe(_recipe(tmp_path, "")) == TrainConfig()


def test_values_reach_nested_sections_with_their_types(tmp_path: Path) -> None:
    text = "max_minutes: 5\nnetwork: {widths: [16, 16, 16, 16, 16, 16], packing_features: 2}\n"
    text += "rendered: {camera: {fov_deg: [60, 70]}}\nobjectives: {completion: {scales: [1, 0.5]}}\n"
    text += "optimiser: {rate: 3e-4}\n"
    config = read_recipe(_recipe(tmp_path, text), ["seed=7", "rendered.chaos_share=0.5", "max_minutes=null"])
    assert config.network.widths == (16,) * 6
    assert config.rendered.camera.fov_deg == (60.0, 70.0)
    assert config.objectives.completion.scales == (1.0, 0.5)
    assert config.optimiser.rate == pytest.approx(3e-4)
    assert (config.seed, config.rendered.chaos_share, config.max_minutes) == (7, 0.5, None)


def test_every_recipe_is_written_whole_and_read_back_the_same(tmp_path: Path, repository: Path) -> None:
    recipes = sorted((repository / "config" / "train").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        config = read_recipe(recipe, () if recipe.name.startswith("street") else ["data=somewhere"])
        write_recipe(config, tmp_path / "recipe.yaml")
        assert read_recipe(tmp_path / "recipe.yaml") == config, recipe.name
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_what_changed_between_two_recipes_is_named() -> None:
    after = replace(TrainConfig(), max_steps=5, video=VideoObjectives(velocity=Schedule(((0.2, 0.0), (0.4, 0.1)))))
    assert changed_fields(TrainConfig(), after) == [
        "max_steps: 10000 -> 5",
        "video.velocity: 0.0 -> [[0.2, 0.0], [0.4, 0.1]]",
    ]
    assert changed_fields(after, after) == []


def test_all_mistakes_are_reported_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    text = (
        "batch_sise: 4\nseed: many\nrendered: {chaos_sare: 0.1, width_px: 3.5}\nnetwork: 5\noptimiser: {rate: true}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(_recipe(tmp_path, text), ["nonsense"])
    message = str(caught.value)
    for expected in (
        "batch_sise: unknown; did you mean batch_size?",
        "seed: expected int, got 'many'",
        "rendered.chaos_sare: unknown; did you mean rendered.chaos_share?",
        "rendered.width_px: expected int, got 3.5",
        "network: expected a section, got 5",
        "optimiser.rate: expected float, got True",
        "override 'nonsense': expected key=value",
    ):
        assert expected in message


def test_values_out_of_range_name_their_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rendered: .*chaos_share: expected 0\.\.1, got 2"):
        read_recipe(_recipe(tmp_path, "rendered: {chaos_share: 2.0}"))
    with pytest.raises(ConfigError, match="multiples of 32, got 320x100"):
        read_recipe(_recipe(tmp_path, "rendered: {height_px: 100}"))
    with pytest.raises(ConfigError, match="batch_size: expected more than 0"):
        read_recipe(_recipe(tmp_path, "batch_size: 0"))


def test_a_data_set_may_be_one_name_or_several(tmp_path: Path) -> None:
    plain = "augmentation: {empty: 0, rescale: 0}\n"
    assert read_recipe(_recipe(tmp_path, plain + "data: my_drive\n")).data == ("my_drive",)
    assert read_recipe(_recipe(tmp_path, plain + "data: [a, b]\n")).data == ("a", "b")
    config = read_recipe(_recipe(tmp_path, plain), ["data=bag:/my drives/a?points=/lidar: 4"])
    assert config.data == ("bag:/my drives/a?points=/lidar: 4",)
    several = read_recipe(_recipe(tmp_path, plain), ["data=[bag:/a?gt_points=/t, bag:/b?odom=/o]"])
    assert several.data == ("bag:/a?gt_points=/t", "bag:/b?odom=/o")
    assert config.on_drives
    assert (config.width_px, config.height_px) == (config.drive.width_px, config.drive.height_px)


def test_weights_may_change_over_the_run(tmp_path: Path) -> None:
    text = "video: {velocity: 0.1, photometric: [[0.0, 0.0], [0.5, 1]]}\n"
    config = read_recipe(_recipe(tmp_path, text))
    assert config.video.velocity == constant(0.1)
    assert [config.video.photometric.at(share) for share in (0.0, 0.25, 0.5, 0.9)] == [0.0, 0.5, 1.0, 1.0]
    for wrong in ("[[0.5, 1], [0.2, 1]]", "[[0, -1]]", "[[0, 1], [1.5, 1]]", "[]"):
        with pytest.raises(ConfigError, match=r"video\.photometric: schedule: expected"):
            read_recipe(_recipe(tmp_path, f"video: {{photometric: {wrong}}}"))
    with pytest.raises(ConfigError, match=r"photometric: expected a weight or a list of \[share, weight\], got 'much'"):
        read_recipe(_recipe(tmp_path, "video: {photometric: much}"))
    assert not Schedule(((0.0, 0.0), (1.0, 0.0))).used


def test_a_drive_recipe_that_cannot_teach_says_all_that_is_wrong(tmp_path: Path) -> None:
    text = "data: x\nmodes: both\nbatch_size: 3\ndevices: 2\nvideo: {photometric: 0, supervised: 1}\n"
    with pytest.raises(ConfigError) as caught:
        read_recipe(_recipe(tmp_path, text))
    for expected in (
        "modes: expected one of prediction, completion, joint, got 'both'",
        "batch_size: expected a multiple of devices * nodes = 2, got 3",
        "augmentation: expected empty and rescale 0 on drives",
        "drive.supervision: expected points or truth",
    ):
        assert expected in str(caught.value)
    for wrong, message in (
        ("pose: {source: gps}", "expected one of single_stream, pair, two_stream, odometry"),
        ("video: {camera_height: 1}", "camera_height_m: expected metres"),
        ("video: {plain: {error: l3}}", "plain.error: expected one of l1, berhu, silog, got 'l3'"),
        ("video: {blur_px: 2}", "blur_px: expected an odd number of pixels, got 2"),
        ("drive: {beams: 5}", "beams: expected one of 0, 1, 2, 4, 8, 16, 32, 64, got 5"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_recipe(_recipe(tmp_path, wrong))


def test_a_run_is_metric_only_if_something_tells_metres() -> None:
    plain = Augmentation(empty=0.0, rescale=0.0)
    alone = TrainConfig(data=("x",), augmentation=plain)
    assert not alone.metric
    assert TrainConfig().metric
    assert replace(alone, video=VideoObjectives(velocity=constant(0.1))).metric
    assert replace(alone, pose=PoseConfig(source="odometry")).metric


def test_files_that_are_no_recipe_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="readable YAML"):
        read_recipe(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="readable YAML"):
        read_recipe(_recipe(tmp_path, "a: [1, 2"))
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_recipe(_recipe(tmp_path, "- 1\n- 2\n"))


def test_the_shipped_recipes_are_valid(repository: Path) -> None:
    recipes = sorted((repository / "config" / "train").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        assert read_recipe(recipe).name == recipe.stem


@pytest.mark.parametrize("source", ["two_stream", "pair"])
def test_the_recipe_for_pairs_finds_the_direction_of_a_motion_before_its_length(repository, source):
    config = read_recipe(repository / "config" / "train" / "two_stream.yaml", ["data=bag:any", f"pose.source={source}"])
    assert config.pose.source == source
    assert [config.video.velocity.at(share) for share in (0.0, 0.2)] == [0.0, 0.0]
    assert config.video.velocity.at(0.4) == config.video.velocity.at(1.0) > 0.0
