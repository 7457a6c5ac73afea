"""Errors are told on one line."""

from copyfold.errors import ConfigError, InputError


def test_a_message_is_one_line_whatever_was_put_into_it():
    assert str(InputError("x.csv: cannot be read (Expected 7 fields\r\n\tsaw 13\n); train again")) == (
        "x.csv: cannot be read (Expected 7 fields saw 13 ); train again"
    )
    assert (
        str(ConfigError("a: no\nsuch key", "another"))
        == "a: no such key (and 1 more; `copyfold config check` lists them)"
    )
