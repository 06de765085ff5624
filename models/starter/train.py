"""Trains the starter pack from drawn pictures, start to finish, with one command:

    python train.py --draw path/to/draw --out DIR

Only the first generator of `drawn` is used, for training and for every threshold. The second one judges
(judge.py, and a test in Rust) and must never be read here. Nothing is downloaded.

The loss is the rule the fleet applies: for each group of tags a softmax over scale * cosine with the
group's tags and all backgrounds, next to a contrastive loss between pictures and captions in which every
caption that is true of a picture counts as a match.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

# Threads that wait must sleep: on a machine that others use too, spinning ones cost most of the time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np  # noqa: E402
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import outliers
import words

SIDE, STORE, DIM, CONTEXT = 96, 112, 128, 16
MEAN, STD = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]
SEED = 20261122


# ---------------------------------------------------------------- words

def split(text):
    """As the Whitespace pre-tokenizer of `tokenizers` does, after lower-casing."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def build_vocabulary():
    texts = list(words.WRAPS) + words.BACKGROUNDS + list(words.WIDER) + [t for c in words.CATEGORIES.values() for t in c]
    texts += list(words.CATEGORIES)
    for name, (prompt, _, synonyms) in words.SUBJECTS.items():
        texts += [name, prompt, *synonyms]
    for table in (words.PLACES, words.TIMES):
        for name, (prompt, phrase, _, synonyms) in table.items():
            texts += [name, prompt, phrase, *synonyms]
    texts += [w for ws in words.COLOURS.values() for w in ws] + ["something a an the and with of , . - ! ?"]
    found = sorted({w for text in texts for w in split(text.replace("{}", " "))})
    return {"[PAD]": 0, "[UNK]": 1, **{w: i + 2 for i, w in enumerate(found)}}


def ids_of(text, vocabulary):
    ids = [vocabulary.get(w, 1) for w in split(text)][:CONTEXT]
    return ids + [0] * (CONTEXT - len(ids))


def tokenizer_json(vocabulary):
    special = [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for c, i in (("[PAD]", 0), ("[UNK]", 1))]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}}


# ---------------------------------------------------------------- models

def conv(i, o, stride=1):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return F.relu(x + self.body(x))


class ImageEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 48, 7, 4, 3, bias=False), nn.BatchNorm2d(48), nn.ReLU(inplace=True),
                                   conv(48, 80, 2), Residual(80), conv(80, 160, 2), Residual(160), Residual(160), conv(160, 256, 2))
        self.head = nn.Linear(512, DIM)

    def forward(self, pixel_values):
        x = self.trunk(pixel_values)
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class TextEncoder(nn.Module):
    """Words weighted by what they carry, summed, then a small perceptron. Unknown words weigh little."""

    def __init__(self, count):
        super().__init__()
        self.embed = nn.Embedding(count, DIM)
        self.weigh = nn.Embedding(count, 1)
        nn.init.normal_(self.embed.weight, std=0.3)
        nn.init.zeros_(self.weigh.weight)
        self.mlp = nn.Sequential(nn.Linear(DIM, 256), nn.GELU(), nn.Linear(256, DIM))
        self.bias = nn.Parameter(torch.randn(DIM) * 0.02)

    def forward(self, input_ids):
        known = (input_ids > 0).float().unsqueeze(-1)
        weight = torch.exp(self.weigh(input_ids).clamp(-6, 3)) * known
        x = (self.embed(input_ids) * weight).sum(1) / weight.sum(1).clamp(min=0.3)
        return x + self.mlp(x) + self.bias


# ---------------------------------------------------------------- pictures

