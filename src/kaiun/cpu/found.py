"""What was found in a file's code: the functions, and what each of them needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from kaiun.cpu.functions import Functions

Code_co = TypeVar("Code_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Found(Generic[Code_co]):
    """`masks` maps the number of a function to the features it needs (levels.CHECK too).

    `codes` are the sections of code, in the form in which the architecture's modules read them.
    """

    functions: Functions
    codes: tuple[Code_co, ...]
    masks: dict[int, int]
