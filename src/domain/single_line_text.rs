//! Text on one line, as people write it into the history and read it there.

/// Whether a text is one line of at most so many bytes, and not empty.
pub fn is_single_line(text: &str, bytes: usize) -> bool {
    (1..=bytes).contains(&text.len()) && !text.contains(is_invisible_control)
}

/// Whether a letter is not seen but moves what is seen: controls, ends of lines, and those that turn the direction of
/// text (Unicode, Bidirectional Algorithm, 2), with which a line can be made to look like another.
fn is_invisible_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for a sentence or a terminal: what somebody else put in it must not move the cursor, look like another line, or
/// turn the direction of text. The escapes are those of JSON, which stays JSON by them.
pub fn escape_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_invisible_control(letter) {
            shown += &format!("\\u{:04x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

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
