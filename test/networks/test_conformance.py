# SPDX-License-Identifier: Apache-2.0

"""Our networks reproduce the original implementation. Needs its stored outputs, see test/fixtures/conformance.py."""

import pytest

pytest.importorskip("torch", reason="networks need torch")

import conformance

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(
        conformance.conformance_folder() is None,
        reason="stored outputs of the original networks are not here (MONO_DEPTH_SHARED or ../shared)",
    ),
]


def assert_all_within_limits(cases):
    cases = list(cases)
    failed = [case for case in cases if not case.error <= case.limit]
    assert cases
    assert not failed


def test_packnet_san_reproduces_prediction_completion_skips_and_sparse_features():
    assert_all_within_limits(conformance.packnet_san_cases(conformance.conformance_folder()))


def test_packnet01_reproduces_prediction():
    assert_all_within_limits(conformance.packnet01_cases(conformance.conformance_folder()))


def test_pose_net_reproduces_poses():
    assert_all_within_limits(conformance.pose_net_cases(conformance.conformance_folder()))
