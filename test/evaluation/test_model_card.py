# SPDX-License-Identifier: Apache-2.0
"""bench/model_card.py: its tables have their places, and say of a target whether it is met."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from mono_depth_ros.errors import ConfigError

HOW_GOOD = {"completion": (0.1, 4.0), "completion_network": (0.2, 3.0), "nearest": (0.3, 5.0), "classical": (0.4, 6.0)}
SCORES = {name: {"abs_rel": abs_rel, "rmse": rmse, "images": 7} for name, (abs_rel, rmse) in HOW_GOOD.items()}


@pytest.fixture
def bench(repository: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """bench/model_card.py and bench/model_card_tables.py."""
    monkeypatch.syspath_prepend(repository / "bench")
    return importlib.import_module("model_card"), importlib.import_module("model_card_tables")


def test_every_table_has_its_place_and_its_runs(repository: Path, bench: tuple[ModuleType, ModuleType]) -> None:
    card, tables = bench
    for name, table in tables.TABLES.items():
        text = (repository / table.shown_in).read_text(encoding="utf-8")
        written = card.with_table(text, name, "| new |")
        assert f"<!-- model_card.py: {name} -->\n| new |\n<!-- model_card.py: end -->" in written
        assert len(re.findall("<!-- model_card.py", written)) == len(re.findall("<!-- model_card.py", text))
        assert set(table.runs) <= set(card.RUNS)
    for (run, _), place in card.FILES.items():
        assert run in card.RUNS and (repository / place).is_file()


def test_an_empty_place_is_filled_and_the_next_one_kept(bench: tuple[ModuleType, ModuleType]) -> None:
    begin, end = "<!-- model_card.py: {} -->\n", "<!-- model_card.py: end -->\n"
    text = begin.format("shapes") + end + "between\n" + begin.format("targets") + "| old |\n" + end
    assert bench[0].with_table(text, "shapes", "| new |") == text.replace(end, "| new |\n" + end, 1)


def test_a_text_without_the_place_is_refused(bench: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(ConfigError, match="targets"):
        bench[0].with_table("<!-- model_card.py: targets -->\nno end", "targets", "| new |")


def test_a_target_is_met_by_both_numbers_or_not(bench: tuple[ModuleType, ModuleType]) -> None:
    judged = bench[1]._judged
    assert judged((0.1, 4.0), (0.2, 5.0), (0.1, 4.0)) == "goal"
    assert judged((0.1, 4.1), (0.2, 5.0), (0.1, 4.0)) == "at least"
    assert judged((0.1, 5.1), (0.2, 5.0), (0.1, 4.0)) == "no"
    assert judged((0.1, 9.0), (0.2,), (0.1,)) == "goal"  # RMSE was not asked for


def test_the_targets_are_told_beside_what_is_reached(bench: tuple[ModuleType, ModuleType]) -> None:
    predicted = {key: {"abs_rel": 0.2, "rmse": 6.0} for key in ("prediction", "prediction_median_scaled")}
    found = {"images": 7, "scores": SCORES | predicted}
    runs = bench[1].TABLES["targets"].runs
    table = bench[1].targets(dict.fromkeys(runs, found)).splitlines()
    assert "| KITTI, prediction | 7 | 0.26 | 0.2 | 0.200 / 6.00 | goal | - | - |" in table
    assert (
        "| KITTI, 4 beams | 7 | 0.105 / 4.5 | 0.08 / 4 | 0.100 / 4.00 | at least | 0.300 / 5.00 | 0.400 / 6.00 |"
        in table
    )
    assert "| 640x480 against 640x192, prediction | 7 | x1.3 | x1.1 | x1.00 | goal | - | - |" in table


def test_the_best_is_bold_by_each_metric_where_all_are_there(bench: tuple[ModuleType, ModuleType]) -> None:
    cells = bench[1]._cells
    assert cells(SCORES, tuple(HOW_GOOD)) == ["**0.100** / 4.00", "0.200 / **3.00**", "0.300 / 5.00", "0.400 / 6.00"]
    some = {name: SCORES[name] for name in ("completion", "nearest")}
    assert cells(some, tuple(HOW_GOOD)) == ["0.100 / 4.00", "-", "0.300 / 5.00", "-"]
