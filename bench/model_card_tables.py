# SPDX-License-Identifier: Apache-2.0
"""The tables of model_card.py, as Markdown, from what `mono-depth evaluate` and `dropout-curve` wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


def targets(results: Results) -> str:
    """What was asked for, beside what is reached."""
    synthetic = (
        ("prediction", "street_4", "prediction", 0, 0.12),
        ("4 beams", "street_4", "completion", 4, 0.06),
        ("64 beams", "street_64", "completion", 64, 0.03),
    )
    rows = []
    for what, run, method, _, abs_rel in synthetic:
        found = results[run]
        rows.append(_target(f"rendered streets, {what}", str(found["images"]), found["scores"], method, abs_rel))
    for what, _, method, beams, abs_rel in synthetic:
        scores = _of_curve(results["curve_street"], "beams", beams)
        rows.append(_target(f"the same, between scan lines, {what}", "curve", scores, method, abs_rel))
    for what, run, abs_rel, rmse in (
        ("KITTI, 4 beams", "kitti", 0.12, 4.5),
        ("KITTI, 32 beams", "kitti_half", 0.06, None),
        ("DDAD, three cameras, 4 beams", "ddad", 0.22, None),
    ):
        found = results[run]
        rows.append(_target(what, str(found["images"]), found["scores"], "completion", abs_rel, rmse))
    return _table("AbsRel / RMSE m | images | goal | reached | met | nearest | classical", rows)


def _target(
    what: str, images: str, scores: Scores, method: str, abs_rel: float, rmse: float | None = None
) -> list[str]:
    """A row: AbsRel, and where it was asked for RMSE, against at most so much."""
    found = scores[method]
    met = [found["abs_rel"] <= abs_rel, *([] if rmse is None else [found["rmse"] <= rmse])]
    judged = "yes" if all(met) else "no" if not any(met) else "AbsRel only" if met[0] else "RMSE only"
    goal = f"{abs_rel:g}" + ("" if rmse is None else f" / {rmse:g}")
    others = ["-", "-"] if method == "prediction" else _cells(scores, ("nearest", "classical"), ())
    return [what, images, goal, *_cells(scores, (method,), ()), judged, *others]


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
_EIGEN = ("kitti_eigen", "kitti_eigen_median", "kitti_eigen_flip")
_EVALUATED = ("kitti", *_EIGEN, "stereo_files", "stereo_matched", "ddad", "ddad_shared", "street", "rooms")
TABLES: Mapping[str, Table] = {
    "targets": Table(("kitti", "kitti_half", "ddad", "street_4", "street_64", "curve_street"), CARD, targets),
    "recorded": Table(("kitti", "kitti_full", "kitti_half", "ddad"), CARD, recorded_drives),
    "curve_kitti": Table(("curve_kitti",), CARD, lambda results: curve(results, "curve_kitti")),
    "curve_street": Table(("curve_street",), CARD, lambda results: curve(results, "curve_street")),
    "shapes": Table(tuple(f"shape_{size}" for size in SHAPES), CARD, shapes),
    "evaluation": Table(_EVALUATED, "docs/evaluation.md", evaluation),
    "readme": Table(("kitti", "ddad"), "README.md", recorded_short),
}
