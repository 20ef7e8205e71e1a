//! Colours for a game: five of one family, always readable. It knows no taste
//! beyond a hue and whether the game is a dark one.

use crate::forms::Colours;

/// A palette around `hue` (degrees). Text reaches a contrast of 7 on both grounds,
/// the accent 3 on them, and the accent's own text 4.5 on it (WCAG 2.2's ratios).
pub(crate) fn around(hue: u16, dark: bool) -> Colours {
    let accent_hue = (hue + 150) % 360;
    let (background, surface, text) = if dark {
        (
            hsl(hue, 0.38, 0.09),
            hsl(hue, 0.32, 0.15),
            hsl(hue, 0.35, 0.94),
        )
    } else {
        (
            hsl(hue, 0.45, 0.95),
            hsl(hue, 0.60, 0.99),
            hsl(hue, 0.45, 0.13),
        )
    };
    let accent = accent(accent_hue, dark, background);
    let (light, deep) = (hsl(accent_hue, 0.30, 0.98), hsl(accent_hue, 0.60, 0.07));
    let accent_text = if contrast(accent, light) >= 4.5 {
        light
    } else {
        deep
    };
    Colours {
        background: hex(background),
        surface: hex(surface),
        text: hex(text),
        accent: hex(accent),
        accent_text: hex(accent_text),
    }
}

/// The first lightness at which the accent stands out enough from the ground.
fn accent(hue: u16, dark: bool, background: [u8; 3]) -> [u8; 3] {
    let mut lightness: f64 = if dark { 0.58 } else { 0.42 };
    let step = if dark { 0.02 } else { -0.02 };
    while contrast(hsl(hue, 0.72, lightness), background) < 4.5 && (0.1..0.95).contains(&lightness)
    {
        lightness += step;
    }
    hsl(hue, 0.72, lightness)
}

/// Whether `text` is a colour of the form `#rrggbb`: all else stays out of a style.
pub(crate) fn is_hex(text: &str) -> bool {
    text.len() == 7
        && text.starts_with('#')
        && text[1..].bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `dark` or `light`: what a browser should make its own controls look like.
pub(crate) fn scheme(colours: &Colours) -> &'static str {
    let ground = [1, 3, 5].map(|at| {
        let digits = colours.background.get(at..at + 2).unwrap_or("00");
        u8::from_str_radix(digits, 16).unwrap_or(0)
    });
    if luminance(ground) < 0.2 {
        "dark"
    } else {
        "light"
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// <https://www.w3.org/TR/css-color-4/#hsl-to-rgb>
fn hsl(hue: u16, saturation: f64, lightness: f64) -> [u8; 3] {
    let channel = |offset: f64| {
        let k = (offset + f64::from(hue) / 30.0) % 12.0;
        let spread = saturation * lightness.min(1.0 - lightness);
        let value = lightness - spread * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        byte(value)
    };
    [channel(0.0), channel(8.0), channel(4.0)]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=255 just before"
)]
fn byte(value: f64) -> u8 {
    (value * 255.0).round().clamp(0.0, 255.0) as u8
}

/// <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> [u8; 3] {
        assert!(is_hex(text), "{text}");
        [1, 3, 5].map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
    }

    #[test]
    fn every_hue_is_readable() {
        for hue in 0..360 {
            for dark in [false, true] {
                let colours = around(hue, dark);
                let [ground, surface, text, accent, on_accent] = [
                    &colours.background,
                    &colours.surface,
                    &colours.text,
                    &colours.accent,
                    &colours.accent_text,
                ]
                .map(|colour| parse(colour));
                assert!(
                    contrast(text, ground) >= 7.0 && contrast(text, surface) >= 7.0,
                    "{hue} {dark}"
                );
                assert!(
                    contrast(accent, ground) >= 4.5 && contrast(accent, surface) >= 3.0,
                    "{hue} {dark}"
                );
                assert!(contrast(on_accent, accent) >= 4.5, "{hue} {dark}");
            }
        }
    }

    #[test]
    fn only_plain_colours_are_colours() {
        assert!(is_hex("#a0B1c2"));
        for text in ["red", "#fff", "#12345g", "#1234567", "#1;}éé", ""] {
            assert!(!is_hex(text), "{text}");
        }
    }
}