def drawn(draw, folder, seed, count):
    """Pictures of the first generator, squashed to STORE, and their truths."""
    folder = Path(folder)
    if not (folder / "truth.jsonl").exists():
        subprocess.run([draw, "--generator", "first", "--seed", str(seed), "--count", str(count), "--out", folder, "--format", "jpeg"], check=True)
    truths = [json.loads(line) for line in open(folder / "truth.jsonl")]
    pixels = np.empty((len(truths), STORE, STORE, 3), np.uint8)
    for row, truth in enumerate(truths):
        pixels[row] = Image.open(folder / truth["file"]).convert("RGB").resize((STORE, STORE), Image.BICUBIC)
    return pixels, truths


def grid(count, rng, strength=1.0):
    """Random crops, turns, stretches and flips as sampling grids."""
    u = lambda low, high: torch.empty(count).uniform_(low, high, generator=rng)
    scale, aspect, turn = u(0.7, 1.3), u(0.82, 1.22), u(-0.2, 0.2) * strength
    flip = (u(0, 1) < 0.5).float() * 2 - 1
    room = 0.1 + (1 - scale).clamp(min=0) * 0.8
    cos, sin = torch.cos(turn) * scale, torch.sin(turn) * scale
    theta = torch.stack([torch.stack([cos * aspect * flip, -sin, u(-1, 1) * room], 1),
                         torch.stack([sin * flip, cos / aspect, u(-1, 1) * room], 1)], 1)
    return F.affine_grid(theta, (count, 3, SIDE, SIDE), align_corners=False)


class Augment:
    """Changes a drawing's look and keeps its content. Whole-picture effects run on the rows they were
    drawn for only, and noise and patterns come from a bank made once: this runs on every step."""

    def __init__(self, rng):
        self.rng = rng
        self.noise = torch.randn(64, 3, SIDE, SIDE, generator=rng)
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
        self.ys, self.xs, self.far = ys, xs, (xs ** 2 + ys ** 2) * 0.5
        angle, freq = self.u(64, 0, 3.1416), torch.exp(self.u(64, 2.2, 4.9))
        along, across = xs * torch.cos(angle) + ys * torch.sin(angle), ys * torch.cos(angle) - xs * torch.sin(angle)
        self.pattern = torch.sin(freq * along)
        self.pattern[32:] *= torch.sin(freq * across)[32:]

    def u(self, count, low, high, channels=1):
        return torch.empty(count, channels, 1, 1).uniform_(low, high, generator=self.rng)

    def rows(self, allowed, share):
        return torch.nonzero((torch.rand(len(allowed), generator=self.rng) < share) & allowed).flatten()

    def __call__(self, pixels, is_drawn):
        """pixels uint8 [B,STORE,STORE,3] -> float, about 0..1, [B,3,SIDE,SIDE]."""
        u, count = self.u, len(pixels)
        only, every = is_drawn > 0, torch.ones(count, dtype=torch.bool)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        x = F.grid_sample(x, grid(count, self.rng), mode="bilinear", padding_mode="reflection", align_corners=False)
        # Pen lines along edges, softly, in part of the drawings.
        some = self.rows(only, 0.5)
        grey = x[some].mean(1, keepdim=True)
        edge = F.max_pool2d(grey, 3, 1, 1) + F.max_pool2d(-grey, 3, 1, 1)
        pen = self.u(len(some), -0.1, 0.25, 3).clamp_(min=0)
        x[some] = torch.lerp(x[some], pen.expand(-1, -1, SIDE, SIDE), (edge * u(len(some), 2, 7)).clamp_(0, 0.9))
        # One matrix a picture: saturation, a small turn of hue, gain per channel, contrast; then light.
        one, third = torch.eye(3), torch.full((3, 3), 1 / 3)
        spin = torch.tensor([[0., 1., -1.], [-1., 0., 1.], [1., -1., 0.]])
        saturation, turn = u(count, 0.5, 1.3)[..., 0], u(count, -0.09, 0.09)[..., 0]
        gain = (1 + u(count, -0.22, 0.12, 3) * (u(count, 0, 1) < 0.7)).view(count, 3, 1) * u(count, 0.75, 1.2)[..., 0]
        matrix = gain * (third + (one - third) * saturation + spin * turn)
        x = torch.bmm(matrix, x.flatten(2)).view_as(x) + u(count, -0.1, 0.14)
        some = self.rows(only, 0.4)
        x[some] += self.pattern[torch.randint(0, 64, (len(some),), generator=self.rng)] * u(len(some), 0.02, 0.13)
        some = self.rows(only, 0.35)
        x[some] *= 1 - self.far * u(len(some), 0.1, 0.5)
        some = self.rows(every, 0.6)
        x[some] += self.noise[torch.randint(0, 64, (len(some),), generator=self.rng)] * u(len(some), 0, 0.07)
        some = self.rows(every, 0.25)
        x[some] = F.avg_pool2d(F.pad(x[some], (1, 1, 1, 1), mode="replicate"), 3, 1)
        # Things in the way: small boxes of any colour, and frames.
        for row in self.rows(only, 0.45).tolist():
            w, h = torch.randint(3, 20, (2,), generator=self.rng).tolist()
            left, top = torch.randint(0, SIDE - 20, (2,), generator=self.rng).tolist()
            x[row, :, top:top + h, left:left + w] = torch.rand(3, 1, 1, generator=self.rng)
        for row in self.rows(only, 0.1).tolist():
            edge = int(torch.randint(1, 6, (1,), generator=self.rng))
            frame = torch.rand(3, 1, 1, generator=self.rng) * 0.3 + 0.7
            kept = x[row, :, edge:-edge, edge:-edge].clone()
            x[row] = frame
            x[row, :, edge:-edge, edge:-edge] = kept
        return x.clamp_(0, 1)


