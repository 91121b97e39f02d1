"""Architecture of a backbone, as stored in a checkpoint's header."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from equate_srbench.backbone.features import n_features
from equate_srbench.expr.tokens.e2e_vocabulary import E2EVocabulary, float_tokens
from equate_srbench.expr.tokens.vocabulary import CompactVocabulary, Vocabulary


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """Architecture of a backbone; the defaults are the compact model's.

    Attributes
    ----------
    vocabulary : {"compact", "e2e"}
        Tokens of the decoder.
    n_words : int, default=0
        Size of the decoder's vocabulary; 0 takes it from ``vocabulary``.
    max_columns : int, default=10
        Largest number of input columns.
    input : {"numeric", "tokens"}
        Input of the embedder: a feature vector per point or, as in E2E, 3 tokens per number.
    max_points : int, default=200
        Largest number of rows in a bag.
    max_length : int, default=64
        Largest number of tokens of a formula, without start and end.
    n_positions : int, default=0
        Number of learned positions; 0 means ``max_length + 1``.
    dim, encoder_dim : int, default=256
        Widths of decoder and encoder.
    heads, encoder_heads : int, default=8
        Attention heads of decoder and encoder.
    decoder_layers, encoder_layers : int
        Depths (4 and 2).
    ffn_factor : int, default=4
        Width of the feed-forward layers relative to ``dim``.
    embedder_layers : int, default=1
        Hidden layers of the embedder.
    embedder_width : int, default=0
        Their width; 0 means ``encoder_dim`` for numeric input, 33 tokens' width for tokens.
    token_dim : int, default=64
        Width of E2E's float-token embedding (``emb_emb_dim``); only for input "tokens".
    eps : float, default=1e-12
        Of every layer norm.
    """

    vocabulary: Literal["compact", "e2e"] = "compact"
    n_words: int = 0
    max_columns: int = 10
    input: Literal["numeric", "tokens"] = "numeric"
    max_points: int = 200
    max_length: int = 64
    n_positions: int = 0
    dim: int = 256
    encoder_dim: int = 256
    heads: int = 8
    encoder_heads: int = 8
    decoder_layers: int = 4
    encoder_layers: int = 2
    ffn_factor: int = 4
    embedder_layers: int = 1
    embedder_width: int = 0
    token_dim: int = 64
    eps: float = 1e-12

    def __post_init__(self) -> None:
        if self.vocabulary not in ("compact", "e2e") or self.input not in ("numeric", "tokens"):
            raise ValueError(f"unknown vocabulary {self.vocabulary!r} or input {self.input!r}")
        for dim, heads in ((self.dim, self.heads), (self.encoder_dim, self.encoder_heads)):
            if heads < 1 or dim % heads:
                raise ValueError(f"width {dim} is not a multiple of {heads} heads")
        derived = {
            "n_words": self.n_words or len(self.make_vocabulary()),
            "n_positions": self.n_positions or self.max_length + 1,
            "embedder_width": self.embedder_width
            or (self.encoder_dim if self.input == "numeric" else self.point_width),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        if self.n_positions <= self.max_length:
            raise ValueError(f"{self.n_positions} positions for {self.max_length} tokens and start")

    @property
    def point_width(self) -> int:
        """Width of a point as the embedder's first linear layer sees it."""
        if self.input == "numeric":
            return n_features(self.max_columns)
        return 3 * (self.max_columns + 1) * self.token_dim

    @property
    def token_factor(self) -> int:
        """Length of a formula relative to the compact vocabulary.

        E2E needs three tokens per constant, and writes scale and offset everywhere.
        """
        return 1 if self.vocabulary == "compact" else 5

    @property
    def n_float_words(self) -> int:
        """Size of the encoder's vocabulary of float tokens."""
        return len(float_tokens().words)

    def make_vocabulary(self) -> Vocabulary:
        """The decoder's vocabulary."""
        if self.vocabulary == "compact":
            return CompactVocabulary(self.max_columns)
        return E2EVocabulary()

    @classmethod
    def e2e(cls, **sizes: Any) -> BackboneConfig:
        """Configuration of Meta's E2E release, with overrides."""
        release: dict[str, Any] = {
            "vocabulary": "e2e", "input": "tokens", "max_length": 200, "n_positions": 4096,
            "dim": 512, "encoder_dim": 512, "heads": 16, "encoder_heads": 16,
            "decoder_layers": 16, "encoder_layers": 4,
        }  # fmt: skip
        return cls(**(release | sizes))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable dictionary; inverse of ``BackboneConfig(**d)``."""
        return asdict(self)
