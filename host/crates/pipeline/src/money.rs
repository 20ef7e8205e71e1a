//! Money as whole millionths of a dollar, and as people write it. It adds nothing up.

use thiserror::Error;

/// Millionths of a dollar in one.
const DOLLAR: u64 = 1_000_000;

/// More than this is taken for a slip of the pen, in dollars.
const MOST: u64 = 1_000_000_000;

/// What is wrong with an amount.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` must be an amount of dollars such as \"3\" or \"0.50\", with six decimals at most")]
pub struct NoAmount(String);

/// Reads dollars as a decimal: `"20"`, `"0.5"`. In millionths of a dollar.
///
/// # Errors
/// [`NoAmount`] where it isn't one.
pub fn micro_usd(text: &str) -> Result<u64, NoAmount> {
    let wrong = || NoAmount(text.chars().take(64).collect());
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    let dollars: u64 = whole.parse().map_err(|_| wrong())?;
    let micro: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    if dollars > MOST {
        return Err(wrong());
    }
    Ok(dollars * DOLLAR + micro)
}

/// Millionths of a dollar as a decimal: two places, more where they say something.
pub fn usd(micro: u64) -> String {
    let text = format!("{}.{:06}", micro / DOLLAR, micro % DOLLAR);
    let shortest = text.len() - 4;
    let trimmed = text.trim_end_matches('0').len();
    text[..trimmed.max(shortest)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        for (micro, text) in [
            (0, "0.00"),
            (1, "0.000001"),
            (10_000, "0.01"),
            (1_500_000, "1.50"),
            (20_000_000, "20.00"),
            (1_234_500, "1.2345"),
        ] {
            assert_eq!(usd(micro), text);
            assert_eq!(micro_usd(text), Ok(micro));
        }
        assert_eq!(usd(u64::MAX), "18446744073709.551615");
        assert_eq!(micro_usd("20"), Ok(20_000_000));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "$1",
            " 1",
            "0.1234567",
            "inf",
            "99999999999",
            "99999999999999999999999",
        ] {
            assert!(micro_usd(text).is_err(), "{text}");
        }
    }
}
