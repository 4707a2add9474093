"""Tables as files have them and as values are."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.language.text import table_text
from orchestrator.language.text.arguments import with_files
from orchestrator.language.text.table_text import as_table, read_table, rows, table_of_text


def test_cells_are_values_as_in_a_document_and_may_be_empty() -> None:
    text = "# made by hand\n\nstage.x, shutter.state , label\n1, Open, 'a'\n,,b b\n-0.5,true, 1e3\n"
    assert table_of_text(text, "p.csv") == {
        "stage.x": [1, None, -0.5],
        "shutter.state": ["Open", None, True],
        "label": ["'a'", "b b", 1000.0],
    }


def test_a_comma_or_a_line_end_in_a_text_is_quoted() -> None:
    assert table_of_text('note\n"a, b"\n', "p.csv") == {"note": ["a, b"]}
    assert table_of_text('note\n"a\nb"\n', "p.csv") == {"note": ["a\nb"]}
    assert table_of_text("note\na\u2028b\r\n", "p.csv") == {"note": ["a\u2028b"]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "p.csv: has no row"),
        ("a, b\n", "p.csv: has no row"),
        ("a,, b\n1,2,3\n", "p.csv:1: a column has no name"),
        ("a, b, a\n1,2,3\n", "p.csv:1: two columns are called 'a'"),
        ("a, b\n1, 2\n\n1, 2, 3\n", "p.csv:4: expected 2 cells, as in its first line, not 3"),
        ("a\n1e999\n", "p.csv:2: a: the number 1e999 is too large"),
        ("a\n.nan\n", "p.csv:2: a: '.nan' is no finite number"),
        ('a\n"b\n', "p.csv: unexpected end"),
    ],
)
def test_what_is_no_table_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        table_of_text(text, "p.csv")


def test_a_file_may_be_of_a_spreadsheet_and_is_not_read_where_it_is_huge(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes("\ufeffa\r\n1\r\n".encode())
    assert read_table(file) == {"a": [1]}
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_table(file)
    with pytest.raises(InputError, match="No such file"):
        read_table(tmp_path / "none.csv")
    file.write_text("a\n" + "1\n" * (table_text.LARGEST // 2))
    with pytest.raises(InputError, match="too long"):
        read_table(file)


@pytest.mark.parametrize(
    "value",
    [
        5,
        {},
        {"a": 1},
        {"a": []},
        {"a": [1], "b": [1, 2]},
        {"a": [[1]]},
        {"a": [[]]},
        {"a": [{}, [1]]},
        {"a": [float("nan")]},
        {1: [1]},
    ],
)
def test_what_is_given_as_a_table_and_is_none_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="points"):
        as_table(value, "points")


def test_rows_leave_out_what_is_empty() -> None:
    assert list(rows({"a": [1, None], "b": ["x", "y"]})) == [{"a": 1, "b": "x"}, {"b": "y"}]


def test_arguments_name_files_for_who_asks(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("a\n1\n")
    given = {"points": f"@{tmp_path}/p.csv", "mail": "@home", "n": "5"}
    assert with_files(given) == {"points": '{"a": [1]}', "mail": "@home", "n": "5"}
