#!/usr/bin/env python3
"""Verifies an onegate audit log as audit-format.md describes it. Needs Python 3.11 and nothing else.

    verify_audit.py DIRECTORY [--key VERIFIER_KEY_OR_FILE] [--checkpoint FILE]...

Reads every line in order and checks names, numbers and first lines of files, `seq`, batches and their chain,
the Merkle tree, each checkpoint (signature, root, totals), and that each boot ends with a final
checkpoint and is named by the next. Only the last boot may be unfinished: it may still be written.

--key         the key to trust, name+hash+base64 or a file that holds it. Without it the key is the log's own
              word: whoever can write the files can write another log with another key.
--checkpoint  checkpoints that were kept elsewhere: each must be in the log, byte for byte. Without them
              nobody can tell that the log was cut at its end, or written anew with the same key.

Prints each boot's first problem as FILE:LINE: TEXT, notes, and last a summary. Exits with 0 when all is well,
1 when not, 2 when called wrongly.
"""
import argparse, base64, hashlib, itertools, json, os, re, sys

FILE_NAME = re.compile(r"([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})-([0-9]{6}|[1-9][0-9]{6,})\.jsonl")
KEY = re.compile(r"([^\s+]+)\+[0-9a-f]{8}\+([0-9A-Za-z+/]{44})")
CHECKPOINT = re.compile(rb"((?:[^\n]+\n){9})\n\xe2\x80\x94 (\S+) (\S+)\n")
KEPT = re.compile(rb"\n*((?:[^\n]+\n)+\n(?:\xe2\x80\x94 [^\n]+\n)+)\n*")
IN_JSON = re.compile(rb'(\{"checkpoint":.*\})')
TIME = re.compile(r"time [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
CAUSES = ["cause interval", "cause segment", "cause reload", "cause stop", "cause crash"]
FINAL = ["cause stop", "cause crash"]

class Problem(ValueError):
    """What is wrong. Where it is, is known to whoever catches it."""

def need(fact, otherwise):
    if not fact:
        raise Problem(otherwise)

# Ed25519: RFC 8032, 5.1. A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1, 1, 0)

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
    x, y = p[0] * pow(p[2], -1, P) % P, p[1] * pow(p[2], -1, P) % P
    return (x % 2 * 2**255 + y).to_bytes(32, "little")

def multiples(point):
    """Row i holds 0 to 15 times 16**i * point, so that a product is one sum per hexadecimal digit."""
    rows = []
    for _ in range(64):
        row = [NEUTRAL]
        for _ in range(15):
            row.append(add(row[-1], point))
        rows.append(row)
        point = add(row[-1], point)
    return rows

def multiply(rows, number):
    total = NEUTRAL
    for i, row in enumerate(rows):
        total = add(total, row[(number >> 4 * i) % 16])
    return total

BASE = multiples(decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")))

class Key:
    def __init__(self, text):
        match = KEY.fullmatch(str(text))
        need(match, "the key is not of the form name+hash+base64")
        data = base64.b64decode(match[2])
        need(data[0] == 1, "the key is not of the type Ed25519")
        self.text, self.name, self.public = text, match[1], data[1:]
        self.id = sha256(self.name.encode(), b"\n", data)[:4]
        need(text == f"{self.name}+{self.id.hex()}+{match[2]}", "the key's hash is wrong")
        x, y, z, t = decode_point(self.public)
        self.minus = multiples((P - x, y, z, P - t))

    def signed(self, message, signature):
        """Whether s * B - h * key = R. To compare encodings accepts of R the canonical one only."""
        r, s = signature[:32], int.from_bytes(signature[32:], "little")
        h = int.from_bytes(hashlib.sha512(r + self.public + message).digest(), "little") % L
        if len(signature) != 64 or s >= L:
            return False
        return encode_point(add(multiply(BASE, s), multiply(self.minus, h))) == r

    def open(self, note):
        """The nine lines of a checkpoint that this key signed."""
        match = CHECKPOINT.fullmatch(note)
        need(match, "the checkpoint is not nine lines and a signature")
        signature = base64.b64decode(match[3])
        need(base64.b64encode(signature) == match[3], "the checkpoint's signature is not standard base64")
        signer = (match[2], signature[:4])
        need(signer == (self.name.encode(), self.id), "the checkpoint is signed with another key")
        need(self.signed(match[1], signature[4:]), "the checkpoint's signature is wrong")
        return match[1].decode().split("\n")[:9]

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def append_leaf(peaks, size, leaf):
    """Keeps the roots of the perfect trees (RFC 6962) over `size` leaves, the largest first."""
    while size % 2 == 1:  # two trees of one size are one of twice the size
        leaf, size = sha256(b"\x01", peaks.pop(), leaf), size // 2
    peaks.append(leaf)

def root_of(peaks):
    root = peaks[-1] if peaks else sha256()
    for peak in reversed(peaks[:-1]):
        root = sha256(b"\x01", peak, root)
    return root

def parse(line):
    try:
        value = json.loads(line.decode(), parse_constant=int)  # `int` refuses NaN and Infinity
    except (ValueError, RecursionError):
        raise Problem("the line is not JSON in UTF-8") from None
    need(value and isinstance(value, dict) and line[:1] + line[-1:] == b"{}", "the line is not a JSON object")
    return value

def expect(found, expected):
    for key, value in expected.items():
        if type(found.get(key)) is not type(value) or found[key] != value:
            raise Problem(f"`{key}` is {found.get(key)!a:.110}, and should be {value!a:.110}")
    need(found.keys() == expected.keys(), "the line has not the keys of the format")

class Boot:
    """One boot, checked line by line. `before` is what is known of the boot before it."""
    def __init__(self, log, name, files, before, is_last):
        self.log, self.name, self.files, self.before, self.is_last = log, name, files, before, is_last
        self.file, self.line, self.number = files[0], 1, 0
        self.peaks, self.size, self.chain, self.batch, self.seq = [], 0, bytes(32), [], 0
        self.totals, self.signed = {"allowed": 0, "denied": 0}, 0  # `signed`: leaves under a checkpoint
        self.node = self.cause = None  # `cause`: of the last line, if it is a checkpoint

    def check(self):
        for self.number, file in enumerate(self.files, 1):
            self.file, self.line = f"{self.name}-{self.number:06}.jsonl", 1
            need(file == self.file, "this file is missing")
            self.check_file()
        if self.batch:
            self.unfinished(f"the last {len(self.batch)} lines are not committed", "yet")
        if self.cause not in FINAL:
            self.log.running = self.name
            signed = f"{self.signed} of its {self.size} leaves are signed"
            self.unfinished("the boot does not end with a final checkpoint", f"(was being written): {signed}")

    def unfinished(self, what, yet):
        """What is no problem at the end of the whole log, and only there."""
        need(self.is_last and self.number == len(self.files), what)
        print(f"note: {self.file}: {what} {yet}")

    def check_file(self):
        raw = b""
        with open(os.path.join(self.log.directory, self.file), "rb") as lines:
            for self.line, raw in enumerate(lines, 1):
                need(self.cause not in FINAL, "a line after the boot's final checkpoint")
                if raw.endswith(b"\n"):
                    self.check_line(raw[:-1])
        if not raw.endswith(b"\n"):
            self.unfinished("the file is empty or its last line has no end", "(was being written)")

    def check_line(self, line):
        value = parse(line)
        kind = next(iter(value))
        checks = {"v": self.check_record, "segment": self.check_segment,
                  "commit": self.check_commit, "checkpoint": self.check_checkpoint}
        need(kind in checks and (kind == "v" or len(value) == 1), "the line is of no known kind")
        need((kind == "segment") == (self.line == 1), "a segment line is the first of each file, no other is")
        content = value if kind == "v" else value[kind]
        need(type(content) is (str if kind == "checkpoint" else dict), "the line is of no known kind")
        self.cause = None
        checks[kind](content)
        if kind in ("v", "segment"):
            self.batch.append(sha256(b"\x00", line))
            append_leaf(self.peaks, self.size, self.batch[-1])
            self.size += 1

    def check_segment(self, found):
        if self.batch:  # the file before failed: its last lines are committed by this line's chain
            self.chain = sha256(b"\x02", self.chain, len(self.batch).to_bytes(8, "big"), *self.batch)
            self.batch = []
        if self.number == 1:
            self.node = str(found.get("node"))
        self.log.key = self.log.key or Key(found.get("key"))
        expect(found, {
            "v": 1, "node": self.node, "boot": self.name[17:], "number": self.number, "seq": self.seq,
            "size": self.size, "peaks": [peak.hex() for peak in self.peaks], "chain": self.chain.hex(),
            **self.totals, "open_since": found.get("open_since"), "previous": found.get("previous"), "key": self.log.key.text})
        self.check_previous(found["previous"])

    def check_previous(self, found):
        if self.number > 1:
            need(found is None, "`previous` in a file that is not the first of its boot")
        elif self.before:
            file = self.before["file"]
            need(file[:16] != self.name[:16], "the boot before this one has the same start")
            need(isinstance(found, dict), f"`previous` names no boot, but the last one ends with {file}")
            need(found.get("file") == file,
                 f"`previous` names {found.get('file')!a:.80}, but the boot before this one ends with {file}")
            # Of a boot that has a problem no more is known: the rest is then taken as it is.
            expect(found, {"size": found.get("size"), "root": found.get("root")} | self.before)
        elif found is not None:
            need(not self.log.unproven, "`previous` is not null after boots without a proof")
            file = str(found.get("file")) if isinstance(found, dict) else ""
            need(FILE_NAME.fullmatch(file), "`previous` names no file of an audit log")
            print(f"note: the log begins after {file}")

    def check_record(self, found):
        common = {key: found.get(key) for key in ["v", "seq", "node", "boot"]}
        expect(common, {"v": 1, "seq": self.seq + 1, "node": self.node, "boot": self.name[17:]})
        is_open = found.get("entry") == "open"
        if is_open:
            self.log.open[found.get("id")] = (self.name, self.file, self.line)
        else:
            self.log.open.pop(found.get("id"), None)
        if found.get("surface") != "admin" and not is_open:
            need(found.get("decision") in ["allowed", "denied"], "the request is neither allowed nor denied")
            count = found.get("count", 1)
            need(type(count) is int and 0 < count < 2**64, "the count of calls is no number")
            self.totals[found["decision"]] += count
        self.seq += 1
        self.log.records += 1

    def check_commit(self, found):
        count, leaves = len(self.batch), "".join(leaf.hex()[:8] for leaf in self.batch)
        need(count > 0, "a commit line with no record or segment line since the one before")
        self.chain = sha256(b"\x02", self.chain, count.to_bytes(8, "big"), *self.batch)
        self.batch = []
        if found.get("chain") != self.chain.hex():
            self.find_changed_line(count, leaves, str(found.get("leaves")))
        expect(found, {"seq": self.seq, "size": self.size, "leaves": leaves, "chain": self.chain.hex()})

    def find_changed_line(self, count, leaves, committed):
        """The batch has `count` lines, and each its 8 digits in `leaves` and in what was committed."""
        for i in range(count if len(committed) == len(leaves) else 0):
            if leaves[8 * i:8 * i + 8] != committed[8 * i:8 * i + 8]:
                self.line -= count - i
                raise Problem(f"the line was changed, or line {self.line + count - i} that commits it")

    def check_checkpoint(self, text):
        need(not self.batch, "a checkpoint while the lines before it are not committed")
        note = text.encode("utf-8", "surrogatepass")
        lines = self.log.key.open(note)
        root, chain = base64.b64encode(root_of(self.peaks)), base64.b64encode(self.chain)
        computed = [
            f"onegate.dev/audit/{self.node}/{self.name}", f"{self.size}", root.decode(),
            f"chain {chain.decode()}", f"seq {self.seq}", lines[5], lines[6],
            f"allowed {self.totals['allowed']}", f"denied {self.totals['denied']}"]
        for found, value in zip(lines, computed):
            need(found == value, f"the checkpoint says {found!a:.120}, and should say {value!a:.120}")
        self.signed, self.cause = self.size, lines[6]
        need(TIME.fullmatch(lines[5]), "the checkpoint's time is not of the format")
        need(self.cause in CAUSES, "the checkpoint's cause is not one of the format")
        self.log.checkpoints += 1
        if note in self.log.kept:
            self.log.found.add(note)

class Log:
    def __init__(self, directory, key):
        self.directory, self.key = directory, key
        self.kept, self.found = {}, set()  # checkpoints: those kept elsewhere, and those of them in the log
        self.problems = self.records = self.checkpoints = 0
        self.open = {}  # calls that had not ended, by id: their boot, file and line
        self.running = None  # the last boot, if it has no end
        self.unproven = False  # whether boots without any proof come first

    def problem(self, file, line, what):
        print(f"{file}:{line}: {what}")
        self.problems += 1

    def read_kept(self, path):
        with open(path, "rb") as file:
            data = file.read()
        name, end, line = os.path.basename(path), 0, 1
        found = [(number, at[1]) for number, text in enumerate(data.split(b"\n"), 1) if (at := IN_JSON.search(text))]
        for line, text in found:  # as the log has them, whatever a logger wrote before
            self.kept[parse(text)["checkpoint"].encode()] = (name, line)
        while not found and (end < len(data) or end == 0):
            match = KEPT.match(data, end)
            if not match:
                return self.problem(name, line, "here is no checkpoint")
            self.kept[match[1]] = (name, line + data.count(b"\n", end, match.start(1)))
            line, end = line + match[0].count(b"\n"), match.end()

    def check_boots(self, boots):
        before = None
        for name, files in boots.items():
            if not before and name != max(boots) and self.is_of_old(files[0]):
                print(f"note: {files[0]}: written before the log proved itself, not checked")
                self.unproven = True
                continue
            boot = Boot(self, name, files, before, name == max(boots))
            before = {"file": files[-1]}
            try:
                boot.check()
                before |= {"size": boot.size, "root": root_of(boot.peaks).hex()}
            except (ValueError, OSError) as problem:
                self.problem(boot.file, boot.line, problem)

    def is_of_old(self, file):
        with open(os.path.join(self.directory, file), "rb") as lines:
            return lines.readline().startswith(b'{"v":')

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
        for note, (file, line) in self.kept.items():
            try:
                if self.key and note not in self.found:
                    self.key.open(note)
                need(note in self.found, f"this checkpoint is not in the log{far}")
            except ValueError as problem:
                self.problem(file, line, problem)

def read_key(text):
    if os.path.exists(text):
        with open(text, encoding="utf-8") as file:
            text = file.read().strip()
    return Key(text)

def main():
    parser = argparse.ArgumentParser(description="Verifies an onegate audit log.")
    parser.add_argument("directory", metavar="DIRECTORY")
    parser.add_argument("--key", metavar="VERIFIER_KEY_OR_FILE")
    parser.add_argument("--checkpoint", metavar="FILE", action="append", default=[])
    args = parser.parse_args()
    try:
        key = read_key(args.key) if args.key else None
        log = Log(args.directory, key)
        for path in args.checkpoint:
            log.read_kept(path)
        names = [name for name in os.listdir(args.directory) if FILE_NAME.fullmatch(name)]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    names.sort(key=lambda name: (name[:25], int(name[26:-6])))
    boots = {boot: list(files) for boot, files in itertools.groupby(names, key=lambda name: name[:25])}
    if not names:
        log.problem(os.path.basename(os.path.abspath(args.directory)), 1, "here is no audit log")
    log.check_boots(boots)
    log.check_open()
    log.check_kept()
    print(f"NOT OK: {log.problems} problems;" if log.problems else "OK:",
          f"{log.records} records, {len(names)} files, {len(boots)} boots, {log.checkpoints} checkpoints;",
          f"key: {key.name}+{key.id.hex()};" if key else "key: from the log itself;",
          f"anchor: {len(log.found)} checkpoints" if args.checkpoint else "anchor: none")
    return 1 if log.problems else 0

if __name__ == "__main__":
    sys.exit(main())
