# SPDX-License-Identifier: Apache-2.0
"""Dense metric depth from a camera, odometry and sparse LiDAR.

This file imports nothing: ROS tools import it with the messages that live under the same name.
"""

__version__ = "0.1.0"
