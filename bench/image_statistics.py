# SPDX-License-Identifier: Apache-2.0
"""Simple statistics of rendered images beside those of real ones, at the same size.

    python bench/image_statistics.py BAG_OR_FOLDER [BAG_OR_FOLDER ...] [--images 60] [--figure out.png]

Real images come from rosbag2 bags (every image topic) or folders of png and jpeg files. They are cut to the shape of
the rendered ones around their centre, and scaled with area averaging. Rendered: a driver's views of random streets,
with the lens and sensor of `random_photometry`. A figure shows real images: mind their terms before you pass it on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.images import decode_compressed_image, decode_image
from mono_depth_ros.synthetic.chaos import random_chaos
from mono_depth_ros.synthetic.indoor.course import indoor_course
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose, random_photometry
from mono_depth_ros.synthetic.street.scene import random_street

Image = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_BANDS = 6  # of rows
_EDGE = 0.08  # difference between neighbours that counts as an edge, of a grey range of 1
_FIRST_SEED = 700


def real_images(path: Path, limit: int, width: int, height: int) -> list[Image]:
    """Up to `limit` images uint8 [H, W, 3] of a bag or a folder, evenly spread."""
    if (path / "metadata.yaml").exists() or path.suffix in (".mcap", ".db3"):
        every = list(_bag_images(path))
    else:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg"))
        read = (cv2.imread(str(file)) for file in files)
        every = [np.asarray(image[..., ::-1], dtype=np.uint8) for image in read if image is not None]
    if not every:
        return []
    chosen = np.unique(np.linspace(0, len(every) - 1, min(limit, len(every))).astype(int))
    return [_fitted(every[index], width, height) for index in chosen]


def _bag_images(path: Path) -> Iterator[Image]:
    with Rosbag2Reader(path) as bag:
        topics = {topic for topic, kind in bag.types.items() if kind in (_RAW, _COMPRESSED) and "depth" not in topic}
        for message in bag.messages(topics):
            decoded = bag.decode(message)
            kind = bag.types[message.topic]
            yield decode_compressed_image(decoded) if kind == _COMPRESSED else decode_image(decoded)


def _fitted(image: Image, width: int, height: int) -> Image:
    """The middle of an image in the shape of the target, scaled to it."""
    rows, columns = image.shape[:2]
    kept_rows = min(rows, round(columns * height / width))
    kept_columns = min(columns, round(rows * width / height))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    middle = image[top : top + kept_rows, left : left + kept_columns]
    return np.asarray(cv2.resize(middle, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def rendered_images(world: str, number: int, width: int, height: int) -> list[Image]:
    """Images of `street`, `indoor` or `chaos` worlds, uint8 [H, W, 3]."""
    focal = 0.58 * width
    camera = PinholeCamera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
    images = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + number):
        rng = np.random.default_rng([seed, 20])
        if world == "chaos":
            place, made = camera_pose(np.zeros(3), float(rng.uniform(0, 6.3)), 0.0, 0.0), random_chaos(seed)
        elif world == "indoor":
            course = indoor_course(seed, 10.0)
            height_m = float(rng.uniform(0.25, 1.2))
            mount = camera_pose(np.array([0.1, 0.0, height_m]), 0.0, float(rng.normal(0, 0.03)), 0.0)
            place, made = course.T_world_base(float(rng.uniform(0.0, 10.0))) @ mount, course.world
        else:
            street = random_street(seed)
            spot = street.path.pose(float(rng.uniform(0.0, 60.0)), street.lane_m)
            place = spot @ camera_pose(np.array([0.0, 0.0, 1.6]), float(rng.normal(0, 0.03)), 0.02, 0.0)
            made = street.world
        images.append(random_photometry(rng, render(made, camera, place, float(rng.uniform(0, 5))).image_rgb))
    return images


def statistics(images: list[Image]) -> dict[str, float]:
    """Name -> value over a set of images."""
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255.0 for image in images])
    colour = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2HSV) for image in images])
    across, down = np.diff(grey, axis=2)[:, :-1], np.diff(grey, axis=1)[:, :, :-1]
    size = np.hypot(across, down)
    out = {f"luminance p{p}": float(np.percentile(grey, p)) for p in (1, 10, 50, 90, 99)}
    out["contrast (std within an image)"] = float(grey.std(axis=(1, 2)).mean())
    out["brightness spread between images"] = float(grey.mean(axis=(1, 2)).std())
    out["saturation mean"] = float(colour[..., 1].mean() / 255.0)
    out["saturation p90"] = float(np.percentile(colour[..., 1], 90) / 255.0)
    out["burnt-out share"] = float((np.stack(images).min(-1) >= 250).mean())
    out |= {f"gradient p{p}": float(np.percentile(size, p)) for p in (50, 90, 99)}
    out["gradient kurtosis"] = float((across**4).mean() / (across**2).mean() ** 2)
    out["spectrum slope"] = float(np.mean([spectrum_slope(image) for image in grey]))
    out |= {f"detail level {level}": value for level, value in enumerate(detail_levels(grey))}
    for band, rows in enumerate(np.array_split(np.arange(size.shape[1]), _BANDS)):
        out[f"edges, row band {band + 1}/{_BANDS}"] = float((size[:, rows] > _EDGE).mean())
    return out


def spectrum_slope(grey: Float64) -> float:
    """Exponent of power against spatial frequency (real scenes: about -2), over square patches of one image [H, W]."""
    side = min(grey.shape)
    window = np.outer(np.hanning(side), np.hanning(side))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    power = np.zeros((side, side))
    for left in range(0, grey.shape[1] - side + 1, side):
        patch = grey[:, left : left + side]
        power += np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2
    edges = np.geomspace(4.0 / side, 0.45, 12)
    middles, means = [], []
    for low, high in pairwise(edges):
        ring = (frequency >= low) & (frequency < high)
        if ring.any():
            middles.append(np.log(frequency[ring]).mean())
            means.append(np.log(power[ring].mean() + 1e-12))
    return float(np.polyfit(middles, means, 1)[0])


def detail_levels(grey: Float64, levels: int = 4) -> list[float]:
    """Standard deviation of the details at 1, 2, 4, ... pixels: steps of a pyramid over images [N, H, W]."""
    current = [image.astype(np.float32) for image in grey]
    out = []
    for _ in range(levels):
        smaller = [cv2.pyrDown(image) for image in current]
        fine = [image - cv2.pyrUp(low, dstsize=image.shape[::-1]) for image, low in zip(current, smaller, strict=True)]
        out.append(float(np.mean([part.std() for part in fine])))
        current = smaller
    return out


def _figure(path: Path, sets: dict[str, list[Image]]) -> None:
    """A column of images per set."""
    rows = min(12, *(len(images) for images in sets.values()))
    columns = [
        np.concatenate([images[index] for index in np.linspace(0, len(images) - 1, rows).astype(int)])
        for images in sets.values()
    ]
    cv2.imwrite(str(path), np.concatenate(columns, axis=1)[..., ::-1])


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--figure", type=Path)
    asked = parser.parse_args()
    size = (asked.width, asked.height)
    sets = {path.name: real_images(path, asked.images, *size) for path in asked.real}
    empty = [name for name, images in sets.items() if not images]
    if empty:
        parser.error(f"no images in {', '.join(empty)}")
    sets |= {world: rendered_images(world, asked.images, *size) for world in ("street", "indoor", "chaos")}
    rows = {name: statistics(images) for name, images in sets.items()}
    print(f"{'':34s}" + "".join(f"{name:>20s}" for name in rows))
    print(f"{'images':34s}" + "".join(f"{len(images):20d}" for images in sets.values()))
    for key in next(iter(rows.values())):
        print(f"{key:34s}" + "".join(f"{values[key]:20.4f}" for values in rows.values()))
    if asked.figure is not None:
        _figure(asked.figure, sets)


if __name__ == "__main__":
    main()
