# SPDX-License-Identifier: Apache-2.0
"""Public data sets in the folders of their releases."""
