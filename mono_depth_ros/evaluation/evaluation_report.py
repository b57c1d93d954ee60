# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: tables, the protocol, the spread of errors, and a picture of every frame, worst first."""

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mono_depth_ros.evaluation import html_page
from mono_depth_ros.evaluation.cloud_quality import cloud_rows
from mono_depth_ros.evaluation.evaluation_result import Evaluation, ImageScore, MethodScore
from mono_depth_ros.evaluation.method_depths import (
    CLASSICAL,
    COMPLETION,
    COMPLETION_NETWORK,
    NEAREST,
    PREDICTION,
    PREDICTION_MEDIAN_SCALED,
    PUBLISHED,
)
from mono_depth_ros.evaluation.results_files import METRICS, breakdown, shown
from mono_depth_ros.evaluation.results_folder import FRAMES, picture_name
from mono_depth_ros.evaluation.score_slices import SCORED, ratio_edges
from mono_depth_ros.evaluation.uncertainty import draw_calibration

WORST = 10
HEADINGS = {
    PUBLISHED: "published by the node",
    PREDICTION: "prediction",
    PREDICTION_MEDIAN_SCALED: "prediction, scaled by points",
    COMPLETION: "completion",
    COMPLETION_NETWORK: "completion, network alone",
    NEAREST: "nearest point",
    CLASSICAL: "classical",
}
# Colour and width of lines in figures.
_LINES: dict[str, tuple[str, float]] = {
    PUBLISHED: ("#1b7837", 2.5),
    PREDICTION: ("#d95f02", 2.0),
    PREDICTION_MEDIAN_SCALED: ("#fdb863", 1.2),
    COMPLETION: ("#1b7837", 2.0),
    COMPLETION_NETWORK: ("#7fbf7b", 1.2),
    NEAREST: ("#7570b3", 1.2),
    CLASSICAL: ("#444444", 1.2),
}


def report_html(evaluation: Evaluation, origin: Mapping[str, Any]) -> bytes:
    """The page; its pictures lie beside it, in the folder `frames`.

    Args:
        evaluation: with at least one image.
        origin: where the numbers come from: model, data, date, command.
    """
    ranking = ranked(evaluation)
    worst = "".join(_picture(image, evaluation) for image in ranking[:WORST])
    every = "".join(_picture(image, evaluation) for image in evaluation.every_image)
    method = HEADINGS[ranking_method(evaluation)]
    about = f"{evaluation.protocol.name}: {evaluation.protocol.about}"
    body = f"""<h1>How good is the depth?</h1>
{html_page.facts(_origin_facts(evaluation, origin))}
<h2>Errors</h2>
<p>{html.escape(about)}. Deltas: higher is better; all others: lower is better.</p>
{html_page.table(metric_rows(evaluation))}
<h2>Protocol</h2>{html_page.facts(evaluation.protocol.facts())}
<h2>By input pixels, camera, range and label</h2><p>AbsRel / RMSE</p>{html_page.table(part_rows(evaluation))}
<h2>Spread</h2>{html_page.embedded_png(_draw_spread(evaluation), "ratio of depth to truth; AbsRel per image")}
{_beyond_errors(evaluation)}<h2>Worst frames by {method}</h2>{worst}
<h2>Every frame</h2><details><summary>show {len(evaluation.every_image)} frames</summary>{every}</details>"""
    return html_page.page(f"mono_depth_ros: evaluation of {origin['model']}", body).encode()


def ranking_method(evaluation: Evaluation) -> str:
    """By whose AbsRel the frames are ranked: what the node publishes, or completion, if there is either."""
    return next(method for method in (PUBLISHED, COMPLETION, PREDICTION, NEAREST) if method in evaluation.scores())


def ranked(evaluation: Evaluation) -> list[ImageScore]:
    """The images that the means rest on, the worst first."""
    method = ranking_method(evaluation)
    return sorted(evaluation.images, key=lambda image: -image.metrics[SCORED][method].abs_rel)


def metric_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """A row per metric, a column per method, with units."""
    scores = evaluation.scores()
    rows = []
    for name in METRICS:
        unit = shown(name, 0.0, evaluation.protocol)[1]
        row = {"metric": f"{name} ({unit})" if unit else name}
        for method, score in scores.items():
            row[HEADINGS[method]] = rounded(shown(name, getattr(score.metrics, name), evaluation.protocol)[0])
        rows.append(row)
    return rows


def part_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """A row per part of the pixels, a column per method: AbsRel / RMSE."""
    methods = list(evaluation.scores())
    rows = []
    for part, scores in breakdown(evaluation).items():
        known = next(iter(scores.values()))
        row = {"pixels": part, "images": str(known.images), "count": str(known.pixels)}
        rows.append({**row, **{HEADINGS[method]: _pair(scores.get(method), evaluation) for method in methods}})
    return rows


