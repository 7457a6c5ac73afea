"""Values that a report once fell for."""

import numpy as np
import pytest

from copyfold.report.drawing import padded_range
from copyfold.report.run_facts import run_facts


def test_a_value_beyond_reason_does_not_set_an_axis():
    assert padded_range(np.array([0.0, 1.0, 1e308, -np.inf, np.nan])) == pytest.approx((-0.05, 1.05))


@pytest.mark.parametrize("part", ["text", 7, None, [1]])
def test_parts_of_a_record_that_are_no_mappings_are_left_out(part):
    record = {"stages": {"train": part}, "config": part, "versions": part, "inputs": part}
    assert [table.rows for table in run_facts(record).blocks] == [(), (), (("copyfold", "None"),), ()]
