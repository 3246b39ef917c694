"""The precision of forward passes while weights are fp32: bf16 by autocast, or fp32.

No result beyond rounding depends on it, so the environment decides: ``STILLHOUSE_AUTOCAST`` is ``bf16``, ``off``, or ``auto``
(default), which is bf16 on GPUs that know it. On a CPU bf16 pays only where its instructions (AVX-512 BF16, AMX) are.
"""

import torch

from stillhouse.errors import BadConfig
from stillhouse.vocabulary import environment

CHOICES = ("auto", "bf16", "off")


def is_bf16() -> bool:
    """Whether passes are in bf16. Raises BadConfig for another word, and for bf16 where it is not to be had."""
    wanted = environment.text("STILLHOUSE_AUTOCAST", "auto")
    if wanted not in CHOICES:
        msg = f"STILLHOUSE_AUTOCAST={wanted}: not one of {', '.join(CHOICES)}"
        raise BadConfig(msg)
    gpu = torch.cuda.is_available()
    supported = torch.cuda.is_bf16_supported() if gpu else True
    if wanted == "bf16" and not supported:
        msg = "STILLHOUSE_AUTOCAST=bf16: this GPU does not support bf16; set it to auto or off"
        raise BadConfig(msg)
    if wanted == "bf16" and not gpu and environment.text("STILLHOUSE_SHARDING"):
        msg = "STILLHOUSE_AUTOCAST=bf16: sharded training on CPUs is in fp32; set it to auto, or unset STILLHOUSE_SHARDING"
        raise BadConfig(msg)
    return supported if wanted == "bf16" else gpu and supported and wanted == "auto"
