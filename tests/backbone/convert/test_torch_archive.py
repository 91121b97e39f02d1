"""Files of torch.save as data: hostile and damaged ones are refused, and nothing in them runs."""

import io
import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch

from equate_srbench.backbone.checkpoint import CheckpointError
from equate_srbench.backbone.convert.e2e_weights import convert
from equate_srbench.backbone.convert.pickle_reader import InertObject, Machine, TensorRef
from equate_srbench.backbone.convert.torch_archive import TorchFile

GLOBAL_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


def write(path, pickled, *, entries=(), root="m", **options):
    """A zip file as torch.save writes it, of any pickle."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(f"{root}/data.pkl", pickled)
        for name, data in entries:
            archive.writestr(name, data)
    return path


def dumps(value):
    """As torch.save pickles."""
    return pickle.dumps(value, protocol=2)


def program(*parts):
    """A pickle from its opcodes."""
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value):
    """Opcode of a string."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def storage(kind=b"ctorch\nFloatStorage\n", key="0", numel=4):
    """Opcodes of a storage."""
    number = b"\x8a\x08" + struct.pack("<q", numel)
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number + b"tQ"


def tensor(shape=b"K\x04\x85", stride=b"K\x01\x85", offset=b"K\x00", **of):
    """Opcodes of a tensor."""
    arguments = storage(**of) + offset + shape + stride + b"\x89}"
    return GLOBAL_TENSOR + b"(" + arguments + b"tR"


def run_opcodes(tmp_path, *parts, entries=()):
    """A file with this pickle."""
    return write(tmp_path / "evil.pt", program(*parts), entries=entries)


