# SPDX-License-Identifier: Apache-2.0
"""Recorded and made-up drives, read sample by sample."""
