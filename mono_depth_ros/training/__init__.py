# SPDX-License-Identifier: Apache-2.0
"""Training, checkpoints and export. Needs torch; nothing here is needed at run time on a robot."""
