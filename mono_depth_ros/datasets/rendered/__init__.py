# SPDX-License-Identifier: Apache-2.0
"""Rendered drives and training images, kept on disk."""
