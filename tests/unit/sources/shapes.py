"""Rows of the true shape of public data sets, of our own making: the columns and forms are theirs, the contents are not."""

import json

THOUGHT = "<think>\nFirst add.\n</think>\n\nThe answer is \\boxed{5}."
OPEN_THOUGHT = (
    "<|begin_of_thought|>\n\nadd them\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nIt is \\boxed{5}.\n\n<|end_of_solution|>"
)
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer (without "
    'quotes) where $Answer is the answer to the problem.\n\n{}\n\nRemember to put your answer on its own line after "Answer:".'
)
ADD = "def add(a, b):\n    return a + b\n"
TWO_SUM = "class Solution:\n    def double(self, x: int) -> int:\n        return 2 * x\n"


def numbered(make, n=3):
    return [make(number) for number in range(2, 2 + n)]


SHAPES = {
    "gsm8k": numbered(
        lambda n: {
            "question": f"A box holds {n} pens. How many pens are in 1000 boxes?",
            "answer": f"There are {n} * 1000 = <<{n}*1000={n * 1000}>>{n * 1000} pens.\n#### {n * 1000:,}",
        }
    ),
    "math": numbered(
        lambda n: {
            "problem": f"Compute ${n} \\cdot \\frac{{1}}{{7}}$.",
            "level": "Level 2",
            "type": "Algebra",
            "solution": f"We multiply, not \\boxed{{x}}, and get $\\boxed{{\\frac{{{n}}}{{7}}}}$.",
        }
    ),
    "math-500": numbered(
        lambda n: {
            "problem": f"Find $x$ with $x - {n} = 3$.",
            "solution": f"Add: $\\boxed{{{n + 3}}}$.",
            "answer": str(n + 3),
            "subject": "Algebra",
            "level": 2,
            "unique_id": f"test/algebra/{n}.json",
        }
    ),
    "numina-math": [
        *numbered(
            lambda n: {
                "problem": f"What is {n} squared?",
                "solution": f"It is {n * n}.",
                "answer": str(n * n),
                "problem_type": "Algebra",
                "question_type": "math-word-problem",
                "problem_is_valid": "Yes",
                "solution_is_valid": "Yes",
                "source": "olympiads",
                "synthetic": False,
            }
        ),
        {
            "problem": "Prove that 2 is even.",
            "solution": "It is.",
            "answer": "proof",
            "problem_type": "Number Theory",
            "question_type": "proof",
            "problem_is_valid": "Yes",
            "solution_is_valid": "Yes",
            "source": "olympiads",
            "synthetic": False,
        },
    ],
    "numina-math-cot": numbered(
        lambda n: {
            "source": "synthetic_math",
            "problem": f"How much is {n} + 1?",
            "solution": f"It is \\boxed{{{n + 1}}}.",
            "messages": [{"content": f"How much is {n} + 1?", "role": "user"}, {"content": "It is …", "role": "assistant"}],
        }
    ),
    "openr1-math": numbered(
        lambda n: {
            "problem": f"How much is {n} + 3?",
            "solution": "Add.",
            "answer": str(n + 3),
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
            "source": "olympiads",
            "uuid": f"u{n}",
            "is_reasoning_complete": [True, True],
            "generations": ["<think>wrong</think>It is \\boxed{1}.", f"<think>right</think>It is \\boxed{{{n + 3}}}."],
            "correctness_math_verify": [False, True],
            "correctness_llama": None,
            "finish_reasons": None,
            "correctness_count": 1,
            "messages": [{"role": "user", "content": f"How much is {n} + 3?"}, {"role": "assistant", "content": "…"}],
        }
    ),
    "open-math-reasoning": [
        *numbered(
            lambda n: {
                "expected_answer": str(n + 9),
                "problem_type": "has_answer_extracted",
                "problem_source": "aops_c6_high_school_olympiads",
                "generation_model": "DeepSeek-R1",
                "pass_rate_72b_tir": "0.65625",
                "problem": f"Find {n} + 9.",
                "generated_solution": f"<think>add</think>\\boxed{{{n + 9}}}",
                "inference_mode": "cot",
                "used_in_kaggle": True,
            }
        ),
        {
            "expected_answer": "",
            "problem_type": "no_answer_extracted",
            "problem_source": "aops",
            "generation_model": "QwQ-32B",
            "pass_rate_72b_tir": "n/a",
            "problem": "Show it.",
            "generated_solution": "…",
            "inference_mode": "cot",
            "used_in_kaggle": False,
        },
    ],
    "deepscaler": numbered(lambda n: {"problem": f"What is $2^{n}$?", "answer": str(2**n), "solution": "Multiply."}),
    "dapo-17k": numbered(
        lambda n: {
            "data_source": "math_dapo",
            "prompt": [{"content": DAPO.format(f"What is {n} * 11?"), "role": "user"}],
            "ability": "MATH",
            "reward_model": {"ground_truth": str(n * 11), "style": "rule-lighteval/MATH_v2"},
            "extra_info": {"index": f"i{n}"},
        }
    ),
    "big-math": numbered(
        lambda n: {
            "problem": f"What is {n} - 1?",
            "answer": str(n - 1),
            "source": "orca_math",
            "domain": ["Arithmetic"],
            "llama8b_solve_rate": 0.5,
        }
    ),
    "orz": numbered(
        lambda n: [
            {"from": "human", "value": f"What is {n} times 13?"},
            {"from": "assistant", "ground_truth": {"value": str(n * 13)}},
        ]
    ),
    "svamp": numbered(
        lambda n: {
            "ID": f"chal-{n}",
            "Body": f"Ann has {n} cards and Ben has 3.",
            "Question": "How many cards have they together?",
            "Equation": f"( {n}.0 + 3.0 )",
            "Answer": float(n + 3),
            "Type": "Addition",
        }
    ),
    "asdiv": numbered(
        lambda n: {
            "body": f"Seven red apples and {n} green apples are in the basket.",
            "question": "How many apples are in the basket?",
            "answer": f"{7 + n} (apples)",
            "formula": f"7+{n}={7 + n}",
            "solution_type": "Addition",
        }
    ),
    "olympiadbench": [
        *numbered(
            lambda n: {
                "id": n,
                "question": f"Find all $x$ with $x^2={n * n}$.",
                "solution": ["…"],
                "final_answer": [f"${n}$", f"$-{n}$"],
                "context": None,
                "image_1": None,
                "modality": "Text-only",
                "difficulty": "Competition",
                "is_multiple_answer": True,
                "unit": None,
                "answer_type": "Numerical",
                "error": None,
                "question_type": "Open-ended",
                "subfield": "Algebra",
                "subject": "Math",
                "language": "English",
            }
        ),
        {
            "id": 9,
            "question": "See the figure.",
            "solution": ["…"],
            "final_answer": ["1"],
            "context": None,
            "image_1": {"bytes": "…"},
            "modality": "Multimodal",
            "difficulty": "Competition",
            "is_multiple_answer": False,
            "unit": None,
            "answer_type": "Numerical",
            "error": None,
            "question_type": "Open-ended",
            "subfield": "Geometry",
            "subject": "Math",
            "language": "English",
        },
    ],
    "aime": numbered(
        lambda n: {"id": n, "problem": f"Find {n} + 100.", "solution": "…", "answer": str(n + 100), "url": "https://x"}
    ),
    "aime-1983-2024": numbered(
        lambda n: {
            "ID": f"1983-{n}",
            "Year": 1983,
            "Problem Number": n,
            "Question": f"Find {n} + 200.",
            "Answer": str(n + 200),
            "Part": None,
        }
    ),
    "amc": numbered(lambda n: {"id": n, "problem": f"Find {n} / 2 + 1/2.", "answer": n / 2 + 0.5, "url": "https://x"}),
    "am-math-difficulty-rl": numbered(
        lambda n: {
            "data_source": "math",
            "prompt": [{"role": "user", "content": f"Find {n} + 50."}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(n + 50)},
            "extra_info": {"index": n},
        }
    ),
    "mmlu": numbered(
        lambda n: {
            "question": f"What is {n} + 1?",
            "subject": "elementary_mathematics",
            "choices": ["0", str(n + 1), "77", "99"],
            "answer": 1,
        }
    ),
    "mmlu-pro": numbered(
        lambda n: {
            "question_id": n,
            "question": f"What is {n} + 2?",
            "options": ["0", "50", str(n + 2), "70", "80", "90", "91", "92", "93", "94"],
            "answer": "C",
            "answer_index": 2,
            "cot_content": "",
            "category": "math",
            "src": "ori_mmlu",
        }
    ),
    "gpqa": numbered(
        lambda n: {
            "Question": f"Which particle number {n} is neutral?",
            "Correct Answer": "neutron\n",
            "Incorrect Answer 1": "proton",
            "Incorrect Answer 2": "electron",
            "Incorrect Answer 3": "positron",
            "High-level domain": "Physics",
            "Record ID": f"rec{n}",
        }
    ),
    "supergpqa": numbered(
        lambda n: {
            "uuid": f"u{n}",
            "question": f"Which one is {n}?",
            "options": ["zero", "one hundred", str(n), "minus one", "ten thousand"],
            "answer": str(n),
            "answer_letter": "C",
            "discipline": "Science",
            "field": "Physics",
            "subfield": "Optics",
            "difficulty": "easy",
            "is_calculation": False,
        }
    ),
    "natural-reasoning": [
        *numbered(
            lambda n: {
                "question": f"Why does ice number {n} float?",
                "reference_answer": "It is less dense than liquid water.",
                "responses": [{"response_model": "Llama3.3-70B-Instruct", "response": "Because it is less dense."}],
            }
        ),
        {"question": "And why is that?", "reference_answer": "", "responses": [{"response_model": "m", "response": "So."}]},
    ],
    "mbpp": numbered(
        lambda n: {
            "task_id": n,
            "text": f"Write a function to add {n} to a number.",
            "code": f"def add_{n}(x):\r\n    return x + {n}",
            "test_list": [f"assert add_{n}(1) == {n + 1}", f"assert add_{n}(5) == {n + 5}"],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
    ),
    "mbpp-sanitized": numbered(
        lambda n: {
            "source_file": "x.ipynb",
            "task_id": n,
            "prompt": f"Write a function to multiply a number by {n}.",
            "code": f"import math\ndef times_{n}(x):\n    return x * {n}",
            "test_imports": ["import math"],
            "test_list": [f"assert math.isclose(times_{n}(2), {2 * n})"],
        }
    ),
    "humaneval": numbered(
        lambda n: {
            "task_id": f"HumanEval/{n}",
            "entry_point": f"twice_{n}",
            "canonical_solution": "    return helper(x) + x\n",
            "prompt": f'def helper(x):\n    return x\n\n\ndef twice_{n}(x: int) -> int:\n    """Twice x."""\n',
            "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate(helper(2)) == 4\n    assert candidate(5) == 10\n",
        }
    ),
    "humaneval-plus": numbered(
        lambda n: {
            "task_id": f"HumanEval/{n}",
            "entry_point": f"plus_{n}",
            "canonical_solution": f"    return x + {n}\n",
            "prompt": f'def plus_{n}(x: int) -> int:\n    """x + {n}."""\n',
            "test": f"def check(candidate):\n    for one in [1, 2]:\n        assert candidate(one) == one + {n}\n",
        }
    ),
    "apps": [
        {
            "id": 0,
            "question": "Read two numbers and print their sum.",
            "solutions": json.dumps(["print(sum(map(int, input().split())))"]),
            "input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}),
            "difficulty": "interview",
            "url": "https://x",
            "starter_code": "",
        },
        {
            "id": 1,
            "question": "Add two numbers.",
            "solutions": json.dumps([ADD]),
            "difficulty": "introductory",
            "url": "https://y",
            "input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]}),
            "starter_code": "def add(a, b):\n\t",
        },
        {
            "id": 2,
            "question": "A question without tests.",
            "solutions": "",
            "input_output": "",
            "difficulty": "interview",
            "url": "",
            "starter_code": "",
        },
    ],
    "taco": [
        {
            "question": "Read a number and print its double.",
            "starter_code": "",
            "difficulty": "EASY",
            "raw_tags": "[]",
            "name": None,
            "source": "codeforces",
            "tags": "[]",
            "skill_types": "[]",
            "url": "https://x",
            "Expected Auxiliary Space": None,
            "time_limit": "2.0 seconds",
            "date": None,
            "picture_num": "0",
            "memory_limit": "256.0 megabytes",
            "Expected Time Complexity": None,
            "solutions": json.dumps(["print(2 * int(input()))"]),
            "input_output": json.dumps({"inputs": ["1\n", "4\n"], "outputs": ["2\n", "8\n"]}),
        },
    ],
    "code-contests": [
        {
            "name": "1_A. Sum",
            "description": "Read two numbers and print their sum.",
            "source": 2,
            "difficulty": 7,
            "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
            "private_tests": {"input": ["5 6\n"], "output": ["11\n"]},
            "generated_tests": {"input": [], "output": []},
            "solutions": {"language": [3], "solution": ["print(…)"]},
            "incorrect_solutions": {"language": [], "solution": []},
            "time_limit": {"seconds": 2, "nanos": 0},
            "memory_limit_bytes": 256000000,
        },
    ],
    "livecodebench": [
        {
            "question_title": "Sum",
            "question_content": "Read two numbers and print their sum.",
            "platform": "atcoder",
            "question_id": "abc301_a",
            "contest_id": "abc301",
            "contest_date": "2024-09-01T00:00:00",
            "starter_code": "",
            "difficulty": "easy",
            "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
            "private_test_cases": "eJxrYJm…",
            "metadata": "{}",
        },
        {
            "question_title": "Double",
            "question_content": "Return the double.",
            "platform": "leetcode",
            "question_id": "3000",
            "contest_id": "w",
            "contest_date": "2024-09-01T00:00:00",
            "starter_code": TWO_SUM.split("        ret")[0],
            "difficulty": "easy",
            "public_test_cases": json.dumps([{"input": "4", "output": "8", "testtype": "functional"}]),
            "private_test_cases": "eJxrYJm…",
            "metadata": json.dumps({"func_name": "double"}),
        },
    ],
    "kodcode": numbered(
        lambda n: {
            "version": "v1.0",
            "style": "instruct",
            "subset": "Leetcode",
            "question_id": f"Leetcode_{n}_I",
            "question": f"Write a function that adds {n}.",
            "solution": f"def plus_{n}(x):\n    return x + {n}\n",
            "test": f"from solution import plus_{n}\n\ndef test_plus():\n    assert plus_{n}(1) == {n + 1}\n",
            "test_info": [{"function_name": f"plus_{n}", "parameter_list": "(x)", "function_declaration": f"def plus_{n}(x):"}],
            "gpt_difficulty": "easy",
            "gpt_pass_percentage": 1.0,
        }
    ),
    "leetcode": numbered(
        lambda n: {
            "task_id": f"double-{n}",
            "question_id": n,
            "difficulty": "Easy",
            "tags": ["Math"],
            "problem_description": "Double it.",
            "starter_code": "class Solution:\n    def double(self, x: int) -> int:\n        ",
            "estimated_date": "2015-08-07",
            "prompt": "from typing import *\n",
            "completion": TWO_SUM,
            "entry_point": "Solution().double",
            "test": f"def check(candidate):\n    assert candidate(x = {n}) == {2 * n}\n",
            "input_output": [{"input": f"x = {n}", "output": "4"}],
            "query": f"Double the number, form {n}. Begin with `class Solution`.",
            "response": "…",
        }
    ),
    "ifeval": numbered(
        lambda n: {
            "key": 1000 + n,
            "prompt": f"Write about the number {n}, without commas.",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
            "kwargs": [{"num_words": None, "relation": None}, {"num_words": 3 + n, "relation": "at least"}],
        }
    ),
    "alpaca": [
        {"instruction": "Give a synonym of the word.", "input": "quick", "output": "fast", "text": "Below is …"},
        {"instruction": "Name a colour.", "input": "", "output": "blue", "text": "Below is …"},
    ],
    "openthoughts-114k": numbered(
        lambda n: {
            "system": "Explore the question in depth.",
            "conversations": [{"from": "user", "value": f"How much is {n} + 3?"}, {"from": "assistant", "value": OPEN_THOUGHT}],
        }
    ),
    "openthoughts2": numbered(
        lambda n: {
            "conversations": [{"from": "user", "value": f"How much is {n} + 3?"}, {"from": "assistant", "value": THOUGHT}],
            "question": f"How much is {n} + 3?",
            "source": "math",
            "id": n,
        }
    ),
    "openthoughts3": numbered(
        lambda n: {
            "difficulty": 7,
            "source": "ai2-adapt-dev/openmath-2-math",
            "domain": "math",
            "conversations": [{"from": "human", "value": f"How much is {n} + 3?"}, {"from": "gpt", "value": THOUGHT}],
        }
    ),
    "am-1.4m": numbered(
        lambda n: {
            "messages": [
                {
                    "role": "user",
                    "content": f"How much is {n} + 3?",
                    "info": {
                        "source": "NuminaMath_1.5",
                        "reference_answer": str(n + 3),
                        "test_case": None,
                        "think_content": None,
                        "answer_content": None,
                    },
                },
                {
                    "role": "assistant",
                    "content": f"<think>add\n</think>\n<answer>\\boxed{{{n + 3}}}</answer>",
                    "info": {
                        "source": "deepseek-r1",
                        "reference_answer": None,
                        "test_case": None,
                        "think_content": "add\n",
                        "answer_content": f"\\boxed{{{n + 3}}}",
                    },
                },
            ],
        }
    ),
    "am-40m": numbered(
        lambda n: {
            "question": f"How much is {n} + 3?",
            "answer": f"<think>add</think>\\boxed{{{n + 3}}}",
            "question_source": "gsm8k",
            "answer_source": "r1",
            "category": "math",
            "ground_truth": str(n + 3),
            "test_case": None,
            "instruction_constrain": None,
            "pass_rate_r1": 1.0,
            "pass_rate_7b": 0.5,
            "pass_rate_1.5b": 0.25,
            "verify_score": 1.0,
            "ppl": 2.5,
            "model_name": "DeepSeek-R1",
        }
    ),
    "am-thinking-v1": numbered(
        lambda n: {
            "system": "Think first.",
            "conversations": [
                {
                    "from": "human",
                    "value": f"How much is {n} + 3?",
                    "info": {
                        "source": "s",
                        "category": "math",
                        "ground_truth": str(n + 3),
                        "test_case": None,
                        "instruction_constrain": None,
                        "think_content": None,
                        "answer_content": None,
                        "verify_score": None,
                        "model_name": None,
                        "ppl": None,
                    },
                },
                {
                    "from": "assistant",
                    "value": f"<think>add</think><answer>\\boxed{{{n + 3}}}</answer>",
                    "info": {
                        "source": None,
                        "category": None,
                        "ground_truth": None,
                        "test_case": None,
                        "instruction_constrain": None,
                        "think_content": "add",
                        "answer_content": f"\\boxed{{{n + 3}}}",
                        "verify_score": 1.0,
                        "model_name": "AM-Thinking-v1",
                        "ppl": 2.0,
                    },
                },
            ],
        }
    ),
}
"""Preset -> rows."""
