import pytest

from orchestrator.errors import InputError
from orchestrator.language.names import Names, nearest


def test_an_alias_is_its_own_name(names: Names) -> None:
    assert names.resolve("stage.x") == "stage.x"
    assert names.resolve("stage.fine.x") == "stage.fine.x"


def test_a_pv_that_has_an_alias_goes_by_it(names: Names) -> None:
    assert names.resolve("SIM:STAGE:X") == "stage.x"
    assert names.resolve("ca://SIM:STAGE:X.RBV") == "stage.x_rbv"
    assert names.pv("stage.x") == "SIM:STAGE:X"


def test_a_record_and_its_val_are_one_pv(names: Names) -> None:
    assert names.resolve("SIM:STAGE:X.VAL") == "stage.x"
    assert names.resolve("ca://SIM:STAGE:X.VAL") == "stage.x"
    val = Names(frozenset({"a"}), {"a.x": "P:X.VAL"})
    assert val.resolve("P:X") == val.resolve("P:X.VAL") == "a.x"
    assert val.pv("a.x") == "P:X.VAL"
    # Without an alias it is searched as it is written: not every IOC has both.
    assert names.resolve("P:Y.VAL") == "P:Y.VAL"
    assert names.record("P:Y.VAL") == names.record("P:Y") == "P:Y"
    assert names.resolve("SIM:STAGE:X.VALX") == "SIM:STAGE:X.VALX"


@pytest.mark.parametrize(
    "pv", ["X.VAL", "X.VAL$", "X.$", "X.", 'X.VAL{"dbnd":{"abs":1}}', 'X.{"s":1}', 'X.VAL${"s":1}']
)
def test_what_writes_a_record_is_the_same_as_its_alias(names: Names, pv: str) -> None:
    assert names.record(f"SIM:STAGE:{pv}") == "stage.x"


@pytest.mark.parametrize("pv", ["P{Mtr:1}", "P{Mtr:1}Pos-SP", "P:X.RBV", "P{a.VAL}", "P:VAL"])
def test_another_field_or_a_name_with_braces_is_itself(names: Names, pv: str) -> None:
    assert names.record(pv) == pv


def test_another_pv_goes_by_its_full_name_without_the_scheme(names: Names) -> None:
    assert names.resolve("XF:31ID{Mtr:1}Pos-SP") == "XF:31ID{Mtr:1}Pos-SP"
    assert names.resolve("ca://nocolon") == "nocolon"
    assert names.resolve("other.x:y") == "other.x:y"


def test_text_after_the_name_of_an_ioc_must_be_one_of_its_channels(names: Names) -> None:
    with pytest.raises(InputError, match=r"'stage\.x_rvb'; did you mean 'stage\.x_rbv'\?"):
        names.resolve("stage.x_rvb")
    with pytest.raises(InputError, match="channels of det are acquire, counts"):
        names.resolve("det.zzz")
    with pytest.raises(InputError, match=r"unknown channel 'stage\.x:y'"):
        names.resolve("stage.x:y")


def test_an_unknown_word_is_told_with_the_nearest_name_and_how_names_look(names: Names) -> None:
    with pytest.raises(InputError, match=r"did you mean 'stage\.x'\?"):
        names.resolve("stge.x")
    with pytest.raises(InputError, match=r"contains ':' or is written 'ca://qqq'"):
        names.resolve("qqq")


@pytest.mark.parametrize("text", ["ca://", "SIM: X", "SIM:X\n", "A:\x00"])
def test_blanks_are_no_part_of_a_pv_name(names: Names, text: str) -> None:
    with pytest.raises(InputError, match="is no PV name"):
        names.resolve(text)


def test_a_pv_named_like_an_alias_is_refused_rather_than_mistaken_for_it(names: Names) -> None:
    with pytest.raises(InputError, match="hidden by the alias"):
        names.resolve("ca://stage.x")


def test_without_chained_iocs_the_message_asks_for_the_configuration() -> None:
    with pytest.raises(InputError, match=r"is orchestrator\.toml in another folder\?"):
        Names().resolve("stage.x")


def test_names_are_equal_whatever_they_were_asked(names: Names) -> None:
    assert Names(names.iocs, dict(names.aliases)) == names


def test_the_nearest_word_is_found_whatever_its_case() -> None:
    assert nearest("TIMEOUTT", ["timeout", "settle"]) == "timeout"
    assert nearest("zzz", ["timeout"]) is None
