import math

import numpy as np
import pytest

from orchestrator.errors import InputError, PutError
from orchestrator.language.values.conditions import Relation, default_tolerance, is_within, meets
from orchestrator.language.values.conversion import as_channel_value, index_or_label
from orchestrator.language.values.limits import check_limits
from orchestrator.types import Limits, Metadata, NativeType, Value

DOUBLE = Metadata(NativeType.DOUBLE)
FLOAT = Metadata(NativeType.FLOAT)
LONG = Metadata(NativeType.LONG)
STRING = Metadata(NativeType.STRING)
ENUM = Metadata(NativeType.ENUM, labels=("Closed", "Open"))
CHARS = Metadata(NativeType.CHAR, count=100)
WAVE = Metadata(NativeType.DOUBLE, count=4)
NAN = math.nan
F07 = float(np.float32(0.7))
"""What a FLOAT holds for 0.7: 0.699999988."""
NEXT = float(np.nextafter(np.float32(0.7), np.float32(1)))
BEFORE = float(np.nextafter(np.float32(0.7), np.float32(0)))


@pytest.mark.parametrize(
    ("value", "metadata", "expected"),
    [
        (1, DOUBLE, 1.0),
        (True, DOUBLE, 1.0),
        (NAN, DOUBLE, NAN),
        (2.0, LONG, 2),
        (True, LONG, 1),
        (np.float64(3), LONG, 3),
        (255, Metadata(NativeType.CHAR), 255),
        (65535, Metadata(NativeType.SHORT), None),
        ("Open", ENUM, 1),
        (0, ENUM, 0),
        (15, Metadata(NativeType.ENUM), 15),
        ("x" * 39, STRING, "x" * 39),
        ("text µ", CHARS, "text µ"),
        (2**53, DOUBLE, 2.0**53),
        (2**63, DOUBLE, 2.0**63),
        (2**53 + 1.0, DOUBLE, 2.0**53),  # a float from the start: nothing is lost here
        (16_777_216, FLOAT, 16_777_216.0),
        (0.7, FLOAT, 0.7),
        (3.4e38, FLOAT, 3.4e38),
        (1.2e-38, FLOAT, 1.2e-38),
        (math.inf, FLOAT, math.inf),
        (-math.inf, DOUBLE, -math.inf),
        (NAN, FLOAT, NAN),
        (0, Metadata(NativeType.CHAR), 0),
        (-(2**31), LONG, -(2**31)),
        (-(2**15), Metadata(NativeType.SHORT), -(2**15)),
        (True, FLOAT, 1.0),
    ],
)
def test_a_value_is_put_in_the_channels_own_terms(
    value: object, metadata: Metadata, expected: object
) -> None:
    if expected is None:
        with pytest.raises(PutError, match="-32768 … 32767"):
            as_channel_value(value, metadata)
        return
    result = as_channel_value(value, metadata)
    assert result == expected or (result != result and expected != expected)
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "metadata", "told"),
    [
        ("Opne", ENUM, "'Opne' is none of its labels; they are 0 = Closed, 1 = Open"),
        (2, ENUM, "2 is no index of it; they are"),
        (-1, ENUM, "-1 is no index"),
        (1.0, ENUM, "the number 1.0 is none of its labels"),
        (True, ENUM, "true is none of its labels"),
        ("Open", Metadata(NativeType.ENUM), "it has no labels"),
        (16, Metadata(NativeType.ENUM), "16 is no index"),
        ("x" * 40, STRING, "a text of 40 bytes; a DBR_STRING holds 39"),
        ("µ" * 20, STRING, "a text of 40 bytes"),
        (5, STRING, "takes text, not the number 5"),
        ("abc", DOUBLE, "takes a number, not the text 'abc'"),
        ("abc", LONG, "takes a number"),
        ("a", Metadata(NativeType.CHAR), "takes a number"),
        ("x" * 101, CHARS, "a text of 101 bytes; the array holds 100"),
        (1.5, LONG, "takes whole numbers, not 1.5"),
        (NAN, LONG, "takes whole numbers, not nan"),
        (2**31, LONG, "a LONG holds -2147483648 … 2147483647"),
        ([1, 2], DOUBLE, "a list of 2 is longer than its 1 elements"),
        ([1.0] * 5, WAVE, "longer than its 4 elements"),
        ([], DOUBLE, "an empty list, where it takes one value"),
        (["a"], WAVE, "needs a list or an array of numbers"),
        (None, DOUBLE, "nothing can't be put"),
        (
            2**53 + 1,
            DOUBLE,
            "a DOUBLE can't hold .*9007199254740993 exactly: the nearest is 9007199254740992",
        ),
        (-(2**53) - 1, DOUBLE, "exactly: the nearest is -9007199254740992"),
        (np.int64(2**53 + 1), DOUBLE, "a DOUBLE can't hold"),
        (10**400, DOUBLE, "nothing so large as a whole number of 1329 bits"),
        (
            16_777_217,
            FLOAT,
            "a FLOAT can't hold the number 16777217 exactly: the nearest is 16777216",
        ),
        (1e39, FLOAT, r"a FLOAT holds nothing so large as the number 1e\+39"),
        (-3.5e38, FLOAT, "a FLOAT holds nothing so large"),
        (10**60, FLOAT, "a FLOAT holds nothing so large"),
        (1e-50, FLOAT, "a FLOAT holds nothing so small as 1e-50"),
        (-1, Metadata(NativeType.CHAR), "a CHAR holds 0 … 255, not -1"),
        (256, Metadata(NativeType.CHAR), "a CHAR holds 0 … 255, not 256"),
        (math.inf, LONG, "takes whole numbers, not inf"),
        (10**400, LONG, "a LONG holds .* not a whole number of 1329 bits"),
        ([1, 2**53 + 1], WAVE, "element 1: a DOUBLE can't hold"),
        (np.array([1, 2**53 + 1]), WAVE, "element 1: a DOUBLE can't hold"),
        (np.array([0, 2**64 - 1], dtype=np.uint64), WAVE, "element 1: a DOUBLE can't hold"),
        ([1.0, 1e39], Metadata(NativeType.FLOAT, count=2), "element 1: a FLOAT holds nothing so"),
        (np.array([1e39]), Metadata(NativeType.FLOAT, count=2), "element 0: a FLOAT holds"),
        (np.array([16_777_217]), Metadata(NativeType.FLOAT, count=2), "element 0: a FLOAT can't"),
        ([1, -1], CHARS, "element 1: a CHAR holds 0 … 255, not -1"),
        (np.array([3, -1], dtype=np.int8), CHARS, "element 1: a CHAR holds 0 … 255, not -1"),
        ([2**15], Metadata(NativeType.SHORT, count=2), "element 0: a SHORT holds"),
        ([NAN], Metadata(NativeType.LONG, count=2), "element 0: takes whole numbers, not nan"),
    ],
)
def test_what_a_channel_can_not_hold_is_refused_with_what_it_can(
    value: object, metadata: Metadata, told: str
) -> None:
    with pytest.raises(PutError, match=told):
        as_channel_value(value, metadata)
    with pytest.raises(PutError, match=r"^stage\.x: "):
        as_channel_value(value, metadata, "stage.x")


