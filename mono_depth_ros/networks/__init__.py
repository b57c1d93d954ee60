# SPDX-License-Identifier: Apache-2.0
"""The neural networks, in torch. Nothing here is needed at run time on a robot."""
