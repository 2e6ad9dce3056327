//! Text on one line, such as the reasons that people write into the history.

/// Whether a text is one line, not empty, and at most `bytes` long.
pub fn is_single_line(text: &str, bytes: usize) -> bool {
    (1..=bytes).contains(&text.len()) && !text.contains(is_invisible_control)
}

/// The text without white space at its ends. A line separator beyond ASCII stays, so that the text is refused and not
/// changed.
pub fn trim_line(text: &str) -> &str {
    let is_space =
        |letter: char| letter.is_ascii_whitespace() || letter.is_whitespace() && !is_invisible_control(letter);
    text.trim_matches(is_space)
}

/// The first character that a line cannot have, for the end of a sentence: `, without a tab (U+0009)`. Empty if there is
/// none.
pub fn describe_invisible_control(text: &str) -> String {
    let Some(letter) = text.chars().find(|letter| is_invisible_control(*letter)) else { return String::new() };
    let name = match letter {
        '\t' => "a tab",
        '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line end",
        letter if letter.is_control() => "a control character",
        _ => "a change of text direction",
    };
    format!(", without {name} (U+{:04X})", u32::from(letter))
}

/// Whether a character is invisible but changes how the text looks: a control, a line end, or a change of text
/// direction (Unicode, Bidirectional Algorithm, 2). Such characters can make one line look like another.
pub(super) fn is_invisible_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Escapes a text for a sentence or a terminal: text from outside must not move the cursor, look like another line, or
/// change text direction. The escapes are those of JSON, so JSON stays JSON.
pub fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_invisible_control(letter) {
            escaped += &format!("\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_refused_by_name() {
        for (text, trimmed, words) in [
            (" \tmoved\u{3000}\r\n", "moved", ""),
            ("\u{2028}moved", "\u{2028}moved", ", without a line end (U+2028)"),
            ("moved \u{85} ", "moved \u{85}", ", without a line end (U+0085)"),
            ("to\tBerlin", "to\tBerlin", ", without a tab (U+0009)"),
            ("\u{1b}[2J", "\u{1b}[2J", ", without a control character (U+001B)"),
            ("fdp.\u{202e}exe", "fdp.\u{202e}exe", ", without a change of text direction (U+202E)"),
        ] {
            assert_eq!((trim_line(text), &*describe_invisible_control(trim_line(text))), (trimmed, words), "{text:?}");
        }
    }

    #[test]
    fn lines_are_seen_as_they_are() {
        for (text, is) in [
            ("moved to a new host", true),
            ("Zürich, \u{5317}\u{4eac}, \u{1f44d}\u{200d}\u{1f525}", true),
            ("\u{5d0}\u{5d1}", true),
            ("", false),
            ("two\nlines", false),
            ("two\u{2028}lines", false),
            ("\u{1b}[2J", false),
            ("fdp.\u{202e}exe", false),
            ("\u{2067}turned", false),
            ("a text that is too long for this", false),
        ] {
            assert_eq!(is_single_line(text, 31), is, "{text:?}");
        }
    }
}
