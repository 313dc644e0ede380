"""Codes of authenticator apps: TOTP (RFC 6238), SHA-1, six digits, 30 s steps.

One step before and one after the clock's is accepted (section 5.2). Which step a code belonged to
is returned, so that the caller refuses it and all earlier ones from then on.
"""

import hmac
import re
from typing import Final

STEP_MS: Final = 30_000
DRIFT_STEPS: Final = 1
_CODE: Final = re.compile(r"[0-9]{6}")


def new_seed() -> str:
    """160 random bits (RFC 4226, section 4, R6), base32."""
    import pyotp

    return pyotp.random_base32(32)


def step_at(now_ms: int) -> int:
    """The step that the clock is in."""
    return now_ms // STEP_MS


def code_at(seed: str, step: int) -> str:
    """The code of a step."""
    import pyotp

    return pyotp.TOTP(seed).generate_otp(step)


def matching_step(seed: str, code: str, now_ms: int) -> int | None:
    """The step whose code this is, or None; all candidates are computed whichever matches."""
    given = code if _CODE.fullmatch(code) else "------"
    now = step_at(now_ms)
    found = None
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(seed, step), given):
            found = step
    return found


def provisioning_uri(seed: str, account: str, issuer: str) -> str:
    """What the QR code of a seed says (the `otpauth` form that authenticator apps read)."""
    import pyotp

    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=issuer)
