"""Programs that try to get out, to stay, or to use up the machine. One that succeeds prints ESCAPED.

``attempt(name, call)`` prints it where the call returns; a system call made through ctypes counts as returned if it is not -1.
"""

from stillhouse.verification.sandbox.limits import MIB, Limits

LIMITS = Limits(cpu_s=1, wall_s=20, memory_bytes=256 * MIB, stack_bytes=64 * MIB, output_bytes=MIB, tmp_bytes=4 * MIB)
PRELUDE = """
import ctypes, os, platform, resource, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, call):
    try:
        result = call()
    except (OSError, ValueError, RuntimeError) as error:
        return
    if result != -1:
        print("ESCAPED", name, result, flush=True)
def raw(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
    return number if number is None else libc.syscall(ctypes.c_long(number), *arguments)
"""

PROGRAMS = {
    "fork bomb": "while True: os.fork()",
    "fork": "attempt('fork', os.fork)",
    "vfork and clone": """
attempt('clone', lambda: raw(56, 220, 17, 0, 0, 0, 0))
attempt('clone3', lambda: raw(435, 435, ctypes.create_string_buffer(88), 88))
""",
    "double fork and setsid": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(3600)
print("ESCAPED")
""",
    "setsid": "attempt('setsid', lambda: os.setsid())\nattempt('setpgid', lambda: os.setpgid(0, 0) or 0)",
    "memory bomb": "x = bytearray(8 << 30)",
    "memory creep": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "mapped memory": "import mmap\nkept = []\nwhile True: kept.append(mmap.mmap(-1, 64 << 20))",
    "output flood": "while True: print('x' * 65536)",
    "output flood that ignores errors": """
while True:
    try: os.write(1, b'x' * 65536)
    except OSError: pass
""",
    "error flood": "while True: os.write(2, b'x' * 65536)",
    "infinite loop": "while True: pass",
    "infinite loop that ignores SIGXCPU": "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
    "all signals blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
    "sleep": "time.sleep(3600)",
    "waiting for a signal": "signal.pause()",
    "busy threads": """
import threading
for _ in range(20): threading.Thread(target=lambda: any(iter(int, 1))).start()
""",
    "many threads": """
import threading
try:
    for made in range(5000): threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    print("ESCAPED")
except RuntimeError:
    os._exit(0)
""",
    "signals to the parent": "for pid in (1, os.getppid()): attempt('parent', lambda: os.kill(pid, 9) or 0)",
    "signals to everybody": "attempt('everybody', lambda: os.kill(-1, 9) or 0)",
    "queued and pidfd signals": """
attempt('sigqueue', lambda: raw(129, 138, os.getppid(), 9, ctypes.create_string_buffer(128)))
attempt('tkill', lambda: raw(200, 130, os.getppid(), 9))
attempt('tgkill', lambda: raw(234, 131, os.getppid(), os.getppid(), 9))
attempt('pidfd_open', lambda: os.pidfd_open(os.getppid()))
""",
    "SIGIO to the parent": """
import fcntl
read, write = os.pipe()
attempt('F_SETOWN', lambda: fcntl.fcntl(read, fcntl.F_SETOWN, os.getppid()))
attempt('F_SETSIG', lambda: fcntl.fcntl(read, 10, 9))
""",
    "environment": "print(os.environ)\nif 'STILLHOUSE_SECRET' in os.environ: print('ESCAPED')",
    "environment of others": """
for pid in ('self', '1', os.getppid(), os.getpid()):
    attempt(f'environ of {pid}', lambda: open(f'/proc/{pid}/environ').read())
    attempt(f'memory of {pid}', lambda: open(f'/proc/{pid}/mem', 'rb'))
    attempt(f'maps of {pid}', lambda: open(f'/proc/{pid}/maps').read())
""",
    "processes of others": "attempt('/proc', lambda: os.listdir('/proc'))\nattempt('/sys', lambda: os.listdir('/sys'))",
    "reading the host's files": """
for path in ('/etc/passwd', '/etc/shadow', '/etc/hostname', '/proc/mounts', VICTIM, TEST_FILE, '/var/run/secrets'):
    attempt(path, lambda: os.open(path, os.O_RDONLY))
for path in ('/', '/root', '/home', '/etc', '/var', '/opt', '/dev', '/boot', '/work'):
    attempt(path, lambda: os.listdir(path))
""",
    "reading installed packages": """
import sysconfig
attempt('site-packages', lambda: os.open(os.path.join(sysconfig.get_path('stdlib'), 'site-packages', 'README.txt'), 0))
attempt('site-packages', lambda: os.listdir(os.path.join(sysconfig.get_path('stdlib'), 'site-packages')) or -1)
attempt('the harness', lambda: open(sys.modules['stillhouse.verification.sandbox.server'].__file__))
""",
    "writing outside": """
import sysconfig
for folder in ('/', '/etc', '/usr', '/usr/lib', '/var/tmp', '/dev/shm', '/run', '/home', os.path.dirname(os.__file__), '..'):
    attempt(folder, lambda: os.open(folder + '/stillhouse-escaped', os.O_CREAT | os.O_WRONLY))
    attempt(folder, lambda: os.mkdir(folder + '/stillhouse-escaped') or 0)
attempt('victim', lambda: os.open(VICTIM, os.O_WRONLY))
attempt('victim', lambda: os.open(VICTIM, os.O_RDONLY | os.O_TRUNC))
attempt('victim', lambda: os.truncate(VICTIM, 0) or 0)
attempt('victim', lambda: os.unlink(VICTIM) or 0)
attempt('victim', lambda: os.chmod(VICTIM, 0o777) or 0)
attempt('victim', lambda: os.utime(VICTIM, (0, 0)) or 0)
attempt('victim', lambda: os.setxattr(VICTIM, 'user.x', b'1') or 0)
attempt('python', lambda: os.chmod(os.__file__, 0o777) or 0)
""",
    "locks and advice on files of the host": """
import fcntl
file = open('/usr/bin/env', 'rb')
fcntl.flock(file, fcntl.LOCK_EX); fcntl.lockf(open('own', 'w'), fcntl.LOCK_EX)
other = open('/usr/bin/env', 'rb')
fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
print('not locked')
""",
    "a directory that nobody may list": """
os.mkdir('hidden', 0o300)
for i in range(512):
    with open(f'hidden/{i}', 'wb') as file: file.write(b'x' * (1 << 20))
    time.sleep(0.002)
print('ESCAPED its tmp')
""",
    "deleted files that stay open": """
kept = []
for i in range(512):
    file = open('f', 'wb'); os.unlink('f'); kept.append(file)
    file.write(b'x' * (8 << 20)); file.flush()
    time.sleep(0.02)
print('ESCAPED its tmp')
""",
    "deleted files that stay mapped": """
import mmap
kept = []
for i in range(512):
    with open('f', 'w+b') as file:
        os.unlink('f'); file.write(b'x' * (8 << 20)); file.flush(); kept.append(mmap.mmap(file.fileno(), 4096))
    time.sleep(0.02)
print('ESCAPED its tmp')
""",
    "files in sockets": """
import array, socket
kept = []
for i in range(64):
    one, other = socket.socketpair(); kept += [one, other]
    with open('f', 'wb') as file:
        os.unlink('f'); file.write(b'x' * (8 << 20)); file.flush()
        one.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file.fileno()]))])
    time.sleep(0.02)
