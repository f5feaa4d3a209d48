"""The reference policy pi_0 of preference losses and of the KL penalty: the policy as it was before training.

    CachedReference       log-probs of every pair, computed once and kept on disk: no second model during training
    FrozenCopyReference   a second model in memory: for completions that are sampled during training
    LoRAOffReference      the policy with its LoRA layers switched off: a second forward, no second model

All three give the same numbers.
"""

from lightning_modules.references.cached import CachedReference
from lightning_modules.references.fingerprints import policy_fingerprint
from lightning_modules.references.policies import FrozenCopyReference, LoRAOffReference, PolicyReference
from lightning_modules.references.reference import Reference, ReferenceContext

__all__ = [
    "CachedReference",
    "FrozenCopyReference",
    "LoRAOffReference",
    "PolicyReference",
    "Reference",
    "ReferenceContext",
    "policy_fingerprint",
]
