r"""Is an answer's value the reference's? Every part of both is compared.

Lists of values have no order, tuples and lists with dots have. ``x = 5`` answers 5 and 5 answers ``x = 5``; ``2, 1`` does not
answer ``x = 1, y = 2``. An interval, an inequality and a set-builder that hold the same numbers are equal.
"""

import re
from collections.abc import Callable, Sequence

from stillhouse.verification.config import AnswerRules
from stillhouse.verification.exact import regions
from stillhouse.verification.exact.answer_rules import EXACT_RULES
from stillhouse.verification.exact.high_precision import Undefined
from stillhouse.verification.exact.numbers import same_quantity
from stillhouse.verification.exact.relations import is_assignment, label, same_relation
from stillhouse.verification.exact.renaming import same_up_to_names
from stillhouse.verification.exact.special_equivalence import (
    Same,
    base_in_words,
    base_left_out,
    base_ten,
    bases,
    congruences,
    ratio_as_number,
    ratios,
    vector_as_sum,
    without_dots,
)  # fmt: skip
from stillhouse.verification.exact.values import (
    Builder,
    Combination,
    Congruence,
    Ellipsis,
    Group,
    InBase,
    Listing,
    Matrix,
    NamedSet,
    Quantity,
    Ratio,
    Relation,
    Value,
    Words,
)  # fmt: skip

SETS_IN_WORDS = {
    "all real numbers": "R", "all reals": "R", "real numbers": "R", "any real number": "R", "全体实数": "R", "实数集": "R",
    "no solution": "empty", "no real solution": "empty", "no real solutions": "empty", "empty set": "empty", "无解": "empty",
    "空集": "empty", "无实数解": "empty",
}  # fmt: skip


def equal(gold: Value, answer: Value, rules: AnswerRules = EXACT_RULES) -> bool:
    """Whether an answer equals the reference.

    Raises Unreasonable for values beyond every bound, Unreadable and Undefined for those without a rule or a value.
    """

    def same(one: Value, other: Value) -> bool:
        return equal(one, other, rules)

    if (renamed := same_up_to_names(gold, answer)) is not None:
        gold, answer = renamed
    if isinstance(gold, Listing) or isinstance(answer, Listing):
        return _same_listing(gold, answer, same, rules) or _same_region(gold, answer)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return same_relation(gold, answer, same, rules) or _same_region(gold, answer)
    rule = _RULES.get((type(gold), type(answer)))
    if rule is not None and rule(gold, answer, same, rules):
        return True
    return _same_region(gold, answer)


def _same_region(gold: Value, answer: Value) -> bool:
    """Whether both are sets of real numbers, the same one, and of different forms; equal forms are compared by their parts."""
    if isinstance(gold, Group) and isinstance(answer, Group):
        return False
    if isinstance(gold, Quantity) or isinstance(answer, Quantity):
        return False
    try:
        return regions.same(regions.region(_named(gold)), regions.region(_named(answer)))
    except (regions.NoRegion, Undefined):
        return False


def _named(value: Value) -> Value:
    """A set that is named in words."""
    return NamedSet(SETS_IN_WORDS[value.text]) if isinstance(value, Words) and value.text in SETS_IN_WORDS else value


def _quantities(gold: Quantity, answer: Quantity, same: Same, rules: AnswerRules) -> bool:
    return same_quantity(gold, answer, rules)


def _words(gold: Words, answer: Words, same: Same, rules: AnswerRules) -> bool:
    return gold.text == answer.text


