# SPDX-License-Identifier: Apache-2.0
"""The tables of model_card.py, as Markdown, from what `mono-depth evaluate` and `dropout-curve` wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

METHODS = ("prediction", "prediction_median_scaled", "completion", "completion_network", "nearest", "classical")
OF_POINTS = METHODS[2:]
SHAPES = ("640x192", "640x360", "640x480", "480x640")  # of one camera, 81 degrees wide, through one street
# Name of a run -> its results.json, or the rows of its dropout_curve.csv.
Results = Mapping[str, Any]
Scores = Mapping[str, Mapping[str, float]]


def _cells(scores: Scores, methods: Sequence[str], best_of: Sequence[str] = OF_POINTS) -> list[str]:
    """AbsRel / RMSE by method; the best of some in bold, each metric by itself."""
    shown = {method: [f"{found['abs_rel']:.3f}", f"{found['rmse']:.2f}"] for method, found in scores.items()}
    for at in (0, 1):
        compared = {method: shown[method][at] for method in best_of if method in shown}
        best = min(map(float, compared.values()), default=0.0)
        for method, cell in compared.items() if len(compared) == len(best_of) else ():
            if float(cell) == best:
                shown[method][at] = f"**{cell}**"
    return [" / ".join(shown[method]) if method in shown else "-" for method in methods]


def _table(heading: str, rows: Sequence[Sequence[str]]) -> str:
    columns = heading.count("|") + 1
    lines = [f"| {heading} |", "|" + "---|" * columns, *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines)


class Target(NamedTuple):
    """What is asked of a number: at least, and as the goal; AbsRel, and where it is asked for RMSE in metres."""

    what: str
    run: str
    method: str
    least: tuple[float, ...]
    goal: tuple[float, ...]


TARGETS = (
    Target("KITTI, prediction", "kitti", "prediction", (0.26,), (0.20,)),
    Target("KITTI, prediction, median scaled", "kitti", "prediction_median_scaled", (0.22,), (0.15,)),
    Target("DDAD, three cameras, prediction, median scaled", "ddad", "prediction_median_scaled", (0.36,), (0.25,)),
    Target("KITTI, 4 beams", "kitti", "completion", (0.105, 4.5), (0.08, 4.0)),
    Target("DDAD, three cameras, 4 beams", "ddad", "completion", (0.16,), (0.13,)),
    Target("KITTI, 32 of 64 beams", "kitti_half", "completion", (0.055,), (0.045,)),
    Target("rendered streets, prediction", "street_4", "prediction", (0.25,), (0.15,)),
    Target("rendered streets, 4 beams", "street_4", "completion", (0.09,), (0.06,)),
)
SHAPE_TARGETS = (1.3, 1.1)  # AbsRel of prediction against that of the first shape


def targets(results: Results) -> str:
    """What was asked for, beside what is reached."""
    rows = []
    for target in TARGETS:
        found = results[target.run]
        scores = found["scores"]
        reached = tuple(scores[target.method][key] for key in ("abs_rel", "rmse"))
        others = ["-", "-"] if "prediction" in target.method else _cells(scores, ("nearest", "classical"), ())
        asked = [" / ".join(f"{number:g}" for number in numbers) for numbers in (target.least, target.goal)]
        met = _judged(reached, target.least, target.goal)
        rows.append([target.what, str(found["images"]), *asked, *_cells(scores, (target.method,), ()), met, *others])
    first, *rest = (results[f"shape_{size}"] for size in SHAPES)
    for size, found in zip(SHAPES[1:], rest, strict=True):
        times = found["scores"]["prediction"]["abs_rel"] / first["scores"]["prediction"]["abs_rel"]
        least, goal = SHAPE_TARGETS
        met = _judged((times,), (least,), (goal,))
        what = f"{size} against {SHAPES[0]}, prediction"
        rows.append([what, str(found["images"]), f"x{least:g}", f"x{goal:g}", f"x{times:.2f}", met, "-", "-"])
    return _table("AbsRel / RMSE m | images | at least | goal | reached | meets | nearest | classical", rows)


def _judged(reached: Sequence[float], least: Sequence[float], goal: Sequence[float]) -> str:
    """Which of the two the numbers meet; of two numbers both must."""
    met = [all(one <= most for one, most in zip(reached, asked, strict=False)) for asked in (goal, least)]
    return "goal" if met[0] else "at least" if met[1] else "no"


def _of_curve(rows: Sequence[Mapping[str, str]], sweep: str, value: float) -> Scores:
    """The methods at one value of a drop-out curve; empty where it was not measured."""
    return {
        row["method"]: {"abs_rel": float(row["abs_rel"]), "rmse": float(row["rmse"])}
        for row in rows
        if row["sweep"] == sweep and float(row["value"]) == value and row["abs_rel"]
    }


# Cameras of the DDAD drive, in the order of the tables.
DDAD = (("05", "front left"), ("06", "front right"), ("01", "tele"))


def recorded_drives(results: Results) -> str:
    """The drives of real cameras, method by method."""
    rows = []
    for what, run in (
        ("KITTI", "kitti"),
        ("at full image size", "kitti_full"),
        ("32 beams of 64", "kitti_half"),
    ):
        rows.append([what, str(results[run]["images"]), *_cells(results[run]["scores"], METHODS)])
    for camera, where in DDAD:
        if (scores := _of_camera(results, camera)) is not None:
            images = f"{scores['completion']['images']:.0f}"
            rows.append([f"DDAD camera {camera} ({where})", images, *_cells(scores, METHODS)])
    heading = "AbsRel / RMSE m | images | prediction | median scaled | completion | network alone | nearest | classical"
    return _table(heading, rows)


def _of_camera(results: Results, camera: str) -> Scores | None:
    """The scores of one camera of the DDAD drive; None where no image of it was scored."""
    parts: Mapping[str, Scores] = results["ddad"]["parts"]
    return next(
        (scores for part, scores in parts.items() if part.startswith("camera ") and part.endswith(camera)), None
    )


def recorded_short(results: Results) -> str:
    """The same for who reads one table only: a row per method."""
    methods = {
        "completion": "**completion** (network, anchored to its points and mixed with their fill)",
        "completion_network": "completion, network alone",
        "classical": "classical completion (morphology)",
        "nearest": "nearest point",
        "prediction": "prediction (no points)",
    }
    columns = {"KITTI, to 80 m": results["kitti"]["scores"]}
    columns |= {f"DDAD {where}, to 200 m": _of_camera(results, camera) or {} for camera, where in DDAD}
    cells = [_cells(scores, tuple(methods)) for scores in columns.values()]
    rows = [[what, *row] for what, row in zip(methods.values(), zip(*cells, strict=True), strict=True)]
    return _table(" | ".join(("AbsRel / RMSE m", *columns)), rows)


# Sweep, value and what to call it, of what the card shows of a curve.
FEW_POINTS = tuple(("points", count, f"{count} point{'s' * (count > 1)}") for count in (1, 5, 50, 500, 5000))
BEAMS = tuple(("beams", count, f"{count} beam{'s' * (count > 1)}") for count in (1, 4, 8, 16, 32, 64))
FADED = (
    ("age_carried", 0.5, "16 beams, 0.5 s old, carried by odometry"),
    ("age_as_is", 0.5, "16 beams, 0.5 s old, as they are"),
    ("age_carried", 2, "16 beams, 2 s old, carried by odometry"),
    ("packet_loss", 50, "16 beams, 50 % of the packets lost"),
    ("packet_loss", 90, "16 beams, 90 % of the packets lost"),
    ("rotation", 2, "16 beams, LiDAR turned by 2 degrees"),
    ("translation", 20, "16 beams, LiDAR moved by 20 cm"),
)


def curve(results: Results, run: str) -> str:
    """Some values of a drop-out curve."""
    rows = []
    for sweep, value, what in (("beams", 0, "no points (prediction)"), *FEW_POINTS, *BEAMS, *FADED):
        scores = _of_curve(results[run], sweep, value)
        if scores:
            rows.append([what, *_cells(scores, OF_POINTS, OF_POINTS if value or sweep != "beams" else ())])
    return _table("AbsRel / RMSE m | completion | network alone | nearest | classical", rows)


def evaluation(results: Results) -> str:
    """The table of docs/evaluation.md; letters are those of its commands."""
    wanted = (
        ("KITTI, 4 beams (a)", "`plain`", "kitti"),
        ("KITTI, no points (b)", "`kitti_eigen`", "kitti_eigen"),
        ("the same, `--scaling median`", "", "kitti_eigen_median"),
        ("the same, `--scaling median --flip-average`", "", "kitti_eigen_flip"),
        ("KITTI stereo, grey, truth from files (c)", "`plain`, 40 m", "stereo_files"),
        ("the same, truth from the right camera, `--limit 10` (d)", "`plain`, 40 m", "stereo_matched"),
        ("DDAD, 3 cameras, 4 beams (e)", "`ddad`", "ddad"),
        ("the same, `--scaling shared_median`", "", "ddad_shared"),
        ("rendered street, 4 beams (f)", "`synthetic`", "street"),
        ("rendered rooms, 4 beams (g)", "`synthetic_indoor`", "rooms"),
    )
    rows = []
    for what, protocol, run in wanted:
        rows.append([what, protocol, str(results[run]["images"]), *_cells(results[run]["scores"], METHODS, ())])
    columns = ("data", "protocol", "images", "prediction", "scaled by points", "completion", "network alone")
    return _table(" | ".join((*columns, "nearest", "classical")), rows)


def shapes(results: Results) -> str:
    """One street through cameras of other ratios of sides, against the first."""
    rows = []
    first: Scores | None = None
    for name, found in results.items():
        scores = found["scores"]
        first = first or scores
        times = [
            f"x{scores[method]['abs_rel'] / first[method]['abs_rel']:.2f}" for method in ("prediction", "completion")
        ]
        cells = _cells(scores, ("prediction", "completion", "nearest", "classical"), ())
        rows.append([name.removeprefix("shape_"), str(found["images"]), *cells, *times])
    columns = ("AbsRel / RMSE m", "images", "prediction", "4 beams", "nearest", "classical")
    return _table(" | ".join((*columns, "prediction, times the first", "4 beams, times the first")), rows)


@dataclass(frozen=True, slots=True)
class Table:
    """Which runs it needs, where it is shown, and how it is made."""

    runs: tuple[str, ...]
    shown_in: str
    make: Callable[[Results], str]


CARD = "models/street/README.md"
_SHAPES = tuple(f"shape_{size}" for size in SHAPES)
_EIGEN = ("kitti_eigen", "kitti_eigen_median", "kitti_eigen_flip")
_EVALUATED = ("kitti", *_EIGEN, "stereo_files", "stereo_matched", "ddad", "ddad_shared", "street", "rooms")
TABLES: Mapping[str, Table] = {
    "targets": Table(("kitti", "kitti_half", "ddad", "street_4", *_SHAPES), CARD, targets),
    "recorded": Table(("kitti", "kitti_full", "kitti_half", "ddad"), CARD, recorded_drives),
    "curve_kitti": Table(("curve_kitti",), CARD, lambda results: curve(results, "curve_kitti")),
    "curve_street": Table(("curve_street",), CARD, lambda results: curve(results, "curve_street")),
    "shapes": Table(_SHAPES, CARD, shapes),
    "evaluation": Table(_EVALUATED, "docs/evaluation.md", evaluation),
    "readme": Table(("kitti", "ddad"), "README.md", recorded_short),
}