def normal(x):
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


# ---------------------------------------------------------------- captions and tags

GROUPS = ["subject", "place", "time", "colour"]
NAMES = {"subject": list(words.SUBJECTS), "place": list(words.PLACES), "time": list(words.TIMES), "colour": list(words.COLOURS)[:-1]}
PROMPTS = {"subject": [words.SUBJECTS[n][0] for n in NAMES["subject"]], "place": [words.PLACES[n][0] for n in NAMES["place"]],
           "time": [words.TIMES[n][0] for n in NAMES["time"]], "colour": [f"something {n}" for n in NAMES["colour"]]}


class Captions:
    """Makes texts with the conditions under which they are true."""

    def __init__(self, truths, rng):
        self.rng = rng
        self.code = {g: {n: i for i, n in enumerate(NAMES[g])} for g in GROUPS}
        self.rows = np.array([[self.code[g].get(t[g], -1) for g in GROUPS] for t in truths])
        self.truths = truths
        self.wider = {}
        for phrase, subjects in words.WIDER.items():
            for subject in subjects:
                self.wider.setdefault(subject, []).append((phrase, subjects))
        for name, (_, category, _) in words.SUBJECTS.items():
            members = [n for n, v in words.SUBJECTS.items() if v[1] == category]
            self.wider.setdefault(name, []).extend((p, members) for p in words.CATEGORIES.get(category, []))

    def pick(self, items):
        return items[self.rng.integers(0, len(items))]

    def text(self, truth):
        """A text about one truth, and the set of codes it allows for each group (None: any)."""
        rng, allowed = self.rng, [None, None, None, None]
        parts = {}
        subject = truth["subject"]
        has_subject = rng.random() < 0.85
        if has_subject:
            if rng.random() < 0.14 and self.wider.get(subject):
                phrase, names = self.pick(self.wider[subject])
            else:
                prompt, _, synonyms = words.SUBJECTS[subject]
                phrase = prompt if rng.random() < 0.4 else self.pick(synonyms)
                names = [subject]
            allowed[0] = {self.code["subject"][n] for n in names}
            parts["subject"] = phrase
        if truth["colour"] and rng.random() < (0.6 if has_subject else 0.9):
            word = self.pick(words.COLOURS[truth["colour"]])
            allowed[3] = {self.code["colour"][truth["colour"]]}
            if has_subject:
                first, _, rest = parts["subject"].partition(" ")
                parts["subject"] = f"a {word} {rest}" if first in ("a", "an", "the") and rest else f"{word} {parts['subject']}"
            else:
                parts["subject"] = f"something {word}"
        need = not parts
        for column, (group, table) in enumerate((("place", words.PLACES), ("time", words.TIMES)), 1):
            if truth[group] and rng.random() < (0.8 if need else 0.4):
                prompt, phrase, _, synonyms = table[truth[group]]
                allowed[column] = {self.code[group][truth[group]]}
                parts[group] = self.pick([prompt, phrase, phrase, *synonyms])
        if not parts:
            parts["subject"] = words.SUBJECTS[subject][0]
            allowed[0] = {self.code["subject"][subject]}
        order = ["subject", "place", "time"] if rng.random() < 0.75 else ["time", "subject", "place"]
        joint = " " if rng.random() < 0.7 else " , "
        return self.pick(words.WRAPS).format(joint.join(parts[p] for p in order if p in parts)), allowed

    def matches(self, allowed, rows):
        """Which rows (codes of pictures) each caption is true of."""
        out = np.ones((len(rows), len(allowed)), bool)
        for j, condition in enumerate(allowed):
            for column, codes in enumerate(condition):
                if codes is not None:
                    out[:, j] &= np.isin(rows[:, column], list(codes))
        return out


