"""The paper's claims, one small file each: the runs of a claim, and the results with which it holds.

A new claim is a new file with a record ``CLAIM``; nothing else names it.
"""

import importlib
import pkgutil

from experiments.claims.records import Arm, Claim, Expectation, Measure

__all__ = ["Arm", "Claim", "Expectation", "Measure", "all_claims"]


def all_claims() -> dict[str, Claim]:
    """Return the claims by name, the most important first.

    Raises:
        ValueError: when two claims give one name to different arms, or an expectation names an arm that is not there.
    """
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    claims = sorted((module.CLAIM for module in modules if hasattr(module, "CLAIM")), key=lambda claim: claim.rank)
    arms: dict[str, Arm] = {}
    for claim in claims:
        for arm in (*claim.arms, *claim.trials):
            if arms.setdefault(arm.name, arm) != arm:
                raise ValueError(f"claim {claim.name}: another claim has an arm {arm.name} that is something else.")
        named = {name for expected in claim.expectations for name in (expected.of, expected.than) if name}
        if unknown := named - {arm.name for arm in claim.arms}:
            raise ValueError(f"claim {claim.name} expects something of {', '.join(sorted(unknown))}: no such arm.")
    return {claim.name: claim for claim in claims}
