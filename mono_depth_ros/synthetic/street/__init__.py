# SPDX-License-Identifier: Apache-2.0
"""Random streets and a drive down them."""
