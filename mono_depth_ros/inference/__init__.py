# SPDX-License-Identifier: Apache-2.0
"""From a snapshot to depth: start reading at pipeline.py."""
