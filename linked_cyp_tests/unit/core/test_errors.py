"""A value inside an exception never outlives `value_free`."""

import traceback

import pytest

from linked_cyp.core.errors import LinkedCypError, value_free

VALUE = "943 476 5919"


def test_the_value_is_gone_from_message_cause_context_and_traceback() -> None:
    with pytest.raises(LinkedCypError) as caught, value_free("reading a file"):
        try:
            raise KeyError(VALUE)
        except KeyError as inner:
            raise ValueError(f"cannot convert {VALUE}") from inner
    error = caught.value
    assert str(error).startswith("reading a file: ValueError")
    assert error.__cause__ is None
    assert error.__context__ is None
    assert VALUE not in "".join(traceback.format_exception(error))


def test_without_it_the_value_would_be_there() -> None:
    with pytest.raises(ValueError, match=VALUE):
        raise ValueError(f"cannot convert {VALUE}")


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(LinkedCypError, match="^known rule$"), value_free("reading a file"):
        raise LinkedCypError("known rule")


def test_our_own_line_is_named() -> None:
    from linked_cyp.contracts.model import load_codesets

    with pytest.raises(LinkedCypError, match=r"\(linked_cyp/contracts/model.py:\d+\)"):
        with value_free("reading codes"):
            load_codesets(None)  # type: ignore[arg-type]
