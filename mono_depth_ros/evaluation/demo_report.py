# SPDX-License-Identifier: Apache-2.0
"""The picture and the page of a demonstration drive: what came in, what came out, how right it was."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mono_depth_ros.evaluation import html_page
from mono_depth_ros.geometry.camera import DepthMap, Points
from mono_depth_ros.geometry.rigid import RigidTransform, transform_points
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.snapshot import RgbImage
from mono_depth_ros.whole_file import write_whole

MAX_SHOWN_DEPTH_M = 60.0
MODE_COLOURS = {Mode.COMPLETION: "#1b7837", Mode.PREDICTION: "#d95f02", Mode.NONE: "#999999"}


@dataclass(frozen=True, slots=True)
class DemoFrame:
    """Numbers of one depth image that the node gave.

    Attributes:
        index: of the image in the drive.
        time_s: of the image, from the start of the drive.
        mode, reason: as the node's status said.
        lidar_sent: whether a scan was published with this image.
        abs_rel, rmse_m, delta1: against the world's true depth.
        latency_s: from the publication of the image to the arrival of its depth.
    """

    index: int
    time_s: float
    mode: Mode
    reason: str
    lidar_sent: bool
    abs_rel: float
    rmse_m: float
    delta1: float
    latency_s: float


@dataclass(frozen=True, slots=True, eq=False)
class DemoPicture:
    """One frame to look at.

    Attributes:
        frame: its numbers.
        image_rgb: uint8 [h, w, 3] at the size of the depth image.
        points_depth_m: float32 [h, w], depth of the scan's points in their pixels, NaN elsewhere.
        depth_m, truth_m: float32 [h, w].
        cloud_camera_m: float32 [N, 3], the node's point cloud.
        T_base_camera: to draw the cloud from above.
    """

    frame: DemoFrame
    image_rgb: RgbImage
    points_depth_m: DepthMap
    depth_m: DepthMap
    truth_m: DepthMap
    cloud_camera_m: Points
    T_base_camera: RigidTransform


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What the report says besides the frames.

    Attributes:
        model_name, provider, machine, made_on: where the numbers come from.
        images_sent, depths_received: of the drive.
        first_frame_without_lidar, first_frame_with_lidar_again: indices of images, None if it never happened.
        command: that made the report.
    """

    model_name: str
    provider: str
    machine: str
    made_on: str
    images_sent: int
    depths_received: int
    first_frame_without_lidar: int | None
    first_frame_with_lidar_again: int | None
    command: str


def mode_changes(frames: Sequence[DemoFrame]) -> list[DemoFrame]:
    """The frames at which the mode differs from the frame before; the first frame is one."""
    return [frame for at, frame in enumerate(frames) if at == 0 or frame.mode is not frames[at - 1].mode]


def mode_table(frames: Sequence[DemoFrame]) -> list[dict[str, str]]:
    """One row per mode: number of frames, mean errors, latencies."""
    rows = []
    for mode in (Mode.COMPLETION, Mode.PREDICTION):
        chosen = [frame for frame in frames if frame.mode is mode]
        if not chosen:
            continue
        latency_ms = np.array([frame.latency_s for frame in chosen]) * 1e3
        rows.append(
            {
                "mode": mode.name,
                "frames": str(len(chosen)),
                "AbsRel": f"{np.mean([frame.abs_rel for frame in chosen]):.3f}",
                "RMSE [m]": f"{np.mean([frame.rmse_m for frame in chosen]):.2f}",
                "delta < 1.25": f"{np.mean([frame.delta1 for frame in chosen]):.3f}",
                "latency median [ms]": f"{np.median(latency_ms):.0f}",
                "latency 95 % [ms]": f"{np.percentile(latency_ms, 95):.0f}",
            }
        )
    return rows


def write_report(
    out_dir: Path, summary: DemoSummary, frames: Sequence[DemoFrame], pictures: Sequence[DemoPicture]
) -> tuple[Path, Path]:
    """Writes report.png and report.html, each whole or not at all.

    Returns:
        The paths of the page and the picture.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    png = _draw(frames, pictures)
    page = _page(summary, frames, png)
    return write_whole(out_dir / "report.html", page), write_whole(out_dir / "report.png", png)


def _draw(frames: Sequence[DemoFrame], pictures: Sequence[DemoPicture]) -> bytes:
    """Per picture a block of 2 x 2 images and the cloud beside it; the errors over time below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 3.9 * len(pictures) + 2.6), layout="constrained", dpi=80)
    rows = 2 * len(pictures)
    grid = figure.add_gridspec(rows + 1, 3, width_ratios=[1, 1, 0.62], height_ratios=[*[1.0] * rows, 1.2])
    for block, picture in enumerate(pictures):
        corners = [(2 * block, 0), (2 * block, 1), (2 * block + 1, 0), (2 * block + 1, 1)]
        _draw_images([figure.add_subplot(grid[row, column]) for row, column in corners], picture)
        _draw_from_above(figure.add_subplot(grid[2 * block : 2 * block + 2, 2]), picture)
    _draw_timeline(figure.add_subplot(grid[rows, :]), frames)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_images(axes: Sequence[Any], picture: DemoPicture) -> None:
    frame = picture.frame
    shown: list[tuple[str, npt.NDArray[Any]]] = [
        ("image", picture.image_rgb),
        ("LiDAR points (enlarged)" if frame.lidar_sent else "LiDAR points: none", _enlarge(picture.points_depth_m)),
        (f"depth from the node: {frame.mode.name}, AbsRel {frame.abs_rel:.3f}", picture.depth_m),
        ("true depth", picture.truth_m),
    ]
    for axis, (title, content) in zip(axes, shown, strict=True):
        if content.ndim == 3:
            axis.imshow(content)
        else:
            axis.imshow(content, cmap="turbo_r", norm=_depth_norm(), interpolation="nearest")
            axis.set_facecolor("#202020")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(title, fontsize=11, color=MODE_COLOURS[frame.mode] if "node" in title else "black")
    axes[0].set_ylabel(f"frame {frame.index}, {frame.time_s:.1f} s", fontsize=10)


