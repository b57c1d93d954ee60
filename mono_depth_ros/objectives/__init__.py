# SPDX-License-Identifier: Apache-2.0
"""What training minimises: one objective per file, plain functions of tensors."""
