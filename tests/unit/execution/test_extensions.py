import hashlib
import sys
from types import MappingProxyType

import pytest

from stillhouse.errors import BadConfig
from stillhouse.execution.extensions import load, pinned, version

BUILT_IN = MappingProxyType({"math": "fractions:Fraction", "code": 7})


class Installed:
    """A directory on Python's path, in which distributions and modules can be put."""

    def __init__(self, root):
        self.root = root

    def distribution(self, name, release, entry_points, **modules):
        info = self.root / f"{name}-{release}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n")
        lines = [line for group, points in entry_points.items() for line in (f"[stillhouse.{group}]", *points)]
        (info / "entry_points.txt").write_text("\n".join(lines))
        for module, source in modules.items():
            self.module(module, source)

    def module(self, name, source):
        (self.root / f"{name}.py").write_text(source)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield Installed(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def acme(installed):
    installed.distribution("acme", "1.2", {"verifiers": ["judo = acme_verifiers:Judo"]}, acme_verifiers="class Judo: pass\n")
    return installed


def test_load_built_in_name_gives_its_object_and_imports_strings():
    assert load("verifiers", "code", BUILT_IN) == 7
    assert load("verifiers", "math", BUILT_IN).__name__ == "Fraction"


def test_load_name_of_an_entry_point_imports_its_object(acme):
    assert load("verifiers", "judo", BUILT_IN).__name__ == "Judo"
    assert load("verifiers", "judo@1.2", BUILT_IN).__name__ == "Judo"


def test_load_built_in_name_wins_over_an_entry_point(installed):
    installed.distribution("acme", "1.2", {"verifiers": ["code = acme_verifiers:Judo"]})
    assert load("verifiers", "code", BUILT_IN) == 7


def test_load_entry_point_of_another_kind_is_not_found(acme):
    with pytest.raises(BadConfig, match="no source 'judo'"):
        load("sources", "judo")


def test_load_module_and_attribute_follows_dots(installed):
    installed.module("mine", "class Box:\n    inner = 3\n")
    assert load("rewards", "mine:Box.inner") == 3


def test_pinned_built_in_name_stays_as_it_is():
    assert pinned("verifiers", "math", BUILT_IN) == "math"


def test_pinned_entry_point_carries_the_version_of_its_distribution(acme):
    assert pinned("verifiers", "judo") == pinned("verifiers", "judo@1.2") == "judo@1.2"
    assert version("verifiers", "judo") == "1.2"


def test_pinned_module_and_attribute_carries_the_digest_of_its_source_and_does_not_run_it(installed):
    source = "raise RuntimeError('run')\n"
    installed.module("mine", source)
    expected = f"mine:verifier@sha256-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    assert pinned("verifiers", "mine:verifier") == pinned("verifiers", expected) == expected


def test_pinned_changed_source_gives_another_version(installed):
    installed.module("mine", "verifier = 1\n")
    first = pinned("verifiers", "mine:verifier")
    installed.module("mine", "verifier = 2\n")
    assert pinned("verifiers", "mine:verifier") != first


def test_pinned_other_version_than_the_installed_one_is_refused(acme):
    with pytest.raises(ValueError, match=r"judo is at version 1\.2 here, got 'judo@1\.1'; install 1\.1, or write judo"):
        pinned("verifiers", "judo@1.1")
    with pytest.raises(BadConfig, match=r"is at version 1\.2 here"):
        load("verifiers", "judo@1.1")


def test_pinned_version_of_a_built_in_name_is_refused():
    with pytest.raises(ValueError, match="math is built in and has no version of its own, got 'math@1'; write math"):
        pinned("verifiers", "math@1", BUILT_IN)


def test_pinned_unknown_name_is_told_the_nearest_and_what_is_installed(acme):
    with pytest.raises(ValueError, match=r"no verifier 'jude'; did you mean judo\?; installed as extensions: judo \(acme 1\.2\)"):
        pinned("verifiers", "jude", BUILT_IN)


def test_pinned_unknown_name_without_a_near_one_is_told_the_built_in_names():
    with pytest.raises(ValueError, match=r"no engine 'xyzzy'; engines built in: math, code; installed as extensions: none; or"):
        pinned("engines", "xyzzy", BUILT_IN)


def test_pinned_name_of_two_distributions_is_refused(acme):
    acme.distribution("bcme", "3", {"verifiers": ["judo = bcme:Judo"]})
    with pytest.raises(ValueError, match=r"declared by several distributions: acme 1\.2, bcme 3; uninstall"):
        pinned("verifiers", "judo")


@pytest.mark.parametrize("name", ["no_module_of_this_name:x", "no_package.module:x", "sys:path", ".relative:x"])
def test_pinned_module_without_a_source_file_is_refused(name):
    with pytest.raises(ValueError, match="install it, or put it on PYTHONPATH"):
        pinned("verifiers", name)


def test_load_module_that_cannot_be_imported_says_what_is_missing(installed):
    installed.module("mine", "import no_module_of_this_name\n")
    with pytest.raises(BadConfig, match=r"verifier mine:x: cannot import mine \(ModuleNotFoundError: .*no_module_of_this_name"):
        load("verifiers", "mine:x")


@pytest.mark.parametrize(
    ("source", "says"),
    [("class x: 1 / 0\n", r"ZeroDivisionError: division by zero, at mine\.py line 1\); correct it"), ("def x(:\n", "SyntaxError")],
)
def test_load_module_that_fails_as_it_is_imported_says_where(installed, source, says):
    installed.module("mine", source)
    with pytest.raises(BadConfig, match=f"verifier mine:x: cannot import mine .{says}"):
        load("verifiers", "mine:x")


def test_load_missing_attribute_is_told_the_nearest(installed):
    installed.module("mine", "verifier = 1\n")
    with pytest.raises(BadConfig, match=r"mine has no attribute 'verifer'; did you mean verifier\?"):
        load("verifiers", "mine:verifer")
