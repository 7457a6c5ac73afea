"""Mutation strings: what is understood, what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copyfold.ddg.mutations import Mutation, parse_mutation
from copyfold.ddg.sequences import AMINO_ACIDS
from copyfold.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A42V", [Mutation("A", 42, "V")]),
        (" a42v ", [Mutation("A", 42, "V")]),
        ("A:A42V", [Mutation("A", 42, "V", "", "A")]),
        ("1:A42V", [Mutation("A", 42, "V", "", "1")]),
        ("A42bV", [Mutation("A", 42, "V", "b")]),
        ("H:A100BV", [Mutation("A", 100, "V", "B", "H")]),
        ("A-3V", [Mutation("A", -3, "V")]),
        ("p.Ala42Val", [Mutation("A", 42, "V")]),
        ("p.(Ala42Val)", [Mutation("A", 42, "V")]),
        ("NP_000483.3:p.Ala42Val", [Mutation("A", 42, "V")]),
        ("p.[Ala42Val;Leu50Pro]", [Mutation("A", 42, "V"), Mutation("L", 50, "P")]),
        ("A42V:L50P", [Mutation("A", 42, "V"), Mutation("L", 50, "P")]),
        ("A42V,L50P", [Mutation("A", 42, "V"), Mutation("L", 50, "P")]),
        ("A:A42V:L50P", [Mutation("A", 42, "V", "", "A"), Mutation("L", 50, "P", "", "A")]),
        ("A:A42V,B:A42V", [Mutation("A", 42, "V", "", "A"), Mutation("A", 42, "V", "", "B")]),
    ],
)
def test_forms_that_are_understood(text: str, expected: list[Mutation]) -> None:
    assert parse_mutation(text) == tuple(expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no substitution"),
        ("A:", "not a substitution"),
        ("hello", "not a substitution"),
        ("42", "not a substitution"),
        ("A42", "not a substitution"),
        ("42V", "not a substitution"),
        ("A4.2V", "not a substitution"),
        ("A42A", "both A"),
        ("A42X", "not one of the 20"),
        ("B42A", "not one of the 20"),
        ("A42*", "a stop codon"),
        ("p.Ala42Ter", "a stop codon"),
        ("p.Ala42=", "synonymous"),
        ("p.=", "not a substitution"),
        ("p.Ala42fs", "not one of the 20"),
        ("p.Ala42del", "not one of the 20"),
        ("p.Xaa42Val", "not one of the 20"),
        ("A42V:A42L", "substituted twice"),
    ],
)
def test_what_is_no_substitution_is_refused_with_its_text(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        parse_mutation(text)
    assert f"'{text}'" in str(caught.value)


letters = st.sampled_from(AMINO_ACIDS)
mutations = st.builds(
    Mutation,
    letters,
    st.integers(-99, 9999),
    letters,
    st.sampled_from(["", "A", "b"]),
    st.sampled_from([None, "A", "1"]),
).filter(lambda one: one.wild_type != one.mutant)


@settings(deadline=None)  # cores are shared
@given(mutations)
def test_a_mutation_reads_what_it_writes(mutation: Mutation) -> None:
    assert parse_mutation(str(mutation)) == (mutation,)


@settings(deadline=None)  # cores are shared
@given(st.text(max_size=12))
def test_any_text_is_a_mutation_or_one_clear_error(text: str) -> None:
    with suppress(InputError):
        assert all(one.wild_type != one.mutant for one in parse_mutation(text))
