//! Numbers from their own digits: whole numbers and exact decimals. Nothing is rounded and nothing goes through a
//! float.

/// The digits of a number as written: `-12.50e1` is negative, digits `1250`, exponent -1.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits_until = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (whole, mut rest) = text.split_at(digits_until(text));
    let mut fraction: &[u8] = &[];
    if let [b'.', after @ ..] = rest {
        (fraction, rest) = after.split_at(digits_until(after));
        if fraction.is_empty() {
            return None;
        }
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', exponent @ ..] => std::str::from_utf8(exponent).ok()?.parse::<i64>().ok()?,
        _ => return None,
    };
    Some(Parts { negative, whole, fraction, exponent })
}

/// A number as a decimal of this precision and scale: its value times `10^scale`. `None` when it is no number, has
/// digits beyond the scale that are not zero, or too many before it.
pub fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let parts = parts(text)?;
    let mut value: i128 = 0;
    let mut any = false;
    // The place of a digit, counted from the unit of the result: 0 is the last that is kept.
    let first = i64::try_from(parts.whole.len()).ok()? - 1 + i64::from(scale);
    let shift = parts.exponent;
    for (place, digit) in (0i64..).zip(parts.whole.iter().chain(parts.fraction)) {
        let digit = i128::from(digit - b'0');
        if digit == 0 && !any {
            continue;
        }
        any = true;
        let at = first.checked_sub(place)?.checked_add(shift)?;
        if digit == 0 {
            continue;
        }
        if !(0..i64::from(precision)).contains(&at) {
            return None;
        }
        value += digit * 10i128.pow(u32::try_from(at).ok()?);
    }
    (value < 10i128.pow(u32::from(precision))).then_some(if parts.negative { -value } else { value })
}

/// A whole number; a fraction of zeros is allowed (`4.0000`).
pub fn whole(text: &[u8]) -> Option<i64> {
    if let Some(value) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()) {
        return Some(value);
    }
    i64::try_from(decimal(text, 19, 0)?).ok()
}

/// A number as the nearest float.
pub fn float(text: &[u8]) -> Option<f64> {
    parts(text)?;
    std::str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|value| value.is_finite())
}
