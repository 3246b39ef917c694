"""What every rank of a test's torchrun runs: it loads a checkpoint, and prints what it holds, in shares of the whole model in fp32.

``loading_driver.py WARM CHECKPOINT WEIGHTS``: ``WARM`` is a small checkpoint, which is loaded first so that what libraries keep for
themselves is not counted.
"""

import json
import sys
import threading
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from stillhouse.execution import processes
from stillhouse.training import models
from stillhouse.training.config import FromCheckpoint
from stillhouse.training.machine import zero


class Held:
    """Bytes of memory that no file backs: now, and the most at any time while the block runs."""

    def __enter__(self):
        self.before = self.most = self.now()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._follow, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._watch.join()
        self.after = self.now()
        self.most = max(self.most, self.after)

    def _follow(self):
        while not self._over.wait(0.002):
            self.most = max(self.most, self.now())

    @staticmethod
    def now():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def load(checkpoint, weights):
    return models.load(FromCheckpoint(), Path(checkpoint), (), 0, (), weights)[0]


def own_bytes(parameter):
    """Of the share that this process keeps of a parameter: by DeepSpeed or by torch."""
    share = parameter.to_local() if isinstance(parameter, DTensor) else parameter.ds_tensor
    return share.numel() * share.element_size()


def main(warm, checkpoint, weights):
    torch.distributed.init_process_group("gloo")
    with zero.deepspeed_environment():
        load(warm, weights)
        torch.distributed.barrier()
        with Held() as loading:
            model = load(checkpoint, weights)
        whole = 4 * zero.n_parameters(model)
        numbers = {"most": (loading.most - loading.before) / whole, "after": (loading.after - loading.before) / whole}
        numbers["share"] = sum(map(own_bytes, model.parameters())) / whole
        dtypes = sorted({str(parameter.dtype) for parameter in model.parameters()})
        print("HELD", json.dumps(numbers | {"rank": processes.rank(), "dtypes": dtypes}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
