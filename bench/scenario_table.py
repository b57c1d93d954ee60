# SPDX-License-Identifier: Apache-2.0
"""Every failure of the scenario tests and what came of it, from a bag and from the real node, as a Markdown table.

    . .venv/bin/activate && . install/setup.bash
    python bench/scenario_table.py

The scenarios are those of test/scenarios (a stand-in network on a street in closed form): the table is what the tests
hold fast.
"""

import math
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "fixtures"))

from pytest import MonkeyPatch
from scenario_drive import Outcome, Played, play_bag
from scenario_robot import ScenarioRobot
from scenarios import SCENARIOS, Scenario, drive

# Of AbsRel: what of two ways to the same depth may differ.
TOLERANCE = 0.01


def cell(outcome: Outcome) -> str:
    """Mode, reason and AbsRel."""
    error = outcome.abs_rel()
    told = f"{outcome.mode}: {outcome.reason}" + ("" if math.isnan(error) else f", {error:.3f}")
    return told + ("; calibration_suspect" if outcome.suspect else "")


def counts(played: Played) -> str:
    """Images in, depths out, and what was refused."""
    refused = "".join(f", {count} {name} refused" for name, count in sorted(played.refused.items()))
    return f"{len(played.outcomes)}/{played.depths}{refused}"


def same(a: Outcome, b: Outcome) -> bool:
    """Whether two outcomes of an image are equal; no depth on both sides is equal too."""
    errors = a.abs_rel(), b.abs_rel()
    alike = all(map(math.isnan, errors)) or abs(errors[0] - errors[1]) <= TOLERANCE
    return alike and (a.mode, a.reason, a.suspect) == (b.mode, b.reason, b.suspect)


def row(scenario: Scenario, bag: Played, node: Played) -> str:
    """One line of the table."""
    pairs = [(played.at(scenario.at), played.outcomes[-1]) for played in (bag, node)]
    equal = all(same(a, b) for a, b in zip(*pairs, strict=True)) and counts(bag) == counts(node)
    during, last = ([cell(pair[place]) for pair in pairs] for place in (0, 1))
    return f"| {' | '.join((scenario.name, *during, *last, counts(bag), counts(node), 'yes' if equal else 'NO'))} |"


def main() -> None:
    """Plays them all, twice each."""
    robot = ScenarioRobot(1 + os.getpid() % 100)
    sys.stdout.write(
        "| scenario | bag, while it fails | node, while it fails | bag, at the end | node, at the end | bag, in/out | "
        "node, in/out | equal |\n|---|---|---|---|---|---|---|---|\n"
    )
    try:
        for scenario in SCENARIOS:
            with TemporaryDirectory() as folder, MonkeyPatch.context() as patch:
                bag = play_bag(drive(scenario), scenario.setup, Path(folder))
                node = robot.play(drive(scenario), scenario.setup, patch)
            sys.stdout.write(row(scenario, bag, node) + "\n")
            sys.stdout.flush()
    finally:
        robot.close()


if __name__ == "__main__":
    main()
