"""Numbers with a unit on the pages, and where each comes from."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.pages.blocks import PAGES

LOG = Path("docs/experiments.md")
# Written from stored runs or cells; tests of their own compute them anew.
GENERATED = {"results.md", "results-real.md", "speed.md"}
READ = [page for page in PAGES if page != LOG and page.name not in GENERATED]
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?"
_UNIT = (
    r"%|points?\b|m?s\b|(?:milli)?seconds?\b|minutes?\b|hours?\b|[GMKk]i?B\b|times\b|nats?\b"
    r"|(?:pairs|tokens|completions|verdicts)(?:/s| per second| a second)"
)
_PHRASE = re.compile(
    rf"(?<![\w.,:/\[-])(?P<numbers>(?:{_NUMBER}\s(?:to|and|or|against)\s)*{_NUMBER})\s(?P<unit>{_UNIT})"
)
# Between these marks README's table is written from stored runs.
_TABLE = re.compile(r"<!-- numbers from.*?end of numbers -->", re.DOTALL)
_LORA_INPUTS_AND_OUTPUTS = 2 * (1 + 1) + 2 * (1 + 0.5) + 3 * (1 + 2)  # of a layer, in widths
_LAYER_OF_WEIGHTS = 2 * 1 + 2 * 0.5 + 3 * 2  # in squared widths

Computed = Callable[[], str]
# Where numbers come from that no entry of the log has: page, number, and a file with a pattern that is in
# it, or what computes it. A setting of the project and a promise to the user are no measurements either.
SOURCES: tuple[tuple[str, str, tuple[str, str] | Computed], ...] = (
    # Promises: what was measured is less.
    ("README.md", "10", ("docs/experiments.md", r"in a fresh clone, two threads: .*\n.*182 s \(build 95, train 78\)")),
    ("README.md", "20", ("docs/experiments.md", r"in 18.5 minutes on the wall")),
    ("README.md", "40", ("docs/experiments.md", r"took 40 and 32 minutes of training and 9 of measuring")),
    ("README.md", "50", ("docs/experiments.md", r"took 40 and 32 minutes of training and 9 of measuring")),
    # One standard error of a share of one half among 256.
    ("grpo.md", "3", lambda: f"{100 * 0.5 / 256**0.5:.0f}"),
    ("hallucination.md", "60", ("callbacks/loop/blind_probes.py", r"masked_share: float = 0\.6,")),
    ("metrics.md", "60", ("callbacks/loop/blind_probes.py", r"masked_share: float = 0\.6,")),
    # Rows of the memory tables, which tests/experiments/test_memory.py computes.
    ("scaling.md", "76.8", ("docs/scaling.md", r"38\.392B \| 76\.8 GB")),
    ("scaling.md", "3.2", ("docs/scaling.md", r"76\.8 GB \| 256 KiB \| 3\.2 GB")),
    ("scaling.md", "16.6", ("docs/scaling.md", r"8\.292B \| 16\.6 GB")),
    ("scaling.md", "0.7", ("docs/scaling.md", r"16\.6 GB \| 56 KiB \| 0\.7 GB")),
    ("scaling.md", "7.5", ("docs/scaling.md", r"3\.755B \| 7\.5 GB")),
    ("scaling.md", "0.4", ("docs/scaling.md", r"7\.5 GB \| 36 KiB \| 0\.4 GB")),
    ("scaling.md", "256", ("docs/scaling.md", r"76\.8 GB \| 256 KiB")),
    ("scaling.md", "56", ("docs/scaling.md", r"16\.6 GB \| 56 KiB")),
    ("scaling.md", "36", ("docs/scaling.md", r"7\.5 GB \| 36 KiB")),
    ("faq.md", "32.6", ("docs/scaling.md", r"Qwen2\.5-VL-7B \| lora .* DDP .* 32\.6 \| fits")),
    (
        "faq.md",
        "31.6",
        ("docs/scaling.md", r"Qwen2\.5-VL-7B \| adapter \+ language model .* FSDP2 x 8 .* 31\.6 \| fits"),
    ),
    ("faq.md", "80", ("experiments/memory.py", r"CARD = 80 \* GB")),
    ("scaling.md", "80", ("experiments/memory.py", r"CARD = 80 \* GB")),
    ("scaling.md", "8", ("experiments/memory.py", r"RESERVE = 8 \* GB")),
    # Sums that follow from them.
    ("scaling.md", "101", lambda: f"{32 * 256 * 1024 * 12_032 / 1e9:.0f}"),
    ("scaling.md", "32", ("docs/scaling.md", r"engine\.max_rows: 32")),
    ("scaling.md", "68.5", lambda: f"{4 * 38.392 / 8 + (4 + 8) * 32.856 / 8:.1f}"),
    ("scaling.md", "24.6", lambda: f"{93.1 - 68.5:.1f}"),
    ("scaling.md", "34.2", lambda: f"{4 * 38.392 / 16 + (4 + 8) * 32.856 / 16:.1f}"),
    ("scaling.md", "13", lambda: f"{8 * 16.6 / 10:.0f}"),
    ("scaling.md", "358.3", lambda: f"{4 * 30 * _LAYER_OF_WEIGHTS * 576**2 / 1e6:.1f}"),
    ("scaling.md", "17.7", lambda: f"{4 * 30 * 16 * _LORA_INPUTS_AND_OUTPUTS * 576 / 1e6:.1f}"),
    # 1,500 tokens of prompt, groups of 8, completions of 500.
    ("scaling.md", "2.9", lambda: f"{8 * (1500 + 500) / (1500 + 8 * 500):.1f}"),
    # Given for an arithmetic on paper: what a GPU is assumed to reach.
    ("scaling.md", "40", ("docs/scaling.md", r"update, limited by arithmetic at 40 % \| .*\(0\.4 x 989e12\)")),
    ("scaling.md", "300", ("docs/scaling.md", r"On paper, not measured")),
    ("scaling.md", "90", ("tests/recipes/test_twins.py", r"changed\(learning=True\) >= 0\.9")),
    ("scaling.md", "1e-4", ("tests/rollouts/test_engine_contract.py", r"\.max\(\) < 1e-4")),
    ("scaling.md", "4.6", lambda: f"{265 / 57:.1f}"),  # GFLOP/s in the entry that it leads to
    ("security.md", "16", ("rollouts/vllm/guard/limits.py", r"header_bytes: int = 16 \* 2\*\*10")),
    ("security.md", "512", ("rollouts/vllm/guard/limits.py", r"policy_bytes: int = 512 \* 2\*\*20")),
    ("security.md", "4", ("rollouts/vllm/guard/limits.py", r"requests_bytes: int = 4 \* 2\*\*30")),
    ("security.md", "10", ("rollouts/vllm/guard/limits.py", r"header_s: float = 10\.0")),
    ("security.md", "120", ("rollouts/vllm/guard/limits.py", r"idle_s: float = 120\.0")),
    ("security.md", "100", ("rollouts/vllm/guard/limits.py", r"bytes_per_s: float = 100e3")),
    ("verifier.md", "75", lambda: f"{100 * 0.75:.0f}"),
    ("verifier.md", "0.03", ("rewards/answers/verifier.py", r"_FIRST_SECONDS = \(0\.03, 0\.3\)")),
    ("verifier.md", "0.3", ("rewards/answers/verifier.py", r"_FIRST_SECONDS = \(0\.03, 0\.3\)")),
    ("verifier.md", "97", ("tests/rewards/answers/test_labelled_pairs.py", r"len\(wrong\) <= 0\.03 \* len\(CASES\)")),
)


def measured(text: str) -> list[tuple[str, str]]:
    """The numbers of a text that have a unit, each with it."""
    plain = " ".join(re.sub(r"`[^`\n]*`", "", text).split())
    # A definition, of the one kind of interval that there is.
    plain = re.sub(r"\b95 % interval", "interval", plain)
    found: list[tuple[str, str]] = []
    for match in _PHRASE.finditer(plain):
        found += [(number, match["unit"]) for number in re.findall(_NUMBER, match["numbers"])]
    return found


def numbers(text: str) -> list[str]:
    """The same without their units."""
    return [number for number, _ in measured(text)]


def paragraphs(text: str) -> Iterator[str]:
    """The comments of a page's commands, then its paragraphs."""
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from re.findall(r"#\s(.*)", block)
    prose = _TABLE.sub("", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    yield from re.split(r"\n\s*\n", prose)


def untraced(page: Path, text: str) -> list[str]:
    """The numbers of a page that neither an entry of the log to which their paragraph leads has, nor ``SOURCES``."""
    known = {number for name, number, _ in SOURCES if name == page.name}
    found: list[str] = []
    for paragraph in paragraphs(text):
        anchors = re.findall(r"experiments\.md#([\w-]+)", paragraph)
        sentences = [sentence for anchor in anchors for sentence in log_sentences(anchor)]
        found += [
            number
            for number, unit in measured(paragraph)
            if number not in known and not any(_says(sentence, number, unit) for sentence in sentences)
        ]
    return found


@cache
def log_sentences(anchor: str) -> tuple[str, ...]:
    """The sentences and rows of tables of an entry of the log; none where there is no such entry."""
    entries = re.split(r"^## ", LOG.read_text(), flags=re.MULTILINE)
    (entry,) = [entry for entry in entries if _anchor(entry.partition("\n")[0]) == anchor] or [""]
    rows = re.findall(r"^\|.*", entry, re.MULTILINE)
    prose = " ".join(re.sub(r"^\|.*", "", entry, flags=re.MULTILINE).split())
    return (*rows, *re.split(r"(?<=[.:;])\s", prose))


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _says(sentence: str, number: str, unit: str) -> bool:
    """Whether a sentence of the log has a unit, and a number that is the one of the page when it is rounded alike."""
    plain = number.replace(",", "")
    digits = len(plain.partition(".")[2])
    logged = (float(found.replace(",", "")) for found in re.findall(rf"(?<![\w.,]){_NUMBER}(?!\w)", sentence))
    return re.search(rf"(?<!\w){unit}(?!\w)", sentence) is not None and any(
        round(each, digits) == float(plain) for each in logged
    )
