# SPDX-License-Identifier: Apache-2.0
"""Recipes: what is accepted, and what a mistake looks like."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.training.config import TrainConfig, read_recipe


def _recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    assert read_recipe(_recipe(tmp_path, "")) == TrainConfig()


def test_values_reach_nested_sections_with_their_types(tmp_path: Path) -> None:
    text = "max_minutes: 5\nnetwork: {widths: [16, 16, 16, 16, 16, 16], packing_features: 2}\n"
    text += (
        "data: {camera: {fov_deg: [60, 70]}}\nobjectives: {completion: {scales: [1, 0.5]}}\noptimiser: {rate: 3e-4}\n"
    )
    config = read_recipe(_recipe(tmp_path, text), ["seed=7", "data.chaos_share=0.5", "max_minutes=null"])
    assert config.network.widths == (16,) * 6
    assert config.data.camera.fov_deg == (60.0, 70.0)
    assert config.objectives.completion.scales == (1.0, 0.5)
    assert config.optimiser.rate == pytest.approx(3e-4)
    assert (config.seed, config.data.chaos_share, config.max_minutes) == (7, 0.5, None)


def test_all_mistakes_are_reported_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    text = "batch_sise: 4\nseed: many\ndata: {chaos_sare: 0.1, width_px: 3.5}\nnetwork: 5\noptimiser: {rate: true}\n"
    with pytest.raises(ConfigError) as caught:
        read_recipe(_recipe(tmp_path, text), ["nonsense"])
    message = str(caught.value)
    for expected in (
        "batch_sise: unknown; did you mean batch_size?",
        "seed: expected int, got 'many'",
        "data.chaos_sare: unknown; did you mean data.chaos_share?",
        "data.width_px: expected int, got 3.5",
        "network: expected a section, got 5",
        "optimiser.rate: expected float, got True",
        "override 'nonsense': expected key=value",
    ):
        assert expected in message


def test_values_out_of_range_name_their_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data: .*chaos_share: expected 0\.\.1, got 2"):
        read_recipe(_recipe(tmp_path, "data: {chaos_share: 2.0}"))
    with pytest.raises(ConfigError, match="multiples of 32, got 320x100"):
        read_recipe(_recipe(tmp_path, "data: {height_px: 100}"))
    with pytest.raises(ConfigError, match="batch_size: expected more than 0"):
        read_recipe(_recipe(tmp_path, "batch_size: 0"))


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
