# SPDX-License-Identifier: Apache-2.0
"""A synthetic robot as ROS nodes."""
