# SPDX-License-Identifier: Apache-2.0
"""A drop-out curve as JSON, CSV and a figure, each written whole or not at all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.dropout.curve import CurveFinding, CurvePoint, DropoutCurve
from mono_depth_ros.evaluation.dropout.fading_sweeps import BEAMS, POINTS, Sweep
from mono_depth_ros.evaluation.method_depths import (
    CLASSICAL,
    COMPLETION,
    COMPLETION_NETWORK,
    NEAREST,
    NETWORK_METHODS,
    PREDICTION,
    PREDICTION_MEDIAN_SCALED,
)
from mono_depth_ros.evaluation.metrics import DepthMetrics
from mono_depth_ros.whole_file import write_whole

_COLUMNS = 4
_PANELS = (("abs_rel", "AbsRel"), ("rmse", "RMSE [m]"))
_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    COMPLETION: ("completion", {"color": "#1b7837", "marker": "o", "linewidth": 2.2, "zorder": 5}),
    COMPLETION_NETWORK: ("completion, network alone", {"color": "#7fbf7b", "marker": "o", "linestyle": "--"}),
    PREDICTION: ("prediction", {"color": "#d95f02", "linewidth": 2.2}),
    PREDICTION_MEDIAN_SCALED: ("prediction, median scaled", {"color": "#fdb863", "marker": "s", "linestyle": "--"}),
    NEAREST: ("nearest point", {"color": "#7570b3", "marker": "^", "linestyle": ":"}),
    CLASSICAL: ("classical (morphology)", {"color": "#444444", "marker": "v", "linestyle": ":"}),
}


def write_dropout_curve(
    out_dir: Path, curve: DropoutCurve, findings: Sequence[CurveFinding], protocol: Mapping[str, Any]
) -> tuple[Path, Path, Path]:
    """Writes dropout_curve.json, dropout_curve.csv and dropout_curve.png.

    Args:
        out_dir: made if it is not there.
        protocol: how the numbers came about; goes into the JSON, its "title" above the figure.

    Returns:
        Their paths.

    Raises:
        ConfigError: the folder cannot be written to.
    """
    contents = {
        "dropout_curve.json": _json(curve, findings, protocol),
        "dropout_curve.csv": _csv(curve),
        "dropout_curve.png": _draw(curve, findings, str(protocol.get("title", ""))),
    }
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            write_whole(out_dir / name, content)
    except OSError as error:
        raise ConfigError(f"--out {out_dir}: expected a folder to write to, got {error}") from error
    json_path, csv_path, png_path = (out_dir / name for name in contents)
    return json_path, csv_path, png_path


def _json(curve: DropoutCurve, findings: Sequence[CurveFinding], protocol: Mapping[str, Any]) -> bytes:
    content = {
        "protocol": dict(protocol),
        "images": curve.images,
        "truth_pixels": curve.truth_pixels,
        "images_without_truth": curve.images_without_truth,
        "sweeps": {
            sweep.name: {"title": sweep.title, "x": sweep.x_label, "points": [asdict(point) for point in points]}
            for sweep, points in curve.sweeps
        },
        "where_completion_stops_helping": [{**asdict(finding), "text": finding.text()} for finding in findings],
    }
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def _csv(curve: DropoutCurve) -> bytes:
    """One row per sweep, value and method; a method that could not work has empty fields."""
    names = [field.name for field in fields(DepthMetrics)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sweep", "value", "points_in_view", "dial_completes", "method", *names])
    for sweep, points in curve.sweeps:
        for point in points:
            for method in NETWORK_METHODS:
                metrics = point.metrics[method]
                numbers = ["" if metrics is None else f"{getattr(metrics, name):.6g}" for name in names]
                known = [f"{point.value:g}", f"{point.points_in_view:.1f}", f"{point.dial_completes:.3f}"]
                writer.writerow([sweep.name, *known, method, *numbers])
    return text.getvalue().encode()


def _draw(curve: DropoutCurve, findings: Sequence[CurveFinding], title: str) -> bytes:
    """A panel per sweep and metric: AbsRel above, RMSE below."""
    from matplotlib.figure import Figure

    block_rows = -(-(len(curve.sweeps) + 1) // _COLUMNS)
    figure = Figure(figsize=(4.6 * _COLUMNS, 3.5 * block_rows * len(_PANELS) + 0.5), layout="constrained", dpi=100)
    grid = figure.subplots(block_rows * len(_PANELS), _COLUMNS, squeeze=False)
    for block, (metric, label) in enumerate(_PANELS):
        axes = grid[block * block_rows : (block + 1) * block_rows].reshape(-1)
        limits = _limits(curve, metric)
        for axis, (sweep, points) in zip(axes, curve.sweeps, strict=False):
            _draw_panel(axis, sweep, points, metric, limits)
            marked = [f.value for f in findings if (f.sweep, f.method, f.metric) == (sweep.name, COMPLETION, metric)]
            axis.plot(marked, [limits[0] * 1.04] * len(marked), "x", color="red", markersize=8, zorder=6)
            axis.set_ylabel(label)
        for axis in axes[len(curve.sweeps) :]:
            axis.set_axis_off()
        _draw_legend(axes[len(curve.sweeps)])
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _limits(curve: DropoutCurve, metric: str) -> tuple[float, float]:
    """The same limits for every panel, so that heights can be compared."""
    known = [m for _, points in curve.sweeps for point in points for m in point.metrics.values() if m is not None]
    errors = [max(getattr(metrics, metric), 1e-4) for metrics in known]
    return min(errors) / 1.15, max(errors) * 1.15


def _draw_panel(
    axis: Any, sweep: Sweep, points: Sequence[CurvePoint], metric: str, limits: tuple[float, float]
) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    for method, (_, style) in _LINES.items():
        known = [(point.value, point.metrics[method]) for point in points]
        # NaN leaves a gap where a method cannot work.
        errors = [float("nan") if m is None else max(getattr(m, metric), 1e-4) for _, m in known]
        axis.plot([value for value, _ in known], errors, markersize=4, **style)
    axis.set_yscale("log")
    axis.set_ylim(*limits)
    axis.yaxis.set_major_locator(FixedLocator(_round_numbers(*limits)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    if sweep.name in (BEAMS, POINTS):
        axis.set_xscale("symlog", linthresh=1, base=2 if sweep.name == BEAMS else 10)
        axis.set_xticks(sweep.values, [f"{value:g}" for value in sweep.values])
        axis.minorticks_off()
    _shade_where_the_dial_predicts(axis, points)
    axis.grid(alpha=0.3)
    axis.set_title(sweep.title)
    axis.set_xlabel(sweep.x_label)


def _shade_where_the_dial_predicts(axis: Any, points: Sequence[CurvePoint]) -> None:
    """Grey behind the values at which the node, by its defaults, would not complete most images."""
    values = [point.value for point in points]
    for at, point in enumerate(points):
        if point.dial_completes < 0.5:
            # Half the way to the neighbours; on the axes of powers, in their logarithm.
            left = values[at] if at == 0 else _between(axis, values[at - 1], values[at])
            right = values[at] if at == len(values) - 1 else _between(axis, values[at], values[at + 1])
            axis.axvspan(left, right, color="#000000", alpha=0.08, linewidth=0, zorder=0)


def _between(axis: Any, low: float, high: float) -> float:
    there = axis.xaxis.get_transform()
    middle = 0.5 * (there.transform([low]) + there.transform([high]))
    return float(there.inverted().transform(middle)[0])


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 1.5, 2, 3, 5, 7 times powers of ten within the limits."""
    decades = [10.0**power for power in range(-5, 6)]
    return [step * decade for decade in decades for step in (1, 1.5, 2, 3, 5, 7) if low <= step * decade <= high]


def _draw_legend(axis: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = [Line2D([], [], label=label, **style) for label, style in _LINES.values()]
    lines.append(Line2D([], [], label="completion does not help", color="red", marker="x", linestyle=""))
    shade = Patch(color="#000000", alpha=0.08, label="the dial predicts instead")
    axis.legend(handles=[*lines, shade], loc="center", frameon=False, fontsize=11)
