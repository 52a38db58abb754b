"""Harmless texts: documentation, code, manuals, message catalogues and help pages of this machine in many languages, and
texts written to look like orders. A text of the machine belongs to the split that the hash of its package's folder says,
so that no package is in both."""
import gzip
import hashlib
import html
import json
import pathlib
import random
import re
import struct

from orders import HERE, FILLERS, Grammar, place

ROOTS = ["/usr/share/doc", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/node_modules", "/usr/share/perl5", "/usr/share/perl",
         "/usr/share/nodejs", "/usr/include", "/usr/share/vim", "/var/lib/dpkg/info", "/usr/share/man", "/usr/share/locale"]
SUFFIXES = {".md", ".rst", ".txt", ".py", ".js", ".ts", ".h", ".pm", ".html", ".json", ".c", ".sh", ".templates", ".pod", ".hpp", "", ".gz", ".mo",
            ".page", ".css", ".xml", ".fortunes", ".u8"}
# Words that harmless texts share with orders: pieces that have several are taken more often.
SUSPECT = re.compile(r"\b(ignor\w+|disregard|overrid\w+|instructions?|prompt|assistant|password|secret|you must|you are now|pretend|act as|"
                     r"do not tell|forget|send (?:it|the|an?) |delete all|remember|from now on|bypass|reveal|system message|user|important|please)\b", re.I)


def messages_of(data):
    """The translations of a GNU message catalogue."""
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, _, table = struct.unpack_from(order + "3I", data, 8)
    for i in range(count):
        size, at = struct.unpack_from(order + "2I", data, table + 8 * i)
        text = data[at:at + size].decode("utf-8", "ignore")
        if len(text) > 20 and "Content-Type:" not in text:
            yield text


def read_text(path):
    data = path.read_bytes()[:2_000_000]
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".mo":
        return "\n".join(messages_of(data))[:60_000]
    text = data[:200_000].decode()
    if path.suffix == ".page":  # Mallard
        text = html.unescape(re.sub(r"<[^>]*>", " ", text))
        text = re.sub(r"[ \t]+", " ", re.sub(r"\s*\n\s*", "\n", text)).strip()
    if "/man/" in str(path):
        text = re.sub(r'^\.\\".*\n', "", text, flags=re.M)
    return text


def package_of(path, extra):
    parts = path.parts
    if extra and str(path).startswith(extra):
        return parts[len(pathlib.Path(extra).parts)]
    if "locale" in parts or "man" in parts:
        return path.name.split(".")[0]
    return "/".join(parts[:6]) if "node_modules" in parts or "python3" in parts[3:4] else "/".join(parts[:5])


def is_held_out(package):
    return int(hashlib.sha256(package.encode()).hexdigest(), 16) % 2 == 1


def machine_texts(split, limit, extra=""):
    r = random.Random(f"machine {split}")
    by_root = {}
    for root in map(pathlib.Path, ROOTS + ([extra] if extra else [])):
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            if path.suffix in SUFFIXES and not path.is_symlink() and path.is_file() and "injection" not in str(path):
                package = package_of(path, extra)
                if (split == "held_out") == is_held_out(package):
                    by_root.setdefault(str(root), {}).setdefault(package, []).append(path)
    # A root's share grows with the root of its size; within it packages take turns.
    shares = {root: sum(min(len(x), 40) for x in packages.values()) ** 0.4 for root, packages in by_root.items()}
    total = sum(shares.values())
    for root, packages in sorted(by_root.items()):
        wanted = int(limit * shares[root] / total)
        names = sorted(packages)
        r.shuffle(names)
        for paths in packages.values():
            r.shuffle(paths)
        made = 0
        for turn in range(400):
            if made >= wanted:
                break
            for name in names:
                if turn >= len(packages[name]) or made >= wanted:
                    continue
                path = packages[name][turn]
                try:
                    text = read_text(path)
                except (UnicodeDecodeError, OSError, EOFError, struct.error, gzip.BadGzipFile):
                    continue
                size = r.choice([300, 700, 1500, 3000, 3000, 8000])
                pieces = [text[i:i + size] for i in range(0, len(text), size)]
                pieces = [p for p in pieces if len(p) >= 150]
                if not pieces:
                    continue
                chosen = r.sample(pieces, min(2, len(pieces)))
                chosen.append(max(pieces, key=lambda p: len(SUSPECT.findall(p)) / len(p) ** 0.5))
                for piece in dict.fromkeys(chosen):
                    made += 1
                    yield {"label": 0, "class": "machine", "language": "", "place": path.suffix or "plain", "style": root, "source": str(path), "text": piece}


def prose_of(texts, limit):
    """Sentences to put around an order."""
    found = {}
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            paragraph = " ".join(paragraph.split())
            if 30 < len(paragraph) < 300 and paragraph.endswith(".") and sum(c.isalpha() or c == " " for c in paragraph) > 0.93 * len(paragraph):
                found[paragraph] = None
    return list(found)[:limit]


def written_texts(split, cover):
    r = random.Random(f"written {split}")
    blocks = re.split(r"\n\n", (HERE / f"benign_{split}.txt").read_text().split("\n", 1)[1].strip())
    for block in blocks:
        for kind in ["mail", "readme", "page", "issue", "json"]:
            yield {"label": 0, "class": "written", "language": "", "place": kind, "style": "plain", "text": place(kind, block, r, cover)}


def grammar_harmless(count, cover, around):
    r = random.Random("stockade harmless")
    grammar = Grammar(r)
    kinds = ["alone", "alone", "alone", "mail", "readme", "page", "issue", "json", "inside", "last", "comment", "yaml", "tool_result", "chat", "docstring", "table"]
    for line in (HERE / "wordings/harmless_en.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        for _ in range(count):
            name = r.choice(sorted(grammar.lines["en"]))
            order = grammar.expand(r.choice(grammar.lines["en"][name])[1], "en")
            text = grammar.choose(line).replace("{order}", order)
            for key, values in FILLERS["training"].items():
                while "{" + key + "}" in text:
                    text = text.replace("{" + key + "}", r.choice(values), 1)
            yield {"label": 0, "class": "grammar", "language": "en", "place": "", "style": "plain", "text": place(r.choice(kinds), text, r, cover)}
    # The places themselves, with nothing but prose in them.
    for _ in range(count * 100):
        kind = r.choice(["page", "hidden_page", "mail", "readme", "comment", "json", "description", "issue", "csv", "log", "yaml", "tool_result", "chat", "xml",
                         "table", "commit", "c_comment", "docstring", "alone", "inside"])
        yield {"label": 0, "class": "places", "language": "en", "place": kind, "style": "plain", "text": place(kind, r.choice(r.choice([cover, around])), r, r.choice([cover, around, around]))}