def _letter(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """A letter as a word and as a symbol."""
    return _letter_of(gold) == _letter_of(answer) != ""


def _letter_of(value: Value) -> str:
    if isinstance(value, Words):
        return value.text if len(value.text) == 1 else ""
    if isinstance(value, Quantity) and value.expression.kind == "symbol":
        return value.expression.name
    return ""


def _groups(gold: Group, answer: Group, same: Same, rules: AnswerRules) -> bool:
    if gold.opening == answer.opening == "{" and not rules.ordered:
        one, other = without_dots(gold.items), without_dots(answer.items)
        return same_members(tuple(dict.fromkeys(one)), tuple(dict.fromkeys(other)), same)
    brackets = (gold.opening, gold.closing), (answer.opening, answer.closing)
    two = len(gold.items) == 2 and "{" not in (gold.opening, answer.opening)
    if two and brackets[0] != brackets[1] and not _same_ends(gold, answer):
        return False
    if "{" in (gold.opening, answer.opening) and (answer.opening, answer.closing) not in (("(", ")"), ("{", "}")):
        return False
    return _in_order(gold.items, answer.items, same)


def _same_ends(gold: Group, answer: Group) -> bool:
    r"""Whether brackets differ only at infinite ends, where ``]`` says what ``)`` says."""
    pairs = ((gold.opening, answer.opening, answer.items[0]), (gold.closing, answer.closing, answer.items[-1]))
    return all(
        one == other or (isinstance(item, Quantity) and regions.infinity(item.expression) != 0) for one, other, item in pairs
    )


def _one_group(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """A quantity and brackets: a set of one value, or a vector by its components."""
    return _singleton(gold, answer, same, rules) or vector_as_sum(gold, answer, same, rules)


def _singleton(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """A set of one value, and the value."""
    group, value = (gold, answer) if isinstance(gold, Group) else (answer, gold)
    return isinstance(group, Group) and group.opening == "{" and len(group.items) == 1 and same(group.items[0], value)


def _matrices(gold: Matrix, answer: Matrix, same: Same, rules: AnswerRules) -> bool:
    shapes = [[len(row) for row in matrix.rows] for matrix in (gold, answer)]
    return shapes[0] == shapes[1] and all(_in_order(*rows, same) for rows in zip(gold.rows, answer.rows, strict=True))


def _in_words_too(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    r"""``\mathbb{R}`` and *all real numbers*, ``\emptyset`` and *no solution*."""
    words, named = (gold, answer) if isinstance(gold, Words) else (answer, gold)
    return isinstance(words, Words) and isinstance(named, NamedSet) and SETS_IN_WORDS.get(words.text) == named.name


def _vector(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    """A column or a row, and its entries in round or square brackets; a matrix, and its rows in brackets."""
    matrix, group = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    if not isinstance(matrix, Matrix) or not isinstance(group, Group) or group.opening == "{":
        return False
    inner = [item.items for item in group.items if isinstance(item, Group) and item.opening != "{"]
    if len(inner) == len(group.items) == len(matrix.rows):
        return all(_in_order(*rows, same) for rows in zip(inner, matrix.rows, strict=True))
    entries = [entry for row in matrix.rows for entry in row]
    return 1 in (len(matrix.rows), max(map(len, matrix.rows))) and _in_order(group.items, entries, same)


def _combinations(gold: Combination, answer: Combination, same: Same, rules: AnswerRules) -> bool:
    if gold.operators != answer.operators:
        return False
    if set(gold.operators) <= {"cup"} or set(gold.operators) <= {"cap"}:
        return same_members(gold.parts, answer.parts, same)
    return _in_order(gold.parts, answer.parts, same)


def _builders(gold: Builder, answer: Builder, same: Same, rules: AnswerRules) -> bool:
    return gold.variable == answer.variable and same_members(gold.conditions, answer.conditions, same)


def _always(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    return gold == answer


_RULES: dict[tuple[type, type], Callable[..., bool]] = {
    (Quantity, Quantity): _quantities, (Words, Words): _words, (Words, Quantity): _letter, (Quantity, Words): _letter,
    (Group, Group): _groups, (Group, Quantity): _one_group, (Quantity, Group): _one_group, (Ratio, Ratio): ratios,
    (Ratio, Quantity): ratio_as_number, (Quantity, Ratio): ratio_as_number, (InBase, InBase): bases,
    (InBase, Quantity): base_left_out, (InBase, Words): base_in_words, (Quantity, InBase): base_ten,
    (Words, InBase): base_in_words, (Congruence, Congruence): congruences, (Words, NamedSet): _in_words_too,
    (NamedSet, Words): _in_words_too, (Matrix, Matrix): _matrices, (Matrix, Group): _vector, (Group, Matrix): _vector,
    (Combination, Combination): _combinations, (Builder, Builder): _builders, (NamedSet, NamedSet): _always,
    (Ellipsis, Ellipsis): _always,
}  # fmt: skip


def _same_listing(gold: Value, answer: Value, same: Same, rules: AnswerRules) -> bool:
    if isinstance(gold, Listing) and isinstance(answer, Listing):
        return _two_listings(gold, answer, same, rules)
    listing, other = (gold, answer) if isinstance(gold, Listing) else (answer, gold)
    assert isinstance(listing, Listing)
    if isinstance(other, Relation) and other.operators == ("in",):
        other = other.members[1]
    if isinstance(other, Group):
        return _listing_in_brackets(listing, other, same, rules)
    if listing is answer:
        # The same value in several forms: 0.5 or 1/2. The same form twice is another answer: 7, 7.
        several_forms = listing.word == "or" and len(set(listing.items)) == len(listing.items)
        return several_forms and all(same(gold, item) for item in listing.items)
    return False


def _listing_in_brackets(listing: Listing, group: Group, same: Same, rules: AnswerRules) -> bool:
    if len(listing.items) != len(group.items) or (group.opening, group.closing) not in (("(", ")"), ("{", "}"), ("[", "]")):
        return False
    if group.opening == "[" and len(group.items) == 2 and not all(isinstance(item, Relation) for item in listing.items):
        return False
    named = all(isinstance(item, Relation) for item in (*listing.items, *group.items))
    if named or (group.opening == "{" and not rules.ordered and not _named_apart(listing)):
        return same_members(listing.items, group.items, same)
    return _in_order(listing.items, group.items, same)


def _two_listings(gold: Listing, answer: Listing, same: Same, rules: AnswerRules) -> bool:
    series = any(isinstance(item, Ellipsis) for item in (*gold.items, *answer.items))
    if series or rules.ordered:
        return _in_order(without_dots(gold.items), without_dots(answer.items), same)
    if _named_apart(gold) and not any(isinstance(item, Relation) for item in answer.items):
        return _in_order(gold.items, answer.items, same)
    return same_members(_together(gold), _together(answer), same)


def _named_apart(listing: Listing) -> bool:
    """Whether the values belong to different names: ``x = 1, y = 2``, and not ``x = 1, x = 2``."""
    names = [label(item) for item in listing.items if isinstance(item, Relation) and is_assignment(item)]
    return len(names) == len(listing.items) and len({re.sub(r"_.*", "", name) for name in names}) > 1


def _together(listing: Listing) -> Sequence[Value]:
    """The members; assignments of several names in turn are one tuple for each turn: ``p=5, q=2; p=7, q=2`` are two pairs."""
    if not all(isinstance(item, Relation) and is_assignment(item) for item in listing.items):
        return listing.items
    names = [label(item) for item in listing.items if isinstance(item, Relation)]
    size = len(set(names))
    if size in (1, len(names)) or len(names) % size:
        return listing.items
    turns = [listing.items[start : start + size] for start in range(0, len(names), size)]
    if any(len({label(item) for item in turn if isinstance(item, Relation)}) < size for turn in turns):
        return listing.items
    return [
        Group("(", ")", tuple(sorted(turn, key=lambda item: label(item) if isinstance(item, Relation) else ""))) for turn in turns
    ]


def _in_order(gold: Sequence[Value], answer: Sequence[Value], same: Same) -> bool:
    return len(gold) == len(answer) and all(map(same, gold, answer))


def same_members(gold: Sequence[Value], answer: Sequence[Value], same: Same) -> bool:
    """Whether the members can be paired so that all pairs are equal (augmenting paths)."""
    if len(gold) != len(answer):
        return False
    partner: dict[int, int] = {}
    known: dict[tuple[int, int], bool] = {}

    def agree(place: int, other: int) -> bool:
        if (place, other) not in known:
            known[place, other] = same(gold[place], answer[other])
        return known[place, other]

    def pair(place: int, tried: set[int]) -> bool:
        for other in range(len(answer)):
            if other in tried or not agree(place, other):
                continue
            tried.add(other)
            if other not in partner or pair(partner[other], tried):
                partner[other] = place
                return True
        return False

    return all(pair(place, set()) for place in range(len(gold)))
