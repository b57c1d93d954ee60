# SPDX-License-Identifier: Apache-2.0
"""bench/experiments.py: its rows are recipes, its runs go on where they were, its table does the sums."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs torch")

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.recipe_file import read_recipe

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def bench(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiments", repository / "bench" / "experiments.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["experiments"] = module
    spec.loader.exec_module(module)
    return module


def test_every_row_is_a_recipe_of_its_own(bench: ModuleType, repository: Path) -> None:
    names = [row.name for row in bench.rows()]
    assert len(set(names)) == len(names)
    recipes: list[TrainConfig] = []
    for row in bench.rows():
        config = read_recipe(repository / bench.RECIPE, (*bench.SMALL, *row.overrides))
        assert (config.width_px, config.height_px, config.trained_fx_px) == (192, 64, 111.0), row.name
        assert config not in recipes, row.name  # an override that changes nothing is no experiment
        recipes.append(config)


def result(name: str, seed: int, abs_rel: float, **scores: Any) -> dict[str, Any]:
    both = {method: {"abs_rel": abs_rel, "rmse": 10 * abs_rel} for method in ("completion", "completion_network")}
    beside = {"nearest": {"abs_rel": 0.5, "rmse": 5.0}, "prediction": {"abs_rel": 0.9, "rmse": 9.0}}
    street = {"street": {**both, **beside}}
    return {"name": name, "seed": seed, "overrides": [], "steps": 100, "minutes": 2.0, "scores": {**street, **scores}}


def test_the_table_tells_noise_differences_and_what_was_not_scored(bench: ModuleType) -> None:
    changed = {**result("chaos_only", 0, 0.25), "overrides": ["rendered.chaos_share=1"]}
    lines = bench.table([changed, result("baseline", 0, 0.2), result("baseline", 1, 0.24)]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {3 + len(bench.COLUMNS)}
    at = cells[0].index("street 4 beams")
    by_name = {row[0]: row for row in cells}
    assert by_name["baseline, 2 seeds"][at] == "0.220"
    assert by_name["baseline, largest less smallest"][at] == "0.040"
    assert by_name["chaos_only"][at] == "0.250 (+0.030)"
    assert by_name["chaos_only"][1:3] == ["`rendered.chaos_share=1`", "50"]
    assert by_name["nearest"][at] == "0.500"
    assert by_name["nearest"][cells[0].index("street prediction")] == "-"
    assert by_name["chaos_only"][cells[0].index("half the lines")] == "-"
    assert [row[0] for row in cells].index("baseline, 2 seeds") < [row[0] for row in cells].index("chaos_only")


@pytest.fixture
def commands(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that are run; they leave the files of those of the same name, and training no_chaos fails."""
    asked: list[list[str]] = []

    def run(arguments: list[str], log: Path) -> None:
        asked.append(arguments)
        out = Path(arguments[arguments.index("--out") + 1])
        out.mkdir(parents=True, exist_ok=True)
        if arguments[0] == "train" and "rendered.chaos_share=0" in arguments:
            raise RuntimeError("train: it cannot")
        (out / "last.ckpt").touch()
        (out / "results.json").write_text(json.dumps({"scores": {"completion": {"abs_rel": 0.1, "rmse": 1.0}}}))

    monkeypatch.setattr(bench, "_command", run)
    monkeypatch.setattr(
        bench, "load_checkpoint", lambda _: SimpleNamespace(training_state={"step": 5, "elapsed_s": 60})
    )
    return asked


def test_rows_go_on_after_one_that_fails_and_are_not_run_again(
    bench: ModuleType, commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "no_chaos", "beams_only", "--out", str(tmp_path), "--recorded", str(tmp_path / "none")]
    assert bench.main([*options, "--steps", "5"]) == 1
    said = capsys.readouterr().out
    assert "no_chaos seed 0 ... failed: train: it cannot" in said
    assert "not scored, as there are no such drives" in said
    assert "ddad, kitti, kitti_half" in said
    assert [command[0] for command in commands] == ["train", "train", "export", "evaluate"]
    assert "points.few=0" in commands[1]
    assert "max_steps=5" in commands[1]
    kept = json.loads((tmp_path / "beams_only_seed0" / "result.json").read_text())
    assert [command.split()[1] for command in kept["commands"]] == ["train", "export", "evaluate"]
    assert "| beams_only |" in (tmp_path / "table.md").read_text()

    commands.clear()
    (tmp_path / "none" / "kitti_drive").mkdir(parents=True)
    bench.main([*options, "--steps", "5"])  # now there is a drive: what is finished is only scored on it
    assert [command[0] for command in commands] == ["train", "evaluate", "evaluate"]
    assert all("kitti_drive" in " ".join(command) for command in commands[1:])
    commands.clear()
    assert bench.main([*options, "--table"]) == 0
    assert commands == []
    bench.main([*options, "--steps", "6"])
    assert "choose another --out" in capsys.readouterr().out
    assert [command[0] for command in commands] == ["train"]  # that of the row that failed


def test_another_seed_is_another_folder(bench: ModuleType, commands: list[list[str]], tmp_path: Path) -> None:
    args = bench.parse(["--out", str(tmp_path), "--recorded", str(tmp_path), "--steps", "5", "--minutes", "3"])
    bench.run_row(bench.rows()[0], 1, args)
    assert (tmp_path / "baseline_seed1" / "result.json").exists()
    assert {"seed=1", "max_minutes=3.0", "validate_steps=6"} <= set(commands[0])
    with pytest.raises(ConfigError, match="other settings"):
        bench.run_row(bench.rows()[0], 1, bench.parse(["--out", str(tmp_path), "--steps", "7"]))
