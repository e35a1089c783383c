// SPDX-License-Identifier: AGPL-3.0-or-later
//! The code of a line without comments and strings: enough of Rust's grammar to find words in it.

/// The line with the contents of its string and character literals, and its comment, taken out.
///
/// Strings over several lines and block comments are not followed; a finding in one is put right by wording.
pub(super) fn code(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            break;
        }
        rest = &rest[next.len_utf8()..];
        code.push(next);
        match next {
            '"' => {
                rest = after_string(rest);
                code.push('"');
            }
            // Lifetimes have no closing quote; a character literal has it after one or two characters.
            '\'' => {
                let escaped = rest.starts_with('\\');
                let inner: usize = rest.chars().take(if escaped { 2 } else { 1 }).map(char::len_utf8).sum();
                if rest[inner..].starts_with('\'') {
                    rest = &rest[inner + 1..];
                    code.push('\'');
                }
            }
            _ => {}
        }
    }
    code
}

fn after_string(text: &str) -> &str {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// The identifiers and keywords of a line of code.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_out_comments_and_strings() {
        assert_eq!(code("let a = b; // c"), "let a = b; ");
        assert_eq!(code(r#"f("x // y", z) // w"#), r#"f("", z) "#);
        assert_eq!(code(r#"f("a\"b", c)"#), r#"f("", c)"#);
        assert_eq!(code("/// only prose"), "");
        assert_eq!(code(r#"let open = "goes on"#), r#"let open = """#);
    }

    #[test]
    fn knows_characters_from_lifetimes() {
        assert_eq!(code("fn f<'a>(x: &'a str) { x.split('\"') }"), "fn f<'a>(x: &'a str) { x.split('') }");
        assert_eq!(code(r"x == '\'' && y"), "x == '' && y");
        assert_eq!(code("'ä' b"), "'' b");
    }

    #[test]
    fn splits_into_words() {
        assert_eq!(words("pub fn a_b(c: D)").collect::<Vec<_>>(), ["pub", "fn", "a_b", "c", "D"]);
    }
}
