# SPDX-License-Identifier: Apache-2.0
"""Random buildings from inside and a drive through them."""
