# SPDX-License-Identifier: Apache-2.0
"""How good depth is: metrics, baselines, and the evaluation of a model on a drive."""
