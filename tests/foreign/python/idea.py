"""The phase `idea` in Python: asks for one game idea and looks at the `idea.json` that was left.

It is shorter than the built-in plugin, and judges the form of an idea only roughly.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.describe import Manifest
from wit_world.exports.prompt import Task
from wit_world.exports.validate import Decision, Verdict
from wit_world.imports import job
from wit_world.imports.types import (
    Error_InvalidJob,
    ReadError_NotFound,
)

FILE = "idea.json"
MOST_BYTES = 1 << 20
TEXTS = ["title", "theme", "pitch", "genre", "player_goal", "tone"]
LISTS = ["core_loop", "palette"]


class Describe(exports.Describe):
    def describe(self) -> Manifest:
        return Manifest(
            name="idea",
            version="1.0.0+python",
            summary="Invents one small browser game, in Python",
            settings_schema=None,
            requests=[],
            extra=None,
        )


class Prompt(exports.Prompt):
    def prompt(self) -> list[Task]:
        try:
            params = json.loads(job.params())
        except ValueError as error:
            raise Err(Error_InvalidJob(f"params: {error}")) from error
        text = (
            f"Invent one small browser game for the job {job.name()!r}, and write it down as "
            f"`{FILE}`: a JSON object with the texts {', '.join(TEXTS)} and the lists "
            f"{', '.join(LISTS)}, the last of exactly 5 colours as #rrggbb.\n"
        )
        if params:
            text += f"\nThe person who submitted it wishes: {json.dumps(params)}\n"
        if (feedback := job.feedback()) is not None:
            text += f"\nThe last attempt was sent back:\n\n{feedback}\n"
        return [Task(name="idea", prompt=text, stage=[], expects=[FILE], options=None)]


class Validate(exports.Validate):
    def validate(self) -> Verdict:
        problems = problems_of(read())
        if problems:
            return Verdict(Decision.REVISE, "\n".join(problems), None)
        return Verdict(Decision.ACCEPT, "idea.json is complete, says Python", None)


def read() -> bytes | None:
    """The file's bytes, or none where nothing has its name."""
    try:
        return job.read(FILE, 0, MOST_BYTES)
    except Err as error:
        if isinstance(error.value, ReadError_NotFound):
            return None
        raise


def problems_of(content: bytes | None) -> list[str]:
    if content is None:
        return [f"{FILE} is missing"]
    try:
        idea = json.loads(content)
    except ValueError as error:
        return [f"{FILE}: {error}"]
    if not isinstance(idea, dict):
        return [f"{FILE} is no object"]
    wrong = [key for key in TEXTS if not isinstance(idea.get(key), str) or not idea[key]]
    wrong += [key for key in LISTS if not isinstance(idea.get(key), list) or not idea[key]]
    return [f"{FILE}: {key} is missing or empty" for key in wrong]
