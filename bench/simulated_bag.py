# SPDX-License-Identifier: Apache-2.0
"""Measures a bag of `mono-depth simulate` against its own truth.

    python bench/simulated_bag.py BAG

Tells how far LiDAR points, projected through /tf_static, lie from /truth/depth, and how alike consecutive images are
after warping by true depth and motion.
"""

import sys
from pathlib import Path

from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.evaluation.bag_truth import lidar_agreement, photometric_agreement


def main(path: Path) -> None:
    """Prints the numbers of one bag."""
    with Rosbag2Reader(path) as bag:
        lidar, photometric = lidar_agreement(bag), photometric_agreement(bag)
    print(
        f"LiDAR on true depth: {lidar.points} points of {lidar.scans} scans, median relative error "
        f"{lidar.median_rel_error:.5f}, beyond 10 %: {lidar.share_beyond_10_percent:.3f}"
    )
    print(
        f"next image warped by true depth and motion: {photometric.pairs} pairs, mean difference "
        f"{photometric.residual:.2f} grey levels of 255 (unwarped {photometric.unwarped:.2f})"
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
