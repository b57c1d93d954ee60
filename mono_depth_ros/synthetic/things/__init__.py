# SPDX-License-Identifier: Apache-2.0
"""What stands and moves in worlds, as convex solids in body frames."""
