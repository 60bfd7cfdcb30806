"""Verification Jobs: only the operator makes them, only controllers look after them (A07, A08).

That is what makes a pod known as one of ours: its Job carries the labels, so it is the operator's.
"""

from weightlock_webhook.documents import Metadata, User
from weightlock_webhook.guards.keys import MARKS, changed_keys, is_marked
from weightlock_webhook.guards.pods import protected
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import Accounts, is_job_controller, is_platform


def job_created(user: User, job: Metadata, accounts: Accounts) -> Refusal | None:
    """Somebody else makes a Job that looks like ours."""
    if not is_marked(job) or accounts.is_operator(user):
        return None
    return Refusal(
        GuardReason.NOT_THE_OPERATOR,
        f"{GuardReason.NOT_THE_OPERATOR}: only Weightlock's operator makes Jobs with the labels"
        f" {' or '.join(MARKS)}. To have a checkpoint verified, create a ModelCheckpoint.",
    )


def job_updated(
    user: User, before: Metadata, after: Metadata, accounts: Accounts
) -> Refusal | None:
    """Somebody edits one, or turns another Job into one: not even the operator may do that."""
    if not (is_marked(before) or is_marked(after)):
        return None
    marks_changed = any(mark in changed_keys(before, after) for mark in MARKS)
    return None if accounts.may_manage_jobs(user) and not marks_changed else protected("updated")


def job_deleted(user: User, before: Metadata, accounts: Accounts) -> Refusal | None:
    """Somebody ends a verification that is not theirs to end."""
    if not is_marked(before) or accounts.is_operator(user) or is_platform(user):
        return None
    return protected("deleted")


def job_status_updated(user: User, before: Metadata, after: Metadata) -> Refusal | None:
    """Somebody says how a verification went."""
    if not (is_marked(before) or is_marked(after)) or is_job_controller(user):
        return None
    return protected("given a status")