def patched(path, change):
    """The file with changed bytes."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def small(path, **options):
    """A true file of torch.save."""
    torch.save({"a": torch.arange(6.0).view(2, 3)}, path, **options)
    return path


CALLS = {
    "os_system": lambda canary: Calls(os.system, f"touch {canary}"),
    "in_a_state_dict": lambda canary: {"embedder": {"w": Calls(os.system, f"touch {canary}")}},
    "eval": lambda canary: Calls(eval, f"open({canary!r}, 'w')"),
    "exec": lambda canary: Calls(exec, f"open({canary!r}, 'w')"),
    "popen": lambda canary: Calls(subprocess.Popen, ["touch", canary]),
    "open": lambda canary: Calls(open, canary, "w"),
    "getattr_chain": lambda canary: Calls(
        getattr, Calls(__import__, "os"), Calls(getattr, "system", "lower")
    ),
    "getattr_called": lambda canary: Calls(
        list, Calls(map, Calls(getattr, Calls(__import__, "os"), "system"), [f"touch {canary}"])
    ),
    "path_write": lambda canary: Calls(Path.touch, Path(canary)),
    "torch_load": lambda canary: Calls(torch.load, canary),
    "pickle_in_pickle": lambda canary: Calls(
        pickle.loads, dumps(Calls(os.system, f"touch {canary}"))
    ),
    "as_module": lambda canary: {
        part: {"x.weight": Calls(os.system, f"touch {canary}")}
        for part in ("embedder", "encoder", "decoder")
    },
}


@pytest.mark.parametrize("name", CALLS)
def test__convert__pickle_that_calls__is_refused_and_nothing_runs(tmp_path, name):
    """Calls become inert things, and things are no weights."""
    canary, target = tmp_path / "canary", tmp_path / "out"
    path = write(tmp_path / "evil.pt", dumps(CALLS[name](str(canary))))
    with pytest.raises(CheckpointError, match=r"evil\.pt"):
        convert(path, target)
    assert not canary.exists()
    assert not target.exists()


@pytest.mark.parametrize("opcodes", [b"cos\nsystem\n(%bt\x81", b"cos\nsystem\n(%btR}b"])
def test__machine__calls_by_any_opcode__stay_things(tmp_path, opcodes):
    """NEWOBJ, REDUCE and BUILD alike."""
    canary = tmp_path / "canary"
    found = Machine(program(opcodes % text(f"touch {canary}"))).run()
    assert isinstance(found, InertObject)
    assert found.name == "os system"
    assert not canary.exists()


PROGRAMS = {
    "inst": b"(cos\nsystem\n" + text("x") + b"o",
    "old_inst": b"(" + text("x") + b"ios\nsystem\n",
    "extension": b"\x82\x01",
    "stack_global": text("os") + text("system") + b"\x93",
    "call_of_a_text": text("os.system") + b")R",
    "arguments_no_tuple": b"cos\nsystem\n]R",
    "foreign_persistent_id": b"(" + text("module") + text("os") + b"tQ",
    "persistent_text_id": b"Pstorage\n",
    "negative_storage": storage(numel=-1),
    "storage_of_a_text": b"(" + text("storage") + text("x") + text("0") + text("cpu") + b"K\x04tQ",
    "endless": b"N0" * 1_000_000,
    "marks": b"(" * 1_000_000,
    "lists": b"]" * 1_000_000,
    "underflow": b"0",
    "tuple_of_nothing": b"\x87",
    "memo_not_there": b"j\xff\xff\xff\xff",
    "text_of_4_gb": b"X\xff\xff\xff\xff",
    "text_no_utf8": b"X\x02\x00\x00\x00\xc3\x28",
    "name_no_utf8": b"c\xff\xfe\nx\n",
    "name_without_end": b"c" + b"a" * 10_000,
    "bytearray_of_1_eb": b"\x96" + b"\xff" * 7 + b"\x0f",
    "long_of_2_gb": b"\x8b\xff\xff\xff\x7f",
    "decimal_bomb": b"I" + b"9" * 100_000 + b"\n",
    "append_to_a_number": b"K\x01Na",
    "item_of_a_number": b"K\x01NNs",
    "odd_items": b"}(Nu",
    "newer_protocol": b"\x80\x05N",
    "empty": b"",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test__convert__pickle_that_is_none__is_refused(tmp_path, name):
    """Opcodes that torch.save does not write, and abuse of stack and memory."""
    with pytest.raises(CheckpointError, match="damaged"):
        convert(run_opcodes(tmp_path, PROGRAMS[name]), tmp_path / "out")


def test__convert__memo_of_four_billion_places__takes_none(tmp_path):
    """The C unpickler would allocate 64 GB."""
    with pytest.raises(CheckpointError, match="neither a model"):
        convert(run_opcodes(tmp_path, b"Nr\xff\xff\xff\xff"), tmp_path / "out")


@pytest.mark.parametrize("opcodes", [b")" + b"\x85" * 400_000, b"]" * 200_000 + b"a" * 199_999])
def test__machine__deeply_nested__comes_and_goes(opcodes):
    """No recursion, neither to build it nor to forget it."""
    Machine(program(opcodes)).run()


def test__machine__key_that_takes_forever_to_hash__goes_by_identity():
    """Sixty doublings of a tuple have 2**60 leaves."""
    doubled = b")" + b"q\x00h\x00\x86" * 60
    found = Machine(program(b"}" + doubled + b"Ns")).run()
    assert [type(key) for key in found] == [InertObject]


@pytest.mark.parametrize(
    ("opcodes", "entries", "message"),
    [
        (tensor(), [], "missing entry"),
        (tensor(), [("m/data/0", b"\0" * 15)], "15 bytes, its tensor says 16"),
        (tensor(numel=2**39), [("m/data/0", b"\0" * 16)], "its tensor says"),
        (tensor(kind=b"ctorch\nDoubleStorage\n"), [("m/data/0", b"\0" * 16)], "tensor says 32"),
        (tensor(kind=b"ctorch\nIntStorage\n"), [("m/data/0", b"\0" * 16)], "numbers of type"),
        (tensor(kind=b"cos\nsystem\n"), [("m/data/0", b"\0" * 16)], "numbers of type"),
        (tensor(shape=b"K\x05\x85"), [("m/data/0", b"\0" * 16)], "shape"),
        (tensor(offset=b"K\x01"), [("m/data/0", b"\0" * 16)], "shape"),
        (tensor(stride=b"K\x02\x85"), [("m/data/0", b"\0" * 16)], "shape"),
        (tensor(shape=b"K\x00\x85"), [("m/data/0", b"\0" * 16)], "shape"),
        (tensor(shape=b"M\xff\xff\x85", stride=b"K\x00\x85"), [("m/data/0", b"\0" * 16)], "shape"),
        (tensor(key="../../secret"), [("m/data/0", b"\0" * 16)], "missing entry"),
    ],
)
def test__read__tensor_that_does_not_fit_its_storage__is_refused(
    tmp_path, opcodes, entries, message
):
    """Missing, short, of another type, or looking beyond the end."""
    with (
        TorchFile(run_opcodes(tmp_path, opcodes, entries=entries)) as file,
        pytest.raises(CheckpointError, match=message),
    ):
        file.read(file.root)


@pytest.mark.parametrize(
    "opcodes",
    [
        tensor(stride=b"J\xff\xff\xff\xff\x85"),
        tensor(offset=b"J\xff\xff\xff\xff"),
        tensor(shape=b"K\x02K\x02\x86"),
        tensor(shape=text("4") + b"\x85"),
        tensor(shape=b"\x88\x85"),
        tensor(shape=b"(" + b"K\x01" * 9 + b"t", stride=b"(" + b"K\x01" * 9 + b"t"),
        GLOBAL_TENSOR + b")R",
    ],
)
def test__machine__tensor_that_is_none__is_refused(opcodes):
    """Before any storage is looked for."""
    with pytest.raises(ValueError, match="invalid tensor"):
        Machine(program(opcodes)).run()


def test__open__compressed_bomb__is_refused(tmp_path):
    """20 MB in 20 kB: torch.save compresses nothing."""
    bomb = [("m/data/0", b"\0" * 20_000_000)]
    path = write(
        tmp_path / "bomb.pt", program(tensor()), entries=bomb, compression=zipfile.ZIP_DEFLATED
    )
    assert path.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="compressed"):
        convert(path, tmp_path / "out")


def test__open__nested_bomb__stays_closed(tmp_path):
    """A bomb as the pickle, and one as a storage."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(CheckpointError, match="damaged"):
        convert(write(tmp_path / "a.pt", inner.getvalue()), tmp_path / "out")
    nested = write(tmp_path / "b.pt", program(tensor()), entries=[("m/data/0", inner.getvalue())])
    with TorchFile(nested) as file, pytest.raises(CheckpointError, match="its tensor says"):
        file.read(file.root)


