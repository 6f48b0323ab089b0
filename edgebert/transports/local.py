"""local: this machine, which is evidence of the target only where it is the target's board."""

from __future__ import annotations

from typing import Any

from edgebert import jobs
from edgebert.errors import MissingExtraError
from edgebert.interpreters import Python
from edgebert.manifest import TargetFacts
from edgebert.transports import SURROUNDINGS, Contest, Job, Observation, Options, evidence_of, result_of

NAME = "local"
USES: tuple[str, ...] = ()
TIMED = True
SUSTAINED = False


def fault(address: str, target: TargetFacts) -> str | None:
    """An address says nothing here."""
    return f"'{NAME}' takes no address, and '{address}' was given" if address else None


def run(address: str, job: Job, options: Options) -> Observation:
    """Run the job with the Python that runs files of its target.

    Raises MissingExtraError where the runtime is not installed, SurroundingsError where its environment is absent.
    """
    command = Python(job.manifest.target.environment).command("job", "run")
    reference = str(job.reference.folder) if job.reference else None
    request = job.request(str(job.bundle), reference)
    finished = jobs.follow(command, request, job.limit_s, job.tell)
    if finished.status == SURROUNDINGS:
        extra = "litert" if job.entry["format"] == "tflite" else "build"
        raise MissingExtraError(f"running {job.bundle}", extra)
    found = result_of(finished, "this machine", job.limit_s, str)
    evidence, absent = evidence_of(found, job.manifest.target, "this machine")
    return Observation(NAME, found, evidence, not_measured=absent)


def race(address: str, contest: Contest, options: Options) -> dict[str, Any]:
    """Time files side by side with the Python that runs files of the target. Raises SurroundingsError."""
    command = Python(contest.target.environment).command("job", "race")
    request = contest.request({name: str(one.folder) for name, one in contest.files.items()})
    finished = jobs.follow(command, request, contest.limit_s, contest.tell)
    return result_of(finished, "this machine", contest.limit_s, str)
