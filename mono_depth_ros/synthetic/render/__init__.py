# SPDX-License-Identifier: Apache-2.0
"""How a world becomes a picture with exact depth: solids, surfaces, light and weather."""
