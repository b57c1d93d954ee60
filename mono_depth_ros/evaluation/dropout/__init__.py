# SPDX-License-Identifier: Apache-2.0
"""How the error of a model grows as its LiDAR fades."""
