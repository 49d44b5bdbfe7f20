"""What the offline planner can say of itself and of its tools."""

import re

from domain.models.offline.answers import CONNECT, example_call, names_of
from domain.models.offline.matching import ToolIndex
from domain.models.offline.parameters import parameters_of
from domain.models.offline.schedule_words import reminder_in
from domain.models.ports import ToolSpec

_GREETING = (
    r"(?:hello|hi|hey|good\s+(?:morning|afternoon|evening|day)|greetings|howdy)"
    r"(?:\s+(?:there|gob|you))?"
)
_HELP = re.compile(
    rf"\W*(?:{_GREETING}\W+)?(?:{_GREETING}|help(?:\s+me)?|/help|what\s+can\s+(?:you|i|gob)\s+(?:do|say|ask|try|help)"
    r"(?:\s+(?:for\s+me|here|you|with|me\s+with))*|who\s+are\s+you|what\s+are\s+you|how\s+does\s+(?:this|it)\s+work"
    r"|(?:what|which)\s+(?:tools|commands|instructions|helpers)\s+(?:do\s+you\s+(?:have|know|understand)|are\s+there|can\s+(?:you|i)\s+use|are\s+available|exist)"
    r"|(?:list|show|tell)\s+(?:me\s+)?(?:all\s+|your\s+|the\s+|available\s+|of\s+)*(?:tools|commands)|tools|commands|getting\s+started)\W*",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"\W*(?:(?:many\s+|ok(?:ay)?\W+|great\W+|perfect\W+)*(?:thanks|thank\s+you|thx|cheers|ty)"
    r"(?:\s+(?:a\s+lot|so\s+much|very\s+much|gob|again|for\s+(?:that|this|your\s+help|the\s+help)))*)\W*",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\W*(?:(?:what\s+(?:does|is|about)|how\s+(?:do|can|should|would)\s+(?:i|you|one)\s+(?:use|call|run|invoke)|how\s+does"
    r"|explain|describe|tell\s+me\s+about|help(?:\s+(?:me\s+)?(?:with|on|about))?|show\s+help\s+for|man|usage\s+of|how\s+to\s+(?:use|call|run))\s+)"
    r"(?:the\s+)?(?:tool\s+)?[`'\"]?/?(?P<name>[A-Za-z]\w*)[`'\"]?(?:\s+tool)?(?:\s+(?:do|work|for|mean|take|need|expect))*\W*",
    re.IGNORECASE,
)
_SAMPLES = (
    ("calculate", "What is 12% of 300?"),
    ("unit_convert", "Convert 10 km to miles"),
    ("date_difference", "How many days until 2030-12-24?"),
    ("text_stats", 'Count the words in "the quick brown fox"'),
    ("files_list", "List the files"),
    ("remember", "Remember that the server room is on floor 3"),
    ("recall", "What do you remember about the server room?"),
    ("schedule_task", "Every weekday at 9 in Berlin list the files"),
    ("list_tasks", "What is scheduled?"),
    ("hash_text", 'Calculate 2+2, then hash "abc"'),
)


def talk(instruction: str, index: ToolIndex) -> str | None:
    """An answer that needs no tool: what there is to say, or how a tool is used."""
    if len(instruction) > 500 or not index.tools:
        return None
    if _HELP.fullmatch(instruction):
        return _help(index)
    if _THANKS.fullmatch(instruction):
        return "You are welcome."
    about = _ABOUT.fullmatch(instruction)
    if about is not None and (tool := index.named(about["name"])) is not None:
        return _card(tool)
    reminder = reminder_in(instruction)
    if reminder is not None:
        return f"Reminder: {reminder}."
    return None


def _help(index: ToolIndex) -> str:
    introduction = (
        "I am the offline planner: no language model is connected, so I carry out instructions "
        'that clearly mean one of my tools, several of them joined by "then".'
    )
    lines = [introduction]
    samples = [said for name, said in _SAMPLES if index.named(name) is not None]
    if index.colleagues is not None:
        samples.append(f"Ask {index.colleagues.first} to list the files")
    if samples:
        lines += ["Try:", *(f"- {said}" for said in samples)]
    lines.append(f"My tools are: {names_of([tool.spec for tool in index.tools])}.")
    lines.append(f'"What does {index.tools[0].spec.name} do?" tells more of one.')
    lines.append(CONNECT)
    return "\n".join(lines)


def _card(tool: ToolSpec) -> str:
    lines = [f"{tool.name}: {tool.description.strip().rstrip('.')}."]
    for each in parameters_of(tool):
        need = "" if each.required else " (optional)"
        choices = ", ".join(str(choice) for choice in each.choices)
        said = each.description.strip() or each.kind.value
        lines.append(f"- {each.name}{need}: {said}{f' One of {choices}.' if choices else ''}")
    lines.append(f"Try: {example_call(tool)}")
    return "\n".join(lines)