GAINS = Metadata(NativeType.ENUM, labels=("1", "2", "5", "10", "0.5", "0"))


@pytest.mark.parametrize(
    ("value", "index"),
    [(5, 2), ("5", 2), (1, 0), (np.int64(2), 1), (10, 3), (0, 5), (3, 3), (4, 4), ("0.5", 4)],
)
def test_a_number_is_the_label_that_is_exactly_its_text(value: object, index: int) -> None:
    assert as_channel_value(value, GAINS) == index
    assert meets(Relation.EQUALS, index, value, GAINS, None)
    assert meets(Relation.IN, index, [value], GAINS, None)
    assert not meets(Relation.NOT, index, value, GAINS, None)


@pytest.mark.parametrize("value", [6, -1, 100, "05", 5.0, True])
def test_a_number_that_is_neither_label_nor_index_is_refused(value: object) -> None:
    with pytest.raises(PutError, match=r"they are 0 = 1, 1 = 2, 2 = 5, 3 = 10"):
        as_channel_value(value, GAINS)


def test_a_label_that_is_a_fraction_needs_quotes() -> None:
    with pytest.raises(PutError, match=r"a label that is a number needs quotes: '0\.5'"):
        as_channel_value(0.5, GAINS)


def test_a_number_that_is_an_index_as_well_as_a_label_is_told() -> None:
    assert index_or_label(2, GAINS) == (
        "2 is taken as the label '2', which has the index 1; the index 2 is the label '5'"
    )
    assert index_or_label("2", GAINS)
    assert index_or_label(0, GAINS)
    for value in (10, 3, "Open", 2.0, True, -1, [2]):
        assert index_or_label(value, GAINS) == ""
    assert index_or_label(1, Metadata(NativeType.ENUM, labels=("0", "1"))) == ""
    assert index_or_label(1, LONG) == ""
    assert index_or_label(1, None) == ""


