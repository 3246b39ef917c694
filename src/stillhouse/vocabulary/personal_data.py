"""Personal data in a text, by form alone: addresses, numbers and keys that nobody should learn.

Numbers count only where a checksum or their form makes chance unlikely: a card number by Luhn's check digit, an account number by
ISO 13616. Reserved names (example.org), loopback and private addresses are nobody's.
"""

import ipaddress
import re
from collections.abc import Callable, Collection

from stillhouse.vocabulary.rows import PersonalData

_RESERVED = re.compile(r"@(?:[\w-]+\.)*(?:example(?:\.(?:com|org|net))?|test|invalid|localhost)$", re.IGNORECASE)
_PATTERNS: dict[PersonalData, re.Pattern[str]] = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b"),
    # With a country code, or in the form of North America: "555-1234" may be a difference.
    "phone": re.compile(
        r"(?<![\w.])(?:\+\d{1,3}[\s.-]?(?:\(\d{1,4}\)[\s.-]?)?\d(?:[\s.-]?\d){6,12}|\(\d{3}\)\s?\d{3}[.-]\d{4})(?!\w)"
    ),
    "card": re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)"),
    "iban": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "ip_address": re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)"),
    "us_ssn": re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
    "secret_key": re.compile(
        r"\b(?:AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,}|xox[abprs]-[A-Za-z0-9-]{20,})\b"
        r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"
    ),
}


def personal_data(text: str, kinds: Collection[PersonalData]) -> PersonalData | None:
    """The first of these kinds, in their own order, that the text has; None if it has none."""
    for kind, pattern in _PATTERNS.items():
        if kind in kinds and any(_CHECKS.get(kind, bool)(match[0]) for match in pattern.finditer(text)):
            return kind
    return None


def _is_private_mail(address: str) -> bool:
    return not _RESERVED.search(address)


def _is_card(number: str) -> bool:
    """Luhn's check; one digit again and again is no card."""
    digits = [int(sign) for sign in number if sign.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return number[0] in "3456" and sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _is_iban(account: str) -> bool:
    compact = account.replace(" ", "")
    return len(compact) >= 15 and int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def _is_public_address(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


_CHECKS: dict[PersonalData, Callable[[str], bool]] = {
    "email": _is_private_mail, "card": _is_card, "iban": _is_iban, "ip_address": _is_public_address,
}  # fmt: skip
