# SPDX-License-Identifier: Apache-2.0
"""What the sensors of a simulated robot measure."""
