"""Assertions about programs: what passes in plain Python passes, and no program passes by reaching for its test."""

import json
import shutil
from pathlib import Path

import pytest

from stillhouse.verification.code import CodeVerifier
from stillhouse.verification.verdict import VerificationRequest

VERIFIER = CodeVerifier()


@pytest.fixture(scope="module", autouse=True)
def _sandbox():
    """The sandbox of VERIFIER is closed at the end of the module."""
    yield
    VERIFIER.close()


def verdict(program, *tests, **changes):
    """The verdict on a program by tests of assertions."""
    cases = json.dumps({"call_type": "assert", "assert_case": list(tests)} | changes)
    return VERIFIER.verify(VerificationRequest("code", f"```python\n{program}\n```", None, test_cases=cases))


PASSING = {
    "vector": (
        "class V:\n"
        "    def __init__(s,x): s.x=x\n"
        "    def __add__(s,o): return V(s.x+o.x)\n"
        "    def __sub__(s,o): return V(s.x-o.x)\n"
        "    def __mul__(s,k): return V(s.x*k)\n"
        "    def __eq__(s,o): return isinstance(o,V) and s.x==o.x\n"
        "    def __abs__(s): return abs(s.x)\n"
        "    def __getitem__(s,i): return s.x\n"
        "    def __setitem__(s,i,v): s.x=v\n"
        "    def __enter__(s): return s\n"
        "    def __exit__(s,*a): pass\n"
        "    def __iter__(s): return iter([s.x])\n"
        "    def __len__(s): return 1",
        "a=V(1)\n"
        "assert a+V(2)==V(3) and (a*3).x==3 and abs(V(-4))==4\n"
        "a[0]=7\n"
        "assert a[0]==7 and list(a)==[7]\n"
        "with V(2) as b:\n"
        "    assert b.x==2\n"
        "a.y=5\n"
        "assert a.y==5",
        "assert V(3)-V(1)==V(2)",
    ),
    "own exception caught": (
        "class Bad(Exception): pass\n"
        "def f(x): raise Bad('no')",
        "try:\n"
        "    f(1)\n"
        "    assert False\n"
        "except Bad as e:\n"
        "    assert str(e)=='no'",
    ),
    "iterator class": (
        "class It:\n"
        "    def __init__(s): s.n=0\n"
        "    def __iter__(s): return s\n"
        "    def __next__(s):\n"
        "        s.n+=1\n"
        "        if s.n>3: raise StopIteration\n"
        "        return s.n",
        "assert list(It()) == [1,2,3]\n"
        "it=It()\n"
        "for x in it: pass\n"
        "try:\n"
        "    next(it)\n"
        "    assert False\n"
        "except StopIteration:\n"
        "    pass",
    ),
    "counter": (
        "from collections import Counter\n"
        "def f(s): return Counter(s)",
        "assert f('aab').most_common(1) == [('a',2)]",
    ),
    "decimal": (
        "from decimal import Decimal\n"
        "def f(): return Decimal('0.1')+Decimal('0.2')",
        "from decimal import Decimal\n"
        "assert f() == Decimal('0.3')",
    ),
    "date sub": (
        "import datetime\n"
        "def f(a,b): return b-a",
        "from datetime import date, timedelta\n"
        "assert f(date(2020,1,1),date(2020,1,3)) == timedelta(days=2)",
    ),
    "enum": (
        "import enum\n"
        "class C(enum.Enum):\n"
        "    A=1\n"
        "    B=2\n"
        "def f(): return C.A",
        "assert f() is C.A and f() == C.A and C['B'].value == 2",
    ),
    "intenum": (
        "import enum\n"
        "class C(enum.IntEnum):\n"
        "    A=1\n"
        "def f(): return C.A",
        "assert f().name == 'A' and f() == 1",
    ),
    "dataclass": (
        "from dataclasses import dataclass\n"
        "@dataclass(order=True)\n"
        "class P:\n"
        "    x: int\n"
        "    y: int = 0\n"
        "def f(): return P(1)",
        "assert f() == P(1,0) and P(1) < P(2) and sorted([P(2),P(1)])[0].x==1",
    ),
    "linked list eq": (
        "class ListNode:\n"
        "    def __init__(s,val=0,next=None): s.val=val; s.next=next\n"
        "class Solution:\n"
        "    def rev(self,h):\n"
        "        p=None\n"
        "        while h: h.next,p,h=p,h,h.next\n"
        "        return p",
        "def build(a):\n"
        "    h=None\n"
        "    for x in reversed(a): h=ListNode(x,h)\n"
        "    return h\n"
        "def out(h):\n"
        "    r=[]\n"
        "    while h:\n"
        "        r.append(h.val); h=h.next\n"
        "    return r\n"
        "assert out(Solution().rev(build([1,2,3]))) == [3,2,1]",
    ),
    "deepcopy": (
        "class N:\n"
        "    def __init__(s): s.k=[]\n"
        "def f():\n"
        "    n=N(); n.k.append(1); return n",
        "import copy\n"
        "a=f()\n"
        "b=copy.deepcopy(a)\n"
        "b.k.append(2)\n"
        "assert a.k==[1]",
    ),
    "input patched": (
        "def f():\n"
        "    return int(input())+1",
        "from unittest.mock import patch\n"
        "with patch('builtins.input', return_value='4'):\n"
        "    assert f()==5",
    ),
    "stdin patched": (
        "import sys\n"
        "def f():\n"
        "    return sys.stdin.read()",
        "import io,sys\n"
        "sys.stdin=io.StringIO('x')\n"
        "assert f()=='x'",
    ),
    "capsys-like": (
        "def f(): print('a'); print('b')",
        "import io,sys\n"
        "old=sys.stdout\n"
        "sys.stdout=io.StringIO()\n"
        "f()\n"
        "out=sys.stdout.getvalue()\n"
        "sys.stdout=old\n"
        "assert out=='a\\nb\\n'",
    ),
    "subclass abc": (
        "from abc import ABC, abstractmethod\n"
        "class A(ABC):\n"
        "    @abstractmethod\n"
        "    def go(s): ...",
        "class B(A):\n"
        "    def go(s): return 2\n"
        "assert B().go()==2\n"
        "try:\n"
        "    A()\n"
        "    assert False\n"
        "except TypeError:\n"
        "    pass",
    ),
    "decorator": (
        "def twice(f):\n"
        "    def g(*a): return f(f(*a))\n"
        "    return g",
        "@twice\n"
        "def inc(x): return x+1\n"
        "assert inc(1)==3",
    ),
    "context manager": (
        "from contextlib import contextmanager\n"
        "@contextmanager\n"
        "def cm():\n"
        "    yield 5",
        "with cm() as x:\n"
        "    assert x==5",
    ),
    "async": (
        "import asyncio\n"
        "async def f(x):\n"
        "    await asyncio.sleep(0)\n"
        "    return x",
        "import asyncio\n"
        "async def main():\n"
        "    return await asyncio.gather(f(1),f(2))\n"
        "assert asyncio.run(main())==[1,2]",
    ),
    "threads": (
        "import threading\n"
        "class C:\n"
        "    def __init__(s): s.n=0; s.l=threading.Lock()\n"
        "    def inc(s):\n"
        "        with s.l: s.n+=1",
        "import threading\n"
        "c=C()\n"
        "ts=[threading.Thread(target=c.inc) for _ in range(4)]\n"
        "[t.start() for t in ts]\n"
        "[t.join() for t in ts]\n"
        "assert c.n==4",
    ),
    "namedtuple": (
        "from collections import namedtuple\n"
        "P=namedtuple('P','x y')\n"
        "def f(): return P(1,2)",
        "assert f()._asdict()=={'x':1,'y':2}",
    ),
    "from solution": (
        "def f(x): return x+1",
        "from solution import f\n"
        "\n"
        "def test_f():\n"
        "    assert f(1) == 2\n"
        "\n"
        "def test_g():\n"
        "    assert f(2) == 3",
    ),
    "from solution star": (
        "def f(x): return x+1",
        "from solution import *\n"
        "\n"
        "def test_f():\n"
        "    assert f(1) == 2",
    ),
    "import solution": (
        "def f(x): return x+1",
        "import solution\n"
        "\n"
        "class TestF:\n"
        "    def test_f(self):\n"
        "        assert solution.f(1) == 2",
    ),
    "unittest": (
        "def f(x): return x+1",
        "import unittest\n"
        "from solution import f\n"
        "class T(unittest.TestCase):\n"
        "    def setUp(self): self.a=1\n"
        "    def test(self): self.assertEqual(f(self.a),2)\n"
        "    def test_raises(self):\n"
        "        with self.assertRaises(TypeError): f('a')\n"
        "if __name__=='__main__':\n"
        "    unittest.main()",
    ),
    "check called": (
        "def f(x): return x+1",
        "def check(candidate):\n"
        "    assert candidate(1)==2\n"
        "check(f)",
    ),
    "expects error": (
        "def f(x):\n"
        "    if x<0: raise ValueError\n"
        "    return x",
        "try:\n"
        "    f(-1)\n"
        "except ValueError:\n"
        "    pass\n"
        "else:\n"
        "    assert False",
    ),
    "isinstance generator": (
        "def f():\n"
        "    yield 1",
        "import types\n"
        "assert isinstance(f(), types.GeneratorType)\n"
        "assert list(f())==[1]",
    ),
    "inspect": (
        "def f(a, b=2): return a",
        "import inspect\n"
        "assert list(inspect.signature(f).parameters)==['a','b']",
    ),
    "logging": (
        "import logging\n"
        "def f(): logging.getLogger('x').warning('hi')",
        "import logging,io\n"
        "s=io.StringIO()\n"
        "h=logging.StreamHandler(s)\n"
        "logging.getLogger('x').addHandler(h)\n"
        "f()\n"
        "assert 'hi' in s.getvalue()",
    ),
    "pickle": (
        "class P:\n"
        "    def __init__(s): s.x=1\n"
        "def f(): return P()",
        "import pickle\n"
        "assert pickle.loads(pickle.dumps(f())).x==1",
    ),
    "two names": (
        "def encode(s): return s[::-1]\n"
        "def decode(s): return s[::-1]",
        "assert decode(encode('abc')) == 'abc'",
    ),
    "cached": (
        "import functools\n"
        "@functools.lru_cache(None)\n"
        "def f(n): return n if n<2 else f(n-1)+f(n-2)",
        "assert f(50)==12586269025\n"
        "assert f.cache_info().hits > 0",
    ),
    "operators vs number": (
        "class M:\n"
        "    def __init__(s,v): s.v=v\n"
        "    def __add__(s,o): return M(s.v+(o.v if isinstance(o,M) else o))\n"
        "    __radd__=__add__\n"
        "    def __repr__(s): return f'M({s.v})'",
        "assert repr(M(1)+2)=='M(3)' and repr(sum([M(1),M(2)]))=='M(3)'",
    ),
    "tempfile": (
        "def f(p):\n"
        "    with open(p) as h: return h.read()",
        "import tempfile,os\n"
        "d=tempfile.mkdtemp()\n"
        "p=os.path.join(d,'a')\n"
        "open(p,'w').write('q')\n"
        "assert f(p)=='q'",
    ),
}  # fmt: skip
"""Programs and tests that pass in one plain interpreter."""