def test_arrays_are_put_in_the_channels_own_terms() -> None:
    wave = as_channel_value([1, 2.5], WAVE)
    assert isinstance(wave, np.ndarray)
    np.testing.assert_array_equal(wave, [1.0, 2.5])
    whole = as_channel_value(np.array([1.0, 2.0]), Metadata(NativeType.LONG, count=2))
    assert isinstance(whole, np.ndarray)
    assert whole.dtype.kind == "i"
    assert as_channel_value(["a", "b"], Metadata(NativeType.STRING, count=2)) == ("a", "b")


@pytest.mark.parametrize("native", [n for n in NativeType if n is not NativeType.STRING])
def test_an_array_may_be_emptied(native: NativeType) -> None:
    empty = as_channel_value([], Metadata(native, count=4))
    assert isinstance(empty, np.ndarray)
    assert empty.shape == (0,)
    assert as_channel_value([], Metadata(NativeType.STRING, count=4)) == ()


def test_limits_are_refused_with_value_limits_and_channel() -> None:
    limited = Metadata(NativeType.DOUBLE, units="mm", control=Limits(-5, 5))
    check_limits(5.0, limited, "stage.x")
    with pytest.raises(PutError, match=r"stage\.x: 5\.1 mm is outside its limits, -5 … 5 mm"):
        check_limits(5.1, limited, "stage.x")
    with pytest.raises(PutError, match="nan mm is outside"):
        check_limits(NAN, limited, "stage.x")


@pytest.mark.parametrize("limit", [0.7, F07])
def test_a_float_may_be_put_up_to_the_limit_that_it_reads(limit: float) -> None:
    metadata = Metadata(NativeType.FLOAT, control=Limits(-limit, limit))
    for value in (0.7, F07, -0.7, BEFORE):
        check_limits(value, metadata, "x")
    for value in (NEXT, 0.7000001, -NEXT, 0.71, NAN, math.inf):
        with pytest.raises(PutError, match="is outside its limits"):
            check_limits(value, metadata, "x")


def test_the_limits_of_a_double_have_no_rounding() -> None:
    metadata = Metadata(NativeType.DOUBLE, control=Limits(0.0, F07))
    check_limits(F07, metadata, "x")
    with pytest.raises(PutError, match="is outside its limits"):
        check_limits(0.7, metadata, "x")


def test_the_elements_of_an_array_have_no_limits() -> None:
    """As with every EPICS server: an array's are those of a display."""
    check_limits(np.array([1.0, 7.0]), Metadata(NativeType.DOUBLE, 2, control=Limits(-5, 5)), "a")


def test_equal_limits_and_text_have_none() -> None:
    check_limits(1e9, Metadata(NativeType.DOUBLE, control=Limits(0, 0)), "stage.x")
    check_limits("abc", Metadata(NativeType.STRING, control=Limits(0, 1)), "stage.x")
    check_limits(3, Metadata(NativeType.ENUM, control=Limits(0, 1)), "stage.x")


