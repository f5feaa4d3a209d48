"""Flags that set a nested setting to null, in a form that the parser takes.

jsonargparse 4.53 refuses ``--model.grpo.dual_clip=null``, though the setting may be null: of a setting that lies in a
dataclass it takes null inside of a dictionary only, ``--model.grpo={"dual_clip": null}``. Both forms leave the other
settings of the dataclass as they are.
"""

import json
import re
from collections.abc import Sequence

# Two names or more below the section: what lies directly in a class is no setting of a dataclass, and works as it is.
_NULL = re.compile(r"--((?:model|data|callbacks\.\w+)\.(?:init_args\.)?\w+(?:\.\w+)*)\.(\w+)=(?:null|None)")


def in_dictionaries(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with null flags of nested settings in their other form.

    >>> in_dictionaries(["--model.init_args.grpo.dual_clip=null"])
    ['--model.init_args.grpo={"dual_clip": null}']
    """
    return [_rewritten(argument) for argument in arguments]


def _rewritten(argument: str) -> str:
    match = _NULL.fullmatch(argument)
    # A setting of a class (--data.init_args.pool) and a part of a reward lie in no dataclass: there the dictionary
    # would be taken for all settings, or for all parts.
    if match is None or match[1].endswith(("init_args", ".parts")):
        return argument
    return f"--{match[1]}={json.dumps({match[2]: None})}"
