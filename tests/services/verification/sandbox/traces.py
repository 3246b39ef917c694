"""What a run could leave behind: processes, files, mounts."""

from pathlib import Path


def descendants(top):
    """Processes started by ``top``, however far down, and those that run under one of ``uids``."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below, fresh = set(), {top}
    while fresh:
        below |= fresh
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - below
    return below


def owner(path):
    """The uid a file belongs to, None where it is gone."""
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def running_as(uids):
    """Processes whose real uid is one of these."""
    return {int(path.name) for path in Path("/proc").glob("[0-9]*") if owner(path) in uids}


def files(sandbox):
    """What a program may have left where it should not write: by name, and by owner where its uid is its own."""
    uids = sandbox.facts["uids"] or ()
    paths = [path for top in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/home", "/") for path in Path(top).glob("*")]
    return {str(path) for path in paths if "escaped" in path.name or (owner(path) in uids and str(path) != sandbox.facts["tmp"])}


def traces(sandbox):
    """Everything that a run could leave: processes, files, mounts here and in the server's namespace."""
    server = max(descendants(sandbox.pid))
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": descendants(sandbox.pid) | running_as(sandbox.facts["uids"] or ()),
        "files": files(sandbox),
        "tmp": sorted(path.name for path in Path(f"/proc/{server}/root{sandbox.facts['tmp']}").iterdir()),
        "mounts": [line for line in mounts if "stillhouse-sandbox" in line or " /run/tmp " in line],
        "server's mounts": Path(f"/proc/{server}/mountinfo").read_text(),
    }
