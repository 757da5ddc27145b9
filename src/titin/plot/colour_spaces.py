"""The distance between two colours as people see them, with full colour vision and with a deficiency of it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colours = NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as it is seen without red or green cones
VISIONS: dict[str, Colours] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # D65


def rgb(colours: "ArrayLike") -> Colours:
    """Red, green and blue (float64, 0 … 1, sRGB) of colours given as ``#rrggbb``; shape ``(n, 3)``."""
    texts = np.atleast_1d(np.asarray(colours, str))
    return np.array([[int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] for text in texts.tolist()])


def hexadecimal(colours: Colours) -> list[str]:
    """Write sRGB colours (0 … 1, shape ``(n, 3)``) as ``#rrggbb``."""
    bytes_ = np.clip(np.rint(colours * 255), 0, 255).astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in bytes_.tolist()]


def lab(colours: Colours, vision: str = "normal") -> Colours:
    """CIE L*a*b* (D65) of sRGB colours as seen with one kind of vision.

    Parameters
    ----------
    colours
        sRGB, 0 … 1, shape ``(n, 3)``.
    vision
        ``normal``, ``protanopia`` or ``deuteranopia``, simulated after Machado, Oliveira and Fernandes (2009).

    Returns
    -------
    ndarray
        Lightness 0 … 100, a and b, float64, shape ``(n, 3)``.
    """
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    x, y, z = _cube(seen @ _TO_XYZ.T / _WHITE).T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _cube(t: Colours) -> Colours:
    return np.asarray(np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29))


def from_lch(lightness: ArrayLike, chroma: ArrayLike, hue: ArrayLike) -> Colours:
    """SRGB of CIE lightness, chroma and hue (degrees); chroma is lowered where the screen cannot show it.

    Returns
    -------
    ndarray
        0 … 1, shape ``(n, 3)``.
    """
    light, strength, angle = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, float)) for v in (lightness, chroma, hue))
    )
    angle = np.deg2rad(angle)
    result, done = np.zeros((len(light), 3)), np.zeros(len(light), bool)
    for share in np.linspace(1, 0, 41):
        a, b = strength * share * np.cos(angle), strength * share * np.sin(angle)
        shown = _from_lab(np.column_stack([light, a, b]))
        fits = ~done & ((shown > -1e-6) & (shown < 1 + 1e-6)).all(axis=1)
        result[fits] = shown[fits]
        done |= fits
    return np.clip(result, 0, 1)


def _from_lab(colours: Colours) -> Colours:
    y = (colours[:, 0] + 16) / 116
    t = np.column_stack([y + colours[:, 1] / 500, y, y - colours[:, 2] / 200])
    xyz = np.where(t > 6 / 29, t**3, 3 * (6 / 29) ** 2 * (t - 4 / 29)) * _WHITE
    linear = xyz @ np.linalg.inv(_TO_XYZ).T
    gamma = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, gamma))


def difference(one: Colours, other: Colours) -> Colours:
    """CIEDE2000 difference of colours in L*a*b*; about 1 is just noticeable, 10 is seen at a glance.

    Parameters
    ----------
    one, other
        L*a*b*, shapes ``(…, 3)`` that broadcast.

    Notes
    -----
    Sharma, Wu and Dalal (2005), Color Research and Application 30:21; without the parametric factors (all 1).
    """
    light1, a1, b1 = np.moveaxis(np.asarray(one, float), -1, 0)
    light2, a2, b2 = np.moveaxis(np.asarray(other, float), -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _saturation(mean)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.rad2deg(np.arctan2(b1, a1)) % 360, np.rad2deg(np.arctan2(b2, a2)) % 360
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    d_light, d_chroma, d_hue = light2 - light1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.deg2rad(turn / 2))
    light, chroma = (light1 + light2) / 2, (c1 + c2) / 2
    hue = np.where(coloured, (h1 + ((h2 - h1 + 180) % 360 - 180) / 2) % 360, h1 + h2)
    weight = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.2 * _cos(4 * hue - 63)
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = -2 * _saturation(chroma) * np.sin(np.deg2rad(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    x, y, z = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    return np.asarray(np.sqrt(x**2 + y**2 + z**2 + rotation * y * z))


def _saturation(chroma: Colours) -> Colours:
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _cos(degrees: Colours) -> Colours:
    return np.cos(np.deg2rad(degrees))


def separation(colours: ArrayLike, visions: ArrayLike = tuple(VISIONS)) -> Colours:
    """Smallest CIEDE2000 difference of each pair of colours over several kinds of vision.

    Parameters
    ----------
    colours
        ``#rrggbb``, n of them.
    visions
        Names from `VISIONS`.

    Returns
    -------
    ndarray
        float64, shape ``(n, n)``, 0 on the diagonal.

    Examples
    --------
    >>> bool(separation(["#0072b2", "#d55e00"])[0, 1] > 40)
    True
    """
    values = rgb(colours)
    seen = [lab(values, vision) for vision in np.atleast_1d(np.asarray(visions)).tolist()]
    return np.asarray(np.min([difference(each[:, None], each[None]) for each in seen], axis=0))