def tag_texts():
    """All prompts of all groups, then the backgrounds, in one list."""
    return [p for g in GROUPS for p in PROMPTS[g]] + words.BACKGROUNDS


def group_slices():
    out, at = {}, 0
    for g in GROUPS:
        out[g] = slice(at, at + len(PROMPTS[g]))
        at += len(PROMPTS[g])
    return out, slice(at, at + len(words.BACKGROUNDS))


def group_loss(cos, rows, scale):
    """Cross entropy of the fleet's own rule; rows hold -1 where nothing of a group is true."""
    slices, back = group_slices()
    loss = 0.0
    for column, group in enumerate(GROUPS):
        target = rows[:, column]
        logits = torch.cat([scale * cos[:, slices[group]], scale * torch.logsumexp(scale * cos[:, back], 1, keepdim=True) / scale], 1)
        none = logits.shape[1] - 1
        target = torch.where(target < 0, none, target)
        loss = loss + F.cross_entropy(logits, target, label_smoothing=0.02) * (1.5 if column == 0 else 0.6)
    return loss


# ---------------------------------------------------------------- training

def train(args, pixels, truths, strange, vocabulary):
    torch.manual_seed(SEED)
    rng, np_rng = torch.Generator().manual_seed(SEED), np.random.default_rng(SEED)
    image, text = ImageEncoder(), TextEncoder(len(vocabulary))
    image = image.to(memory_format=torch.channels_last)
    log_scale = nn.Parameter(torch.tensor(np.log(14.0), dtype=torch.float32))
    augment = Augment(rng)
    captions = Captions(truths, np_rng)
    rows = torch.from_numpy(captions.rows)
    decay = [p for m in (image, text) for p in m.parameters() if p.ndim > 1]
    rest = [p for m in (image, text) for p in m.parameters() if p.ndim <= 1] + [log_scale]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.03}, {"params": rest, "weight_decay": 0.0}], lr=args.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.rate, total_steps=args.steps, pct_start=0.12)
    tags = tag_texts()
    drawn_count = args.batch - args.batch // 4
    order, at, started = np_rng.permutation(len(pixels)), 0, time.time()
    smooth_image, averaged = None, 0
    image.train(), text.train()
    for step in range(args.steps):
        if at + drawn_count > len(order):
            order, at = np_rng.permutation(len(pixels)), 0
        chosen = order[at:at + drawn_count]
        at += drawn_count
        odd = np_rng.integers(0, len(strange), args.batch // 4)
        batch = np.concatenate([pixels[chosen], strange[odd]])
        is_drawn = torch.zeros(args.batch)
        is_drawn[:drawn_count] = 1
        x = normal(augment(batch, is_drawn)).contiguous(memory_format=torch.channels_last)
        codes = torch.cat([rows[chosen], torch.full((args.batch // 4, 4), -1, dtype=rows.dtype)])
        # Two captions a picture, some captions of other pictures, some texts without sense.
        made = [captions.text(truths[i]) for i in chosen] + [captions.text(truths[i]) for i in chosen[:drawn_count // 2]]
        made += [captions.text(truths[i]) for i in np_rng.integers(0, len(truths), drawn_count // 2)]
        made += [(captions.pick(words.WRAPS).format(" ".join(["qqq"] * int(np_rng.integers(1, 4)))), [set(), None, None, None]) for _ in range(6)]
        ids = torch.tensor([ids_of(t, vocabulary) for t, _ in made])
        noise = torch.rand(ids.shape, generator=rng)
        known_count = (ids > 1).sum(1, keepdim=True)
        ids = torch.where((ids > 1) & (noise < 0.03) & (known_count > 3), 1, ids)
        extra = (torch.rand(len(ids), generator=rng) < 0.1) & (ids[:, -1] == 0)
        ids[extra, -1] = 1
        true = torch.from_numpy(captions.matches([a for _, a in made], codes.numpy()))
        wraps = [captions.pick(words.TEMPLATES + ["{}"]).format(t) for t in tags]
        tag_ids = torch.tensor([ids_of(t, vocabulary) for t in wraps])

        v = F.normalize(image(x), dim=1)
        t = F.normalize(text(torch.cat([ids, tag_ids])), dim=1)
        scale = log_scale.exp().clamp(max=30)
        cos = v @ t.T
        logits = scale * cos[:, :len(ids)]
        # Text to picture: share the probability among all pictures the text is true of.
        has = true.any(0)
        target = true.float() / true.float().sum(0, keepdim=True).clamp(min=1)
        to_image = -(target * F.log_softmax(logits, 0)).sum(0)[has].mean()
        # Picture to text: every true text against all false ones.
        false_sum = torch.logsumexp(logits.masked_fill(true, -1e4), 1, keepdim=True)
        pair = F.softplus(false_sum - logits)
        to_text = (pair * true).sum() / true.sum().clamp(min=1)
        # A text without sense lies away from every picture.
        senseless = F.relu(cos[:, len(ids) - 6:len(ids)]).pow(2).mean()
        tag_loss = group_loss(cos[:, len(ids):], codes, scale)
        # A picture of nothing lies away from every tag.
        names = sum(len(PROMPTS[g]) for g in GROUPS)
        odd_loss = F.relu(cos[drawn_count:, len(ids):len(ids) + names].amax(1) - 0.1).pow(2).mean()
        loss = to_image + 0.5 * to_text + tag_loss + 2 * senseless + 4 * odd_loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(decay + rest, 3.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step + 1 == args.steps:
            print(f"step {step} loss {loss.item():.3f} image {to_image.item():.3f} text {to_text.item():.3f} tags {tag_loss.item():.3f} "
                  f"scale {scale.item():.1f} {time.time() - started:.0f}s", flush=True)
    image.eval(), text.eval()
    return image, text, log_scale.exp().clamp(max=30).item(), time.time() - started


# ---------------------------------------------------------------- measuring

@torch.no_grad()
def look(image, pixels):
    """Unit vectors of pictures at STORE size, squashed to SIDE as the fleet does."""
    out = []
    for start in range(0, len(pixels), 64):
        part = [np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.BICUBIC)) for p in pixels[start:start + 64]]
        x = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 255
        out.append(F.normalize(image(normal(x)), dim=1))
    return torch.cat(out)


@torch.no_grad()
def read(text, texts, vocabulary):
    return F.normalize(text(torch.tensor([ids_of(t, vocabulary) for t in texts])), dim=1)


def probabilities(cos, scale):
    """Group probabilities by the fleet's rule: [B, tags of the group] each."""
    slices, back = group_slices()
    out = {}
    for group, part in slices.items():
        out[group] = F.softmax(scale * torch.cat([cos[:, part], cos[:, back]], 1), 1)[:, :part.stop - part.start]
    return out


def calibrate(cos_in, truths, cos_out, scale):
    """Floors from held-out pictures of the first generator and from outliers of another seed."""
    slices, _ = group_slices()
    inside, outside = probabilities(cos_in, scale), probabilities(cos_out, scale)
    floors, cosine, figures = {}, {}, {}
    for group in GROUPS:
        names, part = NAMES[group], slices[group]
        truth = np.array([names.index(t[group]) if t[group] in names else -1 for t in truths])
        for index, name in enumerate(names):
            own = cos_in[torch.from_numpy(truth == index), part.start + index]
            near = torch.quantile(cos_out[:, part.start + index], 0.998)
            low = torch.quantile(own, 0.05) if len(own) else near
            # Above nearly all outliers, but never so high that a twentieth of the true ones is lost.
            cosine[group, name] = round(float(torch.maximum(torch.minimum(near + 0.02, low), low * 0.8).clamp(min=0.2)), 3)
        limits = torch.tensor([cosine[group, name] for name in names])
        best, which = inside[group].max(1)
        far, strange = outside[group].max(1)
        right = which.numpy() == truth
        near_enough = cos_in[:, part].gather(1, which[:, None])[:, 0] >= limits[which]
        odd_near = cos_out[:, part].gather(1, strange[:, None])[:, 0] >= limits[strange]
        # The lowest floor, from 0.8 up (a wrong tag costs more than a missing one), at which tags are
        # right 98 times in 100 and of 1000 outliers at most three are given a tag.
        floor = 0.95
        for candidate in np.arange(0.8, 0.96, 0.025):
            said = ((best >= candidate) & near_enough).numpy()
            odd = ((far >= candidate) & odd_near).float().mean()
            if said.any() and right[said].mean() >= 0.98 and odd <= 0.003:
                floor = float(round(candidate, 3))
                break
        floors[group] = floor
        said = ((best >= floor) & near_enough).numpy()
        figures[group] = {"probability_floor": floor, "precision": round(float((right & said).sum() / max(said.sum(), 1)), 4),
                          "recall": round(float((right & said).sum() / max((truth >= 0).sum(), 1)), 4),
                          "outliers_tagged": round(float(((far >= floor) & odd_near).float().mean()), 4)}
    return floors, cosine, figures


def search_floor(text, vocabulary, vectors, truths, captions):
    """Between what true captions reach and what senseless ones do."""
    made = [captions.text(truths[i]) for i in range(0, len(truths), 2)]
    t = read(text, [m for m, _ in made], vocabulary)
    cos = (t @ vectors.T).numpy()
    true = captions.matches([a for _, a in made], np.array([[captions.code[g].get(x[g], -1) for g in GROUPS] for x in truths])).T
    reached = np.where(true, cos, -1).max(1)
    senseless = read(text, ["zebra", "a qqq www", "show me tax returns", "quantum physics homework", "a picture of xylophones and dragons"], vocabulary)
    noise = (senseless @ vectors.T).max().item()
    low = float(np.quantile(reached, 0.02))
    return round(min(0.6 * low, max(noise + 0.03, 0.5 * low)), 3), low, noise


# ---------------------------------------------------------------- the pack

class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def export(model, example, path, source, target):
    torch.onnx.export(Wrapped(model).eval(), (example,), str(path), input_names=[source], output_names=[target], opset_version=17,
                      dynamic_axes={source: {0: "batch"}, target: {0: "batch"}}, dynamo=False)


def check(path, model, example, source):
    import onnx
    import onnxruntime
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 2, 5):
        part = example[:count]
        with torch.no_grad():
            want = model(part).numpy()
        got = session.run(None, {source: part.numpy()})[0]
        worst = max(worst, float(np.abs(want - got).max()))
    assert worst < 1e-3, f"{path} disagrees with torch by {worst}"
    return session, worst


def self_test_input():
    y, x, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    return ((x * 7 + y * 13 + c * 29) % 256).astype(np.uint8)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def vocabulary_file(floors, cosine):
    tags = []
    for name, (prompt, category, synonyms) in words.SUBJECTS.items():
        tags.append({"tag": name, "group": "subject", "category": category, "prompt": prompt, "phrase": prompt,
                     "synonyms": [s for s in synonyms if s != name], "cosine_floor": cosine["subject", name]})
    for group, table in (("place", words.PLACES), ("time", words.TIMES)):
        for name, (prompt, phrase, category, synonyms) in table.items():
            tags.append({"tag": name, "group": group, "category": category, "prompt": prompt, "phrase": phrase,
                         "synonyms": [s for s in synonyms if s != name], "cosine_floor": cosine[group, name]})
    for name in NAMES["colour"]:
        tags.append({"tag": name, "group": "colour", "category": "colours", "prompt": f"something {name}", "phrase": name,
                     "synonyms": words.COLOURS[name][1:], "cosine_floor": cosine["colour", name]})
    return {"schema_version": 1, "templates": words.TEMPLATES, "backgrounds": words.BACKGROUNDS,
            "sentence": ["subject", "place", "time"],
            "groups": [{"name": g, "exclusive": True, "probability_floor": floors[g]} for g in GROUPS], "tags": tags}


def write_pack(args, image, text, scale, vocabulary, floors, cosine, floor):
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    pictures, ids = torch.randn(5, 3, SIDE, SIDE), torch.randint(0, len(vocabulary), (5, CONTEXT))
    image = image.to(memory_format=torch.contiguous_format)
    export(image, pictures[:2], out / "image.onnx", "pixel_values", "image_embeds")
    export(text, ids[:2], out / "text.onnx", "input_ids", "text_embeds")
    session, worst_image = check(out / "image.onnx", image, pictures, "pixel_values")
    _, worst_text = check(out / "text.onnx", text, ids, "input_ids")
    dump = lambda value: json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    (out / "tokenizer.json").write_text(dump(tokenizer_json(vocabulary)))
    (out / "vocabulary.json").write_text(dump(vocabulary_file(floors, cosine)))
    test = (self_test_input().astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    vector = session.run(None, {"pixel_values": test.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
    vector = vector / np.linalg.norm(vector)
    here = Path(__file__).parent
    script = hashlib.sha256(b"".join((here / n).read_bytes() for n in ("train.py", "words.py", "outliers.py"))).hexdigest()
    files = [("image_encoder", "image.onnx"), ("text_encoder", "text.onnx"), ("tokenizer", "tokenizer.json"), ("vocabulary", "vocabulary.json")]
    manifest = {
        "schema_version": 1, "id": "starter", "version": args.version, "capability": ["embed", "tags", "describe"],
        "display_name": "Starter pack (drawn pictures)",
        "licence": {"spdx": "MIT OR Apache-2.0", "url": "https://spdx.org/licenses/MIT.html", "commercial_use": True,
                    "requires_acceptance": False, "attribution": "trained by models/starter/train.py on pictures drawn by crates/drawn"},
        "source": {"kind": "file", "repo": "models/starter", "revision": script, "mirrors": []},
        "files": [{"role": r, "path": p, "size": (out / p).stat().st_size, "sha256": sha256(out / p)} for r, p in files],
        "runtime": {"min_ort_minor": 24, "opset": 17, "providers": ["cpu", "cuda"], "precision": "fp32"},
        "graphs": [
            {"role": "image_encoder", "file": "image.onnx", "inputs": [{"name": "pixel_values", "dtype": "f32", "shape": [-1, 3, SIDE, SIDE]}],
             "outputs": [{"name": "image_embeds", "dtype": "f32", "shape": [-1, DIM]}], "kv_cache": "none"},
            {"role": "text_encoder", "file": "text.onnx", "inputs": [{"name": "input_ids", "dtype": "i64", "shape": [-1, CONTEXT]}],
             "outputs": [{"name": "text_embeds", "dtype": "f32", "shape": [-1, DIM]}], "kv_cache": "none"}],
        "preprocess": {"exif_orient": True, "color": "rgb", "resize": "squash", "size": SIDE, "filter": "bicubic", "antialias": True,
                       "resize_engine": "pil_exact", "crop": "none", "scale": 0.00392156862745098, "mean": MEAN, "std": STD, "layout": "nchw"},
        "tokenizer": {"kind": "tokenizers", "file": "tokenizer.json", "context": CONTEXT, "pad": 0, "unk": 1, "lowercase": True, "pad_to": CONTEXT},
        "postprocess": {"embedding": {"dim": DIM, "normalize": True, "logit_scale": round(scale, 4), "search_floor": floor},
                        "tags": {"vocabulary": "vocabulary.json"}},
        "resources": {"ram_mb": 64, "default_batch": 8, "max_batch": 32},
        "self_test": {"seed": SEED, "expected": [round(float(v), 6) for v in vector[:8]], "tolerance": 1e-3},
    }
    (out / "manifest.json").write_text(dump(manifest))
    return worst_image, worst_text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", required=True, help="the draw command of crates/drawn")
    parser.add_argument("--out", required=True, help="where the pack is written")
    parser.add_argument("--work", default=None, help="where drawings are kept between runs; OUT/.work when left out")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--pictures", type=int, default=52 * 120)
    parser.add_argument("--outliers", type=int, default=2400)
    parser.add_argument("--version", default="1.0.0")
    args = parser.parse_args()
    torch.set_num_threads(2)
    work = Path(args.work or Path(args.out) / ".work")
    started = time.time()
    pixels, truths = drawn(args.draw, work / f"train-{args.pictures}", 101, args.pictures)
    held, held_truths = drawn(args.draw, work / "held", 202, 52 * 10)
    strange = outliers.many(1, args.outliers, STORE, pixels[:400])
    # Only pictures made from chance set the floors: a part of a drawing may still show what it shows.
    other = outliers.many(2, 1000, STORE, None)
    print(f"pictures ready after {time.time() - started:.0f}s", flush=True)
    vocabulary = build_vocabulary()
    image, text, scale, seconds = train(args, pixels, truths, strange, vocabulary)
    inside, outside = look(image, held), look(image, other)
    prompts = read(text, [words.TEMPLATES[0].format(t) for t in tag_texts()[:-len(words.BACKGROUNDS)]] + words.BACKGROUNDS, vocabulary)
    floors, cosine, figures = calibrate(inside @ prompts.T, held_truths, outside @ prompts.T, scale)
    floor, low, noise = search_floor(text, vocabulary, inside, held_truths, Captions(held_truths, np.random.default_rng(5)))
    worst = write_pack(args, image, text, scale, vocabulary, floors, cosine, floor)
    figures = {"seed": SEED, "steps": args.steps, "batch": args.batch, "pictures": args.pictures, "outliers": args.outliers,
               "training_seconds": round(seconds), "parameters": {"image": sum(p.numel() for p in image.parameters()), "text": sum(p.numel() for p in text.parameters())},
               "logit_scale": round(scale, 3), "search_floor": floor, "true_captions_reach_at_least": round(low, 3), "senseless_texts_reach_at_most": round(noise, 3),
               "onnx_against_torch": max(worst), "held_out_first_generator": figures}
    (Path(args.out) / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
