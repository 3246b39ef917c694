import pytest

from stillhouse.execution import cron


@pytest.mark.parametrize(
    "expression",
    [
        "0 2 * * *", "@daily", "@continuous", "*/15 0-23/2 1,15 jan-JUN,12 mon-fri", "5/10 * * * 7", "0 0 29 2 *", "0 0 31 1,4 *",
        "0 0 31 2 1",  # a day of the month or a weekday: Mondays come
    ],
)  # fmt: skip
def test_cron_expression_that_airflow_reads_passes(expression):
    cron.check(expression)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has five fields"),
        ("0 2 * *", "has five fields"),
        ("@dayly", "is one of @once"),
        ("*/0 * * * *", "minute of a cron expression is from 0 to 59"),
        ("5-1 * * * *", "minute"),
        ("abc * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("/5 * * * *", "minute"),
        ("** * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("99999999999999999999 * * * *", "minute"),
        ("0 24 * * *", "hour of a cron expression is from 0 to 23"),
        ("0 0 L * *", "day"),
        ("0 0 * foo *", "month of a cron expression is from 1 to 12 or a name such as jan"),
        ("0 0 * * jan", "weekday of a cron expression is from 0 to 7 or a name such as sun"),
        ("0 0 * * 1#2", "weekday"),
        ("0 0 31 2 *", "no month 2 has a day 31"),
        ("0 0 31 4,6 *", "no month 4,6 has a day 31"),
    ],
)
def test_cron_expression_that_airflow_refuses_names_the_field(expression, words):
    with pytest.raises(ValueError, match="got") as caught:
        cron.check(expression)
    assert words in str(caught.value)