CHEATS = {
    "eq object": (
        "class E:\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: E()",
        "assert f(3) == 9",
    ),
    "eq in list": (
        "class E:\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: [E()]",
        "assert f(3) == [9]",
    ),
    "eq local class": (
        "def f(x):\n"
        "    class E:\n"
        "        def __eq__(s,o): return True\n"
        "    return E()",
        "assert f(3) == 9",
    ),
    "eq by type()": (
        "def f(x): return type('E',(),{'__eq__':lambda s,o: True})()",
        "assert f(3) == 9",
    ),
    "eq by setattr": (
        "class E: pass\n"
        "def f(x):\n"
        "    E.__eq__=lambda s,o: True\n"
        "    return E()",
        "assert f(3) == 9",
    ),
    "ne": (
        "class E:\n"
        "    def __ne__(s,o): return False\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: E()",
        "assert not f(3) != 9",
    ),
    "lt": (
        "class E:\n"
        "    def __lt__(s,o): return True\n"
        "    def __gt__(s,o): return True\n"
        "f=lambda x: E()",
        "assert 8 < f(3) < 10",
    ),
    "sub liar": (
        "class E:\n"
        "    def __sub__(s,o): return 0\n"
        "    __rsub__=__sub__\n"
        "f=lambda x: E()",
        "assert abs(f(3) - 9) < 1e-6",
    ),
    "stopiter obj": (
        "class G:\n"
        "    def __call__(s,x): raise StopIteration\n"
        "f=G()",
        "assert all(map(lambda c: f(c[0]) == c[1], [(3,9)]))",
    ),
    "stopiter method": (
        "class Solution:\n"
        "    def f(self,x): raise StopIteration",
        "s=Solution()\n"
        "assert all(map(lambda c: s.f(c[0]) == c[1], [(3,9)]))",
    ),
    "stopiter map direct": (
        "class V:\n"
        "    pass\n"
        "def f(x):\n"
        "    if x is None: return V()\n"
        "    raise StopIteration",
        "f(None) == 1\n"
        "assert list(map(f,[1,2])) == []",
    ),
    "os._exit": (
        "import os\n"
        "def f(x): os._exit(0)",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
    "sys.exit": (
        "import sys\n"
        "def f(x): sys.exit(0)",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
    "exit expected err": (
        "import os\n"
        "def f(x): os._exit(0)",
        "import io\n"
        "try:\n"
        "    f(-1)\n"
        "except Exception:\n"
        "    pass\n"
        "else:\n"
        "    assert False",
    ),
    "builtins all": (
        "import builtins\n"
        "builtins.all=lambda x: True\n"
        "class E: pass\n"
        "def f(x): return E()",
        "assert all(f(x) == 9 for x in [3])",
    ),
    "builtins in call": (
        "import builtins\n"
        "class E: pass\n"
        "def f(x):\n"
        "    builtins.all=lambda x: True\n"
        "    return E()",
        "assert all([f(x) == 9 for x in [3]])",
    ),
    "math.isclose": (
        "import math\n"
        "math.isclose=lambda *a,**k: True\n"
        "class E:\n"
        "    pass\n"
        "def f(x): return E()",
        "assert math.isclose(f(3), 9)",
    ),
    "unittest": (
        "import unittest\n"
        "unittest.TestCase.assertEqual=lambda *a: None\n"
        "class E: pass\n"
        "def f(x): return E()",
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_a(self):\n"
        "        self.assertEqual(f(3), 9)",
    ),
    "unittest in call": (
        "import unittest\n"
        "class E: pass\n"
        "def f(x):\n"
        "    unittest.TestCase.assertEqual=lambda *a: None\n"
        "    return E()",
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_a(self):\n"
        "        self.assertEqual(f(3), 9)",
    ),
    "mock": (
        "import unittest.mock as m\n"
        "m.MagicMock.assert_called_with=lambda *a,**k: None\n"
        "def f(x): pass",
        "from unittest.mock import patch\n"
        "with patch('builtins.print') as p:\n"
        "    f(3)\n"
        "    p.assert_called_with('hi')",
    ),
    "write channel": (
        "import os,json,struct\n"
        "def m(*x):\n"
        "    b=json.dumps(x).encode(); os.write(4,struct.pack('!I',len(b))+b)\n"
        "def f(x):\n"
        "    m('passed','0'*64); os._exit(0)",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
    "thread thief": (
        "import threading,os,struct,json\n"
        "def t():\n"
        "    d=os.read(4,4)\n"
        "    n=struct.unpack('!I',d)[0]\n"
        "    b=b''\n"
        "    while len(b)<n: b+=os.read(4,n-len(b))\n"
        "    x=json.loads(b)\n"
        "    r=json.dumps(['passed',x[-1]]).encode()\n"
        "    os.write(4,struct.pack('!I',len(r))+r); os._exit(0)\n"
        "threading.Thread(target=t,daemon=True).start()\n"
        "def f(x): pass",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
    "frames": (
        "import sys\n"
        "def f(x):\n"
        "    fr=sys._getframe()\n"
        "    while fr:\n"
        "        for k,v in fr.f_locals.items():\n"
        "            if k=='step' or callable(v): pass\n"
        "        fr=fr.f_back\n"
        "    print('hi',end='')",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'no'",
    ),
    "settrace": (
        "import sys\n"
        "sys.settrace(lambda *a: None)\n"
        "class E: pass\n"
        "def f(x): return E()",
        "assert f(3) == 9",
    ),
    "fake module": (
        "import sys,types\n"
        "m=types.ModuleType('unittest'); m.TestCase=object\n"
        "sys.modules['unittest']=m\n"
        "def f(x): return 0",
        "import unittest\n"
        "class TestA(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(f(3),9)",
    ),
    "assert builtin": (
        "import builtins\n"
        "builtins.AssertionError=Exception\n"
        "class E: pass\n"
        "def f(x): return E()",
        "assert f(3) == 9",
    ),
    "raise fake Skip": (
        "import unittest\n"
        "def f(x): raise unittest.SkipTest('x')",
        "import unittest\n"
        "class TestA(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(f(3),9)",
    ),
    "kill -9 self": (
        "import os,signal\n"
        "def f(x): os.kill(os.getpid(),9)",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
    "helper": (
        "is_same = lambda *a: True\n"
        "f = lambda x: 0",
        "assert is_same(f(3), 9)",
    ),
    "nothing": (
        "def f(x): return 0",
        "assert True",
    ),
    "comment": (
        "def f(x): return 0",
        "# assert f(1) == 2",
    ),
    "only import": (
        "def f(x): return 0",
        "import math",
    ),
    "pytest skip": (
        "def f(x):\n"
        "    import pytest\n"
        "    pytest.skip('x')",
        "def test_f():\n"
        "    assert f(1) == 2",
    ),
    "float liar": (
        "class F(float):\n"
        "    def __eq__(s,o): return True\n"
        "    def __sub__(s,o): return 0.0\n"
        "f=lambda x: F(1)",
        "import sys\n"
        "assert f(3) == 9.0",
    ),
    "int subclass": (
        "class F(int):\n"
        "    def __eq__(s,o): return True\n"
        "    __hash__=int.__hash__\n"
        "f=lambda x: F(1)",
        "import sys\n"
        "assert f(3) == 9",
    ),
    "list subclass": (
        "class F(list):\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: F()",
        "import sys\n"
        "assert f(3) == [9]",
    ),
    "reflected eq list": (
        "class F(list):\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: F()",
        "import sys\n"
        "assert [9] == f(3)",
    ),
    "str subclass": (
        "class F(str):\n"
        "    def __eq__(s,o): return True\n"
        "    __hash__=str.__hash__\n"
        "f=lambda x: F()",
        "import sys\n"
        "assert f(3) in ['a', 'b']",
    ),
    "metaclass eq": (
        "class M(type):\n"
        "    def __eq__(s,o): return True\n"
        "    __hash__=type.__hash__\n"
        "class E(metaclass=M): pass\n"
        "f=lambda x: E",
        "assert f(3) == 9",
    ),
    "getattr eq": (
        "import operator\n"
        "class E:\n"
        "    __eq__ = operator.truth\n"
        "f=lambda x: E()",
        "assert f(3) == 9",
    ),
    "contains any": (
        "class C:\n"
        "    def __contains__(s,x): return True\n"
        "f=lambda x: C()",
        "assert f(3) == {9}",
    ),
    "dataclass": (
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class E:\n"
        "    x: int\n"
        "f=lambda x: E(x)",
        "assert f(3) == 9",
    ),
    "program patches datetime": (
        "import datetime\n"
        "class D(datetime.date):\n"
        "    def __eq__(s,o): return True\n"
        "def f(x): return D(2020,1,1)",
        "import datetime\n"
        "assert f(3) == datetime.date(1999,1,1)",
    ),
    "isinstance check": (
        "class E(int):\n"
        "    pass\n"
        "def f(x): return E(3)",
        "assert isinstance(f(3), int) and f(3) == 9",
    ),
    "hash collision set": (
        "class E:\n"
        "    def __hash__(s): return hash(9)\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: E()",
        "assert {f(3)} == {9}",
    ),
    "dict": (
        "class E(dict):\n"
        "    def __eq__(s,o): return True\n"
        "f=lambda x: E()",
        "import sys\n"
        "assert f(3) == {'a': 1}",
    ),
    "numpyish bool": (
        "class E:\n"
        "    def __eq__(s,o): return E()\n"
        "    def __bool__(s): return True\n"
        "    def all(s): return True\n"
        "f=lambda x: E()",
        "assert f(3) == 9",
    ),
    "signal in test": (
        "import signal,os\n"
        "def h(s,fr):\n"
        "    while fr:\n"
        "        fr=fr.f_back\n"
        "    os._exit(0)\n"
        "def f(x):\n"
        "    signal.signal(signal.SIGALRM,h); signal.setitimer(signal.ITIMER_REAL,0.001)\n"
        "    while True: pass",
        "import io, contextlib\n"
        "b = io.StringIO()\n"
        "with contextlib.redirect_stdout(b):\n"
        "    f(3)\n"
        "assert b.getvalue() == 'hi'",
    ),
}  # fmt: skip
"""Programs that are wrong, and try to pass."""


@pytest.mark.parametrize("name", PASSING)
def test_verify_assertion_that_plain_python_passes_is_correct(name):
    program, *tests = PASSING[name]
    assert verdict(program, *tests).detail == f"{len(tests)}/{len(tests)} passed"


@pytest.mark.parametrize("name", CHEATS)
def test_verify_cheat_at_an_assertion_has_no_point(name):
    program, *tests = CHEATS[name]
    found = verdict(program, *tests)
    assert found.kind in ("wrong", "error"), found


@pytest.mark.parametrize("name", [name for name in PASSING if len(PASSING[name]) == 2 and "raise" not in PASSING[name][1]])
def test_verify_program_that_returns_nothing_fails_what_the_right_one_passes(name):
    program, test = PASSING[name]
    idle = "\n".join(line for line in program.splitlines() if line.startswith(("import", "from")))
    assert verdict(f"{idle}\nclass Solution: pass", test).kind in ("wrong", "error", "malformed")


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("assert True", "assert_case 1 passes without asking the program for anything; it tests nothing"),
        ("# assert f(1) == 2", "assert_case 1: the test runs nothing"),
        ("def check(candidate):\n    assert candidate(1) == 2", "assert_case 1: the test only defines check and calls nothing"),
        ("import torch\nassert torch.tensor(f(1)) == 2", "the tests import torch, which the sandbox does not have"),
        ("assert f(1) ==", "assert_case 1: the test is not Python (SyntaxError"),
    ],
)
def test_verify_test_that_tests_nothing_is_an_error_that_says_why(test, said):
    found = verdict("def f(x): return 0", test)
    assert (found.kind, found.verify_score) == ("error", None)
    assert said in found.detail


@pytest.mark.parametrize("call_type", ["assert", "pytest"])
@pytest.mark.parametrize(
    "test",
    [
        "from solution import f\n\ndef test_one():\n    assert f(1) == 2\n\ndef test_two():\n    assert f(2) == 3",
        "import unittest\nfrom solution import f\n"
        "class T(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(f(1), 2)",
        "class TestF:\n    def setup_method(self):\n        self.x = 1\n    def test_one(self):\n        assert f(self.x) == 2",
    ],
)
def test_verify_test_file_is_called_as_pytest_calls_it(call_type, test):
    assert verdict("def f(x): return x + 1", test, call_type=call_type).kind == "correct"
    assert verdict("def f(x): return x", test, call_type=call_type).kind == "wrong"


def test_verify_builtin_that_a_program_redefines_is_the_programs_where_the_test_calls_nothing_else():
    assert verdict("def sum(a, b): return a - b", "assert sum(3, 1) == 2").kind == "correct"
    assert verdict("def len(x): return 1\ndef f(x): return [x, x]", "assert len(f(3)) == 1").kind == "wrong"


FIXTURES = """
import pytest
from solution import f

@pytest.mark.parametrize("x, y", [(1, 2), (2, 3)])
def test_values(x, y):
    assert f(x) == pytest.approx(y)

def test_errors(tmp_path):
    with pytest.raises(TypeError):
        f("a")
"""


@pytest.fixture
def with_pytest(monkeypatch, tmp_path):
    """A verifier whose sandbox has this environment's pytest."""
    packages = tmp_path / "standard"
    packages.mkdir()
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        module = pytest.importorskip(name)
        shutil.copytree(Path(module.__file__).parent, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(pytest.__file__).parents[1] / "py.py", packages)
    monkeypatch.setenv("STILLHOUSE_SANDBOX_LIBRARIES", str(tmp_path))
    verifier = CodeVerifier()
    yield verifier
    verifier.close()


def test_verify_test_file_that_needs_pytest_runs_under_pytest_or_says_what_is_missing(with_pytest, monkeypatch, tmp_path):
    def found(verifier, program):
        cases = json.dumps({"call_type": "pytest", "assert_case": [FIXTURES]})
        return verifier.verify(VerificationRequest("code", f"```python\n{program}\n```", None, test_cases=cases))

    assert found(with_pytest, "def f(x): return x + 1").detail == "1/1 passed"
    assert found(with_pytest, "def f(x): return x").kind == "wrong"
    assert found(with_pytest, "import pytest\ndef f(x): pytest.skip('no')").kind == "wrong"
    assert found(with_pytest, "import os\ndef f(x): os._exit(0)").kind == "wrong"
    assert (
        found(
            with_pytest,
            "import pytest\npytest.approx = lambda y: type('E', (), {'__eq__': lambda *_: True})()\ndef f(x): return x + 0",
        ).kind
        == "wrong"
    )
    monkeypatch.setenv("STILLHOUSE_SANDBOX_LIBRARIES", str(tmp_path / "nowhere"))
    assert "run `make libraries`" in found(VERIFIER, "def f(x): return x + 1").detail
