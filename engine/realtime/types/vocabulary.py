"""The names that the reference knows where the server owns the list: voices, models, connectors and so on.

None of these lists is a limit: another name is sent as it is, with a warning, since the service may be newer. Only
INFINITE is closed: any other word there is a mistake.
"""

from __future__ import annotations

from engine.realtime.types.marks import Vocabulary

MODELS = Vocabulary(
    "model",
    "gpt-realtime",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
    "gpt-audio-1.5",
    "gpt-audio-mini",
    "gpt-audio-mini-2025-10-06",
    "gpt-audio-mini-2025-12-15",
    "gpt-4o-realtime-preview",
    "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17",
    "gpt-4o-realtime-preview-2025-06-03",
    "gpt-4o-mini-realtime-preview",
    "gpt-4o-mini-realtime-preview-2024-12-17",
)
VOICES = Vocabulary("voice", "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""The two last are the service's best; BETA_VOICES lacks them."""
BETA_VOICES = Vocabulary("voice", "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse")
MODALITIES = Vocabulary("modality", "text", "audio")
BETA_FORMATS = Vocabulary("audio format", "pcm16", "g711_ulaw", "g711_alaw")
"""pcm16 is audio/pcm at 24 000 Hz, g711_ulaw audio/pcmu, g711_alaw audio/pcma."""

TRANSCRIPTION_MODELS = Vocabulary(
    "transcription model",
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
    "gpt-transcribe",
    "gpt-live-transcribe",
)
DELAYS = Vocabulary("delay", "minimal", "low", "medium", "high", "xhigh")
NOISE_REDUCTIONS = Vocabulary("noise reduction", "near_field", "far_field")
EAGERNESS = Vocabulary("eagerness", "low", "medium", "high", "auto")
EFFORTS = Vocabulary("effort", "minimal", "low", "medium", "high", "xhigh")
INCLUDES = Vocabulary("include", "item.input_audio_transcription.logprobs")
TOOL_CHOICES = Vocabulary("tool choice", "none", "auto", "required")
TRUNCATIONS = Vocabulary("truncation", "auto", "disabled")
TRACINGS = Vocabulary("tracing", "auto")
INFINITE = Vocabulary("max_output_tokens", "inf", closed=True)
CONVERSATIONS = Vocabulary("conversation", "auto", "none")
APPROVALS = Vocabulary("approval", "always", "never")
CALLERS = Vocabulary("caller", "direct", "programmatic")
CONNECTORS = Vocabulary(
    "connector",
    "connector_dropbox",
    "connector_gmail",
    "connector_googlecalendar",
    "connector_googledrive",
    "connector_microsoftteams",
    "connector_outlookcalendar",
    "connector_outlookemail",
    "connector_sharepoint",
)
PROMPT_IMAGE_DETAILS = Vocabulary("image detail", "low", "high", "auto", "original")
FILE_DETAILS = Vocabulary("file detail", "auto", "low", "high")
IMAGE_DETAILS = Vocabulary("image detail", "auto", "low", "high")
ITEM_STATUSES = Vocabulary("item status", "completed", "incomplete", "in_progress")
RESPONSE_STATUSES = Vocabulary("response status", "in_progress", "completed", "cancelled", "failed", "incomplete")
RESPONSE_ENDS = Vocabulary("end of a response", "completed", "cancelled", "failed", "incomplete")
RESPONSE_REASONS = Vocabulary("reason", "turn_detected", "client_cancelled", "max_output_tokens", "content_filter")
RATE_LIMITS = Vocabulary("rate limit", "requests", "tokens")
CACHE_MODES = Vocabulary("prompt cache mode", "explicit")
ANCHORS = Vocabulary("anchor", "created_at")

# ---- what an object says it is

SESSION_OBJECT = Vocabulary("object", "realtime.session")
TRANSCRIPTION_OBJECT = Vocabulary("object", "realtime.transcription_session")
ITEM_OBJECT = Vocabulary("object", "realtime.item")
RESPONSE_OBJECT = Vocabulary("object", "realtime.response")
EVENT_OBJECT = Vocabulary("object", "event")
DETECTIONS = Vocabulary("turn detection", "server_vad")