def _draw_from_above(axis: Any, picture: DemoPicture) -> None:
    colour = picture.image_rgb.reshape(-1, 3) / 255.0
    points_base = transform_points(picture.T_base_camera, picture.cloud_camera_m)
    with np.errstate(invalid="ignore"):
        keep = np.isfinite(points_base).all(axis=1) & (points_base[:, 0] < 45.0) & (points_base[:, 2] < 3.5)
    # Low points first, so that a car is drawn on the road and not under it.
    order = np.flatnonzero(keep)[np.argsort(points_base[keep, 2])]
    axis.scatter(-points_base[order, 1], points_base[order, 0], c=colour[order], s=2.5, linewidths=0)
    axis.set_xlim(-16, 16)
    axis.set_ylim(0, 45)
    axis.set_aspect("equal")
    axis.set_facecolor("#101418")
    axis.set_title("cloud of the node from above [m]", fontsize=11)
    axis.tick_params(labelsize=8)


def _draw_timeline(axis: Any, frames: Sequence[DemoFrame]) -> None:
    for mode, colour in MODE_COLOURS.items():
        chosen = [frame for frame in frames if frame.mode is mode]
        if chosen:
            axis.bar(
                [frame.time_s for frame in chosen],
                [frame.abs_rel for frame in chosen],
                width=0.09,
                color=colour,
                label=mode.name,
            )
    for frame in mode_changes(frames)[1:]:
        axis.axvline(frame.time_s - 0.05, color="black", linewidth=1, linestyle="--")
        axis.annotate(
            f" frame {frame.index}: {frame.reason}",
            (frame.time_s - 0.05, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=9,
        )
    axis.set_xlabel("time of the drive [s]")
    axis.set_ylabel("AbsRel")
    axis.legend(loc="upper left", fontsize=9)
    axis.margins(x=0.01)


def _depth_norm() -> Any:
    from matplotlib.colors import LogNorm

    return LogNorm(vmin=2.0, vmax=MAX_SHOWN_DEPTH_M, clip=True)


def _enlarge(points_depth_m: DepthMap) -> DepthMap:
    """Points as 3x3 squares, else nobody sees them; the nearer one wins."""
    filled = np.where(np.isnan(points_depth_m), np.inf, points_depth_m)
    padded: npt.NDArray[np.float32] = np.pad(filled, 1, constant_values=np.inf).astype(np.float32)
    height, width = filled.shape
    windows = [padded[row : row + height, col : col + width] for row in range(3) for col in range(3)]
    nearest = np.minimum.reduce(windows)
    return np.where(np.isinf(nearest), np.float32(np.nan), nearest)


def _page(summary: DemoSummary, frames: Sequence[DemoFrame], png: bytes) -> str:
    facts = {
        "model": summary.model_name,
        "runs on": f"{summary.provider}, {summary.machine}",
        "date": summary.made_on,
        "images sent": summary.images_sent,
        "depth images received": summary.depths_received,
        "first image without LiDAR": summary.first_frame_without_lidar,
        "first image with LiDAR again": summary.first_frame_with_lidar_again,
        "command": summary.command,
    }
    changes = [
        {"frame": frame.index, "time [s]": f"{frame.time_s:.1f}", "mode": frame.mode.name, "reason": frame.reason}
        for frame in mode_changes(frames)
    ]
    per_frame = [
        {
            "frame": frame.index,
            "LiDAR sent": "yes" if frame.lidar_sent else "no",
            "mode": frame.mode.name,
            "reason": frame.reason,
            "AbsRel": f"{frame.abs_rel:.3f}",
            "RMSE [m]": f"{frame.rmse_m:.2f}",
            "latency [ms]": f"{frame.latency_s * 1e3:.0f}",
        }
        for frame in frames
    ]
    body = f"""<h1>One network, with LiDAR and without</h1>
<p>A synthetic robot drove down a street that the network has never seen and published its camera, odometry and
LiDAR; the ROS 2 node <code>depth_node</code> gave a depth image for each camera image. The LiDAR stopped for a
while. Errors are against the true depth of the world, without any scaling.</p>
{html_page.facts(facts)}
<h2>Errors and latency per mode</h2>{html_page.table(mode_table(frames))}
<h2>Where the dial turned</h2>{html_page.table(changes)}
{html_page.embedded_png(png, "image, LiDAR points, depth, true depth and cloud from above")}
<h2>Every frame</h2><details><summary>show</summary>{html_page.table(per_frame)}</details>"""
    return html_page.page("mono_depth_ros: demonstration drive", body)
