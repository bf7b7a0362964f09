#!/usr/bin/env python3
"""Verifies an onegate audit log as audit-format.md describes it. Needs Python 3.11, and pyarrow where files are sealed.

--key         the key to trust, name+hash+base64 or a file that holds it: any that the log has had. Without it the
              first key is the log's own word: whoever can write the files can write another log with another key.
--checkpoint  checkpoints that were kept elsewhere: each must be in the log, byte for byte. Without them
              nobody can tell that the log was cut at its end, or written anew with the same key.

Prints problems of the manifest and each boot's first one as FILE:LINE: TEXT, notes, and last a summary. A sealed file's
LINE is that of the lines that it gives back. Exits with 0 when all is well, 1 when not, 2 when it cannot check.
"""
import argparse
import base64
import contextlib
import functools
import hashlib
import io
import itertools
import json
import os
import re
import sys
import uuid
from datetime import datetime, timedelta

FILE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}-([0-9]{6}|[1-9][0-9]{6,})\.(jsonl|parquet)")
KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([0-9A-Za-z+/]{44})")
NOTE = re.compile("((?:[^\n]+\n)+)\n((?:\u2014 [^ \n]+ [^ \n]+\n)+)")
KEPT = re.compile(f"\n*({NOTE.pattern})\n*")
IN_JSON = re.compile(r'\{"checkpoint":.*\}')
WHEN = re.compile(r"time [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z\n"
                  "cause (interval|segment|reload|stop|crash)")
JSON = json.JSONDecoder(parse_constant=int)  # `int` refuses NaN and Infinity
FINAL = ["cause stop", "cause crash"]
RECORDED = ["cause interval", "cause segment"]
STATEMENTS = {  # how the first line of a statement ends, and what the others begin with
    "sealed": "sealed file lines records times sealed time",
    "deleted": "deleted before leaf files records last retention time",
    "handover": "key from to file deleted-before time",
}


class Problem(ValueError):
    """What is wrong. Where it is, is known to whoever catches it."""


def need(fact, otherwise):
    if not fact:
        raise Problem(otherwise)


