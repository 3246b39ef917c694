from concurrent.futures import ThreadPoolExecutor

import pytest

from stillhouse.training.rl.environments.python_tool import PythonTool


@pytest.fixture(scope="module")
def python():
    return PythonTool(2).run


def test_python_tool_shows_what_a_program_prints(python):
    assert python("print(6 * 7)\nprint('é')") == "42\né"
    assert python("x = 1") == "(the program printed nothing)"


def test_python_tool_shows_how_a_program_failed_after_what_it_printed(python):
    assert python("print(1)\n1 / 0").startswith("1\nruntime error\nTraceback")
    assert "SyntaxError" in python("print(")
    assert python("while True: pass").startswith("time limit")


def test_python_tool_program_reaches_neither_files_nor_network(python):
    assert "rror" in python("open('/etc/passwd').read()")
    assert "rror" in python("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)")


def test_python_tool_runs_of_several_threads_do_not_meet(python):
    with ThreadPoolExecutor(3) as threads:
        printed = list(threads.map(lambda number: python(f"print({number})"), range(12)))
    assert printed == [str(number) for number in range(12)]