print('ESCAPED its tmp')
""",
    "names that the emptying of a tmp could want": """
for i in range(40):
    os.makedirs(f'\\x01{i}/x', exist_ok=True); open(f'\\x01{i}/x/\\x01{i}', 'w').close()
print('made')
""",
    "a deep tree": """
for i in range(500): os.mkdir('d' * 50); os.chdir('d' * 50)
""",
    "symbolic links": """
for target in ('/etc/passwd', '/proc/self/environ', '/', VICTIM):
    os.symlink(target, 'link')
    attempt(target, lambda: os.listdir('link') if target == '/' else open('link').read())
    attempt(target, lambda: open('link', 'a'))
    os.unlink('link')
""",
    "hard links and renames": """
attempt('link', lambda: os.link('/usr/bin/env', 'env') or 0)
attempt('link', lambda: os.link(VICTIM, 'victim') or 0)
attempt('rename in', lambda: os.rename(VICTIM, 'victim') or 0)
open('mine', 'w').close()
attempt('rename out', lambda: os.rename('mine', '/usr/mine') or 0)
attempt('rename out', lambda: os.rename('mine', '../mine') or 0)
""",
    "sockets": """
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16, 17, 40, 38):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        attempt(f'socket {family} {kind}', lambda: socket.socket(family, kind))
attempt('datagrams', lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt('name', lambda: socket.gethostbyname('localhost'))
""",
    "a pair of sockets that connects elsewhere": """
left, right = socket.socketpair()
attempt('connect', lambda: left.connect('\\0stillhouse') or 0)
attempt('bind', lambda: left.bind('\\0stillhouse') or 0)
attempt('sendto', lambda: left.sendto(b'x', '/dev/log'))
""",
    "ptrace": """
attempt('attach', lambda: libc.ptrace(16, os.getppid(), 0, 0))
attempt('seize', lambda: libc.ptrace(0x4206, 1, 0, 0))
attempt('traceme', lambda: libc.ptrace(0, 0, 0, 0))
""",
    "memory of the parent": """
data = ctypes.create_string_buffer(64)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(data), 64)
attempt('readv', lambda: raw(310, 270, os.getppid(), vector, 1, vector, 1, 0))
attempt('writev', lambda: raw(311, 271, os.getppid(), vector, 1, vector, 1, 0))
attempt('kcmp', lambda: raw(312, 272, os.getppid(), os.getpid(), 0, 1, 1))
""",
    "devices": """
