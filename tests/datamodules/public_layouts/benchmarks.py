"""Layouts of benchmarks of reasoning."""

from pathlib import Path

import pyarrow as pa

from tests.datamodules.public_layouts.pieces import IMAGE, Row, embedded, parquet

_TEXTS = pa.list_(pa.string())


def write_mathvista(folder: Path) -> None:
    """AI4Math/MathVista: a choice by its text, a decimal with its precision, an integer."""

    def row(pid: int, question: str, choices: list[str] | None, answer: str, kind: str, unit: str | None) -> Row:
        return {
            "pid": str(pid),
            "question": question,
            "image": f"images/{pid}.jpg",
            "decoded_image": embedded(60 + pid),
            "choices": choices,
            "unit": unit,
            "precision": 1.0 if kind == "float" else None,
            "answer": answer,
            "question_type": "multi_choice" if choices else "free_form",
            "answer_type": kind,
            "metadata": {"category": "math-targeted-vqa", "language": "english"},
            "query": f"Hint: Please answer.\nQuestion: {question}",
        }

    rows = [
        row(1, "Is it larger?", ["Yes", "No"], "No", "text", None),
        row(2, "How tall is it?", None, "1.2", "float", "m"),
        row(3, "How many are there?", None, "7", "integer", None),
    ]
    types = {"decoded_image": IMAGE, "choices": _TEXTS, "unit": pa.string(), "precision": pa.float64()}
    parquet(folder / "data" / "testmini-00000-of-00001.parquet", rows, **types)


def write_mathvision(folder: Path) -> None:
    """MathLLMs/MathVision: numbered marks, choices that are letters, texts, or none."""

    def row(number: int, question: str, options: list[str], answer: str) -> Row:
        return {
            "id": str(number),
            "question": question,
            "options": options,
            "image": f"images/{number}.jpg",
            "decoded_image": embedded(70 + number),
            "answer": answer,
            "solution": None,
            "level": 3,
            "subject": "combinatorics",
        }

    rows = [
        row(1, "Which picture fits?\n<image1>", ["A", "B", "C", "D", "E"], "D"),
        row(2, "How long is it?\n<image1>", ["$3$", "$4$", "$2\\pi$"], "C"),
        row(3, "How many cubes?\n<image1>", [], "12"),
    ]
    types = {"decoded_image": IMAGE, "options": _TEXTS, "solution": pa.string()}
    for split in ("test", "testmini"):
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows, **types)


def write_mmmu(folder: Path) -> None:
    """MMMU/MMMU: one folder for each subject, options as the text of a list, seven columns of images."""
    rows = [
        mmmu_row(
            "validation_Math_1", "<image 2> and <image 1>: which?", "['left', \"it's right\"]", "B", {1: 81, 2: 82}
        ),
        mmmu_row("validation_Math_2", "Which graph?", "['<image 1>', '<image 2>', 'none']", "A", {1: 83, 2: 84}),
        mmmu_row("validation_Math_3", "Read <image 1>.", "[]", "['26,000', '26000']", {1: 85}),
    ]
    for subject in ("Math", "Physics"):
        named = [{**row, "id": row["id"].replace("Math", subject)} for row in rows]
        parquet(folder / subject / "validation-00000-of-00001.parquet", named, **_mmmu_types())


def mmmu_row(name: str, question: str, options: str, answer: str, images: dict[int, int]) -> Row:
    """A row of MMMU; images are seeds by the number of their column."""
    return {
        "id": name,
        "question": question,
        "options": options,
        "explanation": "",
        **{f"image_{n}": embedded(images[n]) if n in images else None for n in range(1, 8)},
        "img_type": "['Plots and Charts']",
        "answer": answer,
        "topic_difficulty": "Medium",
        "question_type": "open" if options == "[]" else "multiple-choice",
        "subfield": "Calculus",
    }


def write_mmmu_pro(folder: Path) -> None:
    """MMMU/MMMU_Pro: its standard configuration and the one in which the question is in the picture."""
    rows = [
        mmmu_row("test_Math_1", "What does <image 1> show?", str([f"curve {n}" for n in range(10)]), "J", {1: 91}),
        mmmu_row("test_Math_2", "Choose.", "['<image 2>', '<image 1>']", "B", {1: 92, 2: 93}),
    ]
    parquet(folder / "standard (10 options)" / "test-00000-of-00001.parquet", rows, **_mmmu_types())
    vision = [
        {"id": f"test_Math_{n}", "image": embedded(94 + n), "options": "['3', '4']", "answer": "A", "subject": "Math"}
        for n in range(2)
    ]
    parquet(folder / "vision" / "test-00000-of-00001.parquet", vision, image=IMAGE)


def write_olympiadbench(folder: Path) -> None:
    """Hothan/OlympiadBench: lists of answers, a unit, a tolerance as text, a context."""

    def row(
        number: int, context: str | None, question: str, answers: list[str], unit: str | None, error: str | None
    ) -> Row:
        return {
            "id": number,
            "subfield": "Geometry",
            "context": context,
            "question": question,
            "solution": ["It follows."],
            "final_answer": answers,
            "is_multiple_answer": len(answers) > 1,
            "unit": unit,
            "answer_type": "Numerical",
            "error": error,
            **{f"image_{n}": embedded(100 + number) if n == 1 else None for n in range(1, 6)},
            "modality": "Multimodal",
            "difficulty": "Competition",
            "question_type": "Open-ended",
            "subject": "Math",
            "language": "English",
        }

    rows = [
        row(1, None, "See <image_1>. Find the area.", ["12"], "cm^2", "1e-1"),
        row(2, "A ball falls.", "How fast is it in <image_1>?", ["$3$", "$5$"], None, None),
    ]
    types: dict[str, pa.DataType] = {f"image_{n}": IMAGE for n in range(1, 6)}
    types |= {name: pa.string() for name in ("context", "unit", "error")}
    parquet(folder / "OE_MM_maths_en_COMP" / "OE_MM_maths_en_COMP.parquet", rows, **types)


def write_aime24(folder: Path) -> None:
    """HuggingFaceH4/aime_2024: no picture."""
    rows = [
        {
            "id": 60 + n,
            "problem": f"Let $a_{{{n}}} = {n}$. Find $a_{{{n}}} + 1$.",
            "solution": "Add.",
            "answer": f"{n + 1:03d}",
            "url": "https://example.org",
            "year": "2024",
        }
        for n in range(3)
    ]
    parquet(folder / "data" / "train-00000-of-00001.parquet", rows)


def _mmmu_types() -> dict[str, pa.DataType]:
    return {f"image_{n}": IMAGE for n in range(1, 8)}
