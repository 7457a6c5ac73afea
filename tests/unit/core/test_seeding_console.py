"""Seeds by purpose, and progress off a terminal."""

import pytest

from copyfold.core.console import Console, format_seconds
from copyfold.core.seeding import derive_generator, derive_seed


def test_seeds_depend_on_purpose_and_nothing_else():
    assert derive_seed(42, "shuffle", 3) == derive_seed(42, "shuffle", 3)
    assert len({derive_seed(42, "shuffle", epoch) for epoch in range(100)}) == 100
    assert derive_seed(42, "a", 1) != derive_seed(42, "a1")
    assert 0 <= derive_seed(0) < 2**63
    assert derive_generator(1, "x").random() == derive_generator(1, "x").random()


@pytest.mark.parametrize(("seconds", "text"), [(41.7, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_seconds_as_people_read_them(seconds, text):
    assert format_seconds(seconds) == text


def test_progress_lines_name_the_job_and_the_time_left(capsys):
    console = Console(seconds_between_lines=0)
    with console.progress("training, epoch", 3) as progress:
        for done in (1, 2, 3):
            progress(done, "loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training, epoch 1/3  loss 0.1", "one step tells no speed"
    assert lines[1].startswith("training, epoch 2/3, about ")
    assert lines[-1] == "training, epoch 3/3  loss 0.1"


def test_quiet_says_only_warnings(capsys):
    console = Console(quiet=True)
    console.say("hello")
    console.warn("careful")
    with console.progress("x", 1) as progress:
        progress(1)
    assert capsys.readouterr().err == "warning: careful\n"
