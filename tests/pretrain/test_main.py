"""The command line of the trainer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from equate_srbench.pretrain.__main__ import main, minutes_until


@pytest.mark.parametrize(
    ("text", "minutes"), [("12:30", 30.0), ("12:00", 24 * 60.0), ("00:15", 12 * 60.0 + 15.0)]
)
def test__minutes_until__time_of_day__next_one(text: str, minutes: float) -> None:
    """A time that has passed today means tomorrow."""
    assert minutes_until(text, datetime(2025, 1, 1, 12, 0, tzinfo=UTC)) == minutes


def test__main__no_time_given__usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A run needs an end."""
    with pytest.raises(SystemExit) as error:
        main([])
    assert error.value.code == 2
    assert "--minutes" in capsys.readouterr().err
