# SPDX-License-Identifier: Apache-2.0
"""An evaluation as JSON and as CSV; always in metres, whatever the table shows."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from mono_depth_ros.evaluation.evaluation_result import Evaluation, ImageScore, MethodScore
from mono_depth_ros.evaluation.method_depths import METHODS
from mono_depth_ros.evaluation.metrics import DepthMetrics
from mono_depth_ros.evaluation.protocols import Protocol
from mono_depth_ros.evaluation.score_slices import ALL_TRUTH, LABEL, OFF_INPUT, RANGE, SCORED

METRICS = tuple(field.name for field in dataclasses.fields(DepthMetrics))
UNITS = {"sq_rel": "m", "rmse": "m", "mae": "m", "irmse": "1/km", "imae": "1/km"}
_IN_MILLIMETRES = ("rmse", "mae")


def shown(name: str, value: float, protocol: Protocol) -> tuple[float, str]:
    """A metric as the protocol shows it: value and unit."""
    if protocol.millimetres and name in _IN_MILLIMETRES:
        return value * 1000.0, "mm"
    return value, UNITS.get(name, "")


def breakdown(evaluation: Evaluation) -> dict[str, dict[str, MethodScore]]:
    """Row -> method -> score, for the table of parts: input pixels, cameras, ranges, labels."""
    rows = {part: evaluation.scores(part) for part in (ALL_TRUTH, OFF_INPUT)}
    cameras = evaluation.cameras()
    for camera in cameras if len(cameras) > 1 else ():
        rows[f"camera {camera}"] = evaluation.scores(SCORED, partial(_of_camera, camera))
    for prefix in (RANGE, LABEL):
        rows |= {part: evaluation.scores(part) for part in evaluation.parts(prefix)}
    return {row: scores for row, scores in rows.items() if scores}


def results_json(evaluation: Evaluation, origin: Mapping[str, Any]) -> bytes:
    """All means, and what they rest on.

    Args:
        evaluation: with at least one image.
        origin: where the numbers come from: model, data, date, command.
    """
    content = {
        **origin,
        "protocol": evaluation.protocol.to_dict(),
        "units": UNITS,
        "images": len(evaluation.images),
        "images_skipped": evaluation.skipped,
        "images_without_points": evaluation.without_points,
        "scores": _plain(evaluation.scores()),
        "parts": {row: _plain(scores) for row, scores in breakdown(evaluation).items()},
    }
    if calibrations := evaluation.calibrations():
        content["uncertainty"] = {method: found.to_dict() for method, found in calibrations.items()}
    if (stability := evaluation.stability()) is not None:
        content["temporal"] = stability.to_dict()
    if clouds := evaluation.clouds():
        content["cloud"] = [cloud.to_dict() for cloud in clouds]
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def results_csv(evaluation: Evaluation) -> bytes:
    """A row per image and method, then the means; the protocol in every row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["image", "camera", "stamp_ns", "protocol", "method", "pixels", "input_points", "truth_factor", *METRICS]
    )
    protocol = evaluation.protocol.name
    for image in evaluation.every_image:
        for method in METHODS:
            if (errors := image.metrics[SCORED].get(method)) is not None:
                known = [image.name, image.camera_name, image.stamp_ns, protocol, method, image.pixels[SCORED]]
                writer.writerow([*known, image.points, f"{image.factors[method]:.6g}", *_numbers(errors)])
    for method, score in evaluation.scores().items():
        writer.writerow(["mean", "", "", protocol, method, score.pixels, "", "", *_numbers(score.metrics)])
    return text.getvalue().encode()


def _of_camera(camera: str, image: ImageScore) -> bool:
    return image.camera_name == camera


def _plain(scores: Mapping[str, MethodScore]) -> dict[str, dict[str, float]]:
    return {
        method: {**dataclasses.asdict(score.metrics), "images": score.images, "pixels": score.pixels}
        for method, score in scores.items()
    }


def _numbers(errors: DepthMetrics) -> list[str]:
    return [f"{getattr(errors, name):.6g}" for name in METRICS]
