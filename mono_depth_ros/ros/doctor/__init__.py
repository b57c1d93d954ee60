# SPDX-License-Identifier: Apache-2.0
"""Looks at a running graph and says why there is no depth."""
