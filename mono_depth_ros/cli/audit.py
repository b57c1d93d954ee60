# SPDX-License-Identifier: Apache-2.0
"""`mono-depth audit`: which images of a drive taught a network wrongly, so that the next one can leave them out."""

import argparse
import datetime
import heapq
import operator
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mono_depth_ros.cli.data_url import data_url, is_url
from mono_depth_ros.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mono_depth_ros.evaluation.audit import AuditedFrame
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.inference.ground_holes import HolePolicy

# Options of the rule and their help; the defaults are those of inference/ground_holes.py, which takes long to import.
RULES = {
    "margin": "camera heights below the ground (default: 0.5)",
    "min_share": "of the image, least that a hole covers (default: 0.002)",
    "min_slope": "rays that fall by less, per metre ahead, are not judged (default: 0.05)",
    "max_tilt_deg": "of the ground in the camera's view (default: 20)",
}
EXCLUDE, FRAMES, REPORT, PICTURES = "exclude.json", "frames.csv", "report.html", "frames"

_DESCRIPTION = """\
Looks for images in which a network puts a hole in the ground: a network that learns from video alone takes a car that
drives ahead at the robot's own speed for something infinitely far away. Each image is predicted without its points, the
ground is fitted to the predicted depth, and pixels well below it are counted. No truth is needed, and no metric scale.
"""

_EPILOG = """\
Two-stage training on a drive of one's own (docs/training.md):

  mono-depth train config/train/velocity.yaml data=my_drive --out out/train/first
  mono-depth export out/train/first/last.ckpt --out out/first
  mono-depth audit --model out/first --data my_drive --out out/audit
  mono-depth train config/train/velocity.yaml data=my_drive exclude=out/audit/exclude.json --out out/train/second

DIR gets report.html (the worst images first), frames.csv (every image) and exclude.json (those with a hole).
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "audit",
        help="find the images of a drive that teach infinite depth",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="folder or name of the network that was trained on the drive")
    parser.add_argument(
        "--data", required=True, action="append", metavar="URL", help="bag or data set; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the report")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images of each data set only")
    parser.add_argument(
        "--worst", type=int, default=24, metavar="N", help="pictures in the report (default: %(default)s)"
    )
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider; may be repeated")
    rule = parser.add_argument_group("what is taken for a hole")
    for name, text in RULES.items():
        rule.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X", help=text)
    parser.add_argument("--camera", metavar="NS", help="namespace of the camera, for a plain path of a bag")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Audits, writes the folder, says what was found."""
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.share import model_path

    if (args.limit is not None and args.limit < 1) or args.worst < 0:
        raise ConfigError(f"--limit, --worst: expected at least 1 and 0, got {args.limit}, {args.worst}")
    urls = [text if is_url(text) else data_url(text, {"camera": args.camera, "points": "none"}) for text in args.data]
    policy = _policy(args)
    engine = OnnxEngine(model_path(args.model), args.provider or ("CPUExecutionProvider",))
    (args.out / PICTURES).mkdir(parents=True, exist_ok=True)
    frames, worst = _audited(urls, engine, policy, args.limit, args.worst)
    if not frames:
        raise DataError(f"{', '.join(urls)}: expected images, got none")
    _write(args.out, urls, frames, worst, policy, engine)
    holes = sum(frame.is_hole for frame in frames)
    print(f"{len(frames)} images, {holes} with a hole in the ground ({100 * holes / len(frames):.1f} %)")
    print(f"{args.out / REPORT}\nleave them out: mono-depth train ... exclude={args.out / EXCLUDE}")
    return 0


def _policy(args: argparse.Namespace) -> "HolePolicy":
    from dataclasses import replace
    from math import radians

    from mono_depth_ros.inference.ground_holes import DEFAULT_HOLE_POLICY

    given = {name: getattr(args, name) for name in RULES if getattr(args, name) is not None}
    most = {"margin": float("inf"), "min_share": 1.0, "min_slope": float("inf"), "max_tilt_deg": 90.0}
    for name, value in given.items():
        if not 0 < value < most[name]:
            raise ConfigError(
                f"--{name.replace('_', '-')}: expected more than 0 and less than {most[name]:g}, got {value}"
            )
    tilt_deg = given.pop("max_tilt_deg", None)
    policy = replace(DEFAULT_HOLE_POLICY, **given)
    return (
        policy if tilt_deg is None else replace(policy, ground=replace(policy.ground, max_tilt_rad=radians(tilt_deg)))
    )


def _audited(
    urls: Sequence[str], engine: "OnnxEngine", policy: "HolePolicy", limit: int | None, worst: int
) -> "tuple[list[AuditedFrame], list[tuple[AuditedFrame, bytes]]]":
    """All images, and pictures of the worst of them, worst first."""
    from itertools import islice

    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mono_depth_ros.datasets.open_dataset import open_dataset
    from mono_depth_ros.evaluation.audit import audit_image, draw_audit

    frames: list[AuditedFrame] = []
    kept: list[tuple[float, int, bytes]] = []  # a heap: share, number of the frame, picture
    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        for url in urls:
            samples = open_dataset(url)
            hint = operator.length_hint(samples)
            task = progress.add_task(url, total=min(hint, limit or hint) or None)
            for sample in islice(iter(samples), limit):
                audited = audit_image(engine, sample, url, policy)
                frames.append(audited.frame)
                progress.advance(task)
                if audited.frame.share > 0 and (len(kept) < worst or (worst and audited.frame.share > kept[0][0])):
                    heapq.heappush(kept, (audited.frame.share, len(frames) - 1, draw_audit(audited)))
                    if len(kept) > worst:
                        heapq.heappop(kept)
    return frames, [(frames[number], picture) for _, number, picture in sorted(kept, reverse=True)]


def _write(
    out: Path,
    urls: Sequence[str],
    frames: "Sequence[AuditedFrame]",
    worst: "Sequence[tuple[AuditedFrame, bytes]]",
    policy: "HolePolicy",
    engine: "OnnxEngine",
) -> None:
    from mono_depth_ros.datasets.excluded_frames import write_excluded_frames
    from mono_depth_ros.evaluation.audit import frames_csv
    from mono_depth_ros.evaluation.audit_report import audit_html
    from mono_depth_ros.whole_file import write_whole

    command = shlex.join(["mono-depth", *sys.argv[1:]])
    pictures = []
    for number, (frame, picture) in enumerate(worst):
        name = f"{PICTURES}/{number:03d}.jpg"
        write_whole(out / name, picture)
        pictures.append((frame, name))
    origin = {
        "model": engine.contract.name,
        "model_sha256": engine.contract.onnx_sha256,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "command": command,
    }
    write_whole(out / FRAMES, frames_csv(frames))
    write_whole(out / REPORT, audit_html(frames, pictures, policy, origin))
    excluded = {
        url: frozenset((frame.camera, frame.stamp_ns) for frame in frames if frame.data == url and frame.is_hole)
        for url in urls
    }
    write_excluded_frames(out / EXCLUDE, excluded, command)