for path in ('/dev/mem', '/dev/kmem', '/dev/port', '/dev/sda', '/dev/vda', '/dev/tty', '/dev/kvm', '/dev/fuse', '/dev/net/tun'):
    attempt(path, lambda: os.open(path, os.O_RDWR))
attempt('mknod', lambda: os.mknod('disk', 0o60666, os.makedev(254, 0)) or 0)
attempt('fifo', lambda: os.mkfifo('fifo') or 0)
""",
    "mounts and roots": """
attempt('mount', lambda: libc.mount(b'none', os.getcwd().encode(), b'tmpfs', 0, b''))
attempt('bind', lambda: libc.mount(b'/', os.getcwd().encode(), b'', 4096, b''))
attempt('umount', lambda: libc.umount2(os.getcwd().encode(), 2))
attempt('chroot', lambda: os.chroot('.') or 0)
attempt('pivot_root', lambda: raw(155, 41, b'.', b'.'))
attempt('open_tree', lambda: raw(428, 428, -100, b'/', 1))
attempt('fsopen', lambda: raw(430, 430, b'tmpfs', 0))
""",
    "namespaces": """
for flag in (0x10000000, 0x20000000, 0x40000000, 0x20000, 0x04000000, 0x08000000, 0x02000000, 0x80):
    attempt(hex(flag), lambda: libc.unshare(flag))
    attempt(hex(flag), lambda: raw(56, 220, flag | 17, 0, 0, 0, 0))
    attempt(hex(flag), lambda: raw(308, 268, 0, flag))
""",
    "the kernel's wide doors": """
for name, x86_64, aarch64 in (
    ('add_key', 248, 217), ('request_key', 249, 218), ('keyctl', 250, 219), ('bpf', 321, 280), ('io_uring_setup', 425, 425),
    ('perf_event_open', 298, 241), ('userfaultfd', 323, 282), ('init_module', 175, 105), ('finit_module', 313, 273),
    ('kexec_load', 246, 104), ('reboot', 169, 142), ('swapon', 167, 224), ('syslog', 103, 116), ('acct', 163, 89),
    ('memfd_create', 319, 279), ('open_by_handle_at', 304, 265), ('name_to_handle_at', 303, 264), ('fanotify_init', 300, 262),
    ('inotify_init1', 294, 26), ('personality', 135, 92), ('seccomp', 317, 277), ('landlock_create_ruleset', 444, 444),
    ('quotactl', 179, 60), ('settimeofday', 170, 170), ('clock_settime', 227, 112), ('sethostname', 170 if False else 170, 161),
    ('move_pages', 279, 239), ('mbind', 237, 235), ('modify_ldt', 154, None), ('ioperm', 173, None), ('iopl', 172, None),
    ('vhangup', 153, 58), ('sync', 162, 81), ('process_madvise', 440, 440), ('memfd_secret', 447, 447), ('pidfd_getfd', 438, 438),
):
    if platform.machine() == 'x86_64' or aarch64 is not None:
        attempt(name, lambda: raw(x86_64, aarch64, 0, 0, 0, 0, 0, 0))
""",
    "System V and POSIX objects": """
