# SPDX-License-Identifier: Apache-2.0
"""The `mono-depth` command: one file per sub-command, the only place that prints or exits."""
