# SPDX-License-Identifier: Apache-2.0
"""Bags: what to read of them, as samples with truth, and new ones."""
