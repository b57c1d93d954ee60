# SPDX-License-Identifier: Apache-2.0
"""What runs on a robot, without ROS: the node's parameters, and images that become depth one after another."""
