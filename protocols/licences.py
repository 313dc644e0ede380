"""When people are warned that a licence ends."""

from typing import Final

LICENCE_WARNING_MS: Final = 30 * 86_400_000
