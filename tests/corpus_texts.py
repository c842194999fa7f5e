"""A small vocabulary and invented texts for tests of corpora."""

from __future__ import annotations

import random
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SUBJECTS = ["Metformin", "The old drug", "A low dose of aspirin", "Our new antibody", "The enzyme", "Daily walking"]
VERBS = ["lowered", "raised", "did not change", "predicted", "slowly restored", "was measured against"]
OBJECTS = ["blood pressure", "the risk of gout", "uric acid", "the number of cells", "survival", "the rate of relapse"]
ENDS = ["in mice", "in forty patients", "after six weeks", "in a small cohort", "when given early", "at both sites"]


def make_tokenizer(folder: Path, letters: str = "abcdefghijklmnopqrstuvwxyz0123456789.,-()[]<>") -> Path:
    """A folder with a tokenizer.json that knows letters and the commonest words here."""
    folder.mkdir(parents=True, exist_ok=True)
    words = sorted(
        {word.lower() for part in (SUBJECTS, VERBS, OBJECTS, ENDS) for text in part for word in text.split()}
    )
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    names += [word for word in words if len(word) > 1]
    tokenizer = Tokenizer(models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def sentence(generator: random.Random) -> str:
    """One of about 1,300,000 sentences."""
    parts = [generator.choice(choices) for choices in (SUBJECTS, VERBS, OBJECTS, ENDS)]
    return f"{' '.join(parts)} ({generator.choice('abcdefgh')}, n = {generator.randrange(1000)})."


def text(seed: int, sentences: int = 6) -> str:
    generator = random.Random(seed)
    return " ".join(sentence(generator) for _ in range(sentences))