# Ed25519: RFC 8032, 5.1. A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def decode_point(data):
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if x * x % P != x2:
        x = x * pow(2, (P - 1) // 4, P) % P
    need(y < P and x * x % P == x2 and (x, sign) != (0, 1), "the key is no point of the curve")
    x = x if x % 2 == sign else P - x
    return (x, y, 1, x * y % P)


def encode_point(p):
    inverse = pow(p[2], -1, P)
    return (p[0] * inverse % P % 2 * 2**255 + p[1] * inverse % P).to_bytes(32, "little")


def multiples(point):
    """Row i holds 0 to 15 times 16**i * point, so that a product is one sum per hexadecimal digit."""
    rows = []
    for _ in range(64):
        rows.append(list(itertools.accumulate([point] * 15, add, initial=(0, 1, 1, 0))))
        point = add(rows[-1][-1], point)
    return rows


def multiply(rows, number):
    return functools.reduce(add, [row[number >> 4 * i & 15] for i, row in enumerate(rows)])


BASE = multiples(decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")))


class Key:
    def __init__(self, text):
        match = KEY.fullmatch(str(text))
        need(match, "the key is not of the form name+hash+base64")
        data = base64.b64decode(match[3])
        self.text, self.name, self.public = text, match[1], data[1:]
        self.id = sha256(self.name.encode(), b"\n", data)[:4]
        need(data[0] == 1 and self.id.hex() == match[2], "the key's hash is wrong, or it is none of Ed25519")
        x, y, z, t = decode_point(self.public)
        self.minus = multiples((P - x, y, z, P - t))

    def signed(self, message, signature):
        """Whether s * B - h * key = R. To compare encodings accepts of R the canonical one only."""
        r, s = signature[:32], int.from_bytes(signature[32:], "little")
        h = int.from_bytes(hashlib.sha512(r + self.public + message).digest(), "little") % L
        if len(signature) != 64 or s >= L:
            return False
        return encode_point(add(multiply(BASE, s), multiply(self.minus, h))) == r


def open_note(note, *signers):
    """The lines of a note that has one signature for each of `signers`, by one of the keys in it."""
    match = NOTE.fullmatch(note)
    need(match and match[2].count("\n") == len(signers), f"this is no note with {len(signers)} signatures")
    for line, keys in zip(match[2].splitlines(), signers):
        _, name, encoded = line.split(" ")
        signature = base64.b64decode(encoded)
        need(base64.b64encode(signature).decode() == encoded, "the signature is not standard base64")
        key = next((key for key in keys if (key.name, key.id) == (name, signature[:4])), None)
        need(key, "another key signed this")
        need(key.signed(match[1].encode(), signature[4:]), "the signature is wrong")
    return match[1].split("\n")[:-1]


def read_statement(kind, note):
    """What a statement says, by the first word of each line. Its signatures are not checked."""
    origin, *lines = str(note).partition("\n\n")[0].split("\n")
    said = dict(line.partition(" ")[::2] for line in lines)
    words = [origin.rpartition("/")[2]] + [line.partition(" ")[0] for line in lines]
    need(origin.startswith("onegate.dev/audit/") and " ".join(words) == STATEMENTS.get(kind)
         and FILE.fullmatch(said.get("file") or said["before"]), "this is no statement of the format")
    return said


def moment(text):
    return datetime.fromisoformat(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def append_leaf(peaks, size, leaf):
    """Keeps the roots of the perfect trees (RFC 6962) over `size` leaves, the largest first."""
    while size % 2 == 1:  # two trees of one size are one of twice the size
        leaf, size = sha256(b"\x01", peaks.pop(), leaf), size // 2
    peaks.append(leaf)


def root_of(peaks):
    return functools.reduce(lambda root, peak: sha256(b"\x01", peak, root), reversed(peaks or [sha256()]))


def parse(line):
    try:
        value = JSON.decode(line.decode())
    except (ValueError, RecursionError):
        raise Problem("the line is not JSON in UTF-8") from None
    need(value and isinstance(value, dict) and line[:1] + line[-1:] == b"{}", "the line is not a JSON object")
    return value


def expect(found, expected):
    for key, value in expected.items():
        if type(found.get(key)) is not type(value) or found.get(key) != value:
            raise Problem(f"`{key}` is {found.get(key)!a:.110}, and should be {value!a:.110}")
    need(found.keys() == expected.keys(), "the line has not the keys of the format")


# How values of a sealed file stand in a line, by physical type, length and logical type of their column.
ESCAPED = {code: f"\\u{code:04x}" for code in [*range(32), 127]} | str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
IN_LINES = {
    "INT64 0 None": str,
    "INT64 0 Timestamp(isAdjustedToUTC=true, timeUnit=microseconds": lambda number:
        f'"{(datetime(1970, 1, 1) + timedelta(microseconds=number)).isoformat(timespec="microseconds")}Z"',
    "FIXED_LEN_BYTE_ARRAY 16 UUID": lambda data: f'"{uuid.UUID(bytes=data)}"',
    "FIXED_LEN_BYTE_ARRAY 16 None": lambda data: f'"{data.hex()}"',
    "BYTE_ARRAY 0 String": lambda text: f'"{text.translate(ESCAPED)}"',
    "BYTE_ARRAY 0 JSON": str,
}


def unseal(path):
    """The lines that a sealed file gives back."""
    from pyarrow import ExtensionArray, parquet  # needed here only
    try:
        file = parquet.ParquetFile(path)
        columns = [file.schema.column(i) for i in range(len(file.schema))]
        kinds = [f"{column.physical_type} {column.length} {column.logical_type}" for column in columns]
        writers = [IN_LINES[kind.partition(", is_from")[0]] for kind in kinds]
        begin, length = (file.metadata.metadata[key] for key in [b"onegate.begin", b"onegate.bytes"])
        left = int(length) - len(begin)
        yield from io.BytesIO(begin)
        for rows in file.iter_batches(batch_size=4096, use_threads=False):
            arrays = [array.storage if isinstance(array, ExtensionArray) else array for array in rows.columns]
            lines = "".join(rows_in_lines(columns, writers, arrays)).encode()
            yield from io.BytesIO(lines)
            left -= len(lines)
        need(left == 0, f"it gives back {-left} bytes more than it says")
    except Exception as error:  # whatever the package says of a damaged file
        raise Problem(f"this is no whole sealed file: {error!a:.200}") from None


def rows_in_lines(columns, writers, arrays):
    fields, special = [[""] * len(arrays[0])], {"line": itertools.repeat(None), "proof": itertools.repeat(None)}
    for column, write, array in zip(columns, writers, arrays, strict=True):
        values = (array.cast("int64") if column.physical_type == "INT64" else array).to_pylist()
        if column.name in special:
            special[column.name] = values
        elif array.null_count < len(array):
            fields.append(["" if value is None else f'"{column.name}":{write(value)}' for value in values])
    for row, line, proof in zip(zip(*fields), special["line"], special["proof"]):
        yield (f"{{{','.join(filter(None, row))}}}" if line is None else line) + "\n" + (proof or "")


class Boot:
    """One boot, checked line by line. `before` is what is known of the boot before it."""
    def __init__(self, log, name, files, before, is_last):
        self.log, self.name, self.files, self.before, self.is_last = log, name, files, before, is_last
        self.file, self.line, self.number = files[0], 1, 0
        self.peaks, self.size, self.chain, self.batch, self.seq = [], 0, bytes(32), [], 0
        self.totals, self.signed = {"allowed": 0, "denied": 0}, 0  # `signed`: leaves under a checkpoint
        self.node = self.cause = self.key = None  # `cause`: of the last line, if it is a checkpoint

    def check(self):
        first = order(self.files[0])[1] if self.files[0] == self.log.begin else 1
        for self.number, self.file in enumerate(self.files, first):
            self.line = 1
            self.log.check_sealed(self.file)
            if order(self.file)[1] != self.number:
                self.file = f"{self.name}-{self.number:06}.jsonl"
                raise Problem("this file is missing")
            self.check_file()
        if self.batch:
            self.unfinished(f"the last {len(self.batch)} lines are not committed yet")
        if self.cause not in FINAL:
            self.log.running = self.name
            self.unfinished("the boot does not end with a final checkpoint (it runs, or was killed): "
                            f"{self.signed} of its {self.size} leaves are signed")

    def unfinished(self, what):
        """What is no problem at the end of the whole log, and only there."""
        need(self.is_last and self.file == self.files[-1], what)
        print(f"note: {self.file}: {what}")

    def check_file(self):
        raw, self.held, self.times = b"", 0, []  # the file's records, and the times of the earliest and the latest
        for raw in self.log.lines(self.file):
            need(self.cause not in FINAL, "a line after the boot's final checkpoint")
            if raw.endswith(b"\n"):
                self.check_line(raw[:-1])
            else:
                self.unfinished("the last line has no end")
            self.line += 1
        self.line = max(self.line - 1, 1)
        if not raw:
            self.unfinished("the file is empty")
        said = self.log.sealed.get(order(self.file))
        if self.file.endswith(".parquet") and said:
            holds = (str(self.held), " ".join(self.times) or "none")
            if holds != (said["records"], said["times"]):
                self.log.problem("manifest.jsonl", said["at"], "the file has other records than this statement says")

    def check_line(self, line):
        value = parse(line)
        kind = next(iter(value))
        checks = {"v": self.check_record, "segment": self.check_segment,
                  "commit": self.check_commit, "checkpoint": self.check_checkpoint}
        content = value if kind == "v" else value[kind]
        need(kind in checks and (kind == "v" or len(value) == 1)
             and type(content) is (str if kind == "checkpoint" else dict), "the line is of no known kind")
        need((kind == "segment") == (self.line == 1), "a segment line is the first of each file, no other is")
        self.cause = None
        checks[kind](content)
        if kind in ("v", "segment"):
            self.batch.append(sha256(b"\x00", line))
            append_leaf(self.peaks, self.size, self.batch[-1])
            self.size += 1

    def check_segment(self, found):
        if self.batch:  # the file before failed: its last lines are committed by this line's chain
            self.extend_chain()
        if self.file == self.log.begin:  # its leaf takes the place of all that was before it
            self.seq, self.size, self.totals = found["seq"], found["size"], {key: found[key] for key in self.totals}
            self.chain, self.peaks = bytes.fromhex(found["chain"]), [bytes.fromhex(peak) for peak in found["peaks"]]
            self.log.deleted_until = (self.name, self.size)
        self.node = self.node or str(found.get("node"))
        self.key = self.log.key_of(self.file)
        if self.file in self.log.bad_handovers:
            raise self.log.bad_handovers.pop(self.file)
        since, handover = found.get("open_since"), {key: found[key] for key in ["handover"] if key in found}
        expect(found, {
            "v": 1, "node": self.node, "boot": self.name[17:], "number": self.number, "seq": self.seq,
            "size": self.size, "peaks": [peak.hex() for peak in self.peaks], "chain": self.chain.hex(), **self.totals,
            "open_since": since, "previous": found.get("previous"), "key": self.key.text, **handover})
        need(since is None or type(since) is int and since > 0, "`open_since` is no number of a file")
        need(not handover or [*found][-1] == "handover", "`handover` is not the last key")
        self.check_previous(found["previous"])

    def check_previous(self, found):
        if self.number > 1:
            need(found is None, "`previous` in a file that is not the first of its boot")
        elif self.before:
            need(self.before["file"][:16] != self.name[:16], "the boot before this one has the same start")
            need(isinstance(found, dict), f"`previous` names no boot, but the last one ends with {self.before['file']}")
            # Of a boot that has a problem no more is known: the rest is then taken as it is.
            expect(found, {"file": None, "size": found.get("size"), "root": found.get("root")} | self.before)
        elif found is not None and self.file != self.log.begin:
            need(not self.log.unproven, "`previous` is not null after boots without a proof")
            need(isinstance(found, dict) and FILE.fullmatch(str(found.get("file"))), "`previous` names no such file")
            print(f"note: the log begins after {found['file']}")

    def check_record(self, found):
        common = {key: found.get(key) for key in ["v", "seq", "node", "boot"]}
        expect(common, {"v": 1, "seq": self.seq + 1, "node": self.node, "boot": self.name[17:]})
        call, is_open = str(found.get("id")), found.get("entry") == "open"
        if is_open:
            self.log.open[call] = (self.name, self.file, self.line)
        else:
            self.log.open.pop(call, None)
        if found.get("surface") != "admin" and not is_open:
            need(found.get("decision") in ["allowed", "denied"], "the request is neither allowed nor denied")
            count = found.get("count", 1)
            need(type(count) is int and 0 < count < 2**64, "the count of calls is no number")
            self.totals[found["decision"]] += count
        self.seq, self.held = self.seq + 1, self.held + 1
        times = [*self.times, str(found.get("time"))]
        self.times = [min(times), max(times)]
        self.log.records += 1

    def extend_chain(self):
        self.chain = sha256(b"\x02", self.chain, len(self.batch).to_bytes(8, "big"), *self.batch)
        self.batch = []

    def check_commit(self, found):
        count, leaves = len(self.batch), "".join(leaf.hex()[:8] for leaf in self.batch)
        need(count > 0, "a commit line with no record or segment line since the one before")
        self.extend_chain()
        said = str(found.get("leaves"))
        if found.get("chain") != self.chain.hex() and len(said) == len(leaves) and said != leaves:
            equal = len(os.path.commonprefix([said, leaves])) // 8  # the leaves before the first that differs
            self.line -= count - equal
            raise Problem(f"the line was changed, or line {self.line + count - equal} that commits it")
        expect(found, {"seq": self.seq, "size": self.size, "leaves": leaves, "chain": self.chain.hex()})

    def check_checkpoint(self, note):
        need(not self.batch, "a checkpoint while the lines before it are not committed")
        lines = open_note(note, [self.key])
        need(len(lines) == 9, "the checkpoint has not nine lines")
        root, chain = base64.b64encode(root_of(self.peaks)), base64.b64encode(self.chain)
        computed = [
            f"onegate.dev/audit/{self.node}/{self.name}", f"{self.size}", root.decode(),
            f"chain {chain.decode()}", f"seq {self.seq}", lines[5], lines[6],
            f"allowed {self.totals['allowed']}", f"denied {self.totals['denied']}"]
        for found, value in zip(lines, computed):
            need(found == value, f"the checkpoint says {found!a:.120}, and should say {value!a:.120}")
        need(WHEN.fullmatch("\n".join(lines[5:7])), "the checkpoint's time or cause is not of the format")
        self.signed, self.cause = self.size, lines[6]
        self.log.checkpoints += 1
        if note in self.log.kept:
            self.log.found.add(note)


def order(file):
    """Files sort by the start of their boot, and by their number in it."""
    return file[:25], int(file.partition(".")[0][26:])


class Log:
    def __init__(self, directory):
        self.directory = directory
        names = sorted(filter(FILE.fullmatch, os.listdir(directory)), reverse=True)
        self.files = sorted({order(name): name for name in names}.values(), key=order)  # .jsonl before .parquet
        self.keys, self.bad_handovers = [], {}  # keys, each with its first file; what is wrong with a file's handover
        self.handed = []  # of each key but the last: the key, and the file before which all were deleted by then
        self.sealed = {}  # of each file that was sealed, what it says: size and hash of its lines and of its sealed form
        self.begin, self.deleted_until = None, ("", 0)  # the file before which others were deleted; its boot and size
        self.kept, self.found = {}, set()  # checkpoints: those kept elsewhere, and those of them in the log
        self.problems = self.records = self.checkpoints = 0
        self.open = {}  # calls that had not ended, by id: their boot, file and line
        self.running = None  # the last boot, if it has no end
        self.unproven = False  # whether boots without any proof come first

    def lines(self, file):
        path = os.path.join(self.directory, file)
        if file.endswith(".parquet"):
            yield from unseal(path)
        else:
            with open(path, "rb") as lines:
                yield from lines

    def first_line(self, file):
        with contextlib.suppress(ValueError, OSError):  # which are named when the file is checked
            return next(self.lines(file), b"").removesuffix(b"\n")
        return b""

    def problem(self, file, line, what):
        print(f"{file}:{line}: {what}")
        self.problems += 1

    @contextlib.contextmanager
    def problems_at(self, file, line):
        try:
            yield
        except (ValueError, TypeError, OSError) as problem:
            self.problem(file, line, problem)

    def read_kept(self, path):
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            text = file.read()
        name, end, line = os.path.basename(path), 0, 1
        for number, at in enumerate(map(IN_JSON.search, text.split("\n")), 1):
            if at:  # as the log has it, whatever a logger wrote before
                self.kept[str(parse(at[0].encode())["checkpoint"])] = (name, number)
                end = len(text)
        while end < len(text) or end == 0:
            match = KEPT.match(text, end)
            if not match:
                return self.problem(name, line, "here is no checkpoint")
            self.kept[match[1]] = (name, line + text.count("\n", end, match.start(1)))
            line, end = line + match[0].count("\n"), match.end()

    def check_manifest(self, trusted):
        path, statements = os.path.join(self.directory, "manifest.jsonl"), []
        with open(path if os.path.exists(path) else os.devnull, "rb") as lines:
            for number, line in enumerate(lines, 1):
                with self.problems_at("manifest.jsonl", number):
                    if not line.endswith(b"\n"):  # it was being written
                        break
                    [(kind, note), *more] = parse(line.removesuffix(b"\n")).items()
                    need(not more, "this is no statement of the format")
                    statements.append((number, kind, note, read_statement(kind, note)))
        deleted = [(number, said["before"], said) for number, kind, _, said in statements if kind == "deleted"]
        if deleted:
            self.deleted = deleted[0][2]
            before = order(deleted[0][1])
            self.files = [file for file in self.files if order(file) >= before]
            self.begin = next((file for file in self.files if order(file) == before), None)
            self.deleted_until = (before[0], 0)
        self.find_keys([(said["file"], "manifest.jsonl", number, note)
                        for number, kind, note, said in statements if kind == "handover"], trusted)
        for number, kind, note, said in statements:
            with self.problems_at("manifest.jsonl", number):
                if kind == "sealed":
                    self.sealed[order(said["file"])] = said | {"at": number}
                    open_note(note, [key for _, key in self.keys])
                if kind == "deleted":  # handovers are checked
                    open_note(note, [self.keys[-1][1]] + [
                        key for key, before in self.handed if before != "none" and order(said["before"]) <= order(before)])
                    need(number == deleted[0][0], "there is another statement about what was deleted")
                    self.check_deleted(said)

    def check_deleted(self, said):
        age = moment(said["time"]) - moment(said["last"])
        need(age.total_seconds() >= int(said["retention"]), "files were deleted before they were old enough")
        need(self.begin, f"the log goes on with {said['before']}, which is missing")
        print(f"note: {said['files']} files with {said['records']} records until {said['last']} were deleted, at least "
              f"{int(said['retention']) // 86400} days after that: the log goes on with {self.begin}")
        if sha256(b"\x00", self.first_line(self.begin)).hex() != said["leaf"]:
            self.problem(self.begin, 1, "this line is not the one stated when the files before it were deleted")

    def find_keys(self, handovers, trusted):
        """`handovers`, and then those in files: the first file of the next key, where the note is, and the note."""
        for file in self.files:
            with contextlib.suppress(Problem):  # which is named when the file is checked
                segment = parse(self.first_line(file)).get("segment")
                if isinstance(segment, dict) and "handover" in segment:
                    handovers.append((file, file, 1, segment["handover"]))
                elif isinstance(segment, dict) and not handovers and not self.keys:
                    self.keys = [(("", 0), Key(segment.get("key")))]
        if trusted and not handovers:
            self.keys = [(("", 0), trusted)]
        for file, place, line, note in sorted(handovers, key=lambda handover: order(handover[0])):
            try:
                said = read_statement("handover", note)
                need(order(said["file"]) == order(file), "the handover is that of another file")
                before = said["deleted-before"]
                need(before == "none" or FILE.fullmatch(before) and order(before) <= order(file),
                     "the handover says that files were deleted which were not there yet")
                before, after = Key(said["from"]), Key(said["to"])
                open_note(note, [before], [after])
                self.keys = self.keys or [(("", 0), before)]
                last = self.keys[-1][1]
                is_again = last.text == after.text and self.handed and self.handed[-1][0].text == before.text
                if is_again:  # the file that began with it failed
                    before = last
                self.keys += [(order(file), before), (order(file), after)]
                self.handed += [(before, said["deleted-before"])] if not is_again else []
                need(is_again or last.text == before.text != after.text,
                     "this hands over from another key than the log has here")
            except ValueError as problem:
                if place == file:
                    self.bad_handovers[file] = problem  # told in its turn
                else:
                    self.problem(place, line, problem)

    def key_of(self, file):
        keys = [key for start, key in self.keys if start <= order(file)]
        need(keys, "the log has no key")
        return keys[-1]

    def check_sealed(self, file):
        """What is there of a file must be what was sealed, or what it became."""
        said, form = self.sealed.get(order(file)), "sealed" if file.endswith(".parquet") else "lines"
        if said or form == "sealed":
            with self.problems_at(file, 1), open(os.path.join(self.directory, file), "rb") as data:
                digest = hashlib.file_digest(data, "sha256").hexdigest()
                need(said and said[form] == f"{data.tell()} {digest}",
                     "the manifest does not state that this file, as it is, was sealed")

    def check_boots(self):
        before, boots = None, {name: [*files] for name, files in itertools.groupby(self.files, lambda file: file[:25])}
        for name, files in boots.items():
            if not before and name != max(boots) and self.first_line(files[0]).startswith(b'{"v":'):
                print(f"note: {files[0]}: written before the log proved itself, not checked")
                self.unproven = True
                continue
            boot = Boot(self, name, files, before, name == max(boots))
            before = {"file": files[-1].replace(".parquet", ".jsonl")}
            try:
                boot.check()
                before |= {"size": boot.size, "root": root_of(boot.peaks).hex()}
            except (ValueError, OSError, TypeError, LookupError) as problem:  # the latter two of a wrong segment line
                self.problem(boot.file, boot.line, problem)
        for file, problem in self.bad_handovers.items():  # which no check of a boot came to
            self.problem(file, 1, problem)
        return len(boots)

    def check_open(self):
        """Every call must have a record of its end, but for those that go on."""
        lost = [place for place in self.open.values() if place[0] != self.running]
        for _, file, line in lost:
            self.problem(file, line, "this call was open, and the record of its end is missing")
        if len(self.open) > len(lost):
            print(f"note: {len(self.open) - len(lost)} calls had not ended")

    def check_kept(self):
        """What was kept elsewhere must have been found among the log's checkpoints."""
        far = " as far as it was checked" if self.problems else ""
        for note in [note for note in self.kept if note not in self.found]:
            file, line = self.kept[note]
            with self.problems_at(file, line):
                origin, size, *_, time, cause, _, _ = open_note(note, [key for _, key in self.keys])
                need((origin.rpartition("/")[2], int(size)) <= self.deleted_until,
                     f"this checkpoint is not in the log{far}")
                age = timedelta(days=2) + moment(self.deleted["time"]) - moment(time.removeprefix("time "))
                need(cause not in RECORDED or age.total_seconds() >= int(self.deleted["retention"]),
                     "this checkpoint is about lines that were deleted before they were old enough")
                print(f"note: {file}:{line}: this checkpoint is about lines that were deleted")


def main():
    parser = argparse.ArgumentParser(description="Verifies an onegate audit log.")
    parser.add_argument("directory", metavar="DIRECTORY")
    parser.add_argument("--key", metavar="VERIFIER_KEY_OR_FILE")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[])
    args = parser.parse_args()
    try:
        if args.key and os.path.exists(args.key):
            with open(args.key, encoding="utf-8") as file:
                args.key = file.read().strip()
        key, log = Key(args.key) if args.key else None, Log(args.directory)
        for path in args.checkpoint:
            log.read_kept(path)
        if any(file.endswith(".parquet") for file in log.files):
            import pyarrow.parquet  # noqa: F401
    except ImportError:
        parser.error("files of this log are sealed: install the package pyarrow")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    log.check_manifest(key)
    first = (log.files or [os.path.basename(os.path.abspath(args.directory))])[0]
    if not log.files:
        log.problem(first, 1, "here is no audit log")
    boots = log.check_boots()
    log.check_open()
    if key and key.text not in [key.text for _, key in log.keys]:
        log.problem(first, 1, "the key to trust is none that this log had")
    log.check_kept()
    print(f"NOT OK: {log.problems} problems;" if log.problems else "OK:",
          f"{log.records} records, {len(log.files)} files, {boots} boots, {log.checkpoints} checkpoints;",
          f"key: {key.name}+{key.id.hex()};" if key else "key: from the log itself;",
          f"anchor: {len(log.found)} checkpoints" if args.checkpoint else "anchor: none")
    return 1 if log.problems else 0


if __name__ == "__main__":
    sys.exit(main())