@pytest.mark.parametrize(
    ("wanted", "readback", "float32", "expected"),
    [
        (2.0, DOUBLE, False, 2e-9),
        (-2.0, FLOAT, True, 2e-6),
        (2.0, Metadata(NativeType.DOUBLE, precision=3), False, 0.0005),
        (1e9, Metadata(NativeType.DOUBLE, precision=3), False, 1.0),
        (2.0, Metadata(NativeType.DOUBLE, precision=0), False, 2e-9),
        (2.0, None, False, 2e-9),
        (1, ENUM, False, 0.0),
        ("Open", STRING, False, 0.0),
        (0.0, DOUBLE, True, 0.0),
        (2_000_000_000, LONG, False, 0.0),
        (30_000, Metadata(NativeType.SHORT), True, 0.0),
        (200, Metadata(NativeType.CHAR), False, 0.0),
        (2.0, Metadata(NativeType.DOUBLE, precision=15), False, 2e-9),
        (0.0, Metadata(NativeType.DOUBLE, precision=15), False, 5e-16),
        (0.0, Metadata(NativeType.DOUBLE, precision=1), False, 0.05),
        (0.0, Metadata(NativeType.DOUBLE, precision=16), False, 0.0),
        (0.0, Metadata(NativeType.FLOAT, precision=2), True, 0.005),
        (0.0, Metadata(NativeType.DOUBLE, precision=-2), False, 0.0),
        (0.0, Metadata(NativeType.DOUBLE, precision=-400), False, 0.0),
        (0.0, Metadata(NativeType.DOUBLE, precision=32767), False, 0.0),
        (0.0, Metadata(NativeType.DOUBLE, precision=-32768), False, 0.0),
        (2.0, Metadata(NativeType.FLOAT, precision=-1), True, 2e-6),
    ],
)
def test_default_tolerance(
    wanted: object, readback: Metadata | None, float32: bool, expected: float
) -> None:
    assert default_tolerance(wanted, readback, float32=float32) == pytest.approx(expected)


def test_the_readback_of_whole_numbers_is_never_the_next_one() -> None:
    """It may be a DOUBLE, as an int64in is over Channel Access."""
    assert default_tolerance(3_000_000_000, DOUBLE, LONG) < 1
    assert default_tolerance(5, DOUBLE, LONG) == pytest.approx(5e-9)


@pytest.mark.parametrize("native", [NativeType.LONG, NativeType.SHORT, NativeType.CHAR])
@pytest.mark.parametrize("wanted", [0, 1, 100, 0.5, 99.9999999999])
def test_whole_numbers_equal_only_themselves(native: NativeType, wanted: float) -> None:
    metadata = Metadata(native)
    assert meets(Relation.EQUALS, 100, wanted, metadata, None) is (wanted == 100)
    assert meets(Relation.NOT, 100, wanted, metadata, None) is (wanted != 100)
    assert meets(Relation.IN, 100, [wanted], metadata, None) is (wanted == 100)


@pytest.mark.parametrize("relation", ["equals", "in"])
def test_large_whole_numbers_do_not_equal_their_neighbours(relation: str) -> None:
    several = relation == "in"
    for reading, wanted in ((1_999_999_999, 2_000_000_000), (2_000_000_000, 2_000_000_001)):
        operand = [wanted] if several else wanted
        assert not meets(Relation(relation), reading, operand, LONG, None)
    long_array = Metadata(NativeType.LONG, count=2)
    values = np.array([1, 1_999_999_999], dtype=np.int32)
    assert not meets(Relation.EQUALS, values, [1, 2_000_000_000], long_array, None)
    assert meets(Relation.EQUALS, values, [1, 1_999_999_999], long_array, None)


def test_a_tolerance_between_whole_numbers_has_exact_ends() -> None:
    assert is_within(2_000_000_000, 1_999_999_998, 2, NativeType.LONG)
    assert not is_within(2_000_000_000, 1_999_999_998, 1.999, NativeType.LONG)
    assert is_within(1, 0.1 + 0.2, 0.7, NativeType.LONG)


@pytest.mark.parametrize(
    ("relation", "reading", "expected"),
    [
        ("at_least", F07, True),
        ("at_least", BEFORE, False),
        ("at_most", F07, True),
        ("at_most", NEXT, False),
        ("above", F07, False),
        ("above", NEXT, True),
        ("below", F07, False),
        ("below", BEFORE, True),
        ("increase_by", F07, True),
        ("decrease_by", F07, True),
        ("increase_by", 0.69999, False),
    ],
)
def test_a_float_is_compared_as_it_holds_the_operand(
    relation: str, reading: float, expected: bool
) -> None:
    assert meets(Relation(relation), reading, 0.7, FLOAT, None) is expected
    if relation in ("at_least", "at_most"):
        pair = [0.7, 1.0] if relation == "at_least" else [0.0, 0.7]
        assert meets(Relation.BETWEEN, reading, pair, FLOAT, None) is expected


