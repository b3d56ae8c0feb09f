"""The errors that a deploy ends with: which service, task and container, why, and what runs now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kaiun.deploy.diagnose import Examiner, evidence_lines
from kaiun.deploy.events import Note
from kaiun.deploy.evidence import HEALTH
from kaiun.deploy.lastwords import start_failure
from kaiun.errors import AwsError, DeployFailed, DeployStuck, Interrupted, KaiunError

if TYPE_CHECKING:
    from kaiun.deploy.evidence import Failure
    from kaiun.deploy.oneoff import Outcome
    from kaiun.deploy.rollback import Back
    from kaiun.deploy.rollout import Progress

SHOWN = 3  # failed tasks of one service


def why(bad: Sequence[Progress], examiner: Examiner) -> DeployFailed:
    """Return what is known of the failed rollouts: stopped tasks, exit codes, last log lines."""
    first = bad[0]
    detail: list[str] = []
    message = ""
    for progress in bad:
        failures = _failures(progress, examiner)
        if failures and not message:
            worst = failures[0]
            message = f"service {progress.follow.service}: {worst.sentence()}"
        if progress.cause:
            detail.append(f"{progress.follow.service}: {progress.cause}")
        if any(HEALTH.search(failure.reason) for failure in failures) and progress.complaint:
            detail.append(progress.complaint)
        detail += evidence_lines(failures)
    message = message or f"service {first.follow.service}: {first.cause}"
    return DeployFailed(message, where=first.follow.deployment, detail=detail)


def _failures(progress: Progress, examiner: Examiner) -> list[Failure]:
    """Return the failed tasks; the first one for which there is a log has it."""
    name, definition = progress.follow.process, progress.follow.task_definition
    try:
        found = list(examiner.failures.get(name) or examiner.failed_tasks(progress))
        for number, failure in enumerate(found[:SHOWN]):
            found[number] = examiner.with_log(failure, definition, patient=number == 0)
            if found[number].log:
                break
    except AwsError:
        return []
    return found


def not_published(problem: KaiunError) -> DeployFailed:
    """Return the error for assets that did not get to the bucket; nothing refers to them."""
    return DeployFailed(
        f"the assets were not published: {problem.message}",
        where=problem.where,
        hint=problem.hint or "try again: what was uploaded is not uploaded twice",
        detail=[*problem.detail, "nothing that runs was touched"],
    )


def task_failed(outcome: Outcome, timeout_s: int, needed: Sequence[str] = ()) -> DeployFailed:
    """Return the error for a before-deploy task that failed: no service was updated after it.

    `needed` are services that were updated before it, because it needs them; they are steady.
    """
    how = f"exit code {outcome.exit_code}" if outcome.exit_code is not None else "it never ran"
    if outcome.timed_out:
        how = f"it did not end within {timeout_s} s and was stopped"
    elif told := start_failure(outcome.last_lines):
        how = f"{how}, {told}"
    detail = [outcome.reason] if outcome.reason else []
    detail += [f"  | {line}" for line in outcome.last_lines]
    if needed:
        detail.append(f"updated before it and steady: {', '.join(needed)}")
    rest = "no other service was touched" if needed else "no service was touched"
    return DeployFailed(
        f"task {outcome.name} failed: {how}; {rest}",
        where=f"task {outcome.task}, container {outcome.container}",
        hint="correct it and deploy again; what ran before still runs",
        detail=detail,
    )


def superseded(bad: Sequence[Progress]) -> DeployStuck:
    """Return the error for a deploy that somebody else's deploy has overtaken."""
    lines = [f"{p.follow.service}: {p.cause}" for p in bad if p.cause]
    return DeployStuck(
        "somebody else deployed while this deploy was under way; nothing was rolled back",
        hint="kaiun status shows what runs now",
        detail=lines,
    )


def left(rollouts: Sequence[Progress]) -> Interrupted:
    """Return the error for a user who leaves: AWS goes on by itself."""
    lines = [
        f"{p.follow.service}: {p.new} of {p.desired} new, {p.old} old tasks run ({p.verdict})"
        for p in rollouts
    ]
    return Interrupted(
        "interrupted; ECS goes on with the rollout",
        hint="kaiun deploy follows it further, kaiun status shows it, kaiun rollback goes back",
        detail=lines,
    )


def nothing_to_undo(cause: DeployFailed) -> DeployStuck:
    """Return the error for a rollout that an earlier run began and this one only followed."""
    return DeployStuck(
        cause.message, where=cause.where, hint="kaiun rollback goes back", detail=cause.detail
    )


def note(cause: DeployFailed) -> Note:
    return Note(f"{cause.message}; going back", warning=True)


def ended(cause: DeployFailed, back: Back) -> KaiunError:
    """Return the final error: DeployFailed when everything runs as before, else DeployStuck."""
    said = []
    if back.restored:
        said.append(f"rolled back: {', '.join(back.restored)}")
    if back.emptied:
        said.append(f"new, scaled to 0: {', '.join(back.emptied)}")
    if back.deleted:
        said.append(f"new, deleted: {', '.join(back.deleted)}")
    said += [f"NOT rolled back: {name}: {what}" for name, what in back.stuck.items()]
    kind = DeployStuck if back.stuck else DeployFailed
    hint = "kaiun status shows what runs; correct the cause and deploy again"
    return kind(cause.message, where=cause.where, hint=hint, detail=[*cause.detail, *said])


def no_way_back(cause: DeployFailed, problem: AwsError) -> DeployStuck:
    """Return the error for a failed deploy whose rollback AWS refused."""
    said = f"NOT rolled back: {problem.where}: {problem.message}"
    hint = "kaiun status shows what runs; kaiun rollback tries again"
    return DeployStuck(cause.message, where=cause.where, hint=hint, detail=[*cause.detail, said])
