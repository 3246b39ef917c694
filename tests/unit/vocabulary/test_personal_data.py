import pytest

from stillhouse.vocabulary.personal_data import personal_data

KINDS = ("email", "phone", "card", "iban", "ip_address", "us_ssn", "secret_key")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to ada.l+x@lovelace.co.uk today", "email"),
        ("Call +1 415-555-2671 now", "phone"),
        ("Call (415) 555-2671 now", "phone"),
        ("Pay with 4111 1111 1111 1111.", "card"),
        ("IBAN GB82 WEST 1234 5698 7654 32", "iban"),
        ("The server is 8.8.4.4.", "ip_address"),
        ("Her number is 123-45-6789", "us_ssn"),
        ("export AWS=AKIAIOSFODNN7EXAMPLE", "secret_key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret_key"),
    ],
)
def test_personal_data_is_told_by_its_form(text, kind):
    assert personal_data(text, KINDS) == kind
    assert personal_data(text, [name for name in KINDS if name != kind]) is None
    assert personal_data(text, ()) is None


@pytest.mark.parametrize(
    "text",
    [
        "What is 555-1234?",
        "Compute 4111 1111 1111 1112 mod 7",
        "Let x = 123456789012345",
        "1111111111111111 is divisible by 11",
        "f@x = 3 and a@b",
        "ada@example.org and bob@mail.test",
        "Connect to 127.0.0.1 or 192.168.0.7",
        "Version 1.2.3.4.5 of 999.1.1.1",
        "From 2020-01-15 to 2021-02-16",
        "000-12-3456",
        "Subtract 123-45-67",
        "GB82 WEST 1234 5698 7654 33",
        "+ 3 4 5 = 12",
    ],
)
def test_personal_data_of_mathematics_and_reserved_names_is_none(text):
    assert personal_data(text, KINDS) is None
