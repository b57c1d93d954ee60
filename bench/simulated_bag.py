# SPDX-License-Identifier: Apache-2.0
"""Measures a bag of `mono-depth simulate` against its own truth.

    python bench/simulated_bag.py BAG

Tells, for every camera, how far the points of each ranging sensor, projected through /tf_static, lie from the true
depth, and how alike consecutive images are after warping by true depth and motion.
"""

import sys
from pathlib import Path

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import CAMERA_INFO, POINT_TYPES, TRUTH_NAMESPACE
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.truth_check import photometric_agreement, points_agreement


def main(path: Path) -> None:
    """Prints the numbers of one bag."""
    with Rosbag2Reader(path) as bag:
        infos = sorted(topic for topic, kind in bag.types.items() if kind == CAMERA_INFO)
        ranging = sorted(
            t for t, kind in bag.types.items() if kind in POINT_TYPES and not t.startswith(TRUTH_NAMESPACE)
        )
        for info in infos:
            camera = info.removesuffix("/camera_info")
            for topic in ranging:
                print(f"{camera}, {topic} on true depth: {_points(bag, camera, topic)}")
            warped = photometric_agreement(bag, camera)
            print(
                f"{camera}, next image warped by true depth and motion: {warped.pairs} pairs, mean difference "
                f"{warped.residual:.2f} grey levels of 255 (unwarped {warped.unwarped:.2f})"
            )


def _points(bag: Rosbag2Reader, camera: str, topic: str) -> str:
    try:
        found = points_agreement(bag, camera, topic)
    except DataError:
        return "no points in view"
    return (
        f"{found.points} points of {found.scans} scans, median relative error {found.median_rel_error:.5f}, "
        f"beyond 10 %: {found.share_beyond_10_percent:.3f}"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
