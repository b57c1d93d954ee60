# SPDX-License-Identifier: Apache-2.0
"""A recorded drive through what runs on the robot: messages of a bag in, what the node would publish out. No ROS."""
