# SPDX-License-Identifier: Apache-2.0
"""Procedural worlds with closed-form depth: scenes, cameras, LiDAR, a driving robot and sensor failures."""