@pytest.mark.parametrize(
    "name",
    ["../data/0", "m/../../etc/x", "/etc/passwd", "m/..\\x", "other/data/0", "m/data.pkl", "x"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test__open__entry_that_does_not_belong_there__is_refused(tmp_path, name):
    """Paths that climb, absolute ones, foreign folders, second copies."""
    path = write(tmp_path / "x.pt", program(b"N"), entries=[(name, b"\0")])
    with pytest.raises(CheckpointError, match="unexpected entry"):
        TorchFile(path)


def test__open__entry_name_no_utf8__is_refused(tmp_path):
    """A name that says it is UTF-8."""
    path = write(tmp_path / "x.pt", program(b"N"), entries=[("m/äb", b"\0")])
    raw = "m/äb".encode()
    path.write_bytes(path.read_bytes().replace(raw, b"m/\xff\xfeb"))
    with pytest.raises(CheckpointError, match="damaged"):
        TorchFile(path)


def test__open__entries_on_top_of_each_other__are_refused(tmp_path):
    """Many entries that are all one piece of the file."""
    path = write(tmp_path / "x.pt", program(b"N"), entries=[(f"m/data/{i}", b"\0" * 5000)
                                                           for i in range(3)])  # fmt: skip

    def grow(data):
        at = 0
        while (at := data.find(b"PK\1\2", at)) >= 0:
            data[at + 20 : at + 28] = struct.pack("<II", 10_000, 10_000)
            at += 4

    with pytest.raises(CheckpointError, match="larger than the file"):
        TorchFile(patched(path, grow))


def test__open__entry_of_a_terabyte__is_refused(tmp_path):
    """An oversize entry is refused by what it says, not by trying."""
    path = small(tmp_path / "x.pt")

    def grow(data):
        at = data.find(b"PK\1\2")
        data[at + 24 : at + 28] = b"\xfe\xff\xff\xff"

    with pytest.raises(CheckpointError, match="larger than the file"):
        TorchFile(patched(path, grow))


def test__open__directory_of_a_trillion_entries__is_refused(tmp_path):
    """In both places where the count can stand."""
    path = small(tmp_path / "x.pt")

    def grow(data):
        at = data.find(b"PK\6\6")
        assert at > 0
        data[at + 32 : at + 40] = struct.pack("<Q", 10**12)

    with pytest.raises(CheckpointError, match="entries, at most"):
        TorchFile(patched(path, grow))
    plain = write(
        tmp_path / "y.pt", program(b"N"), entries=[(f"m/{i}", b"") for i in range(30_000)]
    )
    with pytest.raises(CheckpointError, match="entries, at most"):
        TorchFile(plain)


def test__open__encrypted_entry__is_refused(tmp_path):
    """Nobody encrypts weights."""
    path = write(tmp_path / "x.pt", program(b"N"))

    def lock(data):
        data[data.find(b"PK\1\2") + 8] |= 1

    with pytest.raises(CheckpointError, match="encrypted"):
        TorchFile(patched(path, lock))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99])
