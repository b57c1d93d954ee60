# SPDX-License-Identifier: Apache-2.0
"""The page of an audit: what was found in each data set, and pictures of the worst images first."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mono_depth_ros.evaluation import html_page
from mono_depth_ros.evaluation.audit import AuditedFrame
from mono_depth_ros.inference.ground_holes import HolePolicy


def summary(frames: Sequence[AuditedFrame]) -> list[dict[str, object]]:
    """One row per data set and camera: images, those without a ground, those with a hole."""
    rows = []
    for data, camera in dict.fromkeys((frame.data, frame.camera) for frame in frames):
        own = [frame for frame in frames if (frame.data, frame.camera) == (data, camera)]
        judged = [frame for frame in own if frame.ground == "plane"]
        holes = sum(frame.is_hole for frame in own)
        rows.append(
            {
                "data": data,
                "camera": camera,
                "images": len(own),
                "with a hole": f"{holes} ({100 * holes / len(own):.1f} %)",
                "without a plane": len(own) - len(judged),
            }
        )
    return rows


def audit_html(
    frames: Sequence[AuditedFrame],
    pictures: Sequence[tuple[AuditedFrame, str]],
    policy: HolePolicy,
    origin: Mapping[str, Any],
) -> str:
    """The page.

    Args:
        frames: of all data sets, at least one.
        pictures: image and path of its picture beside the page, worst first.
        policy: what was taken for a hole.
        origin: where the numbers come from: model, date, command.
    """
    reasons = Counter(frame.ground for frame in frames if frame.ground != "plane")
    rule = (
        f"A hole is a connected group of at least {100 * policy.min_share:.2g} % of the image whose points lie more "
        f"than {policy.margin:g} camera heights below the ground that the rest of the depth shows, on rays that fall "
        f"by at least {policy.min_slope:g}."
    )
    shown = "".join(
        html_page.linked_picture(path, f"{frame.camera} {frame.name}: {'hole' if frame.is_hole else 'no hole'}")
        for frame, path in pictures
    )
    without = html_page.table([{"no plane because of": name, "images": count} for name, count in reasons.items()])
    return html_page.page(
        "Holes in the ground",
        f"<h1>Holes in the ground</h1>{html_page.table(summary(frames))}<p>{html.escape(rule)}</p>"
        f"{without if reasons else ''}<h2>The worst images</h2>{shown}<h2>Where this comes from</h2>"
        f"{html_page.facts(origin)}",
    )
