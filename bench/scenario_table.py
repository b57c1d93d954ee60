# SPDX-License-Identifier: Apache-2.0
"""Every failure of the scenario tests and what came of it, as a Markdown table.

    python bench/scenario_table.py

The scenarios are those of test/scenarios (a stand-in network on a street in closed form): the table is what the tests
hold fast.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "fixtures")]

from scenario_drive import Played, abs_rel, play, told  # noqa: E402 - of the tests
from scenarios import SCENARIOS, Scenario, drive  # noqa: E402


def row(scenario: Scenario, played: Played) -> str:
    """One line of the table."""
    during, last = played.at(scenario.at), played.outcomes[-1][1]
    error = abs_rel(scenario.at, during)
    suspect = getattr(last, "calibration", None)
    reason = "; calibration_suspect" if suspect is not None and suspect.suspect else ""
    refused = ", ".join(f"{count} {name}" for name, count in played.refused.items()) or "-"
    return (
        " | ".join(
            (
                f"| {scenario.name}",
                ": ".join(told(during)),
                ": ".join(told(last)) + reason,
                f"{len(played.outcomes)}/{played.depths}",
                refused,
                "-" if error != error else f"{error:.3f}",
            )
        )
        + " |"
    )


def main() -> None:
    """Plays them all."""
    sys.stdout.write("| scenario | while it fails | at the end | images in/depths out | refused | AbsRel |\n")
    sys.stdout.write("|---|---|---|---|---|---|\n")
    for scenario in SCENARIOS:
        sys.stdout.write(row(scenario, play(drive(scenario), scenario.setup)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