def test__open__truncated__is_refused(tmp_path, share):
    """A download that stopped."""
    path = small(tmp_path / "x.pt")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError):
        TorchFile(path)


def test__read__byte_flipped_in_a_storage__is_refused(tmp_path):
    """The archive's own checksums are looked at."""
    path = small(tmp_path / "x.pt")
    weights = torch.arange(6.0).numpy().tobytes()

    def flip(data):
        data[data.find(weights) + 5] ^= 4

    with TorchFile(patched(path, flip)) as file, pytest.raises(CheckpointError, match="CRC"):
        file.read(file.root["a"])


def test__open__legacy_format__says_what_to_do(tmp_path):
    """The format of torch before 1.6 is a chain of pickles."""
    path = small(tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="legacy"):
        TorchFile(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
        (b"\x80\x02cos\nsystem\n", "no zip archive"),
    ],
)
def test__open__other_files__are_named(tmp_path, content, message):
    """What people have instead of the weights."""
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        TorchFile(path)


def test__open__no_pickle__is_refused(tmp_path):
    """Any other zip archive."""
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/readme", "hello")
    with pytest.raises(CheckpointError, match=r"missing entry 'data\.pkl'"):
        TorchFile(path)


def test__read__big_endian__is_refused(tmp_path):
    """Its numbers would be others."""
    path = write(tmp_path / "x.pt", program(b"N"), entries=[("m/byteorder", b"big")])
    with pytest.raises(CheckpointError, match="big-endian"):
        TorchFile(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test__read__what_torch_saved__comes_back(tmp_path, dtype):
    """Values, views into shared storages, and plain data."""
    base = torch.arange(12.0, dtype=dtype).view(3, 4)
    saved = {"t": base.t(), "row": base[1], "same": base, "n": 3, "text": ["a", None, (1.5, True)]}
    torch.save(saved, tmp_path / "x.pt")
    with TorchFile(tmp_path / "x.pt") as file:
        root = file.root
        assert isinstance(root["t"], TensorRef)
        for name in ("t", "row", "same"):
            assert torch.equal(file.read(root[name]), saved[name])
        assert (root["n"], root["text"]) == (3, saved["text"])


def test__read__storage_from_a_gpu__comes_to_the_cpu(tmp_path):
    """The device in the file is where it was written."""
    opcodes = tensor().replace(text("cpu"), text("cuda:0"))
    path = run_opcodes(tmp_path, opcodes, entries=[("m/data/0", struct.pack("<4f", 1, 2, 3, 4))])
    with TorchFile(path) as file:
        assert file.read(file.root).tolist() == [1.0, 2.0, 3.0, 4.0]
