# SPDX-License-Identifier: Apache-2.0
"""One way in: messages of a robot or a bag become what a camera knows at the stamp of an image. No ROS."""
