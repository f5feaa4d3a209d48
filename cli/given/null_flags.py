"""Rewrites flags that set a nested setting to null into a form that the parser accepts.

jsonargparse 4.53 refuses ``--model.grpo.dual_clip=null``, although the setting may be null. For a setting in a
dataclass it accepts null only inside of a dictionary: ``--model.grpo={"dual_clip": null}``. Both forms leave the other
settings of the dataclass as they are.
"""

import json
import re
from collections.abc import Sequence

# At least two names below the section: a setting directly in a class is in no dataclass, and its flag works.
_NULL = re.compile(r"--((?:model|data|callbacks\.\w+)\.(?:init_args\.)?\w+(?:\.\w+)*)\.(\w+)=(?:null|None)")


def in_dictionaries(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with null flags of nested settings in their other form.

    >>> in_dictionaries(["--model.init_args.grpo.dual_clip=null"])
    ['--model.init_args.grpo={"dual_clip": null}']
    """
    return [_rewritten(argument) for argument in arguments]


def _rewritten(argument: str) -> str:
    match = _NULL.fullmatch(argument)
    # A setting of a class (--data.init_args.pool) and a part of a reward are in no dataclass: the parser would take the
    # dictionary for all settings of the class, or for all parts.
    if match is None or match[1].endswith(("init_args", ".parts")):
        return argument
    return f"--{match[1]}={json.dumps({match[2]: None})}"
