"""The commands that a page shows for copying: what changes anything stays on the command line."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

# By what part a version plays; see `coordinator.releases`.
_ACTS: Mapping[str, tuple[str, ...]] = {
    "published": ("challenge", "stage", "promote", "withdraw"),
    "challenger": ("stage", "promote", "drop", "withdraw"),
    "staged": ("stage", "promote", "drop", "withdraw"),
    "champion": ("rollback", "withdraw"),
    "retired": ("restore", "challenge", "withdraw"),
}


@dataclass(frozen=True)
class Commands:
    """Commands for one coordinator.

    Attributes:
        home: its directory, as the operator calls it.
    """

    home: str

    def console(self) -> str:
        """A new link into the console."""
        return self._line("coordinator", "console", self.home)

    def regulator(self) -> str:
        """Let a regulator in."""
        return self._line(
            "coordinator", "regulator", "add", self.home, "--login", "LOGIN", "--name", "NAME"
        )

    def end_sessions(self) -> str:
        """Sign every browser out."""
        return self._line("coordinator", "console", self.home, "--end-sessions")

    def invite(self) -> str:
        """Invite a member."""
        return self._line("coordinator", "invite", self.home, "MEMBER", "--role", "bank")

    def suspend(self, member_id: str) -> str:
        """Turn a member away."""
        return self._line("coordinator", "suspend", self.home, member_id)

    def reinstate(self, member_id: str) -> str:
        """Admit a suspended member again."""
        return self._line("coordinator", "reinstate", self.home, member_id)

    def licence(self, member_id: str) -> str:
        """Enter a member's new licence."""
        return self._line(
            "coordinator", "licence", self.home, member_id, "--number", "NUMBER",
            "--until", "YYYY-MM-DD",
        )  # fmt: skip

    def train(self) -> str:
        """Propose a campaign."""
        return self._line("train", self.home, "--epsilon", "3")

    def follow_up(self, version: str) -> str:
        """Continue from a published version."""
        return self._line("train", self.home, "--follow-up", version)

    def for_model(self, version: str, standing: str) -> tuple[tuple[str, str], ...]:
        """What may be done to a version that plays a part: (name of the act, command)."""
        lines = {
            "challenge": self._model("challenge", version),
            "stage": self._model("stage", version, "--member", "MEMBER"),
            "promote": self._model("promote", version),
            "rollback": self._model("rollback", "--why", "REASON"),
            "restore": self._model("rollback", version, "--why", "REASON"),
            "drop": self._model("drop", version),
            "withdraw": self._model("withdraw", version, "--why", "REASON"),
        }
        return tuple((act, lines[act]) for act in _ACTS.get(standing, ()))

    def watch(self) -> str:
        """Watch the model in force, now."""
        return self._line("coordinator", "watch", "run", self.home)

    def acknowledge(self, alert_id: str) -> str:
        """Say that an alert is seen."""
        return self._line("coordinator", "watch", "acknowledge", self.home, alert_id)

    def schedule(self) -> str:
        """Watch every month."""
        return self._line(
            "coordinator", "schedule", "set", self.home, "--kind", "watch", "--every-days", "30"
        )

    def abort(self, campaign_id: str) -> str:
        """End a campaign."""
        return self._line("train", self.home, "--abort", campaign_id)

    def ceremony(self) -> str:
        """Begin a key ceremony."""
        return self._line("ceremony", "start", self.home)

    def verify(self) -> str:
        """Verify the log."""
        return self._line("audit", "verify", self.home)

    def for_alert(self, kind: str, about: str) -> str:
        """What to type next about an alert; empty: nothing changes it from here."""
        makers = {
            "member_silent": self.suspend,
            "member_lapsed": self.licence,
            "licence_ending": self.licence,
            "campaign_paused": self.abort,
        }
        if kind in makers:
            return makers[kind](about)
        plain = {
            "campaign_failed": self.train,
            "campaign_aborted": self.train,
            "ceremony_failed": self.ceremony,
            "score_drift": self.train,
            "calibration_off": self.train,
            "auc_drop": self.train,
            "retraining_overdue": self.train,
            "watch_overdue": self.watch,
        }
        return plain[kind]() if kind in plain else ""

    def _model(self, act: str, *words: str) -> str:
        return self._line("coordinator", "models", act, self.home, *words)

    def _line(self, *words: str) -> str:
        return shlex.join(["credence", *words])
