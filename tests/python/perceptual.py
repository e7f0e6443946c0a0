"""Features of the networks that judge, computed with numpy alone: the numbers in tests/tests/perceptual.rs.

Weights and picture are sines of their index, so that both sides can make them. Run: python tests/python/perceptual.py
"""

import numpy as np


def wave(count, frequency, scale):
    return np.sin(np.arange(count, dtype=np.float64) * frequency + 0.3) * scale


def parameter(outputs, inputs, kernel):
    weight = wave(outputs * inputs * kernel * kernel, 0.7, np.sqrt(4.0 / (inputs * kernel * kernel)))
    return weight.reshape(outputs, inputs, kernel, kernel), wave(outputs, 1.3, 0.1)


def conv(x, outputs, kernel, stride=1, pad=0, mode="constant"):
    weight, bias = parameter(outputs, x.shape[0], kernel)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("oikl,ihwkl->ohw", weight, windows) + bias[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def pool(x, kernel, stride):
    out = [-(-(size - kernel) // stride) + 1 for size in x.shape[1:]]
    return np.array([[x[:, i * stride : i * stride + kernel, j * stride : j * stride + kernel].max(axis=(1, 2)) for j in range(out[1])] for i in range(out[0])]).transpose(2, 0, 1)


def fire(x, squeezed, expanded):
    x = relu(conv(x, squeezed, 1))
    return np.concatenate([relu(conv(x, expanded, 1)), relu(conv(x, expanded, 3, pad=1))])


def show(name, x):
    c, h, w = x.shape
    print(f'("{name}", [{c}, {h}, {w}], [{x.mean():.6e}, {x.std():.6e}, {x[c // 2, h // 2, w // 3]:.6e}]),')


picture = ((wave(3 * 37 * 45, 0.11, 0.5) + 0.5)).reshape(3, 37, 45)


def prepare(picture):
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return (picture - mean[:, None, None]) / deviation[:, None, None]


def squeeze_net(picture):
    x = relu(conv(prepare(picture), 64, 3, stride=2))
    yield "relu0", x
    for number, squeezed, expanded in [(3, 16, 64), (4, 16, 64), (6, 32, 128), (7, 32, 128), (9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)]:
        if number in (3, 6, 9):
            x = pool(x, 3, 2)
        x = fire(x, squeezed, expanded)
        yield f"fire{number}", x


def unit(x):
    return x / (np.sqrt((x**2).sum(axis=0, keepdims=True)) + 1e-10)


def lpips(a, b):
    """Zhang et al. 2018 with heads that are sines too."""
    total = 0.0
    for (name, x), (_, y) in zip(squeeze_net(a), squeeze_net(b)):
        if name not in ("fire3", "fire6"):
            head = wave(x.shape[0], 0.7, np.sqrt(4.0 / x.shape[0]))
            total += (head[:, None, None] * (unit(x) - unit(y)) ** 2).sum(axis=0).mean()
    return total


print("SqueezeNet")
for name, feature in squeeze_net(picture):
    show(name, feature)
other = (wave(3 * 37 * 45, 0.05, 0.4) + 0.5).reshape(3, 37, 45)
print(f"LPIPS {lpips(picture, other):.6e}")

for title, blocks in [("Vgg16", (2, 2, 3)), ("Vgg19", (2, 2, 4))]:
    print(title)
    x, channels = prepare(picture), 64
    for block, count in enumerate(blocks, 1):
        if block > 1:
            x, channels = pool(x, 2, 2), channels * 2
        for place in range(1, count + 1):
            x = relu(conv(x, channels, 3, pad=1))
            show(f"relu{block}_{place}", x)

print("Vgg19Front")
x = conv(picture, 3, 1)
for name, channels in [("relu1_1", 64), ("relu1_2", 64), ("relu2_1", 128), ("relu2_2", 128), ("relu3_1", 256)]:
    if name in ("relu2_1", "relu3_1"):
        x = pool(x, 2, 2)
    x = relu(conv(x, channels, 3, pad=1, mode="reflect"))
    show(name, x)
