#!/usr/bin/env python3
"""Fits the logistic model of rules/injection.yaml on the training split, or measures a split.

    fit.py fit PROGRAM training.jsonl rules/injection.yaml
    fit.py validate PROGRAM training.jsonl        # fits on two thirds of the templates, measures the rest: for choosing
    fit.py measure PROGRAM held_out.jsonl

PROGRAM is the built injection_features. Of an attack, the stretch that scores highest under the model so far is the
positive example (multiple-instance learning); of a harmless text, its three highest are negative examples. The threshold
is the logit that one in a hundred of the harmless training texts pass, machine texts and written ones alike."""
import collections
import json
import math
import pathlib
import re
import subprocess
import sys

FALSE_POSITIVES = 0.01


def run(program, records, *options):
    data = b"".join(b"%d\n%s" % (len(t), t) for t in (x["text"].encode() for x in records))
    out = subprocess.run([program, *options], input=data, stdout=subprocess.PIPE, check=True).stdout.decode()
    return out.splitlines()


def features_of(line):
    _, _, rest = line.partition("\t")
    for stretch in rest.split("|") if rest.strip() else []:
        yield {name: float(value) for name, _, value in (pair.partition("=") for pair in stretch.split())}


def logit(weights, features):
    return weights["bias"] + sum(weights.get(name, 0.0) * value for name, value in features.items())


def start(name):
    return 0.6 if name.startswith("rule.") else 0.0


# What may only raise and what may only lower the score: the rest is for the data to say.
def bounded(name, value):
    if name in ("quoted", "fenced", "codeish", "mentioned", "mentioned_often"):
        return min(value, 0.0)
    if name.startswith(("rule.", "class.")) or name in ("hidden", "decoded", "disguised", "half_hidden"):
        return max(value, 0.0)
    return value


def fit(program, corpus, rules):
    records = [json.loads(line) for line in open(corpus)]
    stretches = [list(features_of(line)) for line in run(program, records)]
    weights = learn(records, stretches)
    text = pathlib.Path(rules).read_text()
    text = re.sub(r"^model:\n(  .*\n)*", "", text, flags=re.M)
    text += "model:\n" + "".join(f"  {name}: {value:.4f}\n" for name, value in sorted(weights.items()))
    pathlib.Path(rules).write_text(text)


def validate(program, corpus):
    records = [json.loads(line) for line in open(corpus)]
    stretches = [list(features_of(line)) for line in run(program, records)]
    caught = collections.defaultdict(list)
    for fold in range(3):
        kept = [i for i, record in enumerate(records) if record.get("template", i) % 3 != fold]
        weights = learn([records[i] for i in kept], [stretches[i] for i in kept])
        for i in set(range(len(records))) - set(kept):
            best = max((logit(weights, f) for f in stretches[i]), default=-1000.0)
            caught[records[i]["class"]].append(best > weights["threshold"])
    rates = {name: sum(x) / len(x) for name, x in sorted(caught.items())}
    print(", ".join(f"{name} {100 * rate:.1f} %" for name, rate in rates.items()))
    attacks = [rate for name, rate in rates.items() if name not in ("machine", "written")]
    print(f"mean over classes {100 * sum(attacks) / len(attacks):.2f} %")


def learn(records, stretches):
    weights = collections.defaultdict(float, {"bias": -2.0})
    for options in stretches:
        for features in options:
            for name in features:
                weights.setdefault(name, start(name))
    for _ in range(6):
        examples = []
        for record, options in zip(records, stretches):
            best = sorted(options, key=lambda f: -logit(weights, f))
            examples += [(f, record["label"]) for f in best[: 1 if record["label"] else 3]]
        total = [sum(1 for _, y in examples if y == label) for label in (0, 1)]
        squares = collections.defaultdict(float)
        for _ in range(40):
            gradient = collections.defaultdict(float)
            for features, label in examples:
                p = 1 / (1 + math.exp(-max(-30, min(30, logit(weights, features)))))
                error = (p - label) * len(examples) / (2 * total[label])
                gradient["bias"] += error
                for name, value in features.items():
                    gradient[name] += error * value
            for name in list(weights):
                g = gradient[name] / len(examples) + (0.0 if name == "bias" else 0.0002 * (weights[name] - start(name)))
                squares[name] = 0.9 * squares[name] + 0.1 * g * g
                weights[name] = bounded(name, weights[name] - 0.05 * g / (math.sqrt(squares[name]) + 1e-6))
    scores = sorted((max((logit(weights, f) for f in options), default=-1000.0)
                     for record, options in zip(records, stretches) if not record["label"]), reverse=True)
    weights["threshold"] = scores[int(len(scores) * FALSE_POSITIVES * 0.97)] + 0.01
    return weights


def measure(program, corpus):
    records = [json.loads(line) for line in open(corpus)]
    scores = [float(line.split("\t")[0]) for line in run(program, records, "--scores")]
    for label, keys in ((1, ("class", "language", "place", "style")), (0, ("class",))):
        for key in keys:
            found = collections.defaultdict(list)
            for record, score in zip(records, scores):
                if record["label"] == label:
                    found[record[key]].append(score >= 0.5)
            print(("attacks" if label else "benign"), "by", key + ":",
                  ", ".join(f"{name} {100 * sum(x) / len(x):.1f} % of {len(x)}" for name, x in sorted(found.items())))
            if key == "class":
                rates = [sum(x) / len(x) for x in found.values()]
                every = [y for x in found.values() for y in x]
                print(f"  mean over classes {100 * sum(rates) / len(rates):.2f} %, of all {100 * sum(every) / len(every):.2f} %")
    benign = sorted((score for record, score in zip(records, scores) if not record["label"]), reverse=True)
    at = max(benign[int(len(benign) * FALSE_POSITIVES)], 1e-9)
    caught = collections.defaultdict(list)
    for record, score in zip(records, scores):
        if record["label"]:
            caught[record["class"]].append(score > at)
    rates = {name: sum(x) / len(x) for name, x in caught.items()}
    print(f"at 1 % false positives here (score {at:.3f}): mean {100 * sum(rates.values()) / len(rates):.2f} %, least",
          min(rates.items(), key=lambda x: x[1]))


if __name__ == "__main__":
    if sys.argv[1] == "fit":
        fit(*sys.argv[2:5])
    elif sys.argv[1] == "validate":
        validate(*sys.argv[2:4])
    else:
        measure(*sys.argv[2:4])
