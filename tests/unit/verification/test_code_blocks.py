import pytest

from stillhouse.verification import code_blocks

READ = "n = int(input())\nprint(n + 1)"


@pytest.mark.parametrize(
    ("answer", "language", "code"),
    [
        ("a\n```python\none\n```\nb\n```python\ntwo\n```\nc", "python", "two"),
        ("```py\none\n```\n```text\nout\n```", "python", "one"),
        ("```\none\n```", "python", "one"),
        ("```c++\none\n```\n```python\ntwo\n```", "cpp", "one"),
        ("```python\none\n```\n```bash\nrun\n```", "cpp", None),
        ("~~~python\none\n```\nstill\n~~~", "python", "one\n```\nstill"),
        ("````python\none\n```\nstill\n````", "python", "one\n```\nstill"),
        ("   ```python title=x\none\n   ```", "python", "one"),
        ("```{.python}\none\n```", "python", "one"),
        ("```Python3.11\none\n```", "python", "one"),
        ("```pypy3\none\n```", "python", "one"),
        ("```python\ncut off", "python", "cut off"),
        ("import sys\nprint(1)", "python", "import sys\nprint(1)"),
        ("def f(x):\n    return x", "python", "def f(x):\n    return x"),
        ("The answer is 42.", "python", None),
        ("#include <iostream>\nint main() {}", "cpp", "#include <iostream>\nint main() {}"),
        ("import sys", "cpp", None),
        ("```c\nint main(void) {}\n```", "cpp", "int main(void) {}"),
        ("```c++20\none\n```", "cpp", "one"),
        ("```gnu++17\none\n```", "cpp", "one"),
    ],
)
def test_program_is_the_last_block_of_its_language(answer, language, code):
    block = code_blocks.program(answer, language)
    assert (block.text.strip() if block else None) == code


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ("For 1 it prints:\n```\n2\n```", "an untagged sample of the output"),
        ("```\nTime: O(1)\n```", "an untagged summary"),
        ("```python\n# Example\nprint(3)\n```", "a tagged example that reads nothing"),
        ("```python\nThis is it: 1 2\n```", "a tagged block that is no Python"),
        ("Here\n```python\nn = int(input())\n```\nreads.", "a detail that prints nothing"),
    ],
)
def test_program_block_after_the_solution_is_not_taken_for_it(after, why):
    assert code_blocks.program(f"```python\n{READ}\n```\n{after}", "python").text.strip() == READ, why


def test_program_of_an_untagged_answer_is_the_block_that_looks_like_code():
    assert code_blocks.program(f"```\n{READ}\n```\nIt prints\n```\n2\n```", "python").text.strip() == READ


@pytest.mark.parametrize("margin", ["   ", "\t", "> ", "   > "])
def test_program_in_an_indented_or_quoted_block_loses_the_margin(margin):
    lines = ["```python", "if True:", "    print(1)", "```"]
    assert (
        code_blocks.program("1. It:\n" + "\n".join(margin + line for line in lines), "python").text.strip()
        == "if True:\n    print(1)"
    )


def test_program_that_the_tests_want_by_name_goes_before_later_blocks():
    answer = "```python\ndef f(x): return x\n```\nUse it:\n```python\nprint(f(3))\n```"
    assert code_blocks.program(answer, "python", {"f"}).text.strip() == "def f(x): return x"


def test_program_in_several_blocks_is_joined_where_they_build_on_one_another():
    blocks = ("import math", "def g(x): return math.sqrt(x)", "print(g(int(input())))")
    answer = "\nthen\n".join(f"```python\n{block}\n```" for block in blocks)
    lines = code_blocks.program(answer, "python").text.split("\n")
    assert [line for line in lines if line] == list(blocks)


def test_program_with_the_spaces_of_a_chat_window_is_cleaned():
    assert (
        code_blocks.program("```python\nif\u00a0True:\n\u00a0\u00a0print(1)\u200b\n```", "python").text == "if True:\n  print(1)\n"
    )


def test_program_in_cpp_is_the_block_with_a_main():
    answer = "```cpp\nint main() {}\n```\nThe key line:\n```cpp\nx += 1;\n```"
    assert code_blocks.program(answer, "cpp").text.strip() == "int main() {}"


@pytest.mark.parametrize("answer", ["```\n" * 20_000, "a, " * 100_000, "```python\n" + "(" * 50_000 + "\n```"])
def test_program_of_an_answer_without_end_takes_no_time_without_end(answer):
    block = code_blocks.program(answer, "python")
    assert block is None or block.tag == "python"


@pytest.mark.parametrize("quotes", ['"""', "'''"])
def test_program_fence_in_a_string_does_not_end_the_block(quotes):
    text = f"def f():\n    return {quotes}\n```\ncode\n```\n{quotes}\n"
    assert code_blocks.program(f"Look:\n```python\n{text}```\nDone.\n```\noutput\n```", "python") == code_blocks.Block(
        "python", text
    )


def test_program_that_does_not_parse_ends_at_its_own_fence():
    answer = '```python\nprint("""1)\n```\nThen\n```\n2\n```'
    assert code_blocks.program(answer, "python") == code_blocks.Block("python", 'print("""1)\n')
