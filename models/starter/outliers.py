"""Pictures of nothing in the vocabulary, made from chance alone.

A photograph is not a drawing. So that the pack says nothing about photographs, it learns a second kind
of picture: overlapping leaves with light and shade, noise with the spectrum of nature, woven and
brushed textures, soft bodies out of focus, rows of glyphs, coins on a cloth, and drawings taken apart.
No photograph is used.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def power_noise(rng, size, slope):
    """Noise whose spectrum falls with the frequency to the power of `slope`, 0..1."""
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None, :]
    amplitude = 1.0 / np.maximum(np.sqrt(fx * fx + fy * fy), 1.0 / size) ** slope
    phase = rng.uniform(0, 2 * np.pi, amplitude.shape)
    field = np.fft.irfft2(amplitude * np.exp(1j * phase), (size, size))
    low, high = np.percentile(field, [1, 99])
    return np.clip((field - low) / (high - low + 1e-9), 0, 1)


def palette(rng, count):
    """Muted colours around one or two hues, as most photographs have."""
    base = rng.uniform(0.05, 0.95, 3)
    if rng.random() < 0.3:
        base[:] = base.mean()
    spread = rng.uniform(0.05, 0.4)
    return np.clip(base + rng.normal(0, spread, (count, 3)) * rng.uniform(0.3, 1, 3) + rng.normal(0, 0.15, (count, 1)), 0, 1)


def leaves(rng, size):
    count = int(rng.integers(12, 160))
    colours = palette(rng, count)
    big = size * 2
    picture = Image.new("RGB", (big, big), tuple(int(c * 255) for c in colours[0]))
    draw = ImageDraw.Draw(picture)
    for colour in colours:
        x, y = rng.uniform(-0.1, 1.1, 2) * big
        r = big * min(0.5, 0.02 / max(rng.random(), 0.03))
        fill = tuple(int(c * 255) for c in colour)
        kind = rng.integers(0, 3)
        if kind == 0:
            draw.ellipse([x - r, y - r * rng.uniform(0.4, 1), x + r, y + r], fill=fill)
        elif kind == 1:
            turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            draw.polygon([(x + r * np.cos(t), y + r * np.sin(t)) for t in turns], fill=fill)
        else:
            dx, dy = rng.normal(0, r, 2)
            draw.line([x, y, x + 2 * dx, y + 2 * dy], fill=fill, width=int(max(2, r * 0.2)))
    return np.asarray(picture.resize((size, size), Image.BOX), np.float32) / 255


def bodies(rng, size):
    """Round bodies with light from one side, before a soft background."""
    y, x = np.mgrid[0:size, 0:size] / size
    ground, *colours = palette(rng, 9)
    out = np.ones((size, size, 3)) * ground * (0.6 + 0.4 * power_noise(rng, size, rng.uniform(1, 2.2)))[..., None]
    light = rng.normal(0, 1, 3)
    light[2] = abs(light[2]) + 0.5
    light /= np.linalg.norm(light)
    for colour in colours[: int(rng.integers(1, 9))]:
        cx, cy = rng.uniform(0.1, 0.9, 2)
        rx, ry = rng.uniform(0.06, 0.45, 2)
        if rng.random() < 0.4:
            ry = rx
        u, v = (x - cx) / rx, (y - cy) / ry
        inside = u * u + v * v
        height = np.sqrt(np.clip(1 - inside, 0, 1))
        shade = np.clip(u * light[0] + v * light[1] + height * light[2], 0, 1) * 0.8 + 0.2
        shade = shade + 0.6 * np.clip(shade - 0.9, 0, 1) * rng.integers(0, 2)
        skin = colour * (0.7 + 0.6 * power_noise(rng, size, rng.uniform(0.6, 2)))[..., None]
        cover = np.clip((1 - inside) * rng.uniform(6, 40), 0, 1)[..., None]
        out = out * (1 - cover) + np.clip(skin * shade[..., None], 0, 1) * cover
    return out


def coins(rng, size):
    """Many like things on a textured cloth, grey or nearly so."""
    out = np.ones((size, size, 3)) * palette(rng, 1)[0] * (0.5 + 0.5 * power_noise(rng, size, 1.2))[..., None]
    y, x = np.mgrid[0:size, 0:size] / size
    across = int(rng.integers(2, 7))
    for row in range(across):
        for column in range(across):
            cx = (column + 0.5 + rng.normal(0, 0.12)) / across
            cy = (row + 0.5 + rng.normal(0, 0.12)) / across
            r = rng.uniform(0.25, 0.48) / across
            d = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) / r
            cover = np.clip((1 - d) * 12, 0, 1)[..., None]
            relief = 0.4 + 0.6 * power_noise(rng, size, 1.3) + 0.3 * (d > 0.85)
            out = out * (1 - cover) + np.clip(relief, 0, 1)[..., None] * rng.uniform(0.4, 1) * cover
    return out


def texture(rng, size):
    y, x = np.mgrid[0:size, 0:size] / size
    field = np.zeros((size, size))
    for _ in range(int(rng.integers(1, 5))):
        angle, freq = rng.uniform(0, np.pi), rng.uniform(2, 30)
        field += np.sin(2 * np.pi * freq * (x * np.cos(angle) + y * np.sin(angle)) + 6 * rng.random()
                        + rng.uniform(0, 4) * power_noise(rng, size, 2))
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    a, c = palette(rng, 2)
    return a + (c - a) * field[..., None]


def glyphs(rng, size):
    a, c = palette(rng, 2)
    out = np.ones((size, size, 3)) * np.clip(a + 0.4, 0, 1)
    step = int(rng.integers(5, 14))
    for y in range(2, size - step, step):
        x = 2
        while x < size - step:
            cell = rng.random((5, 3)) < 0.5
            patch = np.kron(cell, np.ones((max(1, step // 7), max(1, step // 7))))
            h, w = patch.shape
            out[y:y + h, x:x + w][patch[: size - y, : size - x] > 0] = c * 0.5
            x += w + int(rng.integers(1, 4)) + (step if rng.random() < 0.15 else 0)
    return out


def clouds(rng, size):
    slope = rng.uniform(0.5, 2.4)
    if rng.random() < 0.35:
        return np.repeat(power_noise(rng, size, slope)[..., None], 3, 2)
    shared = power_noise(rng, size, slope)
    own = [power_noise(rng, size, slope) for _ in range(3)]
    mix = rng.uniform(0.3, 1)
    a, c = palette(rng, 2)
    field = np.stack([shared * mix + o * (1 - mix) for o in own], 2)
    return a + (c - a) * field


def lights(rng, size):
    """Lamps, sparks and streaks in the dark, or glare on something bright."""
    out = np.ones((size, size, 3)) * palette(rng, 1)[0] * rng.uniform(0.05, 0.5) * (0.3 + 0.7 * power_noise(rng, size, rng.uniform(1, 2.4)))[..., None]
    y, x = np.mgrid[0:size, 0:size] / size
    for _ in range(int(rng.integers(1, 7))):
        cx, cy = rng.random(2)
        angle, stretch, r = rng.uniform(0, np.pi), rng.uniform(1, 9), rng.uniform(0.01, 0.15)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        glow = np.exp(-((u / r / stretch) ** 2 + (v / r) ** 2)) + 0.3 * np.exp(-np.sqrt(u * u + v * v) / (3 * r))
        out = out + glow[..., None] * np.clip(palette(rng, 1)[0] + 0.4, 0, 1)
    return out


def vista(rng, size):
    """A sky with real-looking clouds over broken ground, towers or smoke: land as a camera sees it."""
    y, x = np.mgrid[0:size, 0:size] / size
    top, low, ground, thing = palette(rng, 4) * rng.uniform(0.15, 1)
    out = top + (low - top) * (y ** rng.uniform(0.5, 2))[..., None]
    cloud = np.clip(power_noise(rng, size, rng.uniform(1.3, 2.2)) * 2 - rng.uniform(0.5, 1.5), 0, 1)[..., None]
    out = out * (1 - cloud * 0.7) + np.clip(low + 0.3, 0, 1) * cloud * 0.7
    for _ in range(int(rng.integers(1, 4))):
        edge = rng.uniform(0.35, 0.9) + (power_noise(rng, size, rng.uniform(1.2, 2))[0] - 0.5) * rng.uniform(0.02, 0.3)
        cover = np.clip((y - edge[None, :]) * size, 0, 1)[..., None]
        soil = ground * rng.uniform(0.5, 1.1) * (0.3 + 0.9 * power_noise(rng, size, rng.uniform(0.5, 1.4)))[..., None]
        out = out * (1 - cover) + soil * cover
    for _ in range(int(rng.integers(0, 4))):
        cx, half, high = rng.random(), rng.uniform(0.005, 0.08), rng.uniform(0.1, 0.8)
        cover = ((np.abs(x - cx) < half * (0.6 + 0.4 * power_noise(rng, size, 1.5))) & (y > high))[..., None]
        out = np.where(cover, thing * (0.4 + 0.8 * power_noise(rng, size, 1.0))[..., None], out)
    if rng.random() < 0.6:
        cx, cy, r = rng.random(), rng.uniform(0.2, 1), rng.uniform(0.03, 0.25)
        glow = np.exp(-(((x - cx) / r) ** 2 + ((y - cy) / r / rng.uniform(0.5, 3)) ** 2)) * (0.6 + 0.8 * power_noise(rng, size, 1.5))
        out = out + glow[..., None] * np.clip(palette(rng, 1)[0] + 0.5, 0, 1)
    return out


def gradient(rng, size):
    y, x = np.mgrid[0:size, 0:size] / size
    a, c, d = palette(rng, 3)
    angle = rng.uniform(0, 2 * np.pi)
    t = np.clip((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5, 0, 1)[..., None]
    t2 = np.exp(-(((x - rng.random()) ** 2 + (y - rng.random()) ** 2) / rng.uniform(0.01, 0.3)))[..., None]
    return a + (c - a) * t + (d - a) * t2


def shuffled(rng, size, drawing):
    """A drawing cut into tiles and put together wrongly."""
    parts = int(rng.integers(3, 7))
    side = size // parts
    tiles = [(r, c) for r in range(parts) for c in range(parts)]
    order = rng.permutation(len(tiles))
    out = np.array(Image.fromarray(drawing).resize((size, size)), np.float32) / 255
    source = out.copy()
    for (r, c), other in zip(tiles, order):
        r2, c2 = tiles[other]
        out[r * side:(r + 1) * side, c * side:(c + 1) * side] = source[r2 * side:(r2 + 1) * side, c2 * side:(c2 + 1) * side]
    return out


def weathered(rng, size, drawing):
    """A close-up of a drawing so worn and unsharp that nothing can be named."""
    h = drawing.shape[0]
    side = int(h * rng.uniform(0.15, 0.3))
    y, x = rng.integers(0, h - side, 2)
    part = Image.fromarray(drawing[y:y + side, x:x + side]).resize((size, size), Image.BICUBIC)
    out = np.asarray(part, np.float32) / 255
    return out * (0.4 + 0.9 * power_noise(rng, size, rng.uniform(0.8, 1.8)))[..., None]


MAKERS = [leaves, leaves, bodies, bodies, bodies, coins, coins, texture, glyphs, clouds, clouds, gradient, lights, lights, vista, vista, vista, shuffled, weathered]


def outlier(rng, size, drawings):
    """One picture, uint8 [size, size, 3]; without drawings, only from chance."""
    makers = MAKERS if drawings is not None else [m for m in MAKERS if m not in (shuffled, weathered)]

    def one():
        maker = makers[rng.integers(0, len(makers))]
        if maker in (shuffled, weathered):
            return np.clip(maker(rng, size, drawings[rng.integers(0, len(drawings))]), 0, 1)
        return np.clip(maker(rng, size), 0, 1)

    out = one()
    if rng.random() < 0.5:
        # Two layers with a soft border, as things stand before other things.
        mask = power_noise(rng, size, rng.uniform(1.6, 2.6))
        mask = np.clip((mask - rng.uniform(0.3, 0.7)) * rng.uniform(3, 30) + 0.5, 0, 1)[..., None]
        out = out * mask + one() * (1 - mask)
    if rng.random() < 0.7:
        # Uneven light.
        out = out * (0.45 + 0.75 * power_noise(rng, size, rng.uniform(1.5, 2.5)))[..., None]
    picture = Image.fromarray((np.clip(out, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.5)))
    out = np.asarray(picture, np.float32) / 255
    if rng.random() < 0.28:
        out = np.repeat(out.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.25:
        out = np.clip((out - 0.5) * rng.uniform(1.1, 2) + 0.5, 0, 1)
    out = out + rng.normal(0, rng.uniform(0, 0.06), out.shape[:2] + (1,)) + rng.normal(0, 0.01, out.shape)
    return (np.clip(out, 0, 1) * 255).astype(np.uint8)


def many(seed, count, size, drawings):
    rng = np.random.default_rng(seed)
    return np.stack([outlier(rng, size, drawings) for _ in range(count)])
