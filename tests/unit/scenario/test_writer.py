"""What the writer writes is read back as it was."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario import shipped, writer

plain = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def strip(value):
    """Without the keys that a document never has: those of comments."""
    if isinstance(value, dict):
        return {key: strip(one) for key, one in value.items() if key != writer.COMMENT}
    return [strip(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), values))
def test_any_document_is_read_back_as_it_was(document):
    wanted = strip(document)
    assert tomllib.loads(writer.text_of(wanted)) == wanted


@pytest.mark.parametrize("folder", ["scenarios", "topologies", "budgets"])
def test_every_shipped_file_is_written_and_read_back(folder):
    for name in shipped.names(folder):
        document = tomllib.loads(shipped.find(name, folder).read_text())
        assert tomllib.loads(writer.text_of(document)) == document, name


def test_a_comment_stands_above_its_table_and_none_is_left_out():
    text = writer.text_of({"a": None, "b": 1, "c": [{"#": "why\nand how", "d": "x"}, {"d": "y"}]})
    assert text == 'b = 1\n\n# why\n# and how\n[[c]]\nd = "x"\n\n[[c]]\nd = "y"\n'
