"""How many tokens a text is worth where no model counts them."""

import re
from collections.abc import Sequence

from domain.models.ports import ChatMessage

_WORD = re.compile(r"\s*\S+\s*")


def split_words(text: str) -> list[str]:
    """Words with the blanks around them; joined they give the text again."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """Words of a text, the estimate of its tokens."""
    return len(text.split())


def count_context_words(messages: Sequence[ChatMessage]) -> int:
    """Words of a whole context, calls included."""
    said = sum(count_words(message.content) for message in messages)
    asked = sum(count_words(call.arguments) for each in messages for call in each.tool_calls)
    return said + asked
