# SPDX-License-Identifier: Apache-2.0
"""Tests that run at the same time do not hear each other's nodes."""

import pytest
from ros_domain import domain_of


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_workers_of_one_run_share_no_domain_however_many_tests_each_has_run(workers):
    taken = [{domain_of(number, worker, workers) for number in range(1000)} for worker in range(workers)]
    assert sum(map(len, taken)) == len(set().union(*taken))
    assert min(map(min, taken)) >= 1 and max(map(max, taken)) <= 101
