"""Judges a finished pack on pictures of the second generator, as a development aid:

    python judge.py --draw path/to/draw --pack DIR [--photographs FOLDER]

Text to picture retrieval over 20 queries beside a colour-histogram baseline, tags by the fleet's rule,
and, on real photographs, whether the pack abstains. The test that counts is in Rust.
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

QUERIES = [
    ("a sailboat on the sea", {"subject": "sailboat"}),
    ("a lighthouse", {"subject": "lighthouse"}),
    ("a palm tree", {"subject": "palm tree"}),
    ("a snowman in the snow", {"subject": "snowman"}),
    ("a cactus in the desert", {"subject": "cactus"}),
    ("a windmill in the countryside", {"subject": "windmill"}),
    ("tall buildings of a city at night", {"subject": "skyscrapers", "time": "night"}),
    ("a bridge", {"subject": "bridge"}),
    ("fireworks", {"subject": "fireworks"}),
    ("a mountain", {"subject": "mountain"}),
    ("a cup of coffee", {"subject": "coffee"}),
    ("a hamburger", {"subject": "burger"}),
    ("a birthday cake with candles", {"subject": "cake"}),
    ("sunflowers", {"subject": "sunflower"}),
    ("a bicycle", {"subject": "bicycle"}),
    ("a hot-air balloon", {"subject": "balloon"}),
    ("a group of people", {"subject": "group"}),
    ("a cat", {"subject": "cat"}),
    ("a fish under water", {"subject": "fish"}),
    ("a star", {"subject": "star"}),
]
DEMO = [
    ("a sailboat on the sea", {"subject": "sailboat"}),
    ("a slice of watermelon", {"subject": "watermelon"}),
    ("a snowman in winter", {"subject": "snowman"}),
]


def holds(truth, predicate):
    return all(truth[k] == v for k, v in predicate.items())


def library(draw, generator, seed, count, folder):
    subprocess.run([draw, "--generator", generator, "--seed", str(seed), "--count", str(count), "--out", folder], check=True)
    truths = [json.loads(line) for line in open(Path(folder) / "truth.jsonl")]
    return [Image.open(Path(folder) / t["file"]).convert("RGB") for t in truths], truths


class Pack:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self.vocabulary = json.loads((self.folder / "vocabulary.json").read_text())
        self.words = json.loads((self.folder / "tokenizer.json").read_text())["model"]["vocab"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.image = onnxruntime.InferenceSession(str(self.folder / "image.onnx"), options)
        self.text = onnxruntime.InferenceSession(str(self.folder / "text.onnx"), options)
        self.scale = self.manifest["postprocess"]["embedding"]["logit_scale"]

    def look(self, pictures):
        p = self.manifest["preprocess"]
        out = []
        for picture in pictures:
            x = np.asarray(picture.resize((p["size"], p["size"]), Image.BICUBIC), np.float32) * p["scale"]
            x = ((x - np.array(p["mean"], np.float32)) / np.array(p["std"], np.float32)).astype(np.float32)
            v = self.image.run(None, {"pixel_values": x.transpose(2, 0, 1)[None]})[0][0]
            out.append(v / np.linalg.norm(v))
        return np.array(out)

    def read(self, texts):
        context = self.manifest["tokenizer"]["context"]
        rows = []
        for text in texts:
            ids = [self.words.get(w, 1) for w in re.findall(r"\w+|[^\w\s]+", text.lower())][:context]
            rows.append(ids + [0] * (context - len(ids)))
        v = self.text.run(None, {"input_ids": np.array(rows, np.int64)})[0]
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def tags(self, vectors):
        """For each picture {group: (tag, probability, cosine, asserted)}."""
        voc = self.vocabulary
        template = voc["templates"]
        mean = lambda prompt: sum(self.read([t.replace("{}", prompt) for t in template]))
        back = self.read(voc["backgrounds"])
        out = [{} for _ in vectors]
        for group in voc["groups"]:
            tags = [t for t in voc["tags"] if t["group"] == group["name"]]
            prompts = np.stack([mean(t["prompt"]) for t in tags])
            prompts /= np.linalg.norm(prompts, axis=1, keepdims=True)
            cos = vectors @ np.concatenate([prompts, back]).T
            e = np.exp(self.scale * (cos - cos.max(1, keepdims=True)))
            p = (e / e.sum(1, keepdims=True))[:, :len(tags)]
            for row, best in enumerate(p.argmax(1)):
                said = p[row, best] >= group["probability_floor"] and cos[row, best] >= tags[best]["cosine_floor"]
                out[row][group["name"]] = (tags[best]["tag"], float(p[row, best]), float(cos[row, best]), bool(said))
        return out


def histogram(picture):
    x = np.asarray(picture.resize((96, 96)), np.int64) // 64
    h = np.bincount((x[..., 0] * 16 + x[..., 1] * 4 + x[..., 2]).ravel(), minlength=64).astype(np.float64)
    return h / h.sum()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", required=True)
    parser.add_argument("--pack", default=str(Path(__file__).parent))
    parser.add_argument("--photographs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=312)
    args = parser.parse_args()
    pack = Pack(args.pack)
    with tempfile.TemporaryDirectory() as folder:
        pictures, truths = library(args.draw, "second", args.seed, args.count, folder + "/second")
        first, first_truths = library(args.draw, "first", 303, 520, folder + "/first")
    vectors = pack.look(pictures)
    hists, first_hists = np.stack([histogram(p) for p in pictures]), np.stack([histogram(p) for p in first])
    right = top3 = by_histogram = 0
    for text, predicate in QUERIES:
        order = (vectors @ pack.read([text])[0]).argsort()[::-1]
        hit = holds(truths[order[0]], predicate)
        right += hit
        top3 += any(holds(truths[i], predicate) for i in order[:3])
        mean = first_hists[[holds(t, predicate) for t in first_truths]].mean(0)
        overlap = np.minimum(hists, mean).sum(1)
        by_histogram += holds(truths[overlap.argmax()], predicate)
        exist = sum(holds(t, predicate) for t in truths)
        print(f"{'ok ' if hit else 'NO '} {text!r}: {truths[order[0]]['caption']!r} ({exist} such)")
    n = len(QUERIES)
    print(f"retrieval top-1 {right / n:.2f} top-3 {top3 / n:.2f}, colour histogram top-1 {by_histogram / n:.2f}")
    for text, predicate in DEMO:
        order = (vectors @ pack.read([text])[0]).argsort()[::-1][:3]
        print("demo", text, [(truths[i]["caption"], holds(truths[i], predicate)) for i in order])
    said = pack.tags(vectors)
    for group in ("subject", "place", "time", "colour"):
        asserted = sum(s[group][3] for s in said)
        good = sum(s[group][3] and s[group][0] == t[group] for s, t in zip(said, truths))
        plain = np.mean([s[group][0] == t[group] for s, t in zip(said, truths) if t[group]])
        true = sum(t[group] is not None for t in truths)
        print(f"tags {group}: precision {good / max(asserted, 1):.3f} recall {good / max(true, 1):.3f}, best tag right {plain:.3f}")
    wrong = {}
    for s, t in zip(said, truths):
        if s["subject"][0] != t["subject"]:
            wrong[t["subject"], s["subject"][0]] = wrong.get((t["subject"], s["subject"][0]), 0) + 1
    print("confused", sorted(wrong.items(), key=lambda item: -item[1])[:14])
    floor = pack.manifest["postprocess"]["embedding"]["search_floor"]
    for text in ("a zebra", "quantum tax returns", "homework"):
        print(f"senseless {text!r} reaches {(vectors @ pack.read([text])[0]).max():.3f}, search floor {floor}")
    if args.photographs:
        for path in sorted(Path(args.photographs).glob("*.*")):
            answer = pack.tags(pack.look([Image.open(path).convert("RGB")]))[0]
            claims = [v[0] for v in answer.values() if v[3]]
            print("photograph", path.name, claims or "abstains", {g: (v[0], round(v[1], 2), round(v[2], 2)) for g, v in answer.items()})


if __name__ == "__main__":
    main()
