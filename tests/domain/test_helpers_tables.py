"""Tables: CSV text becomes rows and rows become CSV text."""

import pytest

from domain.helpers.errors import HelperError
from domain.helpers.tables import CsvTable, csv_read, csv_write


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("name,age\nAda,36\n", "comma"),
        ("name;age\r\nAda;36\r\n", "semicolon"),
        ("name\tage\nAda\t36", "tab"),
        ("\ufeffname|age\nAda|36", "pipe"),
    ],
)
def test_the_delimiter_is_found_in_the_first_lines(text: str, delimiter: str):
    table = csv_read(text)

    assert table == CsvTable(
        columns=["name", "age"],
        rows=[{"name": "Ada", "age": "36"}],
        total_rows=1,
        truncated=False,
        delimiter=delimiter,  # pyright: ignore[reportArgumentType] - a parameter of the test
    )


def test_quoted_cells_keep_delimiters_quotes_and_line_ends():
    table = csv_read('a,b\n"x, ""y""","one\ntwo"\n')

    assert table.rows == [{"a": 'x, "y"', "b": "one\ntwo"}]


def test_numbers_are_converted_only_when_nothing_is_lost():
    text = "a,b,c,d,e\n7,-1.5,007,1234567890123456,1e3\n"

    table = csv_read(text, numbers=True)

    assert table.rows == [{"a": 7, "b": -1.5, "c": "007", "d": "1234567890123456", "e": "1e3"}]


def test_a_page_of_rows_says_how_many_there_are_and_whether_more_follow():
    text = "n\n" + "\n".join(str(n) for n in range(10))

    page, last = csv_read(text, offset=4, limit=3), csv_read(text, offset=8, limit=3)

    assert [row["n"] for row in page.rows] == ["4", "5", "6"]
    assert (page.total_rows, page.truncated) == (10, True)
    assert [row["n"] for row in last.rows] == ["8", "9"]
    assert (last.total_rows, last.truncated) == (10, False)


def test_columns_without_a_name_or_with_the_same_name_get_one_of_their_own():
    table = csv_read("id,,id,id_2\n1,2,3,4\n")

    assert table.rows == [{"id": "1", "column_2": "2", "id_2": "3", "id_2_2": "4"}]


def test_without_a_header_columns_are_numbered_and_short_rows_are_filled():
    table = csv_read("a,b\nc\n", header=False)

    assert table.rows == [
        {"column_1": "a", "column_2": "b"},
        {"column_1": "c", "column_2": ""},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text: holds no rows; send at least one line of CSV."),
        (
            "a,b\n1,2,3\n",
            (
                "text: line 2 has 3 cells, but there are 2 columns; "
                "quote cells that hold a comma, or name another delimiter."
            ),
        ),
        (
            'a,b\n"1,2\n',
            (
                "text: line 2 is no CSV (unexpected end of data); "
                "close every quote and double quotes inside quoted cells."
            ),
        ),
    ],
)
def test_text_that_is_no_table_is_refused_with_the_line(text: str, message: str):
    with pytest.raises(HelperError) as refusal:
        csv_read(text, delimiter="comma")

    assert str(refusal.value) == message


def test_a_wide_sparse_table_is_cut_before_its_rows_grow_beyond_measure():
    text = ",".join(f"c{n}" for n in range(500)) + "\n" + "x\n" * 4_000

    table = csv_read(text, limit=4_000)

    assert (len(table.rows), table.total_rows, table.truncated) == (200, 4_000, True)


def test_rows_are_written_with_all_their_keys_and_read_back():
    rows = [{"a": 1, "b": "x, y"}, {"b": None, "c": {"d": [True]}}]

    text = csv_write(rows)

    assert text == 'a,b,c\n1,"x, y",\n,,"{""d"": [true]}"\n'
    assert csv_read(text).rows[0] == {"a": "1", "b": "x, y", "c": ""}


def test_columns_choose_and_order_what_is_written():
    text = csv_write([{"a": 1, "b": 2}], columns=["b", "z"], delimiter="semicolon")

    assert text == "b;z\n2;\n"


def test_rows_that_each_bring_their_own_keys_are_refused():
    rows = [{f"k{n}": n} for n in range(501)]

    with pytest.raises(HelperError, match="501 rows of 501 columns are too many"):
        csv_write(rows)
