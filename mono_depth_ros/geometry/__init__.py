# SPDX-License-Identifier: Apache-2.0
"""Cameras, rigid motions and sparse depth: numpy only."""
