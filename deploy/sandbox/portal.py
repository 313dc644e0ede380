"""One sample person at the first bank's portal: a code to open their account, something to see."""

from dataclasses import dataclass

from deploy.sandbox.run import JobFailed, Run


@dataclass(frozen=True)
class Invitation:
    """What the bank would hand to its customer.

    Attributes:
        bank: the bank's name.
        address: where the account is opened.
        customer_id: the person's customer number.
        code: opens their account, once.
        command: asks for their score, as a financing platform.
    """

    bank: str
    address: str
    customer_id: str
    code: str
    command: str


def invite(run: Run) -> Invitation:
    """Let a platform ask for the score of a consenting customer, and issue them a code.

    Raises:
        JobFailed: nobody at the bank has a live consent, or no platform was there.
    """
    from node.bootstrap import open_node
    from node.storage import subjects

    if run.platform is None:
        raise JobFailed("no financing platform asked for a score")
    bank = run.layout.banks[0]
    node = open_node(run.layout.home(bank.member_id))
    try:
        with node.database.read() as connection:
            names = {one.pseudonym: one for one in subjects.all_subjects(connection)}
            live = node.consents.live_consents(connection, "score")
        if not live:
            raise JobFailed(f"nobody at {bank.member_id} consented")
        person = names[live[-1].pseudonym]
        issued = node.people.accounts.issue_for_customer(person.customer_id)
        address = f"{node.people.origins[0]}/portal/activate"
    finally:
        node.close()
    consent_id = live[-1].consent_id
    run.platform.refusal(person.subject_ref, consent_id)  # something for them to see
    asks = run.platform.registered.command
    command = f"{asks} --subject {person.subject_ref} --consent {consent_id}"
    return Invitation(bank.name, address, person.customer_id, issued.code, command)