def test_with_a_tolerance_of_0_a_float_is_what_it_holds_for_the_operand() -> None:
    assert meets(Relation.EQUALS, F07, 0.7, FLOAT, 0.0)
    assert not meets(Relation.EQUALS, NEXT, 0.7, FLOAT, 0.0)
    assert not meets(Relation.EQUALS, F07, 0.7, DOUBLE, 0.0)
    assert meets(Relation.EQUALS, F07 + 0.1, 0.7, FLOAT, 0.1)
    assert not meets(Relation.EQUALS, F07 + 0.101, 0.7, FLOAT, 0.1)
    floats = Metadata(NativeType.FLOAT, count=2)
    assert meets(Relation.EQUALS, np.array([0.7, 0.1], dtype=np.float32), [0.7, 0.1], floats, 0.0)


def test_a_number_beyond_every_float_is_told() -> None:
    with pytest.raises(InputError, match="a whole number of 1329 bits"):
        meets(Relation.EQUALS, 1.0, 10**400, DOUBLE, None)


def test_the_ends_of_a_tolerance_are_within_it() -> None:
    assert is_within(0.295, 0.3, 0.005)
    assert is_within(0.305, 0.3, 0.005)
    assert not is_within(0.3051, 0.3, 0.005)
    assert is_within(math.inf, math.inf, 0)
    assert not is_within(1.0, math.inf, 1e9)
    assert not is_within(math.inf, 1.0, 1e9)
    assert not is_within(-math.inf, 1.0, 0)


@pytest.mark.parametrize(
    ("relation", "value", "operand", "metadata", "expected"),
    [
        ("equals", 1.0, 1, DOUBLE, True),
        ("equals", 1.0 + 1e-8, 1, DOUBLE, False),
        ("equals", 1.0 + 1e-7, 1, FLOAT, True),
        ("equals", 1.0004, 1, Metadata(NativeType.DOUBLE, precision=3), True),
        ("not", 1.0, 1, DOUBLE, False),
        ("not", 2.0, 1, DOUBLE, True),
        ("above", 1.0, 1, DOUBLE, False),
        ("at_least", 1.0, 1, DOUBLE, True),
        ("below", 0.5, 1, DOUBLE, True),
        ("at_most", 1.5, 1, DOUBLE, False),
        ("increase_by", 1.0, 1.0, DOUBLE, True),
        ("increase_by", 0.3, 0.1 + 0.2, DOUBLE, True),
        ("increase_by", 0.2999, 0.3, DOUBLE, False),
        ("increase_by", -math.inf, 0.3, DOUBLE, False),
        ("decrease_by", 1.0, 1.0, DOUBLE, True),
        ("decrease_by", 0.3, 0.4 - 0.1, DOUBLE, True),
        ("decrease_by", 0.3001, 0.3, DOUBLE, False),
        ("decrease_by", 2, 3, LONG, True),
        ("between", 1.0, [1, 2], DOUBLE, True),
        ("between", 2.1, [1, 2], DOUBLE, False),
        ("in", 2.0, [1, 2], DOUBLE, True),
        ("in", 3.0, [1, 2], DOUBLE, False),
        ("equals", 1, "Open", ENUM, True),
        ("equals", 1, 1, ENUM, True),
        ("not", 1, "Closed", ENUM, True),
        ("in", 0, ["Open", 0], ENUM, True),
        ("above", 1, "Closed", ENUM, True),
        ("equals", "ok", "ok", STRING, True),
        ("in", "ok", ["a", "ok"], STRING, True),
        ("equals", np.array([1.0, 2.0]), [1, 2], WAVE, True),
        ("equals", np.array([1.0, 2.0]), [1], WAVE, False),
        ("equals", ("a", "b"), ["a", "b"], STRING, True),
        ("equals", 1, True, LONG, True),
    ],
)
def test_meets(
    relation: str, value: Value, operand: object, metadata: Metadata, expected: bool
) -> None:
    assert meets(Relation(relation), value, operand, metadata, None) is expected


@pytest.mark.parametrize("relation", list(Relation))
def test_nan_satisfies_nothing(relation: Relation) -> None:
    operand: object = [0.0, 1.0] if relation in (Relation.BETWEEN, Relation.IN) else 0.0
    assert not meets(relation, NAN, operand, DOUBLE, None)
    with_nan: object = [NAN, NAN] if isinstance(operand, list) else NAN
    assert not meets(relation, 0.0, with_nan, DOUBLE, None)


