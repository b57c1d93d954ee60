# SPDX-License-Identifier: Apache-2.0
"""The picture sheet of the worlds: what a camera sees, its true depth, its true labels, and what a LiDAR measures.

    python bench/world_sheet.py [--out docs/images/worlds.jpg] [--width 384] [--height 144] [--worlds indoor]

The same command gives the same pixels. Colours of depth: near is warm, far is cold, logarithmic from 0.4 to 60 m out of
doors and to 12 m inside; black is sky.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.rendered.simulation import CHAOS, INDOOR, STREET, WORLDS, SimulationPlan
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.robot import LIDAR, CameraView, DriveFrame
from mono_depth_ros.whole_file import whole_file

Image = npt.NDArray[np.uint8]

# seed and time in s of each row
_ROWS: dict[str, tuple[tuple[int, float], ...]] = {
    STREET: ((3, 2.0), (5, 4.0), (12, 3.0), (21, 5.0), (33, 1.0)),
    INDOOR: ((1, 1.0), (4, 7.0), (6, 1.0), (8, 7.0), (12, 7.0), (13, 1.0)),
    CHAOS: ((1, 5.0), (3, 5.0), (4, 3.0)),
}
_RANGE_M = {STREET: (1.5, 60.0), INDOOR: (0.4, 12.0), CHAOS: (0.4, 60.0)}
_COLUMNS = ("image", "depth", "labels", "LiDAR, 16 beams")
_BEAMS = 16
_GAP_PX, _TITLE_PX = 3, 18
_QUALITY = 88

# Cityscapes' colours where it has the class
_LABEL_RGB = {
    Label.ROAD: (128, 64, 128), Label.SIDEWALK: (244, 35, 232), Label.BUILDING: (70, 70, 70),
    Label.WALL: (102, 102, 156), Label.FENCE: (190, 153, 153), Label.POLE: (153, 153, 153),
    Label.TRAFFIC_LIGHT: (250, 170, 30), Label.TRAFFIC_SIGN: (220, 220, 0), Label.VEGETATION: (107, 142, 35),
    Label.TERRAIN: (152, 251, 152), Label.SKY: (70, 130, 180), Label.PERSON: (220, 20, 60), Label.RIDER: (255, 0, 0),
    Label.CAR: (0, 0, 142), Label.TRUCK: (0, 0, 70), Label.BUS: (0, 60, 100), Label.TRAIN: (0, 80, 100),
    Label.MOTORCYCLE: (0, 0, 230), Label.BICYCLE: (119, 11, 32), Label.FLOOR: (140, 110, 80),
    Label.CEILING: (220, 220, 200), Label.FURNITURE: (230, 150, 60), Label.DOOR: (110, 60, 20),
    Label.WINDOW: (120, 200, 230), Label.CLUTTER: (200, 90, 160), Label.UNKNOWN: (0, 0, 0),
}  # fmt: skip


def depth_colours(depth_m: npt.NDArray[np.float32], range_m: tuple[float, float]) -> Image:
    """uint8 [..., 3] RGB: logarithmic, near warm, far cold, NaN black."""
    near, far = np.log(range_m)
    share = (np.log(np.maximum(np.nan_to_num(depth_m, nan=1.0), 1e-3)) - near) / (far - near)
    level = np.rint(255.0 * (1.0 - np.clip(share, 0.0, 1.0))).astype(np.uint8)
    rgb = cv2.applyColorMap(level.reshape(-1, 1), cv2.COLORMAP_TURBO)[:, 0, ::-1].reshape(*depth_m.shape, 3)
    return np.where(np.isfinite(depth_m)[..., None], rgb, 0).astype(np.uint8)


def label_colours(labels: npt.NDArray[np.uint8]) -> Image:
    """uint8 [H, W, 3] RGB of `Label` uint8 [H, W]."""
    table = np.zeros((256, 3), dtype=np.uint8)
    for label, rgb in _LABEL_RGB.items():
        table[label] = rgb
    return np.asarray(table[labels])


def lidar_picture(frame: DriveFrame, view: CameraView, range_m: tuple[float, float]) -> Image:
    """uint8 [H, W, 3]: the LiDAR's returns in the colours of their depth, over a pale grey picture."""
    grey = cv2.cvtColor(view.image_rgb, cv2.COLOR_RGB2GRAY)
    picture = np.repeat((grey // 2 + 30)[..., None], 3, axis=2)
    if frame.lidar is None:
        return picture
    T_camera_lidar = invert_rigid(view.T_base_camera) @ frame.lidar.T_base_lidar
    points = transform_points(T_camera_lidar, frame.lidar.points_lidar)
    sparse = project_points(points, view.camera)
    colours = depth_colours(np.asarray(sparse.depth_m, dtype=np.float32), range_m)
    for row, column, colour in zip(sparse.rows, sparse.cols, colours, strict=True):
        cv2.circle(picture, (int(column), int(row)), 1, tuple(int(c) for c in colour), -1, cv2.LINE_AA)
    return picture


def panels(world: str, seed: int, time_s: float, width_px: int, height_px: int) -> list[Image]:
    """The four pictures of a row."""
    plan = SimulationPlan(
        seed, 8.0, 10.0, width_px, height_px, _BEAMS, samples=4, world=world, sensors=(LIDAR,), rolling=False
    )
    frame = plan.drive().frame(round(time_s * plan.rate_hz))
    view, range_m = frame.views[0], _RANGE_M[world]
    return [
        view.image_rgb,
        depth_colours(view.truth_depth_m, range_m),
        label_colours(view.truth_labels),
        lidar_picture(frame, view, range_m),
    ]


def sheet(worlds: tuple[str, ...], width_px: int, height_px: int) -> Image:
    """All rows of the worlds, uint8 [H, W, 3]."""
    wide = len(_COLUMNS) * width_px + (len(_COLUMNS) - 1) * _GAP_PX
    bands = []
    for world in worlds:
        title = np.full((_TITLE_PX, wide, 3), 255, dtype=np.uint8)
        for number, name in enumerate(_COLUMNS):
            text = f"{world}: {name}" if number == 0 else name
            at = (number * (width_px + _GAP_PX) + 2, _TITLE_PX - 5)
            cv2.putText(title, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        bands.append(title)
        for seed, time_s in _ROWS[world]:
            row = np.full((height_px + _GAP_PX, wide, 3), 255, dtype=np.uint8)
            for number, picture in enumerate(panels(world, seed, time_s, width_px, height_px)):
                start = number * (width_px + _GAP_PX)
                row[:height_px, start : start + width_px] = picture
            bands.append(row)
    return np.concatenate(bands)


def main() -> None:
    """Renders the sheet and writes it, whole or not at all."""
    parser = argparse.ArgumentParser(description="Picture sheet of the synthetic worlds")
    parser.add_argument("--out", type=Path, default=Path("docs/images/worlds.jpg"))
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--height", type=int, default=144)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    arguments = parser.parse_args()
    picture = sheet(tuple(arguments.worlds), arguments.width, arguments.height)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if arguments.out.suffix in (".jpg", ".jpeg") else []
    with whole_file(arguments.out) as beside:
        if not cv2.imwrite(str(beside), picture[..., ::-1], quality):
            parser.error(f"{arguments.out}: cannot be written; is it a .jpg or .png in a folder that exists?")
    print(f"{arguments.out}: {picture.shape[1]}x{picture.shape[0]} pixels, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
