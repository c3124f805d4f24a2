//! A provider's words, made fit to be kept and shown.

use kontor_core::limits::LABEL_BYTES_MAX;
use kontor_core::text::Reason;

use crate::limits::CARD_DIGITS_MIN;

/// Words of a provider as a reason: printable, not too long, and without anything that looks like a card number.
pub(crate) fn reason(words: &str) -> Reason {
    let fit = fit(words);
    let fit = if fit.is_empty() { "no reason was given" } else { &fit };
    Reason::parse(fit).expect("what was made fit is printable, trimmed and short")
}

/// The same for messages.
pub(crate) fn fit(words: &str) -> String {
    let masked = mask(words);
    let mut fit = String::new();
    for c in masked.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if fit.len() + c.len_utf8() > LABEL_BYTES_MAX {
            break;
        }
        fit.push(c);
    }
    fit.trim().to_owned()
}

/// Digits in a row, with single spaces or dashes between them, are a card number if there are enough of them.
fn mask(words: &str) -> String {
    let (mut out, mut run) = (String::new(), String::new());
    let mut chars = words.chars().peekable();
    while let Some(c) = chars.next() {
        let goes_on = chars.peek().is_some_and(char::is_ascii_digit);
        if c.is_ascii_digit() || (matches!(c, ' ' | '-') && !run.is_empty() && goes_on) {
            run.push(c);
            if goes_on || matches!(chars.peek(), Some(' ' | '-')) {
                continue;
            }
        } else {
            flush(&mut out, &mut run);
            out.push(c);
            continue;
        }
        flush(&mut out, &mut run);
    }
    flush(&mut out, &mut run);
    out
}

fn flush(out: &mut String, run: &mut String) {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    out.push_str(if digits >= CARD_DIGITS_MIN { "…" } else { run });
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_words_can_be_kept(words in ".{0,300}") {
            let kept = reason(&words);
            proptest::prop_assert!(Reason::parse(kept.as_str()).is_ok());
        }
    }

    #[test]
    fn words_are_cut_and_hide_card_numbers() {
        let rows = [
            ("Your card was declined.", "Your card was declined."),
            ("", "no reason was given"),
            (" \n\t ", "no reason was given"),
            ("two\nlines", "two lines"),
            ("card 4242424242424242 is expired", "card … is expired"),
            ("card 4242 4242 4242 4242.", "card ….: "),
            ("4242-4242-4242-4242", "…"),
            ("order 123456789012", "order 123456789012"),
            ("1 - 2 and 3- 4", "1 - 2 and 3- 4"),
        ];
        for (words, expected) in rows {
            assert_eq!(reason(words).as_str(), expected.trim_end_matches(": "), "{words:?}");
        }
        assert_eq!(reason(&"é".repeat(100)).as_str().len(), LABEL_BYTES_MAX);
    }
}
