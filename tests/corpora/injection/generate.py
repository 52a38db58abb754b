#!/usr/bin/env python3
"""Makes the corpus of orders to a model and of harmless texts. Seeded: the same files give the same texts; the harmless ones
depend on what is installed.

    generate.py OUT [--wheels DIR] [--packages DIR] [--sample N]

writes OUT/{training,held_out}.jsonl: {"label", "class", "language", "place", "style", "family", "text"}. --wheels: unpacked
wheels of published.py; --packages: unpacked Debian packages of documentation, for more harmless texts. --sample: a part of
the held-out split, small enough to commit, whose harmless texts are N of the machine's."""
import argparse
import json
import pathlib
import random

import harmless
import orders
import published


def training(options):
    machine = list(harmless.machine_texts("training", 60_000, options.packages))
    cover = harmless.prose_of((x["text"] for x in machine), 6000)
    random.Random(3).shuffle(cover)
    yield from machine
    yield from harmless.written_texts("training", cover)
    yield from harmless.grammar_harmless(60, cover, cover[:300])
    # Half of the orders have sentences around them, of the few that the harmless places have too, often: of others the fit
    # could take one for the order.
    around = cover[:300] + [""] * 300
    yield from orders.template_orders("training", around)
    yield from orders.grammar_orders(60, 24, around)
    if options.wheels:
        r = random.Random("published")
        root = pathlib.Path(options.wheels)
        for number, (source, text) in enumerate(published.training_attacks(root)):
            for kind in ["alone", r.choice(orders.PLACES)]:
                yield {"label": 1, "class": source, "language": "", "place": kind, "style": "plain", "family": 20_000 + number,
                       "text": orders.place(kind, text, r, around)}
        for source, text in published.training_harmless(root):
            yield {"label": 0, "class": source, "language": "", "place": "alone", "style": "plain", "text": text}


def held_out(options):
    machine = list(harmless.machine_texts("held_out", options.sample or 12_000, options.packages))
    yield from orders.template_orders("held_out", orders.COVER)
    yield from harmless.written_texts("held_out", orders.COVER)
    yield from machine


def held_out_published(options):
    root = pathlib.Path(options.wheels)
    for source, name, text in published.held_out_attacks(root):
        yield {"label": 1, "class": source, "language": name, "place": "alone", "style": "plain", "family": 0, "text": text}
    for source, text in published.held_out_harmless(root):
        yield {"label": 0, "class": source, "language": "", "place": "alone", "style": "plain", "text": text}


def write(path, records):
    counts = [0, 0]
    with path.open("w") as file:
        for record in records:
            counts[record["label"]] += 1
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    print(path.name, "attacks", counts[1], "harmless", counts[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--wheels", default="")
    parser.add_argument("--packages", default="")
    parser.add_argument("--sample", type=int, default=0)
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    if options.sample:
        r = random.Random(7)
        write(out / "held_out.jsonl", [x for x in held_out(options) if (x["label"] == 0 and len(x["text"]) < 4000) or r.random() < 0.25])
        return
    write(out / "training.jsonl", training(options))
    write(out / "held_out.jsonl", held_out(options))
    if options.wheels:
        write(out / "held_out_published.jsonl", held_out_published(options))


if __name__ == "__main__":
    main()
