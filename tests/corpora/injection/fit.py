#!/usr/bin/env python3
"""Fits the weights of words on the training split, or measures a split.

    fit.py records training.jsonl > RECORDS                what injection_train reads
    fit.py fit TRAIN training.jsonl rules                  rules/injection_words.bin and the model of rules/injection.yaml
    fit.py measure SCORE held_out.jsonl

TRAIN and SCORE are the built injection_train and injection_score. For choosing, injection_train leaves a quarter of the
families out with HOLD_FOLD=0..3, or whole classes with HOLD_CLASS=prefix, and says how it does on them."""
import collections
import json
import pathlib
import re
import subprocess
import sys

FALSE_POSITIVES = 0.01


def records_of(corpus):
    for line in open(corpus):
        record = json.loads(line)
        if record["style"] == "tags":  # invisible: found without words
            continue
        text = record["text"].encode("utf-8", "ignore")
        yield b"%d %d %s %d\n" % (record["label"], record.get("family", 0), record["class"].encode(), len(text)) + text


def fit(program, corpus, rules):
    rules = pathlib.Path(rules)
    out = subprocess.run([program, rules / "injection_words.bin"], input=b"".join(records_of(corpus)), stdout=subprocess.PIPE, check=True).stdout.decode()
    text = (rules / "injection.yaml").read_text()
    (rules / "injection.yaml").write_text(re.sub(r"^model:\n(  .*\n)*", "", text, flags=re.M) + out)


def scores_of(program, records):
    data = b"".join(b"%d\n%s" % (len(t), t) for t in (x["text"].encode("utf-8", "ignore") for x in records))
    return [float(x.split("\t")[0]) for x in subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()]


def measure(program, corpus):
    records = [json.loads(line) for line in open(corpus)]
    scores = scores_of(program, records)
    for label, keys in ((1, ("class", "language", "place", "style")), (0, ("class",))):
        for key in keys:
            found = collections.defaultdict(list)
            for record, score in zip(records, scores):
                if record["label"] == label:
                    found[record[key]].append(score >= 0.5)
            print(("attacks" if label else "harmless"), "by", key + ":",
                  ", ".join(f"{name} {100 * sum(x) / len(x):.1f} % of {len(x)}" for name, x in sorted(found.items())))
            if key == "class":
                rates = [sum(x) / len(x) for x in found.values()]
                every = [y for x in found.values() for y in x]
                print(f"  mean over classes {100 * sum(rates) / len(rates):.2f} %, of all {100 * sum(every) / len(every):.2f} %")
    harmless = sorted((score for record, score in zip(records, scores) if not record["label"]), reverse=True)
    at = max(harmless[int(len(harmless) * FALSE_POSITIVES)], 1e-9)
    caught = collections.defaultdict(list)
    for record, score in zip(records, scores):
        if record["label"]:
            caught[record["class"]].append(score > at)
    rates = {name: sum(x) / len(x) for name, x in caught.items()}
    print(f"at 1 % false positives here (score {at:.3f}): mean {100 * sum(rates.values()) / len(rates):.2f} %, least",
          min(rates.items(), key=lambda x: x[1]))


if __name__ == "__main__":
    if sys.argv[1] == "records":
        for record in records_of(sys.argv[2]):
            sys.stdout.buffer.write(record)
    elif sys.argv[1] == "fit":
        fit(*sys.argv[2:5])
    else:
        measure(*sys.argv[2:4])
