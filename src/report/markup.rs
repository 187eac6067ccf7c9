//! Text in HTML and SVG: nothing that a cluster file says can be taken for markup.

/// Text as it is written between tags and in quoted attributes. Characters that XML has no place for are shown as a replacement.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            // A carriage return would come out as a line's end of its own, or not at all.
            '\r' => {}
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            // Marks that turn the direction of writing would let text look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// A name as a part of a file's name: letters, digits, hyphens and underscores, never empty and never long.
pub fn file_part(name: &str) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    let part: String =
        name.chars().take(64).map(|character| if allowed(character) { character } else { '_' }).collect();
    if part.is_empty() { "_".into() } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What has a meaning in markup loses it; the rest is left as it is.
    #[test]
    fn escapes() {
        assert_eq!(escaped("</script> & \"'\r\n\0ä"), "&lt;/script&gt; &amp; &quot;&#39;\n\u{fffd}ä");
        assert_eq!(escaped("\u{202e}txt"), "\u{fffd}txt");
    }

    /// No name leads out of a folder.
    #[test]
    fn names_of_files() {
        assert_eq!(file_part("../a b.svg"), "___a_b_svg");
        assert_eq!(file_part(""), "_");
    }
}
