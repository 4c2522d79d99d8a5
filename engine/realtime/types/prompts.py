"""Stored prompts and what is put into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import UNSET, UnsetType

from engine.realtime.types import vocabulary as known
from engine.realtime.types.shape import Object, Shape, Tagged


class CacheBreakpoint(Shape, frozen=True, kw_only=True):
    """Marks the end of what is cached of a prompt."""

    mode: Annotated[str, known.CACHE_MODES] = "explicit"
    """explicit, and nothing else so far."""


class InputText(Tagged, frozen=True, kw_only=True, tag="input_text"):
    """Text for a prompt."""

    text: str
    """The words."""
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType = UNSET
    """Cache up to here; default: the service decides."""


class InputImage(Tagged, frozen=True, kw_only=True, tag="input_image"):
    """An image for a prompt, by URL (data URLs too) or by the id of an uploaded file."""

    detail: Annotated[str, known.PROMPT_IMAGE_DETAILS] = "auto"
    """How closely it is looked at: low, high, auto or original."""
    image_url: str | UnsetType | None = UNSET
    """A URL, also a data: URI; or null with file_id."""
    file_id: str | UnsetType | None = UNSET
    """Of an uploaded file; or null with image_url."""
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType = UNSET
    """Cache up to here; default: the service decides."""


class InputFile(Tagged, frozen=True, kw_only=True, tag="input_file"):
    """A file for a prompt: its content (base64), its URL, or the id of an uploaded one."""

    file_id: str | UnsetType | None = UNSET
    """Of an uploaded file."""
    filename: str | UnsetType = UNSET
    """What the model knows it by."""
    file_data: str | UnsetType = UNSET
    """Its content, base64."""
    file_url: str | UnsetType = UNSET
    """Where it is."""
    detail: Annotated[str, known.FILE_DETAILS] | UnsetType = UNSET
    """low (the default) or high."""
    prompt_cache_breakpoint: CacheBreakpoint | UnsetType = UNSET
    """Cache up to here; default: the service decides."""


Variable: TypeAlias = str | InputText | InputImage | InputFile


class Prompt(Shape, frozen=True, kw_only=True):
    """A prompt stored with the service. What the session itself says wins over it. May change by session.update."""

    id: str
    """Of the stored prompt."""
    version: str | UnsetType | None = UNSET
    """Default: the newest."""
    variables: Mapping[str, Variable | Object] | UnsetType | None = UNSET
    """What is put in for each of its variables."""