attempt('shmget', lambda: raw(29, 194, 77, 4096, 0o1666))
attempt('msgget', lambda: raw(68, 186, 77, 0o1666))
attempt('semget', lambda: raw(64, 190, 77, 1, 0o1666))
attempt('mq_open', lambda: raw(240, 180, b'stillhouse', 0o102, 0o666, 0))
from multiprocessing import shared_memory
attempt('shm_open', lambda: shared_memory.SharedMemory('stillhouse-escaped', create=True, size=4096))
""",
    "becoming somebody else": """
for other in (0, 1, 1000, 65534):
    if other != os.getuid():
        attempt('setuid', lambda: os.setuid(other) or 0)
        attempt('setresuid', lambda: os.setresuid(other, other, other) or 0)
        attempt('setgid', lambda: os.setgid(other) or 0)
attempt('setgroups', lambda: os.setgroups([0]) or 0)
attempt('capset', lambda: libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xffffffff] * 6)))
""",
    "setuid bit": """
open('x', 'w').close()
attempt('chmod', lambda: os.chmod('x', 0o4777) or 0)
attempt('fchmodat', lambda: raw(268, 53, -100, b'x', 0o4777))
""",
    "raising limits": """
for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    soft, hard = resource.getrlimit(kind)
    attempt(str(kind), lambda: resource.setrlimit(kind, (hard + 1, hard + 1)) or 0)
    attempt(str(kind), lambda: resource.prlimit(os.getppid(), kind, (1, 1)) and 0)
attempt('priority', lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19) or 0)
attempt('affinity', lambda: os.sched_setaffinity(os.getppid(), {0}) or 0)
attempt('nice', lambda: os.nice(-5))
""",
    "other programs": """