def sigma_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """A row per method with a sigma: how many errors lie within, and whether it orders them; empty without."""
    return [
        {
            "sigma of": HEADINGS[method],
            "within 1 sigma": f"{found.coverage_1_sigma:.1%}",
            "within 2 sigma": f"{found.coverage_2_sigma:.1%}",
            "68.3 % are within": f"{found.sigma_factor:.2f} sigma",
            "mean sigma": f"{found.mean_sigma:.1%}",
            "AUSE": f"{found.ause:.3f}",
            "pixels": str(found.pixels),
        }
        for method, found in evaluation.calibrations().items()
    ]


def stability_rows(evaluation: Evaluation) -> list[dict[str, str]]:
    """How still what the node published holds, over all pairs of images and those with a change of mode."""
    found = evaluation.stability()
    if found is None:
        return []
    groups = {"all": found.all_pairs} | ({} if found.mode_changes is None else {"mode changed": found.mode_changes})
    return [
        {
            "pairs of images": name,
            "count": str(group.pairs),
            "median change": f"{group.median:.1%}",
            "90th percentile": f"{group.p90:.1%}",
        }
        for name, group in groups.items()
    ]


def rounded(value: float) -> str:
    """Three to four significant digits, without an exponent."""
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def _pair(score: MethodScore | None, evaluation: Evaluation) -> str:
    if score is None:
        return "-"
    rmse, unit = shown("rmse", score.metrics.rmse, evaluation.protocol)
    return f"{score.metrics.abs_rel:.3f} / {rmse:.2f}" if unit == "m" else f"{score.metrics.abs_rel:.3f} / {rmse:.0f}"


def _origin_facts(evaluation: Evaluation, origin: Mapping[str, Any]) -> dict[str, object]:
    score = next(iter(evaluation.scores().values()))
    return {
        **{name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in origin.items()},
        "images": score.images,
        "pixels scored": score.pixels,
        "images without anything to score": evaluation.skipped,
        "images without points, in no mean": evaluation.without_points,
    }


def _beyond_errors(evaluation: Evaluation) -> str:
    """Sigma, stability and the cloud, where there is something to tell of them."""
    text = ""
    if rows := sigma_rows(evaluation):
        pictures = (
            html_page.embedded_png(draw_calibration(found), f"calibration of sigma, {HEADINGS[method]}")
            for method, found in evaluation.calibrations().items()
        )
        text += f"<h2>Sigma</h2>{html_page.table(rows)}{''.join(pictures)}\n"
    if rows := stability_rows(evaluation):
        about = "<p>Change of log depth against the image before, carried along by the camera's motion.</p>"
        text += f"<h2>Stability</h2>{about}{html_page.table(rows)}\n"
    if rows := cloud_rows(evaluation.clouds()):
        about = "<p>Points at true edges, imprints of the input, dispersion of normals: docs/evaluation.md.</p>"
        text += f"<h2>Cloud</h2>{about}{html_page.table(rows)}\n"
    return text


def _picture(image: ImageScore, evaluation: Evaluation) -> str:
    errors = ", ".join(
        f"{HEADINGS[method]} {image.metrics[SCORED][method].abs_rel:.3f}"
        for method in evaluation.scores()
        if method in image.metrics[SCORED]
    )
    text = f"{image.name} ({image.camera_name}, {image.stamp_ns} ns): AbsRel {errors}"
    return html_page.linked_picture(f"{FRAMES}/{picture_name(image)}", text)


def _draw_spread(evaluation: Evaluation) -> bytes:
    """The ratio of depth to truth over all pixels, and AbsRel along the images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained", dpi=90)
    ratio_axis, image_axis = figure.subplots(1, 2)
    ratios = evaluation.ratios()
    for method, counts in ratios.items():
        colour, line = _LINES[method]
        share = np.array(counts) / max(1, sum(counts))
        ratio_axis.stairs(share, ratio_edges(), color=colour, linewidth=line, label=HEADINGS[method])
        errors = [image.metrics[SCORED][method].abs_rel for image in evaluation.images if method in image.factors]
        image_axis.plot(errors, color=colour, linewidth=line, marker="." if len(errors) < 60 else None)
    ratio_axis.axvline(1.0, color="#999999", linewidth=0.8)
    _label_ratios(ratio_axis)
    image_axis.set_xlabel("image")
    image_axis.set_ylabel("AbsRel")
    image_axis.set_ylim(bottom=0.0)
    image_axis.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _label_ratios(axis: Any) -> None:
    ticks: Sequence[float] = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, ["<= 0.25", "0.5", "0.8", "1", "1.25", "2", ">= 4"])
    axis.minorticks_off()
    axis.set_xlabel("depth / truth")
    axis.set_ylabel("share of pixels")
    axis.legend(fontsize=9)
    axis.grid(alpha=0.3)
