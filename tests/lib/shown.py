"""What the documents show: their commands and outputs, and how to compare them with real ones."""

import re

CHANGING = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\.\d+\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "HEX"),
    (re.compile(r"\b0x[0-9a-f]{6,16}\b"), "ADDRESS"),
    (re.compile(r"\b\d{16,20}\b"), "NS"),
    (re.compile(r"\b(state|digest) [0-9a-f]{16}\b"), r"\1 HEX"),
    (re.compile(r", \d+\.\d\d s,"), ", N s,"),
    (re.compile(r"\b\d+/s\b"), "N/s"),
    (re.compile(r"\bcome back in \d+\.\d+ s"), "come back in N s"),
    (re.compile(r"\(in \d+ s\)"), "(in N s)"),
    (re.compile(r"\bat event \d+"), "at event N"),
    (re.compile(r" +\d+\.\d(?= |$)", re.MULTILINE), " N.N"),
    (re.compile(r"\bThread \d+"), "Thread N"),
    (re.compile(r"\bprocess \d+"), "process N"),
]
LEFT_OUT = "…"  # a line of its own: here the document leaves out some of the output


def normalised(lines):
    text = "\n".join(line.rstrip() for line in lines).strip()
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text


def blocks(text, language):
    """The contents of all ```language blocks."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def output_of(text, command):
    """The block that stands under the comment `<!-- output of COMMAND -->`, as lines."""
    found = re.search(rf"^<!-- output of {re.escape(command)} -->\n\n?```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, f"no output of {command} is shown"
    return found[1].splitlines()


def missing(shown, real):
    """The first piece of what is shown that is not in the real output, behind the piece before; None:
    all is there. Pieces are what stands between lines of LEFT_OUT."""
    at, real = 0, normalised(real)
    for piece in re.split(rf"^ *{LEFT_OUT}$", "\n".join(shown), flags=re.MULTILINE):
        piece = normalised(piece.splitlines())
        at = real.find(piece, at)
        if at < 0:
            return piece
        at += len(piece)
    return None


def same(shown, real):
    """Is the whole real output what is shown, but for what the document leaves out?"""
    if any(line.strip() == LEFT_OUT for line in shown):
        return missing(shown, real) is None
    return normalised(shown) == normalised(real)