import subprocess
attempt('execv', lambda: os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED']))
attempt('spawn', lambda: subprocess.run(['/usr/bin/id']))
attempt('system', lambda: -1 if os.system('echo ESCAPED') else 0)
""",
    "deleting its directory": """
import shutil
here = os.getcwd()
attempt('rmdir', lambda: os.rmdir(here) or 0)
attempt('rename', lambda: os.rename(here, here + '2') or 0)
shutil.rmtree(here, ignore_errors=True)
try: open('again', 'w').write('x')
except OSError: pass
""",
    "filling tmp": """
for number in range(1 << 20):
    with open(f'file{number}', 'wb') as file: file.write(b'x' * (1 << 20))
    if number > 400: print('ESCAPED')
""",
    "many files": """
for number in range(1 << 20):
    open(f'file{number}', 'w').close()
    if number > 60_000: print('ESCAPED'); break
""",
    "a huge sparse file": """
with open('sparse', 'wb') as file:
    attempt('truncate', lambda: file.truncate(1 << 40))
    attempt('seek', lambda: file.seek(1 << 40) and file.write(b'x') and file.flush() or 0)
attempt('stdout', lambda: os.ftruncate(1, 1 << 40) or 0)
""",
    "directories too deep to walk": """
try:
    for _ in range(3000):
        os.mkdir('d' * 200)
        os.chdir('d' * 200)
except OSError: pass
""",
    "directories that nobody may enter": "os.umask(0o777)\nfor name in 'abc': os.mkdir(name, 0)\nos.mkdir('d', 0o700)",
    "many descriptors": """
kept = []
try:
    while True: kept.append(os.dup(0))
except OSError: pass
if len(kept) > 64: print('ESCAPED')
""",
    "descriptors of the harness": """
for descriptor in range(3, 1024):
    attempt(f'descriptor {descriptor}', lambda: os.fstat(descriptor) if descriptor != 3 else -1)
""",
    "input that is written to": """
attempt('write', lambda: os.write(0, b'x'))
attempt('truncate', lambda: os.ftruncate(0, 0) or 0)
os.lseek(0, 0, 0)
print(sys.stdin.read())
attempt('source', lambda: os.write(3, b'x'))
""",
    "closing everything": "os.closerange(0, 256)\nos.open('/dev/null', 2)\nprint('x')",
    "deep recursion": "sys.setrecursionlimit(1 << 30)\ndef f(): return f()\nf()",
    "deep recursion in C": "x = []\nfor _ in range(1 << 20): x = [x]\nsys.setrecursionlimit(1 << 30)\nrepr(x)",
    "crash": "ctypes.string_at(8)",
    "abort, for a core file": "resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)) if 0 else None\nos.abort()",
    "a number too large": "x = 9 ** 9 ** 9",
    "regular expression bomb": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "zip bomb": """
import zlib
packed = zlib.compressobj(1)
data = b''.join(packed.compress(bytes(1 << 20)) for _ in range(300)) + packed.flush()
zlib.decompress(data)
""",
    "32-bit system calls": """
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')
call = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
if platform.machine() == 'x86_64': print('ESCAPED', call())
""",
    "x32 system calls": "attempt('x32', lambda: raw(0x40000000 + 39, 600))",
    "a thread that outlives the program": """
import threading
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
""",
    "exit handlers": "import atexit\natexit.register(time.sleep, 3600)",
    "the harness's objects": """
import gc
for name in list(sys.modules):
    if 'server' in name and hasattr(sys.modules[name], '_sweep'): sys.modules[name]._sweep = None
frame = sys._getframe()
while frame:
    for value in frame.f_locals.values():
        if isinstance(value, socket.socket): attempt('control', lambda: value.send(b'{}'))
    frame = frame.f_back
""",
}

ASSERTION = "assert f(3) == 9, f(3)"
CHEATS = {
    "exit code 0": "import os\nos._exit(0)",
    "SystemExit": "raise SystemExit(0)",
    "exit code 0 when called": "import os\ndef f(x): os._exit(0)",
    "SystemExit when called": "def f(x): raise SystemExit(0)",
    "an exit handler": "import atexit, os\natexit.register(os._exit, 0)",
    "equal to everything": "class A:\n  __eq__ = lambda s, o: True\n  __ne__ = lambda s, o: False\ndef f(x): return A()",
    "an int equal to everything": "class A(int):\n  __eq__ = lambda s, o: True\ndef f(x): return A(1)",
    "a reflected comparison": "class A(int):\n  __req__ = __eq__ = lambda s, o: True\nf = lambda x: A()",
    "truth of the result": "class A:\n  def __eq__(s, o): return s\n  __bool__ = lambda s: True\nf = lambda x: A()",
    "patched built-ins": "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.all = lambda x: True\nf = lambda x: 1",
    "patched modules": (
        "import sys, json\nsys.modules['builtins'] = None\njson.dumps = lambda *a, **k: '[\"passed\"]'\nf = lambda x: 1"
    ),
    "the harness patched": (
        "import sys\n"
        "for name, module in list(sys.modules.items()):\n"
        "    if name.endswith(('remote', 'programs')):\n"
        "        for each in ('FAILED', 'RAISED', 'ENDED', 'NOT_LOADED'): setattr(module, each, 0)\n"
        "f = lambda x: 1"
    ),
    "messages forged": "import os\nos.write(4, (b'\\0\\0\\0\\x0b[\"passed\",0]') * 9)\nf = lambda x: 1",
    "more messages forged": (
        "import os, struct\nm = b'[\"value\", true, []]'\nos.write(4, (struct.pack('!I', len(m)) + m) * 99)\nf = lambda x: 1"
    ),
    "asking the tester for its names": (
        "import gc\n"
        "def f(x):\n"
        "    for peer in gc.get_objects():\n"
        "        if type(peer).__name__ == 'Peer':\n"
        "            return [peer.ask('name', 'expected'), peer.ask('attribute', {}, '__class__')]\n"
    ),
    "killing the tester": (
        "import os\n"
        "for pid in range(1, 40):\n"
        "    try: os.kill(pid, 9) if pid != os.getpid() else 0\n"
        "    except OSError: pass\n"
        "f = lambda x: 1"
    ),
    "a huge answer": "f = lambda x: 'x' * (1 << 29)",
    "a length that lies": "import os\nos.write(4, b'\\xff\\xff\\xff\\xff')\nf = lambda x: 9",
    "an endless answer": "import itertools\nf = lambda x: list(itertools.count())",
    "nothing": "",
    "the channel closed": "import os\nos.close(4)\nf = lambda x: 9",
}

SLEEPING = ("sleep", "waiting for a signal", "exit handlers")
"""Cut by the wall clock alone."""
SLOW = (
    *SLEEPING, "infinite loop", "infinite loop that ignores SIGXCPU", "all signals blocked", "busy threads",
    "output flood that ignores errors", "a number too large", "regular expression bomb", "memory creep", "zip bomb",
)  # fmt: skip
"""Cut by the clock, which runs the same for every isolation."""


def whole(program: str, victim: str) -> bytes:
    """The source with what it attacks: a file of the host's, and this one."""
    return f"VICTIM, TEST_FILE = {victim!r}, {__file__!r}\n{PRELUDE}\n{program}".encode()
