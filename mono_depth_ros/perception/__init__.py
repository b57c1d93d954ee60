# SPDX-License-Identifier: Apache-2.0
"""What the robot knows now, and what to do with it: numpy only."""