def test_a_given_tolerance_is_the_one_that_counts() -> None:
    assert meets(Relation.EQUALS, 1.4, 1, DOUBLE, 0.5)
    assert not meets(Relation.NOT, 1.4, 1, DOUBLE, 0.5)
    assert not meets(Relation.EQUALS, 1.0001, 1, Metadata(NativeType.DOUBLE, precision=1), 0.0)


@pytest.mark.parametrize(
    ("relation", "value", "operand", "metadata", "told"),
    [
        ("equals", 1, "Opne", ENUM, "they are 0 = Closed, 1 = Open"),
        ("equals", 1, True, ENUM, "true is none of its labels"),
        ("equals", 1.0, "Open", DOUBLE, "holds the number 1.0, which can't equal the text 'Open'"),
        ("equals", "a", 1, STRING, "can't equal the number 1"),
        ("above", "a", 1, STRING, "neither above nor below"),
        ("above", 1.0, "a", DOUBLE, "can't be above or below the text 'a'"),
        ("in", 1.0, 5, DOUBLE, "compares with a list, not with the number 5"),
        ("equals", np.array([1.0]), 1, WAVE, "holds an array of 1"),
        ("between", 1.0, [1], DOUBLE, "two values"),
    ],
)
def test_what_can_not_be_compared_is_told(
    relation: str, value: Value, operand: object, metadata: Metadata, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        meets(Relation(relation), value, operand, metadata, None)


VALVE = Metadata(NativeType.ENUM, labels=("", "Open", "Closed"))


@pytest.mark.parametrize(
    ("reading", "wanted", "equal"),
    [
        (1, "Open", True),
        (0, "Open", False),  # between its switches
        (3, "Open", False),
        (3, "3", True),
        (0, "0", True),
        (1, "3", False),
        (1, 1, True),
    ],
)
def test_an_enum_at_an_index_without_label_is_compared_as_text(
    reading: int, wanted: object, equal: bool
) -> None:
    assert meets(Relation.EQUALS, reading, wanted, VALVE, None) is equal
    assert meets(Relation.NOT, reading, wanted, VALVE, None) is not equal


def test_two_states_of_one_label_equal_it_both() -> None:
    same = Metadata(NativeType.ENUM, labels=("Off", "Slow", "Off"))
    assert [meets(Relation.EQUALS, i, "Off", same, None) for i in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "equal"), [("abc", True), ("ab", False), ("abc\0", False), ("", False)]
)
def test_an_array_of_char_is_compared_with_a_text_as_text(text: str, equal: bool) -> None:
    array = np.array([97, 98, 99, 0, 7], np.uint8)
    assert meets(Relation.EQUALS, array, text, CHARS, None) is equal
    signed = array.astype(np.int8)
    assert meets(Relation.EQUALS, signed, text, CHARS, None) is equal


def test_a_text_pv_of_one_character_takes_one() -> None:
    letter = Metadata(NativeType.CHAR, text=True)
    assert [as_channel_value(text, letter) for text in ("", "5")] == ["", "5"]
    with pytest.raises(PutError, match="a text of 2 bytes; the array holds 1"):
        as_channel_value("µ", letter)
    assert as_channel_value("µµµµµ" * 10, CHARS) == "µµµµµ" * 10  # fills it
    description = Metadata(NativeType.CHAR, count=41, text=True, nul=True)
    assert as_channel_value("x" * 40, description) == "x" * 40
    with pytest.raises(PutError, match="a text of 41 bytes; the array holds 40"):
        as_channel_value("x" * 41, description)


def test_a_menu_that_is_not_listed_to_its_end_may_have_any_choice() -> None:
    """Of menuAlarmStat 16 labels are listed; UDF is learned when the channel holds it."""
    listed = tuple(f"choice {i}" for i in range(16))
    menu = Metadata(NativeType.ENUM, labels=listed, menu=True)
    assert [as_channel_value(v, menu) for v in ("choice 3", "UDF", 17)] == [3, "UDF", 17]
    assert not meets(Relation.EQUALS, 17, "UDF", menu, None)
    learned = Metadata(NativeType.ENUM, labels=(*listed, "", "UDF"), menu=True)
    assert meets(Relation.EQUALS, 17, "UDF", learned, None)
    assert meets(Relation.EQUALS, 17, 17, learned, None)
    assert meets(Relation.NOT, 16, "UDF", learned, None)
    with pytest.raises(PutError, match="at most 39 bytes"):
        as_channel_value("x" * 40, menu)
